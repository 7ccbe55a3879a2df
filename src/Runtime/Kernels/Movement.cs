using System.Runtime.CompilerServices;
using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <summary>Copies between strided views: permutations, slices, concatenations, broadcasts.</summary>
public static unsafe class StridedCopy
{
    /// <summary>target[Σ i·targetStride] = source[Σ i·sourceStride] over all index vectors; strides in elements, at most 8 dims.</summary>
    public static void Run<T>(ThreadTeam team, ReadOnlySpan<long> sizes, ReadOnlySpan<long> sourceStrides, ReadOnlySpan<long> targetStrides, ref T source, ref T target)
        where T : unmanaged
    {
        if (sizes.Length > IndexMap.MaxDims)
        {
            throw new ArgumentException($"A copy takes up to {IndexMap.MaxDims} dims, not {sizes.Length}.");
        }

        var body = new Body<T> { Source = (T*)Unsafe.AsPointer(ref source), Target = (T*)Unsafe.AsPointer(ref target), Outer = Math.Max(0, sizes.Length - 1), Width = 1, StepFrom = 1, StepTo = 1 };
        if (sizes.Length > 0)
        {
            (body.Width, body.StepFrom, body.StepTo) = (sizes[^1], sourceStrides[^1], targetStrides[^1]);
        }

        long rows = 1;
        Span<int> order = stackalloc int[body.Outer];
        Order(sizes, sourceStrides, targetStrides, order);
        for (int dim = 0; dim < order.Length; dim++)
        {
            body.Sizes[dim] = sizes[order[dim]];
            body.From[dim] = sourceStrides[order[dim]];
            body.To[dim] = targetStrides[order[dim]];
            rows *= sizes[order[dim]];
        }

        Elementwise.Rows(team, rows, body.Width, body);
    }

    /// <summary>The order of the outer dims. Innermost is the one whose steps are short on either side, and of two such the one with fewer steps: so both sides are read or
    /// written along a few streams, which the memory sees coming, and not here and there.</summary>
    private static void Order(ReadOnlySpan<long> sizes, ReadOnlySpan<long> from, ReadOnlySpan<long> to, Span<int> order)
    {
        for (int i = 0; i < order.Length; i++)
        {
            int at = i;
            for (; at > 0 && Inside(sizes, from, to, order[at - 1], i); at--)
            {
                order[at] = order[at - 1];
            }

            order[at] = i;
        }
    }

    private static bool Inside(ReadOnlySpan<long> sizes, ReadOnlySpan<long> from, ReadOnlySpan<long> to, int first, int second)
    {
        long a = Math.Min(Math.Abs(from[first]), Math.Abs(to[first])), b = Math.Min(Math.Abs(from[second]), Math.Abs(to[second]));
        return a < b || (a == b && sizes[first] < sizes[second]);
    }

    private struct Body<T> : IRangeBody
        where T : unmanaged
    {
        public T* Source, Target;
        public int Outer;
        public long Width, StepFrom, StepTo;
        public IndexMap.Dims Sizes, From, To;

        public void Run(long from, long to)
        {
            IndexMap.Dims at = default;
            T* source = Source, target = Target;
            long rest = from;
            for (int dim = Outer - 1; dim >= 0; dim--)
            {
                (rest, at[dim]) = Math.DivRem(rest, Sizes[dim]);
                source += at[dim] * From[dim];
                target += at[dim] * To[dim];
            }

            for (long row = from; row < to; row++)
            {
                if (StepFrom == 1 && StepTo == 1)
                {
                    new Span<T>(source, (int)Width).CopyTo(new Span<T>(target, (int)Width));
                }
                else
                {
                    for (long i = 0; i < Width; i++)
                    {
                        target[i * StepTo] = source[i * StepFrom];
                    }
                }

                for (int dim = Outer - 1; dim >= 0; dim--)
                {
                    source += From[dim];
                    target += To[dim];
                    if (++at[dim] < Sizes[dim])
                    {
                        break;
                    }

                    source -= at[dim] * From[dim];
                    target -= at[dim] * To[dim];
                    at[dim] = 0;
                }
            }
        }
    }
}

/// <summary>Fills buffers and changes element types.</summary>
public static unsafe class Fill
{
    /// <summary>All elements get one number.</summary>
    public static void Value(long count, ref float target, float value)
    {
        float* p = (float*)Unsafe.AsPointer(ref target);
        for (long start = 0; start < count; start += 1 << 28)
        {
            new Span<float>(p + start, (int)Math.Min(1 << 28, count - start)).Fill(value);
        }
    }

    /// <summary>start, start + 1, …</summary>
    public static void Range(int count, int start, ref int target)
    {
        for (int i = 0; i < count; i++)
        {
            Unsafe.Add(ref target, i) = start + i;
        }
    }

    /// <summary>Integers as floats.</summary>
    public static void FromInt(long count, ref int source, ref float target)
    {
        for (nint i = 0; i < count; i++)
        {
            Unsafe.Add(ref target, i) = Unsafe.Add(ref source, i);
        }
    }

    /// <summary>Copies.</summary>
    public static void Copy<T>(long count, ref T source, ref T target)
        where T : unmanaged => Buffer.MemoryCopy(Unsafe.AsPointer(ref source), Unsafe.AsPointer(ref target), count * sizeof(T), count * sizeof(T));

    /// <summary>target = source for the first contribution, target += source for later ones.</summary>
    public static void Accumulate(ThreadTeam team, long count, bool first, ref float source, ref float target)
    {
        if (first)
        {
            Copy(count, ref source, ref target);
        }
        else
        {
            Elementwise.Run(team, count, new AddBody { X = (float*)Unsafe.AsPointer(ref source), Y = (float*)Unsafe.AsPointer(ref target) });
        }
    }

    private struct AddBody : IRangeBody
    {
        public float* X, Y;

        public void Run(long from, long to) => RowMath.AddTo(X + from, Y + from, (int)(to - from));
    }
}

/// <summary>Rotary position embedding (Su et al., arXiv 2104.09864).</summary>
public static unsafe class Rope
{
    /// <summary>y from x [outer, positions, width]: pairs (i, i + width/2) turn by (offset + position) · theta^(−2i/width), backwards with <paramref name="inverse"/>.</summary>
    public static void Apply(ThreadTeam team, long outer, int positions, int width, int offset, float theta, bool inverse, ref float x, ref float y) =>
        Elementwise.Rows(team, outer * positions, width * 8L, new Body { Positions = positions, Width = width, Offset = offset, Theta = theta, Sign = inverse ? -1 : 1, X = (float*)Unsafe.AsPointer(ref x), Y = (float*)Unsafe.AsPointer(ref y) });

    private struct Body : IRangeBody
    {
        public int Positions, Width, Offset;
        public float Theta;
        public double Sign;
        public float* X, Y;

        public void Run(long from, long to)
        {
            int half = Width / 2;
            for (int i = 0; i < half; i++)
            {
                double rate = Math.Pow(Theta, -2.0 * i / Width);
                for (long row = from; row < to; row++)
                {
                    (double sin, double cos) = Math.SinCos((Offset + row % Positions) * rate * Sign);
                    float a = X[row * Width + i], b = X[row * Width + i + half];
                    Y[row * Width + i] = (float)(a * cos - b * sin);
                    Y[row * Width + i + half] = (float)(b * cos + a * sin);
                }
            }
        }
    }
}
