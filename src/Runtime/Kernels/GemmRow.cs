using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Shardwright.Kernels;

/// <content>One row times a matrix, as in generating text: nothing is packed, B streams by once, four rows at a time.</content>
public static unsafe partial class Gemm
{
    private const int RowColumns = 2048;

    /// <summary>c [n] (+)= a [k] · B [k, n]; the same chains of multiply-adds as in the tiles.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Row<TEpilogue>(int n, int k, float* a, nint stepA, float* b, nint ldb, float* c, bool accumulate, float* sums, ref TEpilogue epilogue, int row, int column0)
        where TEpilogue : struct, IEpilogue
    {
        int depthBlock = Balanced(k, MaxDepth, 8);
        for (int j0 = 0; j0 < n; j0 += RowColumns)
        {
            int columns = Math.Min(RowColumns, n - j0);
            for (int p0 = 0; p0 < k; p0 += depthBlock)
            {
                int end = Math.Min(k, p0 + depthBlock), p = p0;
                new Span<float>(sums, columns).Clear();
                for (; p <= end - 4; p += 4)
                {
                    AddRows(columns, a[p * stepA], a[(p + 1) * stepA], a[(p + 2) * stepA], a[(p + 3) * stepA], b + p * ldb + j0, ldb, sums);
                }

                for (; p < end; p++)
                {
                    AddRow(columns, a[p * stepA], b + p * ldb + j0, sums);
                }

                if (accumulate || p0 > 0)
                {
                    RowMath.AddTo(sums, c + j0, columns);
                }
                else
                {
                    new Span<float>(sums, columns).CopyTo(new Span<float>(c + j0, columns));
                }
            }

            if (typeof(TEpilogue) != typeof(None))
            {
                Finish(ref epilogue, row, column0 + j0, 1, columns);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void AddRows(int columns, float a0, float a1, float a2, float a3, float* b, nint ldb, float* sums)
    {
        Vector512<float> v0 = Vector512.Create(a0), v1 = Vector512.Create(a1), v2 = Vector512.Create(a2), v3 = Vector512.Create(a3);
        int j = 0;
        for (; j <= columns - 16; j += 16, b += 16)
        {
            Vector512<float> sum = Vector512.MultiplyAddEstimate(v0, Vector512.Load(b), Vector512.Load(sums + j));
            sum = Vector512.MultiplyAddEstimate(v1, Vector512.Load(b + ldb), sum);
            sum = Vector512.MultiplyAddEstimate(v2, Vector512.Load(b + 2 * ldb), sum);
            Vector512.Store(Vector512.MultiplyAddEstimate(v3, Vector512.Load(b + 3 * ldb), sum), sums + j);
        }

        for (; j < columns; j++, b++)
        {
            float sum = float.MultiplyAddEstimate(a0, *b, sums[j]);
            sum = float.MultiplyAddEstimate(a1, b[ldb], sum);
            sum = float.MultiplyAddEstimate(a2, b[2 * ldb], sum);
            sums[j] = float.MultiplyAddEstimate(a3, b[3 * ldb], sum);
        }
    }

    private static void AddRow(int columns, float a, float* b, float* sums)
    {
        for (int j = 0; j < columns; j++)
        {
            sums[j] = float.MultiplyAddEstimate(a, b[j], sums[j]);
        }
    }
}
