using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Shardwright.Kernels;

/// <summary>The register tile where vectors have 512 bits: C [12, 32] in 24 of 32 registers.</summary>
internal readonly unsafe struct GemmTile512 : IGemmTile
{
    /// <inheritdoc/>
    public static int Rows => 12;

    /// <inheritdoc/>
    public static int Columns => 32;

    /// <inheritdoc/>
    public static void Run(int rows, int columns, nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        if (columns <= 16)
        {
            Tile12x16(depth, a, stepA, b, stepB, c, stride, accumulate);
        }
        else if (rows <= 4)
        {
            Tile4x32(depth, a, stepA, b, stepB, c, stride, accumulate);
        }
        else if (rows <= 8)
        {
            Tile8x32(depth, a, stepA, b, stepB, c, stride, accumulate);
        }
        else
        {
            Tile12x32(depth, a, stepA, b, stepB, c, stride, accumulate);
        }
    }

    /// <summary>C [12, 32].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Tile12x32(nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        Vector512<float> c0a = default, c0b = default;
        Vector512<float> c1a = default, c1b = default;
        Vector512<float> c2a = default, c2b = default;
        Vector512<float> c3a = default, c3b = default;
        Vector512<float> c4a = default, c4b = default;
        Vector512<float> c5a = default, c5b = default;
        Vector512<float> c6a = default, c6b = default;
        Vector512<float> c7a = default, c7b = default;
        Vector512<float> c8a = default, c8b = default;
        Vector512<float> c9a = default, c9b = default;
        Vector512<float> c10a = default, c10b = default;
        Vector512<float> c11a = default, c11b = default;
        if (Sse.IsSupported)
        {
            float* line = c;
            for (int row = 0; row < 12; row++, line += stride)
            {
                Sse.Prefetch0(line);
                Sse.Prefetch0(line + 16);
            }
        }

        Vector512<float> ba, bb, t;
        for (; depth > 0; depth--)
        {
            ba = Vector512.Load(b);
            bb = Vector512.Load(b + 16);
            t = Vector512.Create(a[0]);
            c0a = Vector512.FusedMultiplyAdd(t, ba, c0a);
            c0b = Vector512.FusedMultiplyAdd(t, bb, c0b);
            t = Vector512.Create(a[1]);
            c1a = Vector512.FusedMultiplyAdd(t, ba, c1a);
            c1b = Vector512.FusedMultiplyAdd(t, bb, c1b);
            t = Vector512.Create(a[2]);
            c2a = Vector512.FusedMultiplyAdd(t, ba, c2a);
            c2b = Vector512.FusedMultiplyAdd(t, bb, c2b);
            t = Vector512.Create(a[3]);
            c3a = Vector512.FusedMultiplyAdd(t, ba, c3a);
            c3b = Vector512.FusedMultiplyAdd(t, bb, c3b);
            t = Vector512.Create(a[4]);
            c4a = Vector512.FusedMultiplyAdd(t, ba, c4a);
            c4b = Vector512.FusedMultiplyAdd(t, bb, c4b);
            t = Vector512.Create(a[5]);
            c5a = Vector512.FusedMultiplyAdd(t, ba, c5a);
            c5b = Vector512.FusedMultiplyAdd(t, bb, c5b);
            t = Vector512.Create(a[6]);
            c6a = Vector512.FusedMultiplyAdd(t, ba, c6a);
            c6b = Vector512.FusedMultiplyAdd(t, bb, c6b);
            t = Vector512.Create(a[7]);
            c7a = Vector512.FusedMultiplyAdd(t, ba, c7a);
            c7b = Vector512.FusedMultiplyAdd(t, bb, c7b);
            t = Vector512.Create(a[8]);
            c8a = Vector512.FusedMultiplyAdd(t, ba, c8a);
            c8b = Vector512.FusedMultiplyAdd(t, bb, c8b);
            t = Vector512.Create(a[9]);
            c9a = Vector512.FusedMultiplyAdd(t, ba, c9a);
            c9b = Vector512.FusedMultiplyAdd(t, bb, c9b);
            t = Vector512.Create(a[10]);
            c10a = Vector512.FusedMultiplyAdd(t, ba, c10a);
            c10b = Vector512.FusedMultiplyAdd(t, bb, c10b);
            t = Vector512.Create(a[11]);
            c11a = Vector512.FusedMultiplyAdd(t, ba, c11a);
            c11b = Vector512.FusedMultiplyAdd(t, bb, c11b);
            a += stepA;
            b += stepB;
        }

        if (accumulate)
        {
            float* from = c;
            c0a += Vector512.Load(from);
            c0b += Vector512.Load(from + 16);
            from += stride;
            c1a += Vector512.Load(from);
            c1b += Vector512.Load(from + 16);
            from += stride;
            c2a += Vector512.Load(from);
            c2b += Vector512.Load(from + 16);
            from += stride;
            c3a += Vector512.Load(from);
            c3b += Vector512.Load(from + 16);
            from += stride;
            c4a += Vector512.Load(from);
            c4b += Vector512.Load(from + 16);
            from += stride;
            c5a += Vector512.Load(from);
            c5b += Vector512.Load(from + 16);
            from += stride;
            c6a += Vector512.Load(from);
            c6b += Vector512.Load(from + 16);
            from += stride;
            c7a += Vector512.Load(from);
            c7b += Vector512.Load(from + 16);
            from += stride;
            c8a += Vector512.Load(from);
            c8b += Vector512.Load(from + 16);
            from += stride;
            c9a += Vector512.Load(from);
            c9b += Vector512.Load(from + 16);
            from += stride;
            c10a += Vector512.Load(from);
            c10b += Vector512.Load(from + 16);
            from += stride;
            c11a += Vector512.Load(from);
            c11b += Vector512.Load(from + 16);
        }

        Vector512.Store(c0a, c);
        Vector512.Store(c0b, c + 16);
        c += stride;
        Vector512.Store(c1a, c);
        Vector512.Store(c1b, c + 16);
        c += stride;
        Vector512.Store(c2a, c);
        Vector512.Store(c2b, c + 16);
        c += stride;
        Vector512.Store(c3a, c);
        Vector512.Store(c3b, c + 16);
        c += stride;
        Vector512.Store(c4a, c);
        Vector512.Store(c4b, c + 16);
        c += stride;
        Vector512.Store(c5a, c);
        Vector512.Store(c5b, c + 16);
        c += stride;
        Vector512.Store(c6a, c);
        Vector512.Store(c6b, c + 16);
        c += stride;
        Vector512.Store(c7a, c);
        Vector512.Store(c7b, c + 16);
        c += stride;
        Vector512.Store(c8a, c);
        Vector512.Store(c8b, c + 16);
        c += stride;
        Vector512.Store(c9a, c);
        Vector512.Store(c9b, c + 16);
        c += stride;
        Vector512.Store(c10a, c);
        Vector512.Store(c10b, c + 16);
        c += stride;
        Vector512.Store(c11a, c);
        Vector512.Store(c11b, c + 16);
    }

    /// <summary>C [8, 32].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Tile8x32(nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        Vector512<float> c0a = default, c0b = default;
        Vector512<float> c1a = default, c1b = default;
        Vector512<float> c2a = default, c2b = default;
        Vector512<float> c3a = default, c3b = default;
        Vector512<float> c4a = default, c4b = default;
        Vector512<float> c5a = default, c5b = default;
        Vector512<float> c6a = default, c6b = default;
        Vector512<float> c7a = default, c7b = default;
        if (Sse.IsSupported)
        {
            float* line = c;
            for (int row = 0; row < 8; row++, line += stride)
            {
                Sse.Prefetch0(line);
                Sse.Prefetch0(line + 16);
            }
        }

        Vector512<float> ba, bb, t;
        for (; depth > 0; depth--)
        {
            ba = Vector512.Load(b);
            bb = Vector512.Load(b + 16);
            t = Vector512.Create(a[0]);
            c0a = Vector512.FusedMultiplyAdd(t, ba, c0a);
            c0b = Vector512.FusedMultiplyAdd(t, bb, c0b);
            t = Vector512.Create(a[1]);
            c1a = Vector512.FusedMultiplyAdd(t, ba, c1a);
            c1b = Vector512.FusedMultiplyAdd(t, bb, c1b);
            t = Vector512.Create(a[2]);
            c2a = Vector512.FusedMultiplyAdd(t, ba, c2a);
            c2b = Vector512.FusedMultiplyAdd(t, bb, c2b);
            t = Vector512.Create(a[3]);
            c3a = Vector512.FusedMultiplyAdd(t, ba, c3a);
            c3b = Vector512.FusedMultiplyAdd(t, bb, c3b);
            t = Vector512.Create(a[4]);
            c4a = Vector512.FusedMultiplyAdd(t, ba, c4a);
            c4b = Vector512.FusedMultiplyAdd(t, bb, c4b);
            t = Vector512.Create(a[5]);
            c5a = Vector512.FusedMultiplyAdd(t, ba, c5a);
            c5b = Vector512.FusedMultiplyAdd(t, bb, c5b);
            t = Vector512.Create(a[6]);
            c6a = Vector512.FusedMultiplyAdd(t, ba, c6a);
            c6b = Vector512.FusedMultiplyAdd(t, bb, c6b);
            t = Vector512.Create(a[7]);
            c7a = Vector512.FusedMultiplyAdd(t, ba, c7a);
            c7b = Vector512.FusedMultiplyAdd(t, bb, c7b);
            a += stepA;
            b += stepB;
        }

        if (accumulate)
        {
            float* from = c;
            c0a += Vector512.Load(from);
            c0b += Vector512.Load(from + 16);
            from += stride;
            c1a += Vector512.Load(from);
            c1b += Vector512.Load(from + 16);
            from += stride;
            c2a += Vector512.Load(from);
            c2b += Vector512.Load(from + 16);
            from += stride;
            c3a += Vector512.Load(from);
            c3b += Vector512.Load(from + 16);
            from += stride;
            c4a += Vector512.Load(from);
            c4b += Vector512.Load(from + 16);
            from += stride;
            c5a += Vector512.Load(from);
            c5b += Vector512.Load(from + 16);
            from += stride;
            c6a += Vector512.Load(from);
            c6b += Vector512.Load(from + 16);
            from += stride;
            c7a += Vector512.Load(from);
            c7b += Vector512.Load(from + 16);
        }

        Vector512.Store(c0a, c);
        Vector512.Store(c0b, c + 16);
        c += stride;
        Vector512.Store(c1a, c);
        Vector512.Store(c1b, c + 16);
        c += stride;
        Vector512.Store(c2a, c);
        Vector512.Store(c2b, c + 16);
        c += stride;
        Vector512.Store(c3a, c);
        Vector512.Store(c3b, c + 16);
        c += stride;
        Vector512.Store(c4a, c);
        Vector512.Store(c4b, c + 16);
        c += stride;
        Vector512.Store(c5a, c);
        Vector512.Store(c5b, c + 16);
        c += stride;
        Vector512.Store(c6a, c);
        Vector512.Store(c6b, c + 16);
        c += stride;
        Vector512.Store(c7a, c);
        Vector512.Store(c7b, c + 16);
    }

    /// <summary>C [4, 32].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Tile4x32(nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        Vector512<float> c0a = default, c0b = default;
        Vector512<float> c1a = default, c1b = default;
        Vector512<float> c2a = default, c2b = default;
        Vector512<float> c3a = default, c3b = default;
        if (Sse.IsSupported)
        {
            float* line = c;
            for (int row = 0; row < 4; row++, line += stride)
            {
                Sse.Prefetch0(line);
                Sse.Prefetch0(line + 16);
            }
        }

        Vector512<float> ba, bb, t;
        for (; depth > 0; depth--)
        {
            ba = Vector512.Load(b);
            bb = Vector512.Load(b + 16);
            t = Vector512.Create(a[0]);
            c0a = Vector512.FusedMultiplyAdd(t, ba, c0a);
            c0b = Vector512.FusedMultiplyAdd(t, bb, c0b);
            t = Vector512.Create(a[1]);
            c1a = Vector512.FusedMultiplyAdd(t, ba, c1a);
            c1b = Vector512.FusedMultiplyAdd(t, bb, c1b);
            t = Vector512.Create(a[2]);
            c2a = Vector512.FusedMultiplyAdd(t, ba, c2a);
            c2b = Vector512.FusedMultiplyAdd(t, bb, c2b);
            t = Vector512.Create(a[3]);
            c3a = Vector512.FusedMultiplyAdd(t, ba, c3a);
            c3b = Vector512.FusedMultiplyAdd(t, bb, c3b);
            a += stepA;
            b += stepB;
        }

        if (accumulate)
        {
            float* from = c;
            c0a += Vector512.Load(from);
            c0b += Vector512.Load(from + 16);
            from += stride;
            c1a += Vector512.Load(from);
            c1b += Vector512.Load(from + 16);
            from += stride;
            c2a += Vector512.Load(from);
            c2b += Vector512.Load(from + 16);
            from += stride;
            c3a += Vector512.Load(from);
            c3b += Vector512.Load(from + 16);
        }

        Vector512.Store(c0a, c);
        Vector512.Store(c0b, c + 16);
        c += stride;
        Vector512.Store(c1a, c);
        Vector512.Store(c1b, c + 16);
        c += stride;
        Vector512.Store(c2a, c);
        Vector512.Store(c2b, c + 16);
        c += stride;
        Vector512.Store(c3a, c);
        Vector512.Store(c3b, c + 16);
    }

    /// <summary>C [12, 16].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Tile12x16(nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        Vector512<float> c0a = default;
        Vector512<float> c1a = default;
        Vector512<float> c2a = default;
        Vector512<float> c3a = default;
        Vector512<float> c4a = default;
        Vector512<float> c5a = default;
        Vector512<float> c6a = default;
        Vector512<float> c7a = default;
        Vector512<float> c8a = default;
        Vector512<float> c9a = default;
        Vector512<float> c10a = default;
        Vector512<float> c11a = default;
        if (Sse.IsSupported)
        {
            float* line = c;
            for (int row = 0; row < 12; row++, line += stride)
            {
                Sse.Prefetch0(line);
            }
        }

        Vector512<float> ba, t;
        for (; depth > 0; depth--)
        {
            ba = Vector512.Load(b);
            t = Vector512.Create(a[0]);
            c0a = Vector512.FusedMultiplyAdd(t, ba, c0a);
            t = Vector512.Create(a[1]);
            c1a = Vector512.FusedMultiplyAdd(t, ba, c1a);
            t = Vector512.Create(a[2]);
            c2a = Vector512.FusedMultiplyAdd(t, ba, c2a);
            t = Vector512.Create(a[3]);
            c3a = Vector512.FusedMultiplyAdd(t, ba, c3a);
            t = Vector512.Create(a[4]);
            c4a = Vector512.FusedMultiplyAdd(t, ba, c4a);
            t = Vector512.Create(a[5]);
            c5a = Vector512.FusedMultiplyAdd(t, ba, c5a);
            t = Vector512.Create(a[6]);
            c6a = Vector512.FusedMultiplyAdd(t, ba, c6a);
            t = Vector512.Create(a[7]);
            c7a = Vector512.FusedMultiplyAdd(t, ba, c7a);
            t = Vector512.Create(a[8]);
            c8a = Vector512.FusedMultiplyAdd(t, ba, c8a);
            t = Vector512.Create(a[9]);
            c9a = Vector512.FusedMultiplyAdd(t, ba, c9a);
            t = Vector512.Create(a[10]);
            c10a = Vector512.FusedMultiplyAdd(t, ba, c10a);
            t = Vector512.Create(a[11]);
            c11a = Vector512.FusedMultiplyAdd(t, ba, c11a);
            a += stepA;
            b += stepB;
        }

        if (accumulate)
        {
            float* from = c;
            c0a += Vector512.Load(from);
            from += stride;
            c1a += Vector512.Load(from);
            from += stride;
            c2a += Vector512.Load(from);
            from += stride;
            c3a += Vector512.Load(from);
            from += stride;
            c4a += Vector512.Load(from);
            from += stride;
            c5a += Vector512.Load(from);
            from += stride;
            c6a += Vector512.Load(from);
            from += stride;
            c7a += Vector512.Load(from);
            from += stride;
            c8a += Vector512.Load(from);
            from += stride;
            c9a += Vector512.Load(from);
            from += stride;
            c10a += Vector512.Load(from);
            from += stride;
            c11a += Vector512.Load(from);
        }

        Vector512.Store(c0a, c);
        c += stride;
        Vector512.Store(c1a, c);
        c += stride;
        Vector512.Store(c2a, c);
        c += stride;
        Vector512.Store(c3a, c);
        c += stride;
        Vector512.Store(c4a, c);
        c += stride;
        Vector512.Store(c5a, c);
        c += stride;
        Vector512.Store(c6a, c);
        c += stride;
        Vector512.Store(c7a, c);
        c += stride;
        Vector512.Store(c8a, c);
        c += stride;
        Vector512.Store(c9a, c);
        c += stride;
        Vector512.Store(c10a, c);
        c += stride;
        Vector512.Store(c11a, c);
    }
}
