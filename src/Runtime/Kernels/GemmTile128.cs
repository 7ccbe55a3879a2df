using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Shardwright.Kernels;

/// <summary>The register tile where vectors have 128 bits: C [4, 16] in 16 registers of the 32 that Arm has. Without fused multiply-add it multiplies, then adds: other bits than the wider tiles.</summary>
internal readonly unsafe struct GemmTile128 : IGemmTile
{
    /// <inheritdoc/>
    public static int Rows => 4;

    /// <inheritdoc/>
    public static int Columns => 16;

    /// <inheritdoc/>
    public static void Run(int rows, int columns, nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        Tile4x16(depth, a, stepA, b, stepB, c, stride, accumulate);
    }

    /// <summary>C [4, 16].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Tile4x16(nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        Vector128<float> c0a = default, c0b = default, c0c = default, c0d = default;
        Vector128<float> c1a = default, c1b = default, c1c = default, c1d = default;
        Vector128<float> c2a = default, c2b = default, c2c = default, c2d = default;
        Vector128<float> c3a = default, c3b = default, c3c = default, c3d = default;
        if (Sse.IsSupported)
        {
            float* line = c;
            for (int row = 0; row < 4; row++, line += stride)
            {
                Sse.Prefetch0(line);
            }
        }

        Vector128<float> ba, bb, bc, bd, t;
        for (; depth > 0; depth--)
        {
            ba = Vector128.Load(b);
            bb = Vector128.Load(b + 4);
            bc = Vector128.Load(b + 8);
            bd = Vector128.Load(b + 12);
            t = Vector128.Create(a[0]);
            c0a = Vector128.MultiplyAddEstimate(t, ba, c0a);
            c0b = Vector128.MultiplyAddEstimate(t, bb, c0b);
            c0c = Vector128.MultiplyAddEstimate(t, bc, c0c);
            c0d = Vector128.MultiplyAddEstimate(t, bd, c0d);
            t = Vector128.Create(a[1]);
            c1a = Vector128.MultiplyAddEstimate(t, ba, c1a);
            c1b = Vector128.MultiplyAddEstimate(t, bb, c1b);
            c1c = Vector128.MultiplyAddEstimate(t, bc, c1c);
            c1d = Vector128.MultiplyAddEstimate(t, bd, c1d);
            t = Vector128.Create(a[2]);
            c2a = Vector128.MultiplyAddEstimate(t, ba, c2a);
            c2b = Vector128.MultiplyAddEstimate(t, bb, c2b);
            c2c = Vector128.MultiplyAddEstimate(t, bc, c2c);
            c2d = Vector128.MultiplyAddEstimate(t, bd, c2d);
            t = Vector128.Create(a[3]);
            c3a = Vector128.MultiplyAddEstimate(t, ba, c3a);
            c3b = Vector128.MultiplyAddEstimate(t, bb, c3b);
            c3c = Vector128.MultiplyAddEstimate(t, bc, c3c);
            c3d = Vector128.MultiplyAddEstimate(t, bd, c3d);
            a += stepA;
            b += stepB;
        }

        if (accumulate)
        {
            float* from = c;
            c0a += Vector128.Load(from);
            c0b += Vector128.Load(from + 4);
            c0c += Vector128.Load(from + 8);
            c0d += Vector128.Load(from + 12);
            from += stride;
            c1a += Vector128.Load(from);
            c1b += Vector128.Load(from + 4);
            c1c += Vector128.Load(from + 8);
            c1d += Vector128.Load(from + 12);
            from += stride;
            c2a += Vector128.Load(from);
            c2b += Vector128.Load(from + 4);
            c2c += Vector128.Load(from + 8);
            c2d += Vector128.Load(from + 12);
            from += stride;
            c3a += Vector128.Load(from);
            c3b += Vector128.Load(from + 4);
            c3c += Vector128.Load(from + 8);
            c3d += Vector128.Load(from + 12);
        }

        Vector128.Store(c0a, c);
        Vector128.Store(c0b, c + 4);
        Vector128.Store(c0c, c + 8);
        Vector128.Store(c0d, c + 12);
        c += stride;
        Vector128.Store(c1a, c);
        Vector128.Store(c1b, c + 4);
        Vector128.Store(c1c, c + 8);
        Vector128.Store(c1d, c + 12);
        c += stride;
        Vector128.Store(c2a, c);
        Vector128.Store(c2b, c + 4);
        Vector128.Store(c2c, c + 8);
        Vector128.Store(c2d, c + 12);
        c += stride;
        Vector128.Store(c3a, c);
        Vector128.Store(c3b, c + 4);
        Vector128.Store(c3c, c + 8);
        Vector128.Store(c3d, c + 12);
    }
}
