using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Shardwright.Kernels;

/// <summary>The register tile of the matrix product: C [12, 32] of packed panels. Each accumulator is a local of its own, nothing else is inlined here:
/// an array of accumulators, or an epilogue in this method, spills and costs a factor of three.</summary>
internal static unsafe class GemmTile
{
    public const int Rows = 12;
    public const int Columns = 32;

    /// <summary>C (+)= A·B, A(r, p) = a[12p + r], B(p, j) = b[32p + j].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void Run(nint depth, float* a, float* b, float* c, nint stride, bool accumulate)
    {
        Vector512<float> c00 = default, c01 = default;
        Vector512<float> c10 = default, c11 = default;
        Vector512<float> c20 = default, c21 = default;
        Vector512<float> c30 = default, c31 = default;
        Vector512<float> c40 = default, c41 = default;
        Vector512<float> c50 = default, c51 = default;
        Vector512<float> c60 = default, c61 = default;
        Vector512<float> c70 = default, c71 = default;
        Vector512<float> c80 = default, c81 = default;
        Vector512<float> c90 = default, c91 = default;
        Vector512<float> c100 = default, c101 = default;
        Vector512<float> c110 = default, c111 = default;
        Vector512<float> b0, b1, t;
        for (; depth > 0; depth--)
        {
            b0 = Vector512.Load(b);
            b1 = Vector512.Load(b + 16);
            t = Vector512.Create(a[0]);
            c00 = Vector512.FusedMultiplyAdd(t, b0, c00);
            c01 = Vector512.FusedMultiplyAdd(t, b1, c01);
            t = Vector512.Create(a[1]);
            c10 = Vector512.FusedMultiplyAdd(t, b0, c10);
            c11 = Vector512.FusedMultiplyAdd(t, b1, c11);
            t = Vector512.Create(a[2]);
            c20 = Vector512.FusedMultiplyAdd(t, b0, c20);
            c21 = Vector512.FusedMultiplyAdd(t, b1, c21);
            t = Vector512.Create(a[3]);
            c30 = Vector512.FusedMultiplyAdd(t, b0, c30);
            c31 = Vector512.FusedMultiplyAdd(t, b1, c31);
            t = Vector512.Create(a[4]);
            c40 = Vector512.FusedMultiplyAdd(t, b0, c40);
            c41 = Vector512.FusedMultiplyAdd(t, b1, c41);
            t = Vector512.Create(a[5]);
            c50 = Vector512.FusedMultiplyAdd(t, b0, c50);
            c51 = Vector512.FusedMultiplyAdd(t, b1, c51);
            t = Vector512.Create(a[6]);
            c60 = Vector512.FusedMultiplyAdd(t, b0, c60);
            c61 = Vector512.FusedMultiplyAdd(t, b1, c61);
            t = Vector512.Create(a[7]);
            c70 = Vector512.FusedMultiplyAdd(t, b0, c70);
            c71 = Vector512.FusedMultiplyAdd(t, b1, c71);
            t = Vector512.Create(a[8]);
            c80 = Vector512.FusedMultiplyAdd(t, b0, c80);
            c81 = Vector512.FusedMultiplyAdd(t, b1, c81);
            t = Vector512.Create(a[9]);
            c90 = Vector512.FusedMultiplyAdd(t, b0, c90);
            c91 = Vector512.FusedMultiplyAdd(t, b1, c91);
            t = Vector512.Create(a[10]);
            c100 = Vector512.FusedMultiplyAdd(t, b0, c100);
            c101 = Vector512.FusedMultiplyAdd(t, b1, c101);
            t = Vector512.Create(a[11]);
            c110 = Vector512.FusedMultiplyAdd(t, b0, c110);
            c111 = Vector512.FusedMultiplyAdd(t, b1, c111);
            a += Rows;
            b += Columns;
        }

        if (accumulate)
        {
            float* q = c;
            c00 += Vector512.Load(q);
            c01 += Vector512.Load(q + 16);
            q += stride;
            c10 += Vector512.Load(q);
            c11 += Vector512.Load(q + 16);
            q += stride;
            c20 += Vector512.Load(q);
            c21 += Vector512.Load(q + 16);
            q += stride;
            c30 += Vector512.Load(q);
            c31 += Vector512.Load(q + 16);
            q += stride;
            c40 += Vector512.Load(q);
            c41 += Vector512.Load(q + 16);
            q += stride;
            c50 += Vector512.Load(q);
            c51 += Vector512.Load(q + 16);
            q += stride;
            c60 += Vector512.Load(q);
            c61 += Vector512.Load(q + 16);
            q += stride;
            c70 += Vector512.Load(q);
            c71 += Vector512.Load(q + 16);
            q += stride;
            c80 += Vector512.Load(q);
            c81 += Vector512.Load(q + 16);
            q += stride;
            c90 += Vector512.Load(q);
            c91 += Vector512.Load(q + 16);
            q += stride;
            c100 += Vector512.Load(q);
            c101 += Vector512.Load(q + 16);
            q += stride;
            c110 += Vector512.Load(q);
            c111 += Vector512.Load(q + 16);
        }

        Vector512.Store(c00, c);
        Vector512.Store(c01, c + 16);
        c += stride;
        Vector512.Store(c10, c);
        Vector512.Store(c11, c + 16);
        c += stride;
        Vector512.Store(c20, c);
        Vector512.Store(c21, c + 16);
        c += stride;
        Vector512.Store(c30, c);
        Vector512.Store(c31, c + 16);
        c += stride;
        Vector512.Store(c40, c);
        Vector512.Store(c41, c + 16);
        c += stride;
        Vector512.Store(c50, c);
        Vector512.Store(c51, c + 16);
        c += stride;
        Vector512.Store(c60, c);
        Vector512.Store(c61, c + 16);
        c += stride;
        Vector512.Store(c70, c);
        Vector512.Store(c71, c + 16);
        c += stride;
        Vector512.Store(c80, c);
        Vector512.Store(c81, c + 16);
        c += stride;
        Vector512.Store(c90, c);
        Vector512.Store(c91, c + 16);
        c += stride;
        Vector512.Store(c100, c);
        Vector512.Store(c101, c + 16);
        c += stride;
        Vector512.Store(c110, c);
        Vector512.Store(c111, c + 16);
    }
}
