using System.Runtime.CompilerServices;
using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <summary>Layer normalisation of rows (Ba et al., arXiv 1607.06450).</summary>
public static unsafe class LayerNorm
{
    /// <summary>y = (x − mean)·r·scale + shift; x, y [rows, n], scale, shift [n], mean and r (reciprocal deviation) [rows].</summary>
    public static void Forward(ThreadTeam team, int rows, int n, float epsilon, ref float x, ref float scale, ref float shift, ref float y, ref float mean, ref float reciprocal) =>
        Elementwise.Rows(team, rows, n, new ForwardBody
        {
            N = n, Epsilon = epsilon, X = (float*)Unsafe.AsPointer(ref x), Scale = (float*)Unsafe.AsPointer(ref scale), Shift = (float*)Unsafe.AsPointer(ref shift),
            Y = (float*)Unsafe.AsPointer(ref y), Mean = (float*)Unsafe.AsPointer(ref mean), Reciprocal = (float*)Unsafe.AsPointer(ref reciprocal),
        });

    /// <summary>Gradients: dx [rows, n] row by row; dScale and dShift [n], overwritten, summed over rows in blocks of fixed size.</summary>
    public static void Backward(ThreadTeam team, int rows, int n, ref float x, ref float scale, ref float mean, ref float reciprocal, ref float dy, ref float dx, ref float dScale, ref float dShift)
    {
        float* px = (float*)Unsafe.AsPointer(ref x), pScale = (float*)Unsafe.AsPointer(ref scale), pMean = (float*)Unsafe.AsPointer(ref mean), pR = (float*)Unsafe.AsPointer(ref reciprocal), pDy = (float*)Unsafe.AsPointer(ref dy);
        Elementwise.Rows(team, rows, n, new BackwardBody { N = n, X = px, Scale = pScale, Mean = pMean, Reciprocal = pR, Dy = pDy, Dx = (float*)Unsafe.AsPointer(ref dx) });
        ColumnSums.Run(team, rows, n, new Columns { N = n, X = px, Mean = pMean, Reciprocal = pR, Dy = pDy, DScale = (float*)Unsafe.AsPointer(ref dScale), DShift = (float*)Unsafe.AsPointer(ref dShift), Rows = rows });
    }

    private struct ForwardBody : IRangeBody
    {
        public int N;
        public float Epsilon;
        public float* X, Scale, Shift, Y, Mean, Reciprocal;

        public void Run(long from, long to)
        {
            for (long row = from; row < to; row++)
            {
                float* x = X + row * N, y = Y + row * N;
                float mean = RowMath.Sum(x, N) / N;
                NormMath.Center(x, mean, y, N);
                float r = 1 / MathF.Sqrt(RowMath.Dot(y, y, N) / N + Epsilon);
                NormMath.Finish(y, r, Scale, Shift, N);
                Mean[row] = mean;
                Reciprocal[row] = r;
            }
        }
    }

    private struct BackwardBody : IRangeBody
    {
        public int N;
        public float* X, Scale, Mean, Reciprocal, Dy, Dx;

        public void Run(long from, long to)
        {
            for (long row = from; row < to; row++)
            {
                float* x = X + row * N, dy = Dy + row * N, dx = Dx + row * N;
                float mean = Mean[row], r = Reciprocal[row];
                NormMath.Sums(x, dy, Scale, mean, r, N, out float sum, out float dot);
                NormMath.Gradient(x, dy, Scale, mean, r, sum / N, dot / N, dx, N);
            }
        }
    }

    private struct Columns : IRangeBody
    {
        public int N, Rows;
        public float* X, Mean, Reciprocal, Dy, DScale, DShift;

        public void Run(long from, long to)
        {
            int width = (int)(to - from);
            new Span<float>(DScale + from, width).Clear();
            new Span<float>(DShift + from, width).Clear();
            for (int row = 0; row < Rows; row++)
            {
                NormMath.AddColumns(X + (long)row * N + from, Dy + (long)row * N + from, Mean[row], Reciprocal[row], DScale + from, DShift + from, width);
            }
        }
    }
}

/// <summary>Root-mean-square normalisation of rows (Zhang and Sennrich, arXiv 1910.07467).</summary>
public static unsafe class RmsNorm
{
    /// <summary>y = x·r·scale; x, y [rows, n], scale [n], r (reciprocal root mean square) [rows].</summary>
    public static void Forward(ThreadTeam team, int rows, int n, float epsilon, ref float x, ref float scale, ref float y, ref float reciprocal) =>
        Elementwise.Rows(team, rows, n, new ForwardBody { N = n, Epsilon = epsilon, X = (float*)Unsafe.AsPointer(ref x), Scale = (float*)Unsafe.AsPointer(ref scale), Y = (float*)Unsafe.AsPointer(ref y), Reciprocal = (float*)Unsafe.AsPointer(ref reciprocal) });

    /// <summary>Gradients: dx [rows, n] row by row; dScale [n], overwritten.</summary>
    public static void Backward(ThreadTeam team, int rows, int n, ref float x, ref float scale, ref float reciprocal, ref float dy, ref float dx, ref float dScale)
    {
        float* px = (float*)Unsafe.AsPointer(ref x), pR = (float*)Unsafe.AsPointer(ref reciprocal), pDy = (float*)Unsafe.AsPointer(ref dy);
        Elementwise.Rows(team, rows, n, new BackwardBody { N = n, X = px, Scale = (float*)Unsafe.AsPointer(ref scale), Reciprocal = pR, Dy = pDy, Dx = (float*)Unsafe.AsPointer(ref dx) });
        ColumnSums.Run(team, rows, n, new Columns { N = n, X = px, Reciprocal = pR, Dy = pDy, DScale = (float*)Unsafe.AsPointer(ref dScale), Rows = rows });
    }

    private struct ForwardBody : IRangeBody
    {
        public int N;
        public float Epsilon;
        public float* X, Scale, Y, Reciprocal;

        public void Run(long from, long to)
        {
            for (long row = from; row < to; row++)
            {
                float* x = X + row * N, y = Y + row * N;
                float r = 1 / MathF.Sqrt(RowMath.Dot(x, x, N) / N + Epsilon);
                for (int i = 0; i < N; i++)
                {
                    y[i] = x[i] * r * Scale[i];
                }

                Reciprocal[row] = r;
            }
        }
    }

    private struct BackwardBody : IRangeBody
    {
        public int N;
        public float* X, Scale, Reciprocal, Dy, Dx;

        public void Run(long from, long to)
        {
            for (long row = from; row < to; row++)
            {
                float* x = X + row * N, dy = Dy + row * N, dx = Dx + row * N;
                float r = Reciprocal[row];
                NormMath.Sums(x, dy, Scale, 0, r, N, out _, out float dot);
                NormMath.Gradient(x, dy, Scale, 0, r, 0, dot / N, dx, N);
            }
        }
    }

    private struct Columns : IRangeBody
    {
        public int N, Rows;
        public float* X, Reciprocal, Dy, DScale;

        public void Run(long from, long to)
        {
            int width = (int)(to - from);
            new Span<float>(DScale + from, width).Clear();
            for (int row = 0; row < Rows; row++)
            {
                float r = Reciprocal[row];
                float* x = X + (long)row * N + from, dy = Dy + (long)row * N + from, d = DScale + from;
                for (int i = 0; i < width; i++)
                {
                    d[i] += dy[i] * (x[i] * r);
                }
            }
        }
    }
}
