using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Shardwright.Kernels;

/// <content>The product of one thread.</content>
public static unsafe partial class Gemm
{
    // A block of A lies in the second-level cache, a panel of B in the first, a block of B in the last.
    private const int MaxDepth = 512;
    private const int FloatsA = 144 * MaxDepth;
    private const int FloatsB = 768 * MaxDepth;

    /// <summary>Columns after which the epilogue runs: long enough rows for its loop, few enough to be in cache.</summary>
    private const int EpilogueColumns = 128;

    /// <summary>Panels of B that are packed at a time, then used while they are hot.</summary>
    private const int PackedPanels = 4;

    /// <summary>Floats of scratch that <see cref="Core{TEpilogue}"/> uses.</summary>
    internal const int ScratchFloats = FloatsA + FloatsB + 2 * GemmPack.Slack + 12 * 32;

    private static int TileRows => Vector512.IsHardwareAccelerated ? GemmTile512.Rows : Vector256.IsHardwareAccelerated ? GemmTile256.Rows : GemmTile128.Rows;

    private static int TileColumns => Vector512.IsHardwareAccelerated ? GemmTile512.Columns : Vector256.IsHardwareAccelerated ? GemmTile256.Columns : GemmTile128.Columns;

    /// <summary>One thread's product, by the tile of the machine's vectors.</summary>
    internal static void Core<TEpilogue>(int m, int n, int k, float* a, nint lda, bool transposeA, float* b, nint ldb, bool transposeB, float* c, nint ldc, bool accumulate, float* scratch, ref TEpilogue epilogue, int row0 = 0, int column0 = 0)
        where TEpilogue : struct, IEpilogue
    {
        if (m == 1 && !transposeB)
        {
            Row(n, k, a, transposeA ? lda : 1, b, ldb, c, accumulate, scratch, ref epilogue, row0, column0);
        }
        else if (Vector512.IsHardwareAccelerated)
        {
            Core<GemmTile512, TEpilogue>(m, n, k, a, lda, transposeA, b, ldb, transposeB, c, ldc, accumulate, scratch, ref epilogue, row0, column0);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            Core<GemmTile256, TEpilogue>(m, n, k, a, lda, transposeA, b, ldb, transposeB, c, ldc, accumulate, scratch, ref epilogue, row0, column0);
        }
        else
        {
            Core<GemmTile128, TEpilogue>(m, n, k, a, lda, transposeA, b, ldb, transposeB, c, ldc, accumulate, scratch, ref epilogue, row0, column0);
        }
    }

    /// <summary>Blocks run over columns, depth, rows; panels are packed, edges padded with zeros. Panels of B are packed when the first block of rows needs them,
    /// so that they are used while they are hot; with one row of tiles alone, B is read where it lies.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    internal static void Core<TTile, TEpilogue>(int m, int n, int k, float* a, nint lda, bool transposeA, float* b, nint ldb, bool transposeB, float* c, nint ldc, bool accumulate, float* scratch, ref TEpilogue epilogue, int row0, int column0)
        where TTile : struct, IGemmTile
        where TEpilogue : struct, IEpilogue
    {
        int tileRows = TTile.Rows, tileColumns = TTile.Columns;
        float* panelA = scratch, panelB = scratch + FloatsA + GemmPack.Slack, edge = panelB + FloatsB + GemmPack.Slack;
        int depthBlock = Balanced(k, MaxDepth, 8), rowBlock = Balanced(m, FloatsA / Math.Max(depthBlock, 64) / tileRows * tileRows, tileRows);
        int columnBlock = Balanced(n, FloatsB / Math.Max(depthBlock, 64) / tileColumns * tileColumns, tileColumns);
        int packed = PackedPanels * tileColumns;
        bool direct = m <= tileRows && !transposeB;
        for (int j0 = 0; j0 < n; j0 += columnBlock)
        {
            int columns = Math.Min(columnBlock, n - j0);
            for (int p0 = 0; p0 < k; p0 += depthBlock)
            {
                int depth = Math.Min(depthBlock, k - p0);
                bool add = accumulate || p0 > 0, last = p0 + depth == k;
                for (int i0 = 0; i0 < m; i0 += rowBlock)
                {
                    int rows = Math.Min(rowBlock, m - i0), done = 0;
                    GemmPack.Run(transposeA ? a + p0 * lda + i0 : a + i0 * lda + p0, lda, transposeA, rows, depth, tileRows, panelA);
                    for (int j = 0; j < columns; j += tileColumns)
                    {
                        int width = Math.Min(tileColumns, columns - j);
                        float* source = transposeB ? b + (j0 + j) * ldb + p0 : b + p0 * ldb + j0 + j, panel = panelB + (nint)j * depth;
                        nint stepB = tileColumns;
                        if (direct && width == tileColumns)
                        {
                            panel = source;
                            stepB = ldb;
                        }
                        else if (i0 == 0 && (direct || j % packed == 0))
                        {
                            GemmPack.Run(source, ldb, !transposeB, Math.Min(direct ? width : packed, columns - j), depth, tileColumns, panel);
                        }

                        // A slice of the next panel of B comes closer with each tile.
                        float* ahead = panel + (nint)tileColumns * depth;
                        nint slice = i0 > 0 && j + tileColumns < columns ? (nint)tileColumns * depth / ((rows + tileRows - 1) / tileRows) + 16 : 0;
                        float* target = c + i0 * ldc + j0 + j, pa = panelA;
                        for (int i = 0; i < rows; i += tileRows, target += tileRows * ldc, pa += (nint)tileRows * depth)
                        {
                            if (Sse.IsSupported)
                            {
                                for (float* end = ahead + slice; ahead < end; ahead += 16)
                                {
                                    Sse.Prefetch1(ahead);
                                }
                            }

                            int height = Math.Min(tileRows, rows - i);
                            if (height == tileRows && width == tileColumns)
                            {
                                TTile.Run(height, width, depth, pa, tileRows, panel, stepB, target, ldc, add);
                            }
                            else
                            {
                                TTile.Run(height, width, depth, pa, tileRows, panel, stepB, edge, tileColumns, false);
                                CopyEdge(edge, tileColumns, target, ldc, height, width, add);
                            }
                        }

                        if (typeof(TEpilogue) != typeof(None) && last && (j + width - done >= EpilogueColumns || j + width == columns))
                        {
                            Finish(ref epilogue, row0 + i0, column0 + j0 + done, rows, j + width - done);
                            done = j + width;
                        }
                    }
                }
            }
        }
    }

    /// <summary>Equal blocks of at most <paramref name="most"/>, a multiple of <paramref name="unit"/>.</summary>
    private static int Balanced(int size, int most, int unit)
    {
        int blocks = Math.Max(1, (size + most - 1) / most);
        return Math.Max(unit, ((size + blocks - 1) / blocks + unit - 1) / unit * unit);
    }

    /// <summary>Never inlined: its registers would be the tile loop's.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Finish<TEpilogue>(ref TEpilogue epilogue, int row, int column, int rows, int columns)
        where TEpilogue : struct, IEpilogue => epilogue.Apply(row, column, rows, columns);

    private static void CopyEdge(float* edge, int edgeStride, float* target, nint ldc, int rows, int columns, bool add)
    {
        for (int i = 0; i < rows; i++)
        {
            float* from = edge + i * edgeStride, to = target + i * ldc;
            for (int j = 0; j < columns; j++)
            {
                to[j] = add ? from[j] + to[j] : from[j];
            }
        }
    }
}
