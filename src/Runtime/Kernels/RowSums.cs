using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <summary>Row work that also sums over rows: blocks of rows, whose size depends on the sizes alone, each with sums of its own, which are then added in order.
/// So rows are read once, and no result depends on the number of threads.</summary>
internal static unsafe class RowSums
{
    private const int MinRows = 16;
    private const int MaxBlocks = 256;

    /// <summary>Runs the body over all rows. The sums of a block are zeros when its first row comes.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="n">Floats of each sum.</param>
    /// <param name="first">Where the first sums over all rows go; overwritten.</param>
    /// <param name="second">Where the second go; null for none.</param>
    /// <param name="body">Work on rows.</param>
    public static void Run<TBody>(ThreadTeam team, int rows, int n, float* first, float* second, TBody body)
        where TBody : struct, IRowSumsBody
    {
        // The sums of all blocks lie in the caller's scratch; where they are too wide for that there is one block.
        int width = second == null ? n : 2 * n, most = Math.Min(ThreadTeam.ScratchBytes / sizeof(float) / width, MaxBlocks);
        if (most < 2)
        {
            new Blocks<TBody> { Body = body, Rows = rows, Size = rows, N = n }.Run(first, second, 0, rows);
            return;
        }

        int size = Math.Max(MinRows, (rows + most - 1) / most), blocks = Math.Max(1, (rows + size - 1) / size);
        float* parts = team.Scratch(0);
        team.Run(blocks, new Blocks<TBody> { Body = body, Rows = rows, Size = size, N = n, Width = width, Parts = parts });
        new Span<float>(parts, n).CopyTo(new Span<float>(first, n));
        if (second != null)
        {
            new Span<float>(parts + n, n).CopyTo(new Span<float>(second, n));
        }

        for (int block = 1; block < blocks; block++)
        {
            RowMath.AddTo(parts + (long)block * width, first, n);
            if (second != null)
            {
                RowMath.AddTo(parts + (long)block * width + n, second, n);
            }
        }
    }

    private struct Blocks<TBody> : IParallelBody
        where TBody : struct, IRowSumsBody
    {
        public TBody Body;
        public int Rows, Size, N, Width;
        public float* Parts;

        public void Run(int part, int thread)
        {
            float* sums = Parts + (long)part * Width;
            Run(sums, Width == N ? null : sums + N, part * Size, Math.Min(Rows, (part + 1) * Size));
        }

        public void Run(float* first, float* second, int from, int to)
        {
            new Span<float>(first, N).Clear();
            if (second != null)
            {
                new Span<float>(second, N).Clear();
            }

            Body.Run(from, to, first, second);
        }
    }
}

/// <summary>Work on rows that adds to sums over rows.</summary>
internal unsafe interface IRowSumsBody
{
    /// <summary>Works on rows from … to − 1.</summary>
    void Run(int from, int to, float* first, float* second);
}

/// <summary>Sums over rows: the columns are cut over the threads, each thread takes all rows in order.</summary>
internal static class ColumnSums
{
    public static void Run<TBody>(ThreadTeam team, int rows, int columns, TBody body)
        where TBody : struct, IRangeBody
    {
        // Pieces begin at multiples of 64 columns, so that a cache line belongs to one thread, and are as long as they can be: rows are read in long runs.
        long piece = ((columns + team.Threads - 1) / team.Threads + 63) / 64 * 64;
        team.Run((int)((columns + piece - 1) / piece), new Pieces<TBody> { Body = body, Columns = columns, Piece = piece });
    }

    private struct Pieces<TBody> : IParallelBody
        where TBody : struct, IRangeBody
    {
        public TBody Body;
        public long Columns, Piece;

        public void Run(int part, int thread) => Body.Run(part * Piece, Math.Min(Columns, (part + 1) * Piece));
    }
}
