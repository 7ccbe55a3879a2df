using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <summary>What happens to a finished piece of a product while it is still in cache.</summary>
public interface IEpilogue
{
    /// <summary>Works on C[row … row + rows, column … column + columns].</summary>
    void Apply(int row, int column, int rows, int columns);
}

/// <summary>Matrix products C = A·B over row-major fp32 operands, plain or transposed, any size. The order of the sum along k is fixed:
/// it does not depend on m, n or the number of threads.</summary>
public static unsafe class Gemm
{
    // Panels of one thread: A 120 x 512 and B 512 x 512 floats, 1.25 MiB of the thread's 2 MiB.
    private const int DepthBlock = 512;
    private const int RowBlock = 120;
    private const int ColumnBlock = 512;

    /// <summary>Floats of scratch that <see cref="Core{TEpilogue}"/> uses.</summary>
    internal const int ScratchFloats = RowBlock * DepthBlock + DepthBlock * ColumnBlock + GemmTile.Rows * GemmTile.Columns;

    /// <summary>No epilogue.</summary>
    public readonly struct None : IEpilogue
    {
        /// <inheritdoc/>
        public void Apply(int row, int column, int rows, int columns)
        {
        }
    }

    /// <summary>C [m, n] = A [m, k] · B [k, n], or C += with <paramref name="accumulate"/>.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="m">Rows of C.</param>
    /// <param name="n">Columns of C.</param>
    /// <param name="k">Depth.</param>
    /// <param name="a">A.</param>
    /// <param name="lda">Elements from row to row of A as stored.</param>
    /// <param name="transposeA">A is stored [k, m].</param>
    /// <param name="b">B.</param>
    /// <param name="ldb">Elements from row to row of B as stored.</param>
    /// <param name="transposeB">B is stored [n, k].</param>
    /// <param name="c">C.</param>
    /// <param name="ldc">Elements from row to row of C.</param>
    /// <param name="accumulate">Adds to C.</param>
    public static void Run(ThreadTeam team, int m, int n, int k, ref float a, int lda, bool transposeA, ref float b, int ldb, bool transposeB, ref float c, int ldc, bool accumulate) =>
        Run(team, m, n, k, ref a, lda, transposeA, ref b, ldb, transposeB, ref c, ldc, accumulate, default(None));

    /// <summary>As above, with work on each finished piece of C.</summary>
    public static void Run<TEpilogue>(ThreadTeam team, int m, int n, int k, ref float a, int lda, bool transposeA, ref float b, int ldb, bool transposeB, ref float c, int ldc, bool accumulate, TEpilogue epilogue)
        where TEpilogue : struct, IEpilogue
    {
        // The longer side is cut at tile borders; pieces small enough to balance the threads.
        bool byRows = m >= n;
        int tile = byRows ? GemmTile.Rows : GemmTile.Columns, tiles = ((byRows ? m : n) + tile - 1) / tile;
        int parts = Math.Min(team.Threads, Math.Max(1, (int)Math.Min(tiles, 2L * m * n * k / 200_000)));
        var body = new Product<TEpilogue>
        {
            Team = team, M = m, N = n, K = k, A = (float*)Unsafe.AsPointer(ref a), Lda = lda, TransposeA = transposeA, B = (float*)Unsafe.AsPointer(ref b), Ldb = ldb, TransposeB = transposeB,
            C = (float*)Unsafe.AsPointer(ref c), Ldc = ldc, Accumulate = accumulate, Epilogue = epilogue, ByRows = byRows, Step = (tiles + parts - 1) / parts * tile,
        };
        team.Run(parts, body);
    }

    /// <summary>A batch of products whose operands lie at equal distances.</summary>
    public static void RunBatched(ThreadTeam team, int batch, int m, int n, int k, ref float a, int lda, long strideA, bool transposeA, ref float b, int ldb, long strideB, bool transposeB, ref float c, int ldc, long strideC, bool accumulate)
    {
        var body = new Batch
        {
            Team = team, M = m, N = n, K = k, A = (float*)Unsafe.AsPointer(ref a), Lda = lda, StrideA = strideA, TransposeA = transposeA, B = (float*)Unsafe.AsPointer(ref b), Ldb = ldb, StrideB = strideB, TransposeB = transposeB,
            C = (float*)Unsafe.AsPointer(ref c), Ldc = ldc, StrideC = strideC, Accumulate = accumulate,
        };
        team.Run(batch, body);
    }

    /// <summary>One thread's product. Blocks run over columns, depth, rows; panels are packed, edges padded with zeros.</summary>
    internal static void Core<TEpilogue>(int m, int n, int k, float* a, nint lda, bool transposeA, float* b, nint ldb, bool transposeB, float* c, nint ldc, bool accumulate, float* scratch, ref TEpilogue epilogue, int row0 = 0, int column0 = 0)
        where TEpilogue : struct, IEpilogue
    {
        float* panelA = scratch, panelB = scratch + RowBlock * DepthBlock, edge = panelB + DepthBlock * ColumnBlock;
        for (int j0 = 0; j0 < n; j0 += ColumnBlock)
        {
            int columns = Math.Min(ColumnBlock, n - j0);
            for (int p0 = 0; p0 < k; p0 += DepthBlock)
            {
                int depth = Math.Min(DepthBlock, k - p0);
                bool add = accumulate || p0 > 0, last = p0 + depth == k;
                Pack(transposeB ? b + j0 * ldb + p0 : b + p0 * ldb + j0, ldb, !transposeB, columns, depth, GemmTile.Columns, panelB);
                for (int i0 = 0; i0 < m; i0 += RowBlock)
                {
                    int rows = Math.Min(RowBlock, m - i0);
                    Pack(transposeA ? a + p0 * lda + i0 : a + i0 * lda + p0, lda, transposeA, rows, depth, GemmTile.Rows, panelA);
                    for (int j = 0; j < columns; j += GemmTile.Columns)
                    {
                        for (int i = 0; i < rows; i += GemmTile.Rows)
                        {
                            int h = Math.Min(GemmTile.Rows, rows - i), w = Math.Min(GemmTile.Columns, columns - j);
                            float* target = c + (i0 + i) * ldc + j0 + j, pa = panelA + i * depth, pb = panelB + j * depth;
                            if (h == GemmTile.Rows && w == GemmTile.Columns)
                            {
                                GemmTile.Run(depth, pa, pb, target, ldc, add);
                            }
                            else
                            {
                                GemmTile.Run(depth, pa, pb, edge, GemmTile.Columns, false);
                                CopyEdge(edge, target, ldc, h, w, add);
                            }

                            if (last && typeof(TEpilogue) != typeof(None))
                            {
                                epilogue.Apply(row0 + i0 + i, column0 + j0 + j, h, w);
                            }
                        }
                    }
                }
            }
        }
    }

    private static void CopyEdge(float* edge, float* target, nint ldc, int rows, int columns, bool add)
    {
        for (int i = 0; i < rows; i++)
        {
            for (int j = 0; j < columns; j++)
            {
                float value = edge[i * GemmTile.Columns + j];
                target[i * ldc + j] = add ? value + target[i * ldc + j] : value;
            }
        }
    }

    /// <summary>Panels of <paramref name="width"/> lanes: panel[(p·width) + lane]. The source is [depth, lanes] with <paramref name="along"/>, else [lanes, depth].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pack(float* source, nint stride, bool along, int lanes, int depth, int width, float* panel)
    {
        for (int lane0 = 0; lane0 < lanes; lane0 += width, panel += (nint)width * depth)
        {
            int count = Math.Min(width, lanes - lane0);
            if (along)
            {
                for (int p = 0; p < depth; p++)
                {
                    float* from = source + p * stride + lane0, to = panel + (nint)p * width;
                    if (count == 32)
                    {
                        Vector512.Store(Vector512.Load(from), to);
                        Vector512.Store(Vector512.Load(from + 16), to + 16);
                        continue;
                    }

                    int lane = 0;
                    for (; lane < count; lane++)
                    {
                        to[lane] = from[lane];
                    }

                    for (; lane < width; lane++)
                    {
                        to[lane] = 0;
                    }
                }

                continue;
            }

            for (int lane = 0; lane < width; lane++)
            {
                float* to = panel + lane;
                if (lane >= count)
                {
                    for (int p = 0; p < depth; p++)
                    {
                        to[(nint)p * width] = 0;
                    }

                    continue;
                }

                float* from = source + (lane0 + lane) * stride;
                for (int p = 0; p < depth; p++)
                {
                    to[(nint)p * width] = from[p];
                }
            }
        }
    }

    private struct Product<TEpilogue> : IParallelBody
        where TEpilogue : struct, IEpilogue
    {
        public ThreadTeam Team;
        public int M, N, K, Lda, Ldb, Ldc, Step;
        public float* A, B, C;
        public bool TransposeA, TransposeB, Accumulate, ByRows;
        public TEpilogue Epilogue;

        public void Run(int part, int thread)
        {
            int from = part * Step, size = Math.Min(Step, (ByRows ? M : N) - from);
            if (size <= 0)
            {
                return;
            }

            if (ByRows)
            {
                Core(size, N, K, TransposeA ? A + from : A + (nint)from * Lda, Lda, TransposeA, B, Ldb, TransposeB, C + (nint)from * Ldc, Ldc, Accumulate, Team.Scratch(thread), ref Epilogue, from, 0);
            }
            else
            {
                Core(M, size, K, A, Lda, TransposeA, TransposeB ? B + (nint)from * Ldb : B + from, Ldb, TransposeB, C + from, Ldc, Accumulate, Team.Scratch(thread), ref Epilogue, 0, from);
            }
        }
    }

    private struct Batch : IParallelBody
    {
        public ThreadTeam Team;
        public int M, N, K, Lda, Ldb, Ldc;
        public long StrideA, StrideB, StrideC;
        public float* A, B, C;
        public bool TransposeA, TransposeB, Accumulate;

        public void Run(int part, int thread)
        {
            None none = default;
            Core(M, N, K, A + part * StrideA, Lda, TransposeA, B + part * StrideB, Ldb, TransposeB, C + part * StrideC, Ldc, Accumulate, Team.Scratch(thread), ref none);
        }
    }
}
