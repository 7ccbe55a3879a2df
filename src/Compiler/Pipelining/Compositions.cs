namespace Shardwright.Compiler.Pipelining;

/// <summary>The ways to lay a number of segments on a number of stages, one or more on each.</summary>
internal static class Compositions
{
    /// <summary>How many there are; null if more than a limit.</summary>
    public static long? Count(int total, int parts, long limit)
    {
        long ways = 1;
        int choose = Math.Min(parts - 1, total - parts);
        for (int i = 1; i <= choose; i++)
        {
            ways = ways * (total - i) / i;
            if (ways > limit)
            {
                return null;
            }
        }

        return ways;
    }

    /// <summary>All of them, in order.</summary>
    public static IEnumerable<int[]> All(int total, int parts)
    {
        var counts = Enumerable.Repeat(1, parts).ToArray();
        counts[parts - 1] = total - parts + 1;
        while (true)
        {
            yield return (int[])counts.Clone();

            // The rightmost part that can still take one from those after it takes it; they return to one, and the last has the rest.
            int at = parts - 2, after = counts[parts - 1];
            while (at >= 0 && after == parts - 1 - at)
            {
                after += counts[at--];
            }

            if (at < 0)
            {
                yield break;
            }

            counts[at]++;
            for (int i = at + 1; i < parts - 1; i++)
            {
                counts[i] = 1;
            }

            counts[parts - 1] = after - 1 - (parts - 2 - at);
        }
    }
}
