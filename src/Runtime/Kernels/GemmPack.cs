using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Shardwright.Kernels;

/// <summary>Panels of packed operands: panel[p·width + lane], lanes beyond the operand are zeros. Up to <see cref="Slack"/> floats behind a panel are written too.</summary>
internal static unsafe class GemmPack
{
    /// <summary>Floats behind the last panel that may be overwritten.</summary>
    public const int Slack = 16;

    /// <summary>Rows that the memory is asked for in advance: pieces of rows are too short for it to see them coming.</summary>
    private const int Ahead = 8;

    /// <summary>Depth up to which the lanes that come next are those of the next panel: the next lanes of this one would be asked for too late.</summary>
    private const int Shallow = 64;

    /// <summary>Packs lanes × depth elements into panels of <paramref name="width"/> lanes. The source is [depth, lanes] with <paramref name="along"/>, else [lanes, depth].</summary>
    public static void Run(float* source, nint stride, bool along, int lanes, int depth, int width, float* panel)
    {
        if (along)
        {
            Along(source, stride, lanes / width, depth, width, panel);
            int full = lanes / width * width;
            if (full < lanes)
            {
                AlongEdge(source + full, stride, lanes - full, depth, width, panel + (nint)full * depth);
            }

            return;
        }

        for (int lane = 0; lane < lanes; lane += width, panel += (nint)width * depth)
        {
            Across(source + lane * stride, stride, Math.Min(width, lanes - lane), depth, width, panel);
        }
    }

    /// <summary>target [columns, rows] = source [rows, columns] turned; nothing behind the target is written.</summary>
    public static void Turn(float* source, nint stride, int rows, int columns, float* target)
    {
        if (rows % 8 == 0)
        {
            Across(source, stride, rows, columns, rows, target);
        }
        else
        {
            Plain(source, stride, rows, 0, columns, rows, target);
        }
    }

    /// <summary>The source holds the lanes of one depth side by side: several full panels at a time, so that a line and a page that are there are used up.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Along(float* source, nint stride, int panels, int depth, int width, float* target)
    {
        const int Together = 8;
        nint size = (nint)width * depth;
        for (; panels > 0; panels -= Together, source += Together * width, target += Together * size)
        {
            int count = Math.Min(panels, Together);
            float* row = source, panel = target;
            for (int p = 0; p < depth; p++, row += stride, panel += width)
            {
                float* from = row, to = panel;
                if (Sse.IsSupported)
                {
                    float* ahead = row + Ahead * stride, end = ahead + count * width;
                    for (; ahead < end; ahead += 16)
                    {
                        Sse.Prefetch0(ahead);
                    }
                }

                switch (width)
                {
                    case 32:
                        for (int q = 0; q < count; q++, from += 32, to += size)
                        {
                            Vector512.Store(Vector512.Load(from), to);
                            Vector512.Store(Vector512.Load(from + 16), to + 16);
                        }

                        break;
                    case 16:
                        for (int q = 0; q < count; q++, from += 16, to += size)
                        {
                            Vector256<float> low = Vector256.Load(from), high = Vector256.Load(from + 8);
                            Vector256.Store(low, to);
                            Vector256.Store(high, to + 8);
                        }

                        break;
                    case 12:
                        for (int q = 0; q < count; q++, from += 12, to += size)
                        {
                            Vector256<float> low = Vector256.Load(from);
                            Vector128<float> high = Vector128.Load(from + 8);
                            Vector256.Store(low, to);
                            Vector128.Store(high, to + 8);
                        }

                        break;
                    case 6:
                        for (int q = 0; q < count; q++, from += 6, to += size)
                        {
                            Vector128<float> low = Vector128.Load(from);
                            double high = *(double*)(from + 4);
                            Vector128.Store(low, to);
                            *(double*)(to + 4) = high;
                        }

                        break;
                    default:
                        for (int q = 0; q < count; q++, from += width, to += size)
                        {
                            for (int lane = 0; lane < width; lane++)
                            {
                                to[lane] = from[lane];
                            }
                        }

                        break;
                }
            }
        }
    }

    private static void AlongEdge(float* from, nint stride, int count, int depth, int width, float* to)
    {
        for (int p = 0; p < depth; p++, from += stride, to += width)
        {
            int lane = 0;
            for (; lane < count; lane++)
            {
                to[lane] = from[lane];
            }

            for (; lane < width; lane++)
            {
                to[lane] = 0;
            }
        }
    }

    /// <summary>The source holds the depth of one lane side by side: it is turned in registers. Groups of lanes go from the last to the first,
    /// for the stores of a group spill into the first lanes of the next depth.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Across(float* from, nint stride, int count, int depth, int width, float* to)
    {
        if (!Avx.IsSupported)
        {
            Plain(from, stride, count, 0, depth, width, to);
            return;
        }

        int squares = depth & ~7;
        for (int lane = (width - 1) & ~7; lane >= 0; lane -= 8)
        {
            // The same columns of the lanes that come next are asked for: beyond the last lane there is nothing to ask for.
            float* row = from + lane * stride, target = to + lane;
            nint next = lane == 0 || depth <= Shallow ? width * stride : -8 * stride;
            int rows = Math.Min(8, count - lane);
            if (rows == 8)
            {
                Squares(row, stride, next, squares, width, target);
            }
            else if (rows == 4 && width - lane == 4)
            {
                Halves(row, stride, next, squares, width, target);
            }
            else
            {
                Parts(row, stride, rows, squares, width, target);
            }
        }

        Plain(from, stride, count, squares, depth, width, to);
    }

    /// <summary>Eight lanes: squares of 8 × 8.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Squares(float* row, nint stride, nint next, int depth, nint width, float* target)
    {
        for (int p = 0; p < depth; p += 8, row += 8)
        {
            float* low = row, high = row + 4 * stride;
            if ((p & 8) == 0)
            {
                float* ahead = row + next, farAhead = ahead + 4 * stride;
                Sse.Prefetch0(ahead);
                Sse.Prefetch0(ahead + stride);
                Sse.Prefetch0(ahead + 2 * stride);
                Sse.Prefetch0(ahead + 3 * stride);
                Sse.Prefetch0(farAhead);
                Sse.Prefetch0(farAhead + stride);
                Sse.Prefetch0(farAhead + 2 * stride);
                Sse.Prefetch0(farAhead + 3 * stride);
            }

            Vector256<float> r0 = Vector256.Load(low), r1 = Vector256.Load(low + stride), r2 = Vector256.Load(low + 2 * stride), r3 = Vector256.Load(low + 3 * stride);
            Vector256<float> r4 = Vector256.Load(high), r5 = Vector256.Load(high + stride), r6 = Vector256.Load(high + 2 * stride), r7 = Vector256.Load(high + 3 * stride);
            Turn(ref r0, ref r1, ref r2, ref r3);
            Turn(ref r4, ref r5, ref r6, ref r7);
            Vector256.Store(Avx.Permute2x128(r0, r4, 0x20), target);
            target += width;
            Vector256.Store(Avx.Permute2x128(r1, r5, 0x20), target);
            target += width;
            Vector256.Store(Avx.Permute2x128(r2, r6, 0x20), target);
            target += width;
            Vector256.Store(Avx.Permute2x128(r3, r7, 0x20), target);
            target += width;
            Vector256.Store(Avx.Permute2x128(r0, r4, 0x31), target);
            target += width;
            Vector256.Store(Avx.Permute2x128(r1, r5, 0x31), target);
            target += width;
            Vector256.Store(Avx.Permute2x128(r2, r6, 0x31), target);
            target += width;
            Vector256.Store(Avx.Permute2x128(r3, r7, 0x31), target);
            target += width;
        }
    }

    /// <summary>The last four lanes of a panel.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Halves(float* row, nint stride, nint next, int depth, nint width, float* target)
    {
        for (int p = 0; p < depth; p += 8, row += 8)
        {
            if ((p & 8) == 0)
            {
                float* ahead = row + next;
                Sse.Prefetch0(ahead);
                Sse.Prefetch0(ahead + stride);
                Sse.Prefetch0(ahead + 2 * stride);
                Sse.Prefetch0(ahead + 3 * stride);
            }

            Vector256<float> r0 = Vector256.Load(row), r1 = Vector256.Load(row + stride), r2 = Vector256.Load(row + 2 * stride), r3 = Vector256.Load(row + 3 * stride);
            Turn(ref r0, ref r1, ref r2, ref r3);
            Vector128.Store(r0.GetLower(), target);
            target += width;
            Vector128.Store(r1.GetLower(), target);
            target += width;
            Vector128.Store(r2.GetLower(), target);
            target += width;
            Vector128.Store(r3.GetLower(), target);
            target += width;
            Vector128.Store(r0.GetUpper(), target);
            target += width;
            Vector128.Store(r1.GetUpper(), target);
            target += width;
            Vector128.Store(r2.GetUpper(), target);
            target += width;
            Vector128.Store(r3.GetUpper(), target);
            target += width;
        }
    }

    /// <summary>Any number of lanes; the others are zeros.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Parts(float* row, nint stride, int rows, int depth, nint width, float* target)
    {
        for (int p = 0; p < depth; p += 8, row += 8, target += 8 * width)
        {
            Vector256<float> r0 = rows > 0 ? Vector256.Load(row) : default, r1 = rows > 1 ? Vector256.Load(row + stride) : default;
            Vector256<float> r2 = rows > 2 ? Vector256.Load(row + 2 * stride) : default, r3 = rows > 3 ? Vector256.Load(row + 3 * stride) : default;
            Vector256<float> r4 = rows > 4 ? Vector256.Load(row + 4 * stride) : default, r5 = rows > 5 ? Vector256.Load(row + 5 * stride) : default;
            Vector256<float> r6 = rows > 6 ? Vector256.Load(row + 6 * stride) : default;
            Vector256<float> r7 = default;
            Turn(ref r0, ref r1, ref r2, ref r3);
            Turn(ref r4, ref r5, ref r6, ref r7);
            Vector256.Store(Avx.Permute2x128(r0, r4, 0x20), target);
            Vector256.Store(Avx.Permute2x128(r1, r5, 0x20), target + width);
            Vector256.Store(Avx.Permute2x128(r2, r6, 0x20), target + 2 * width);
            Vector256.Store(Avx.Permute2x128(r3, r7, 0x20), target + 3 * width);
            Vector256.Store(Avx.Permute2x128(r0, r4, 0x31), target + 4 * width);
            Vector256.Store(Avx.Permute2x128(r1, r5, 0x31), target + 5 * width);
            Vector256.Store(Avx.Permute2x128(r2, r6, 0x31), target + 6 * width);
            Vector256.Store(Avx.Permute2x128(r3, r7, 0x31), target + 7 * width);
        }
    }

    private static void Plain(float* from, nint stride, int count, int start, int depth, int width, float* to)
    {
        for (int p = start; p < depth; p++)
        {
            for (int lane = 0; lane < width; lane++)
            {
                to[(nint)p * width + lane] = lane < count ? from[lane * stride + p] : 0;
            }
        }
    }

    /// <summary>Turns 4 × 4 in each half.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Turn(ref Vector256<float> a, ref Vector256<float> b, ref Vector256<float> c, ref Vector256<float> d)
    {
        Vector256<double> ab = Avx.UnpackLow(a, b).AsDouble(), cd = Avx.UnpackLow(c, d).AsDouble();
        Vector256<double> abHigh = Avx.UnpackHigh(a, b).AsDouble(), cdHigh = Avx.UnpackHigh(c, d).AsDouble();
        a = Avx.UnpackLow(ab, cd).AsSingle();
        b = Avx.UnpackHigh(ab, cd).AsSingle();
        c = Avx.UnpackLow(abHigh, cdHigh).AsSingle();
        d = Avx.UnpackHigh(abHigh, cdHigh).AsSingle();
    }
}
