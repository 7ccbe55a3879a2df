using System.Runtime.CompilerServices;
using ILGPU;

namespace Shardwright.Gpu.Kernels;

/// <summary>How many rows of threads a group of an attention has: each row is eight threads, each thread has four rows of scores.</summary>
public interface IRows
{
    /// <summary>Rows of threads; four times as many rows of scores.</summary>
    static abstract int Stride { get; }
}

/// <summary>128 threads.</summary>
public readonly struct Rows16 : IRows
{
    /// <inheritdoc/>
    public static int Stride => 16;
}

/// <summary>64 threads.</summary>
public readonly struct Rows8 : IRows
{
    /// <inheritdoc/>
    public static int Stride => 8;
}

/// <summary>32 threads.</summary>
public readonly struct Rows4 : IRows
{
    /// <inheritdoc/>
    public static int Stride => 4;
}

/// <summary>16 threads.</summary>
public readonly struct Rows2 : IRows
{
    /// <inheritdoc/>
    public static int Stride => 2;
}

/// <summary>How the eight threads of a row combine four numbers each, one for each of their rows.</summary>
public interface ILanes
{
    /// <summary>Largest of each.</summary>
    static abstract Float4 Max(Float4 value, ArrayView<Float4> shared);

    /// <summary>Sum of each.</summary>
    static abstract Float4 Sum(Float4 value, ArrayView<Float4> shared);
}

/// <summary>By shuffles within a warp.</summary>
public readonly struct WarpLanes : ILanes
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Float4 Max(Float4 value, ArrayView<Float4> shared)
    {
        value.X = Max(value.X);
        value.Y = Max(value.Y);
        value.Z = Max(value.Z);
        value.W = Max(value.W);
        return value;
    }

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Float4 Sum(Float4 value, ArrayView<Float4> shared)
    {
        value.X = Sum(value.X);
        value.Y = Sum(value.Y);
        value.Z = Sum(value.Z);
        value.W = Sum(value.W);
        return value;
    }

    [MethodImpl(Inline)]
    private static float Max(float v)
    {
        v = MathF.Max(v, Warp.ShuffleXor(v, 4));
        v = MathF.Max(v, Warp.ShuffleXor(v, 2));
        return MathF.Max(v, Warp.ShuffleXor(v, 1));
    }

    [MethodImpl(Inline)]
    private static float Sum(float v)
    {
        v += Warp.ShuffleXor(v, 4);
        v += Warp.ShuffleXor(v, 2);
        return v + Warp.ShuffleXor(v, 1);
    }
}

/// <summary>Over shared memory, in the order of the threads.</summary>
public readonly struct SharedLanes : ILanes
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Float4 Max(Float4 value, ArrayView<Float4> shared)
    {
        int t = Group.IdxX, first = t & ~7;
        shared[t] = value;
        Group.Barrier();
        for (int i = 0; i < 8; i++)
        {
            Float4 other = shared[first + i];
            value.X = MathF.Max(value.X, other.X);
            value.Y = MathF.Max(value.Y, other.Y);
            value.Z = MathF.Max(value.Z, other.Z);
            value.W = MathF.Max(value.W, other.W);
        }

        Group.Barrier();
        return value;
    }

    /// <inheritdoc/>
    [MethodImpl(Inline)]
    public static Float4 Sum(Float4 value, ArrayView<Float4> shared)
    {
        int t = Group.IdxX, first = t & ~7;
        shared[t] = value;
        Group.Barrier();
        value = shared[first];
        for (int i = 1; i < 8; i++)
        {
            Float4 other = shared[first + i];
            value.X += other.X;
            value.Y += other.Y;
            value.Z += other.Z;
            value.W += other.W;
        }

        Group.Barrier();
        return value;
    }
}

/// <summary>Device code that attention kernels share: tiles of rows in shared memory, one quad wider than a row.</summary>
public static class AttentionTiles
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <summary>Loads rows first … first + rows of x [limit, width] from start on; zeros beyond the limit and the width.</summary>
    [MethodImpl(Inline)]
    public static void Load<T>(ArrayView<Float4> tile, ArrayView<T> x, long start, int first, int rows, int limit, int width, int quads, int threads, int vector)
        where T : unmanaged
    {
        for (int u = Group.IdxX; u < rows * quads; u += threads)
        {
            int row = u / quads, quad = u % quads;
            Float4 value = default;
            if (first + row < limit)
            {
                long at = start + (long)(first + row) * width + quad * 4;
                if (vector != 0)
                {
                    value = Element.LoadQuad(x, at >> 2);
                }
                else
                {
                    value.X = Element.Load(x, at);
                    if (quad * 4 + 1 < width)
                    {
                        value.Y = Element.Load(x, at + 1);
                    }

                    if (quad * 4 + 2 < width)
                    {
                        value.Z = Element.Load(x, at + 2);
                    }

                    if (quad * 4 + 3 < width)
                    {
                        value.W = Element.Load(x, at + 3);
                    }
                }
            }

            tile[row * (quads + 1) + quad] = value;
        }
    }

    /// <summary>Stores a quad of a row, times a factor.</summary>
    [MethodImpl(Inline)]
    public static void Store<T>(ArrayView<T> x, long start, int row, int quad, int width, int vector, float factor, Float4 value)
        where T : unmanaged
    {
        if (quad * 4 < width)
        {
            long at = start + (long)row * width + quad * 4;
            value.X *= factor;
            value.Y *= factor;
            value.Z *= factor;
            value.W *= factor;
            if (vector != 0)
            {
                Element.StoreQuad(x, at >> 2, value);
            }
            else
            {
                Element.Store(x, at, value.X);
                if (quad * 4 + 1 < width)
                {
                    Element.Store(x, at + 1, value.Y);
                }

                if (quad * 4 + 2 < width)
                {
                    Element.Store(x, at + 2, value.Z);
                }

                if (quad * 4 + 3 < width)
                {
                    Element.Store(x, at + 3, value.W);
                }
            }
        }
    }

    /// <summary>sum += x·y.</summary>
    [MethodImpl(Inline)]
    public static void Dot(ref float sum, Float4 x, Float4 y)
    {
        sum += x.X * y.X;
        sum += x.Y * y.Y;
        sum += x.Z * y.Z;
        sum += x.W * y.W;
    }

    /// <summary>sum += x·y for a number x.</summary>
    [MethodImpl(Inline)]
    public static void Add(ref Float4 sum, float x, Float4 y)
    {
        sum.X += x * y.X;
        sum.Y += x * y.Y;
        sum.Z += x * y.Z;
        sum.W += x * y.W;
    }

    /// <summary>sum *= x.</summary>
    [MethodImpl(Inline)]
    public static void Scale(ref Float4 sum, float x)
    {
        sum.X *= x;
        sum.Y *= x;
        sum.Z *= x;
        sum.W *= x;
    }
}

/// <summary>Arguments of an attention, forward and backward.</summary>
/// <typeparam name="T">Element of its tensors; what it keeps of each query is in floats.</typeparam>
public struct AttentionArguments<T>
    where T : unmanaged
{
    /// <summary>q, o, dO, dq [batch, heads, queries, width]; k, v, dk, dv [batch, keyHeads, keys, width].</summary>
    public ArrayView<T> Q, K, V, O, DO, DQ, DK, DV;

    /// <summary>logSumExp [batch, heads, queries]; delta like it, of the batches of this launch.</summary>
    public ArrayView<float> LogSumExp, Delta;

    /// <summary>Segment of each position; empty without.</summary>
    public ArrayView<int> Segments;

    /// <summary>Number of the first query head here, from the first key head here; first batch of this launch; 1 where rows may be read four elements at a time.</summary>
    public int HeadOffset, Batch0, Vector;
}
