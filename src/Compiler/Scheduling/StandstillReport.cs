using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Scheduling;

/// <summary>Finds who waits for whom when nothing moves any more.</summary>
internal sealed class StandstillReport(RankWorld world, int[] positions, Func<int, IEnumerable<int>> blockers, Func<int, string> waiting)
{
    /// <summary>The waiting cycle, or the chain that ends at a rank that is done; null if all ranks are done.</summary>
    public Standstill? Find()
    {
        int start = Array.FindIndex(positions.Select((_, r) => Waits(r)).ToArray(), w => w);
        if (start < 0)
        {
            return null;
        }

        // Each waiting rank waits for at least one other, so a walk comes back to where it was, or to a rank that has ended. A rank that waits
        // for several is followed to one that waits too, if there is one: those that have ended are the better story only if nobody else waits.
        var path = new List<int>();
        int rank = start;
        while (Waits(rank) && !path.Contains(rank))
        {
            path.Add(rank);
            int[] next = blockers(rank).ToArray();
            rank = next.Where(Waits).DefaultIfEmpty(next[0]).First();
        }

        bool cycle = Waits(rank);
        int[] shown = cycle ? path.SkipWhile(r => r != rank).ToArray() : [.. path, rank];
        WaitingRank[] lines = shown.Select((r, i) => new WaitingRank(r, positions[r], Text(r, shown, i))).ToArray();
        string message = (cycle ? "the ranks wait for each other: " : "a rank waits for one that has ended: ") + string.Join("; ", lines.Select(l => l.Text));
        return new Standstill(message, lines.ToEquatable());
    }

    private bool Waits(int rank) => positions[rank] < world.Programs[rank].Count;

    private string Text(int rank, int[] shown, int at)
    {
        if (!Waits(rank))
        {
            return $"{world.Rank(rank)} has ended its program";
        }

        return $"{world.Rank(rank)} waits at {positions[rank]} {waiting(rank)} for {world.Rank(shown[(at + 1) % shown.Length])}";
    }
}
