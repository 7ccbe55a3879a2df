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

    /// <summary>Gradients: dx [rows, n]; dScale and dShift [n], overwritten, summed over rows in blocks of fixed size.</summary>
    public static void Backward(ThreadTeam team, int rows, int n, ref float x, ref float scale, ref float mean, ref float reciprocal, ref float dy, ref float dx, ref float dScale, ref float dShift) =>
        RowSums.Run(team, rows, n, (float*)Unsafe.AsPointer(ref dScale), (float*)Unsafe.AsPointer(ref dShift), new BackwardBody
        {
            N = n, X = (float*)Unsafe.AsPointer(ref x), Scale = (float*)Unsafe.AsPointer(ref scale), Mean = (float*)Unsafe.AsPointer(ref mean), Reciprocal = (float*)Unsafe.AsPointer(ref reciprocal),
            Dy = (float*)Unsafe.AsPointer(ref dy), Dx = (float*)Unsafe.AsPointer(ref dx),
        });

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
                float mean = RowMath.Sum(x, N) / N, r = 1 / MathF.Sqrt(NormMath.Squares(x, mean, N, y) / N + Epsilon);
                NormMath.Finish(x, mean, r, Scale, Shift, y, N);
                Mean[row] = mean;
                Reciprocal[row] = r;
            }
        }
    }

    private struct BackwardBody : IRowSumsBody
    {
        public int N;
        public float* X, Scale, Mean, Reciprocal, Dy, Dx;

        public void Run(int from, int to, float* dScale, float* dShift)
        {
            for (int row = from; row < to; row++)
            {
                float* x = X + (long)row * N, dy = Dy + (long)row * N, dx = Dx + (long)row * N;
                float mean = Mean[row], r = Reciprocal[row];
                NormMath.Sums(x, dy, Scale, mean, r, N, dScale, dShift, dx, out float sum, out float dot);
                NormMath.Gradient(x, dy, Scale, mean, r, sum / N, dot / N, dx, N);
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

    /// <summary>Gradients: dx [rows, n]; dScale [n], overwritten, summed over rows in blocks of fixed size.</summary>
    public static void Backward(ThreadTeam team, int rows, int n, ref float x, ref float scale, ref float reciprocal, ref float dy, ref float dx, ref float dScale) =>
        RowSums.Run(team, rows, n, (float*)Unsafe.AsPointer(ref dScale), null, new BackwardBody
        {
            N = n, X = (float*)Unsafe.AsPointer(ref x), Scale = (float*)Unsafe.AsPointer(ref scale), Reciprocal = (float*)Unsafe.AsPointer(ref reciprocal), Dy = (float*)Unsafe.AsPointer(ref dy), Dx = (float*)Unsafe.AsPointer(ref dx),
        });

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
                float r = 1 / MathF.Sqrt(RowMath.Dot(x, x, N, y) / N + Epsilon);
                NormMath.Finish(x, r, Scale, y, N);
                Reciprocal[row] = r;
            }
        }
    }

    private struct BackwardBody : IRowSumsBody
    {
        public int N;
        public float* X, Scale, Reciprocal, Dy, Dx;

        public void Run(int from, int to, float* dScale, float* none)
        {
            for (int row = from; row < to; row++)
            {
                float* x = X + (long)row * N, dy = Dy + (long)row * N, dx = Dx + (long)row * N;
                float r = Reciprocal[row];
                NormMath.Sums(x, dy, Scale, 0, r, N, dScale, null, dx, out _, out float dot);
                NormMath.Gradient(x, dy, Scale, 0, r, 0, dot / N, dx, N);
            }
        }
    }
}
