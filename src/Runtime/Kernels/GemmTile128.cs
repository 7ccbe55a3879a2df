using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Shardwright.Kernels;

/// <summary>The register tile where vectors have 128 bits: C [4, 8] in 8 of 16 registers. Without fused multiply-add it multiplies, then adds: other bits than the wider tiles.</summary>
internal readonly unsafe struct GemmTile128 : IGemmTile
{
    /// <inheritdoc/>
    public static int Rows => 4;

    /// <inheritdoc/>
    public static int Columns => 8;

    /// <inheritdoc/>
    public static void Run(int rows, int columns, nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        Tile4x8(depth, a, stepA, b, stepB, c, stride, accumulate);
    }

    /// <summary>C [4, 8].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Tile4x8(nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate)
    {
        Vector128<float> c0a = default, c0b = default;
        Vector128<float> c1a = default, c1b = default;
        Vector128<float> c2a = default, c2b = default;
        Vector128<float> c3a = default, c3b = default;
        if (Sse.IsSupported)
        {
            float* line = c;
            for (int row = 0; row < 4; row++, line += stride)
            {
                Sse.Prefetch0(line);
            }
        }

        Vector128<float> ba, bb, t;
        for (; depth > 0; depth--)
        {
            ba = Vector128.Load(b);
            bb = Vector128.Load(b + 4);
            t = Vector128.Create(a[0]);
            c0a = Vector128.MultiplyAddEstimate(t, ba, c0a);
            c0b = Vector128.MultiplyAddEstimate(t, bb, c0b);
            t = Vector128.Create(a[1]);
            c1a = Vector128.MultiplyAddEstimate(t, ba, c1a);
            c1b = Vector128.MultiplyAddEstimate(t, bb, c1b);
            t = Vector128.Create(a[2]);
            c2a = Vector128.MultiplyAddEstimate(t, ba, c2a);
            c2b = Vector128.MultiplyAddEstimate(t, bb, c2b);
            t = Vector128.Create(a[3]);
            c3a = Vector128.MultiplyAddEstimate(t, ba, c3a);
            c3b = Vector128.MultiplyAddEstimate(t, bb, c3b);
            a += stepA;
            b += stepB;
        }

        if (accumulate)
        {
            float* from = c;
            c0a += Vector128.Load(from);
            c0b += Vector128.Load(from + 4);
            from += stride;
            c1a += Vector128.Load(from);
            c1b += Vector128.Load(from + 4);
            from += stride;
            c2a += Vector128.Load(from);
            c2b += Vector128.Load(from + 4);
            from += stride;
            c3a += Vector128.Load(from);
            c3b += Vector128.Load(from + 4);
        }

        Vector128.Store(c0a, c);
        Vector128.Store(c0b, c + 4);
        c += stride;
        Vector128.Store(c1a, c);
        Vector128.Store(c1b, c + 4);
        c += stride;
        Vector128.Store(c2a, c);
        Vector128.Store(c2b, c + 4);
        c += stride;
        Vector128.Store(c3a, c);
        Vector128.Store(c3b, c + 4);
    }
}
