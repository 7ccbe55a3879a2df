using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Shardwright.Execution;
using V = System.Runtime.Intrinsics.Vector256<float>;

namespace Shardwright.Kernels;

/// <summary>Softmax of rows and its logarithm.</summary>
public static unsafe class Softmax
{
    /// <summary>y = softmax(x), or its logarithm; both [rows, n].</summary>
    public static void Forward(ThreadTeam team, int rows, int n, bool logarithm, ref float x, ref float y) =>
        Elementwise.Rows(team, rows, n, new ForwardBody { N = n, Logarithm = logarithm, X = (float*)Unsafe.AsPointer(ref x), Y = (float*)Unsafe.AsPointer(ref y) });

    /// <summary>dx from y and dy; all [rows, n].</summary>
    public static void Backward(ThreadTeam team, int rows, int n, bool logarithm, ref float y, ref float dy, ref float dx) =>
        Elementwise.Rows(team, rows, n, new BackwardBody { N = n, Logarithm = logarithm, Y = (float*)Unsafe.AsPointer(ref y), Dy = (float*)Unsafe.AsPointer(ref dy), Dx = (float*)Unsafe.AsPointer(ref dx) });

    private struct ForwardBody : IRangeBody
    {
        public int N;
        public bool Logarithm;
        public float* X, Y;

        public void Run(long from, long to)
        {
            for (long row = from; row < to; row++)
            {
                float* x = X + row * N, y = Y + row * N;
                float max = RowMath.Max(x, N, y);
                if (Logarithm)
                {
                    NormMath.Center(x, max + MathF.Log(RowMath.ExpSum(x, max, N)), y, N);
                }
                else
                {
                    RowMath.Scale(y, 1 / RowMath.ExpSum(x, max, y, N, x + N), y, N);
                }
            }
        }
    }

    private struct BackwardBody : IRangeBody
    {
        public int N;
        public bool Logarithm;
        public float* Y, Dy, Dx;

        public void Run(long from, long to)
        {
            for (long row = from; row < to; row++)
            {
                float* y = Y + row * N, dy = Dy + row * N, dx = Dx + row * N;
                if (Logarithm)
                {
                    LogarithmRow(y, dy, RowMath.Sum(dy, N), dx, N);
                }
                else
                {
                    Row(y, dy, RowMath.Dot(y, dy, N), dx, N);
                }
            }
        }

        private static void Row(float* y, float* dy, float sum, float* dx, int n)
        {
            V s = Vector256.Create(sum);
            int i = 0;
            for (; i <= n - 8; i += 8)
            {
                Vector256.Store(Vector256.Load(y + i) * (Vector256.Load(dy + i) - s), dx + i);
            }

            for (; i < n; i++)
            {
                dx[i] = y[i] * (dy[i] - sum);
            }
        }

        private static void LogarithmRow(float* y, float* dy, float sum, float* dx, int n)
        {
            V s = Vector256.Create(sum);
            int i = 0;
            for (; i <= n - 8; i += 8)
            {
                Vector256.Store(Vector256.Load(dy + i) - VectorMath.Exp(Vector256.Load(y + i)) * s, dx + i);
            }

            if (i < n)
            {
                V rest = VectorMath.LoadPart(ref *dy, i, n - i) - VectorMath.Exp(VectorMath.LoadPart(ref *y, i, n - i)) * s;
                VectorMath.StorePart(rest, ref *dx, i, n - i);
            }
        }
    }
}
