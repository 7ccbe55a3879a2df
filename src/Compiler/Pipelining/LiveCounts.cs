namespace Shardwright.Compiler.Pipelining;

/// <summary>What a rank keeps alive, over its stages.</summary>
internal static class LiveCounts
{
    /// <summary>The numbers of live micro-batches of a rank's stages, ascending, at those moments that no other exceeds in all of them: whatever a
    /// micro-batch of each stage weighs, the peak is at one of these.</summary>
    public static int[][] Peaks(ActionTable table, int rank)
    {
        int[] stages = table.StagesOf(rank).ToArray();
        var live = new int[stages.Length];
        var peaks = new List<int[]>();
        foreach (StageAction action in table.Ranks[rank])
        {
            int at = Array.IndexOf(stages, action.Stage);
            live[at] += action.Kind == ActionKind.Forward ? 1 : action.Releases ? -1 : 0;
            if (action.Kind == ActionKind.Forward && !peaks.Exists(p => Covers(p, live)))
            {
                peaks.RemoveAll(p => Covers(live, p));
                peaks.Add((int[])live.Clone());
            }
        }

        return peaks.ToArray();
    }

    private static bool Covers(int[] a, int[] b)
    {
        for (int i = 0; i < a.Length; i++)
        {
            if (a[i] < b[i])
            {
                return false;
            }
        }

        return true;
    }
}
