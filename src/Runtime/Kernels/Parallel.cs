using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <summary>Work on a run of elements or rows.</summary>
public interface IRangeBody
{
    /// <summary>Works on elements from … to − 1.</summary>
    void Run(long from, long to);
}

/// <summary>Cuts elementwise and row work over the threads of a rank. Pieces have a fixed size, so no result depends on the number of threads.</summary>
public static class Elementwise
{
    /// <summary>Elements of one piece: small enough to stay in the second-level cache.</summary>
    private const long Piece = 16 * 1024;

    /// <summary>Runs a body over elements; pieces begin at multiples of 16.</summary>
    public static void Run<TBody>(ThreadTeam team, long count, TBody body)
        where TBody : struct, IRangeBody => Cut(team, count, Piece, body);

    /// <summary>Runs a body over rows.</summary>
    /// <param name="team">Threads.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="width">Elements of a row, to size the pieces.</param>
    /// <param name="body">Work on rows.</param>
    public static void Rows<TBody>(ThreadTeam team, long rows, long width, TBody body)
        where TBody : struct, IRangeBody => Cut(team, rows, Math.Max(1, Piece / Math.Max(1, width)), body);

    private static void Cut<TBody>(ThreadTeam team, long count, long piece, TBody body)
        where TBody : struct, IRangeBody
    {
        long parts = (count + piece - 1) / piece;
        if (parts <= 1 || team.Threads == 1)
        {
            body.Run(0, count);
            return;
        }

        team.Run((int)Math.Min(parts, int.MaxValue), new Pieces<TBody> { Body = body, Count = count, Piece = piece });
    }

    private struct Pieces<TBody> : IParallelBody
        where TBody : struct, IRangeBody
    {
        public TBody Body;
        public long Count, Piece;

        public void Run(int part, int thread) => Body.Run(part * Piece, Math.Min(Count, (part + 1) * Piece));
    }
}
