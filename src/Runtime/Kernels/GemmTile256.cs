using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Shardwright.Kernels;

/// <summary>The register tile where vectors have 256 bits: C [6, 16] in 12 of 16 registers.</summary>
internal readonly unsafe struct GemmTile256 : IGemmTile
{
    /// <inheritdoc/>
    public static int Rows => 6;

    /// <inheritdoc/>
    public static int Columns => 16;

    /// <inheritdoc/>
    public static void Run(int rows, int columns, nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        if (columns <= 8)
        {
            Tile6x8(depth, a, stepA, b, stepB, c, stride, accumulate);
        }
        else if (rows <= 2)
        {
            Tile2x16(depth, a, stepA, b, stepB, c, stride, accumulate);
        }
        else if (rows <= 4)
        {
            Tile4x16(depth, a, stepA, b, stepB, c, stride, accumulate);
        }
        else
        {
            Tile6x16(depth, a, stepA, b, stepB, c, stride, accumulate);
        }
    }

    /// <summary>C [6, 16].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Tile6x16(nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        Vector256<float> c0a = default, c0b = default;
        Vector256<float> c1a = default, c1b = default;
        Vector256<float> c2a = default, c2b = default;
        Vector256<float> c3a = default, c3b = default;
        Vector256<float> c4a = default, c4b = default;
        Vector256<float> c5a = default, c5b = default;
        if (Sse.IsSupported)
        {
            float* line = c;
            for (int row = 0; row < 6; row++, line += stride)
            {
                Sse.Prefetch0(line);
            }
        }

        Vector256<float> ba, bb, t;
        for (; depth > 0; depth--)
        {
            ba = Vector256.Load(b);
            bb = Vector256.Load(b + 8);
            t = Vector256.Create(a[0]);
            c0a = Vector256.FusedMultiplyAdd(t, ba, c0a);
            c0b = Vector256.FusedMultiplyAdd(t, bb, c0b);
            t = Vector256.Create(a[1]);
            c1a = Vector256.FusedMultiplyAdd(t, ba, c1a);
            c1b = Vector256.FusedMultiplyAdd(t, bb, c1b);
            t = Vector256.Create(a[2]);
            c2a = Vector256.FusedMultiplyAdd(t, ba, c2a);
            c2b = Vector256.FusedMultiplyAdd(t, bb, c2b);
            t = Vector256.Create(a[3]);
            c3a = Vector256.FusedMultiplyAdd(t, ba, c3a);
            c3b = Vector256.FusedMultiplyAdd(t, bb, c3b);
            t = Vector256.Create(a[4]);
            c4a = Vector256.FusedMultiplyAdd(t, ba, c4a);
            c4b = Vector256.FusedMultiplyAdd(t, bb, c4b);
            t = Vector256.Create(a[5]);
            c5a = Vector256.FusedMultiplyAdd(t, ba, c5a);
            c5b = Vector256.FusedMultiplyAdd(t, bb, c5b);
            a += stepA;
            b += stepB;
        }

        if (accumulate)
        {
            float* from = c;
            c0a += Vector256.Load(from);
            c0b += Vector256.Load(from + 8);
            from += stride;
            c1a += Vector256.Load(from);
            c1b += Vector256.Load(from + 8);
            from += stride;
            c2a += Vector256.Load(from);
            c2b += Vector256.Load(from + 8);
            from += stride;
            c3a += Vector256.Load(from);
            c3b += Vector256.Load(from + 8);
            from += stride;
            c4a += Vector256.Load(from);
            c4b += Vector256.Load(from + 8);
            from += stride;
            c5a += Vector256.Load(from);
            c5b += Vector256.Load(from + 8);
        }

        Vector256.Store(c0a, c);
        Vector256.Store(c0b, c + 8);
        c += stride;
        Vector256.Store(c1a, c);
        Vector256.Store(c1b, c + 8);
        c += stride;
        Vector256.Store(c2a, c);
        Vector256.Store(c2b, c + 8);
        c += stride;
        Vector256.Store(c3a, c);
        Vector256.Store(c3b, c + 8);
        c += stride;
        Vector256.Store(c4a, c);
        Vector256.Store(c4b, c + 8);
        c += stride;
        Vector256.Store(c5a, c);
        Vector256.Store(c5b, c + 8);
    }

    /// <summary>C [4, 16].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Tile4x16(nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        Vector256<float> c0a = default, c0b = default;
        Vector256<float> c1a = default, c1b = default;
        Vector256<float> c2a = default, c2b = default;
        Vector256<float> c3a = default, c3b = default;
        if (Sse.IsSupported)
        {
            float* line = c;
            for (int row = 0; row < 4; row++, line += stride)
            {
                Sse.Prefetch0(line);
            }
        }

        Vector256<float> ba, bb, t;
        for (; depth > 0; depth--)
        {
            ba = Vector256.Load(b);
            bb = Vector256.Load(b + 8);
            t = Vector256.Create(a[0]);
            c0a = Vector256.FusedMultiplyAdd(t, ba, c0a);
            c0b = Vector256.FusedMultiplyAdd(t, bb, c0b);
            t = Vector256.Create(a[1]);
            c1a = Vector256.FusedMultiplyAdd(t, ba, c1a);
            c1b = Vector256.FusedMultiplyAdd(t, bb, c1b);
            t = Vector256.Create(a[2]);
            c2a = Vector256.FusedMultiplyAdd(t, ba, c2a);
            c2b = Vector256.FusedMultiplyAdd(t, bb, c2b);
            t = Vector256.Create(a[3]);
            c3a = Vector256.FusedMultiplyAdd(t, ba, c3a);
            c3b = Vector256.FusedMultiplyAdd(t, bb, c3b);
            a += stepA;
            b += stepB;
        }

        if (accumulate)
        {
            float* from = c;
            c0a += Vector256.Load(from);
            c0b += Vector256.Load(from + 8);
            from += stride;
            c1a += Vector256.Load(from);
            c1b += Vector256.Load(from + 8);
            from += stride;
            c2a += Vector256.Load(from);
            c2b += Vector256.Load(from + 8);
            from += stride;
            c3a += Vector256.Load(from);
            c3b += Vector256.Load(from + 8);
        }

        Vector256.Store(c0a, c);
        Vector256.Store(c0b, c + 8);
        c += stride;
        Vector256.Store(c1a, c);
        Vector256.Store(c1b, c + 8);
        c += stride;
        Vector256.Store(c2a, c);
        Vector256.Store(c2b, c + 8);
        c += stride;
        Vector256.Store(c3a, c);
        Vector256.Store(c3b, c + 8);
    }

    /// <summary>C [2, 16].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Tile2x16(nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        Vector256<float> c0a = default, c0b = default;
        Vector256<float> c1a = default, c1b = default;
        if (Sse.IsSupported)
        {
            float* line = c;
            for (int row = 0; row < 2; row++, line += stride)
            {
                Sse.Prefetch0(line);
            }
        }

        Vector256<float> ba, bb, t;
        for (; depth > 0; depth--)
        {
            ba = Vector256.Load(b);
            bb = Vector256.Load(b + 8);
            t = Vector256.Create(a[0]);
            c0a = Vector256.FusedMultiplyAdd(t, ba, c0a);
            c0b = Vector256.FusedMultiplyAdd(t, bb, c0b);
            t = Vector256.Create(a[1]);
            c1a = Vector256.FusedMultiplyAdd(t, ba, c1a);
            c1b = Vector256.FusedMultiplyAdd(t, bb, c1b);
            a += stepA;
            b += stepB;
        }

        if (accumulate)
        {
            float* from = c;
            c0a += Vector256.Load(from);
            c0b += Vector256.Load(from + 8);
            from += stride;
            c1a += Vector256.Load(from);
            c1b += Vector256.Load(from + 8);
        }

        Vector256.Store(c0a, c);
        Vector256.Store(c0b, c + 8);
        c += stride;
        Vector256.Store(c1a, c);
        Vector256.Store(c1b, c + 8);
    }

    /// <summary>C [6, 8].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Tile6x8(nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        Vector256<float> c0a = default;
        Vector256<float> c1a = default;
        Vector256<float> c2a = default;
        Vector256<float> c3a = default;
        Vector256<float> c4a = default;
        Vector256<float> c5a = default;
        if (Sse.IsSupported)
        {
            float* line = c;
            for (int row = 0; row < 6; row++, line += stride)
            {
                Sse.Prefetch0(line);
            }
        }

        Vector256<float> ba, t;
        for (; depth > 0; depth--)
        {
            ba = Vector256.Load(b);
            t = Vector256.Create(a[0]);
            c0a = Vector256.FusedMultiplyAdd(t, ba, c0a);
            t = Vector256.Create(a[1]);
            c1a = Vector256.FusedMultiplyAdd(t, ba, c1a);
            t = Vector256.Create(a[2]);
            c2a = Vector256.FusedMultiplyAdd(t, ba, c2a);
            t = Vector256.Create(a[3]);
            c3a = Vector256.FusedMultiplyAdd(t, ba, c3a);
            t = Vector256.Create(a[4]);
            c4a = Vector256.FusedMultiplyAdd(t, ba, c4a);
            t = Vector256.Create(a[5]);
            c5a = Vector256.FusedMultiplyAdd(t, ba, c5a);
            a += stepA;
            b += stepB;
        }

        if (accumulate)
        {
            float* from = c;
            c0a += Vector256.Load(from);
            from += stride;
            c1a += Vector256.Load(from);
            from += stride;
            c2a += Vector256.Load(from);
            from += stride;
            c3a += Vector256.Load(from);
            from += stride;
            c4a += Vector256.Load(from);
            from += stride;
            c5a += Vector256.Load(from);
        }

        Vector256.Store(c0a, c);
        c += stride;
        Vector256.Store(c1a, c);
        c += stride;
        Vector256.Store(c2a, c);
        c += stride;
        Vector256.Store(c3a, c);
        c += stride;
        Vector256.Store(c4a, c);
        c += stride;
        Vector256.Store(c5a, c);
    }
}
