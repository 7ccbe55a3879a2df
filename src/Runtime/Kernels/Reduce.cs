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

    /// <summary>Σ x² with about twice the digits of a double: the squares are exact, and what a sum in double precision rounds away is summed beside it. The pieces that threads take
    /// depend on the length alone.</summary>
    public static WideSum SumOfSquares(ThreadTeam team, long count, ref float x)
    {
        const int Room = ThreadTeam.ScratchBytes / (2 * sizeof(double));
        long piece = Math.Max(16 * 1024, ((count + Room - 1) / Room + 31) / 32 * 32), pieces = (count + piece - 1) / piece;
        WideSum* parts = (WideSum*)team.Scratch(0);
        team.Run((int)pieces, new SquaresBody { Count = count, Piece = piece, X = (float*)Unsafe.AsPointer(ref x), Parts = parts });
        WideSum total = default;
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
        public WideSum* Parts;

        public void Run(int part, int thread)
        {
            float* x = X + part * Piece, end = X + Math.Min(Count, (part + 1) * Piece);
            Vector256<double> low = default, high = default, lowLost = default, highLost = default;
            for (; x <= end - 8; x += 8)
            {
                if (Sse.IsSupported)
                {
                    Sse.Prefetch0(x + 512);
                }

                AddSquare(ref low, ref lowLost, Widen(x));
                AddSquare(ref high, ref highLost, Widen(x + 4));
            }

            WideSum sum = default;
            for (int lane = 0; lane < Vector256<double>.Count; lane++)
            {
                sum += new WideSum(low[lane], lowLost[lane]) + new WideSum(high[lane], highLost[lane]);
            }

            for (; x < end; x++)
            {
                sum += (double)*x * *x;
            }

            Parts[part] = sum;
        }

        /// <summary>Adds squares, and what rounding loses of them (Knuth's exact sum of two). The square of a float is exact in double precision: fused or not, the bits are the same,
        /// and half of the additions go where multiplications are done.</summary>
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void AddSquare(ref Vector256<double> sum, ref Vector256<double> lost, Vector256<double> root)
        {
            if (Fma.IsSupported)
            {
                Vector256<double> next = Fma.MultiplyAdd(root, root, sum), back = next - sum;
                Vector256<double> one = Vector256.Create(1.0);
                lost = Fma.MultiplyAdd(Fma.MultiplyAdd(sum - (next - back), one, Fma.MultiplySubtract(root, root, back)), one, lost);
                sum = next;
            }
            else
            {
                Vector256<double> term = root * root, next = sum + term, back = next - sum;
                lost += (sum - (next - back)) + (term - back);
                sum = next;
            }
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
