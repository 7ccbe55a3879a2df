using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <summary>Reductions over a middle dim: x [outer, count, inner] → y [outer, inner].</summary>
public static unsafe class Reduce
{
    private const int MaxColumns = 2048;

    /// <summary>Sum; rows are added in rising order.</summary>
    public static void Sum(ThreadTeam team, long outer, long count, long inner, ref float x, ref float y)
    {
        float* px = (float*)Unsafe.AsPointer(ref x), py = (float*)Unsafe.AsPointer(ref y);
        if (inner == 1)
        {
            Elementwise.Rows(team, outer, count, new RowSums { Count = count, X = px, Y = py });
        }
        else
        {
            // Runs of columns whose sums stay in the first cache; they begin at multiples of 64, so that a cache line belongs to one thread.
            long width = Math.Min(MaxColumns, ((inner + team.Threads - 1) / team.Threads + 63) / 64 * 64), parts = (inner + width - 1) / width;
            team.Run((int)(outer * parts), new ColumnBody { Count = count, Inner = inner, Width = width, Parts = parts, X = px, Y = py });
        }
    }

    /// <summary>Largest or smallest element.</summary>
    public static void Extreme(ThreadTeam team, long outer, long count, long inner, bool max, ref float x, ref float y) =>
        Elementwise.Rows(team, outer, count * inner, new ExtremeBody { Count = count, Inner = inner, Max = max, X = (float*)Unsafe.AsPointer(ref x), Y = (float*)Unsafe.AsPointer(ref y) });

    /// <summary>Gradient of <see cref="Extreme"/>: elements that tie share it equally.</summary>
    public static void ExtremeBackward(ThreadTeam team, long outer, long count, long inner, ref float x, ref float y, ref float dy, ref float dx) =>
        Elementwise.Rows(team, outer, count * inner, new ExtremeGradient { Count = count, Inner = inner, X = (float*)Unsafe.AsPointer(ref x), Y = (float*)Unsafe.AsPointer(ref y), Dy = (float*)Unsafe.AsPointer(ref dy), Dx = (float*)Unsafe.AsPointer(ref dx) });

    /// <summary>Σ x² in double precision, in pieces that depend on the length alone.</summary>
    public static double SumOfSquares(ThreadTeam team, long count, ref float x)
    {
        const int Room = ThreadTeam.ScratchBytes / sizeof(double);
        long piece = Math.Max(16 * 1024, ((count + Room - 1) / Room + 31) / 32 * 32), pieces = (count + piece - 1) / piece;
        double* parts = (double*)team.Scratch(0);
        team.Run((int)pieces, new SquaresBody { Count = count, Piece = piece, X = (float*)Unsafe.AsPointer(ref x), Parts = parts });
        double total = 0;
        for (long i = 0; i < pieces; i++)
        {
            total += parts[i];
        }

        return total;
    }

    private struct SquaresBody : IParallelBody
    {
        public long Count, Piece;
        public float* X;
        public double* Parts;

        public void Run(int part, int thread)
        {
            float* x = X + part * Piece, end = X + Math.Min(Count, (part + 1) * Piece);
            Vector256<double> a = default, b = default, c = default, d = default;
            for (; x <= end - 16; x += 16)
            {
                if (Sse.IsSupported)
                {
                    Sse.Prefetch0(x + 512);
                }

                Vector256<double> x0 = Widen(x), x1 = Widen(x + 4), x2 = Widen(x + 8), x3 = Widen(x + 12);
                a = Vector256.FusedMultiplyAdd(x0, x0, a);
                b = Vector256.FusedMultiplyAdd(x1, x1, b);
                c = Vector256.FusedMultiplyAdd(x2, x2, c);
                d = Vector256.FusedMultiplyAdd(x3, x3, d);
            }

            double tail = 0;
            for (; x < end; x++)
            {
                tail += (double)*x * *x;
            }

            Parts[part] = Vector256.Sum((a + b) + (c + d)) + tail;
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static Vector256<double> Widen(float* x)
        {
            Vector128<float> four = Vector128.Load(x);
            if (Avx.IsSupported)
            {
                return Avx.ConvertToVector256Double(four);
            }

            (Vector128<double> low, Vector128<double> high) = Vector128.Widen(four);
            return Vector256.Create(low, high);
        }
    }

    private struct RowSums : IRangeBody
    {
        public long Count;
        public float* X, Y;

        public void Run(long from, long to)
        {
            for (long row = from; row < to; row++)
            {
                double sum = 0;
                for (long start = 0; start < Count; start += 4096)
                {
                    sum += RowMath.Sum(X + row * Count + start, (int)Math.Min(4096, Count - start));
                }

                Y[row] = (float)sum;
            }
        }
    }

    private struct ColumnBody : IParallelBody
    {
        public long Count, Inner, Width, Parts;
        public float* X, Y;

        public void Run(int part, int thread)
        {
            long outer = part / Parts, from = part % Parts * Width;
            int width = (int)Math.Min(Width, Inner - from);
            float* y = Y + outer * Inner + from;
            new Span<float>(y, width).Clear();
            for (long row = 0; row < Count; row++)
            {
                RowMath.AddTo(X + (outer * Count + row) * Inner + from, y, width);
            }
        }
    }

    private struct ExtremeBody : IRangeBody
    {
        public long Count, Inner;
        public bool Max;
        public float* X, Y;

        public void Run(long from, long to)
        {
            for (long o = from; o < to; o++)
            {
                for (long i = 0; i < Inner; i++)
                {
                    float best = X[o * Count * Inner + i];
                    for (long n = 1; n < Count; n++)
                    {
                        float value = X[(o * Count + n) * Inner + i];
                        best = Max ? MathF.Max(best, value) : MathF.Min(best, value);
                    }

                    Y[o * Inner + i] = best;
                }
            }
        }
    }

    private struct ExtremeGradient : IRangeBody
    {
        public long Count, Inner;
        public float* X, Y, Dy, Dx;

        public void Run(long from, long to)
        {
            for (long o = from; o < to; o++)
            {
                for (long i = 0; i < Inner; i++)
                {
                    float best = Y[o * Inner + i];
                    int ties = 0;
                    for (long n = 0; n < Count; n++)
                    {
                        ties += X[(o * Count + n) * Inner + i] == best ? 1 : 0;
                    }

                    for (long n = 0; n < Count; n++)
                    {
                        long at = (o * Count + n) * Inner + i;
                        Dx[at] = X[at] == best ? Dy[o * Inner + i] / ties : 0;
                    }
                }
            }
        }
    }
}
