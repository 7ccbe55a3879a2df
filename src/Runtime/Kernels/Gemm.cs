using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <summary>What happens to a finished piece of a product while it is still in cache.</summary>
public interface IEpilogue
{
    /// <summary>Works on C[row … row + rows, column … column + columns].</summary>
    void Apply(int row, int column, int rows, int columns);
}

/// <summary>Matrix products C = A·B over row-major fp32 operands, plain or transposed, any size. Each element of C is one chain of multiply-adds along k, cut into
/// blocks that depend on k alone: its bits depend neither on m, n or the number of threads, nor on the width of vectors where multiply-add is fused.</summary>
public static unsafe partial class Gemm
{
    /// <summary>No epilogue.</summary>
    public readonly struct None : IEpilogue
    {
        /// <inheritdoc/>
        public void Apply(int row, int column, int rows, int columns)
        {
        }
    }

    /// <summary>Asks the memory for a piece of the row two rows below: for epilogues that read or write a matrix beside their tile. Below the last row it asks for nothing that is there.</summary>
    /// <param name="row">Where the piece begins in the row at hand.</param>
    /// <param name="stride">Elements from row to row.</param>
    /// <param name="columns">Elements of the piece.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(ref float row, int stride, int columns)
    {
        if (Sse.IsSupported)
        {
            float* ahead = (float*)Unsafe.AsPointer(ref row) + 2 * (nint)stride;
            for (int i = 0; i < columns; i += 16)
            {
                Sse.Prefetch0(ahead + i);
            }
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
        int tile = byRows ? TileRows : TileColumns, tiles = ((byRows ? m : n) + tile - 1) / tile;
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
