using System.Runtime.CompilerServices;
using ILGPU;

namespace Shardwright.Gpu.Kernels;

/// <summary>Four floats: one access of 128 bits.</summary>
public struct Float4
{
    /// <summary>Elements in order.</summary>
    public float X, Y, Z, W;
}

/// <summary>How the threads of a group combine a number each. The sizes are constants once a kernel is specialised: one text, several targets. All sums have a fixed order.</summary>
public interface IGroup
{
    /// <summary>Threads of a group.</summary>
    static abstract int Threads { get; }

    /// <summary>Floats of shared memory that a combination needs.</summary>
    static abstract int Scratch { get; }

    /// <summary>Sum over the group, for every thread.</summary>
    static abstract float Sum(float value, ArrayView<float> shared);

    /// <summary>Maximum over the group, for every thread.</summary>
    static abstract float Max(float value, ArrayView<float> shared);
}

/// <summary>256 threads in warps of 32: shuffles, then each thread adds the eight warps in order.</summary>
public readonly struct WarpGroup : IGroup
{
    /// <inheritdoc/>
    public static int Threads => 256;

    /// <inheritdoc/>
    public static int Scratch => 8;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(float value, ArrayView<float> shared)
    {
        value += Warp.ShuffleXor(value, 16);
        value += Warp.ShuffleXor(value, 8);
        value += Warp.ShuffleXor(value, 4);
        value += Warp.ShuffleXor(value, 2);
        value += Warp.ShuffleXor(value, 1);
        int t = Group.IdxX;
        if ((t & 31) == 0)
        {
            shared[t >> 5] = value;
        }

        Group.Barrier();
        float sum = ((shared[0] + shared[1]) + (shared[2] + shared[3])) + ((shared[4] + shared[5]) + (shared[6] + shared[7]));
        Group.Barrier();
        return sum;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max(float value, ArrayView<float> shared)
    {
        value = MathF.Max(value, Warp.ShuffleXor(value, 16));
        value = MathF.Max(value, Warp.ShuffleXor(value, 8));
        value = MathF.Max(value, Warp.ShuffleXor(value, 4));
        value = MathF.Max(value, Warp.ShuffleXor(value, 2));
        value = MathF.Max(value, Warp.ShuffleXor(value, 1));
        int t = Group.IdxX;
        if ((t & 31) == 0)
        {
            shared[t >> 5] = value;
        }

        Group.Barrier();
        float max = MathF.Max(MathF.Max(MathF.Max(shared[0], shared[1]), MathF.Max(shared[2], shared[3])), MathF.Max(MathF.Max(shared[4], shared[5]), MathF.Max(shared[6], shared[7])));
        Group.Barrier();
        return max;
    }
}

/// <summary>256 threads over shared memory: sixteen threads combine sixteen numbers each, then each thread combines the sixteen results.</summary>
public readonly struct SharedGroup : IGroup
{
    /// <inheritdoc/>
    public static int Threads => 256;

    /// <inheritdoc/>
    public static int Scratch => 272;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(float value, ArrayView<float> shared)
    {
        int t = Group.IdxX;
        shared[t] = value;
        Group.Barrier();
        if (t < 16)
        {
            float part = 0;
            for (int i = 0; i < 16; i++)
            {
                part += shared[i * 16 + t];
            }

            shared[256 + t] = part;
        }

        Group.Barrier();
        float sum = 0;
        for (int i = 0; i < 16; i++)
        {
            sum += shared[256 + i];
        }

        Group.Barrier();
        return sum;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max(float value, ArrayView<float> shared)
    {
        int t = Group.IdxX;
        shared[t] = value;
        Group.Barrier();
        if (t < 16)
        {
            float part = shared[t];
            for (int i = 1; i < 16; i++)
            {
                part = MathF.Max(part, shared[i * 16 + t]);
            }

            shared[256 + t] = part;
        }

        Group.Barrier();
        float max = shared[256];
        for (int i = 1; i < 16; i++)
        {
            max = MathF.Max(max, shared[256 + i]);
        }

        Group.Barrier();
        return max;
    }
}

/// <summary>Four threads, for accelerators with small groups: each thread combines all numbers.</summary>
public readonly struct SmallGroup : IGroup
{
    /// <inheritdoc/>
    public static int Threads => 4;

    /// <inheritdoc/>
    public static int Scratch => 4;

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(float value, ArrayView<float> shared)
    {
        shared[Group.IdxX] = value;
        Group.Barrier();
        float sum = (shared[0] + shared[1]) + (shared[2] + shared[3]);
        Group.Barrier();
        return sum;
    }

    /// <inheritdoc/>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max(float value, ArrayView<float> shared)
    {
        shared[Group.IdxX] = value;
        Group.Barrier();
        float max = MathF.Max(MathF.Max(shared[0], shared[1]), MathF.Max(shared[2], shared[3]));
        Group.Barrier();
        return max;
    }
}
