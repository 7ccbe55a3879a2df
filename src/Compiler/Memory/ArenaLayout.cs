namespace Shardwright.Compiler.Memory;

/// <summary>A piece of memory with a lifetime.</summary>
/// <param name="Bytes">Size; rounded up to the alignment by the layout.</param>
/// <param name="First">First position in the program at which it holds something.</param>
/// <param name="Last">Last position at which that is needed.</param>
public sealed record Block(long Bytes, int First, int Last);

/// <summary>Where each block lies, and how much memory that takes.</summary>
/// <param name="Offsets">Offset of each block.</param>
/// <param name="Bytes">Size of the whole.</param>
/// <param name="LowerBound">Largest sum of live bytes at any position: no layout is smaller.</param>
public sealed record Layout(ImmutableArray<long> Offsets, long Bytes, long LowerBound);

/// <summary>Lays blocks out so that those alive at one time never overlap: several orders of first-fit, the smallest result wins.</summary>
public static class ArenaLayout
{
    /// <summary>All blocks start at multiples of this.</summary>
    public const long Alignment = 64;

    /// <summary>Rounds up to the alignment.</summary>
    public static long Align(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    /// <summary>Lays blocks out.</summary>
    public static Layout Place(IReadOnlyList<Block> blocks)
    {
        int[] all = Enumerable.Range(0, blocks.Count).ToArray();
        var orders = new[]
        {
            all.OrderByDescending(i => blocks[i].Bytes).ThenBy(i => i),
            all.OrderByDescending(i => (double)blocks[i].Bytes * (blocks[i].Last - blocks[i].First + 1)).ThenBy(i => i),
            all.OrderByDescending(i => blocks[i].Last - blocks[i].First).ThenByDescending(i => blocks[i].Bytes).ThenBy(i => i),
            all.OrderBy(i => blocks[i].First).ThenByDescending(i => blocks[i].Bytes).ThenBy(i => i),
        };
        Layout? best = null;
        long bound = LowerBound(blocks);
        foreach (IOrderedEnumerable<int> order in orders)
        {
            (long[] offsets, long bytes) = FirstFit(blocks, order);
            if (best is null || bytes < best.Bytes)
            {
                best = new Layout(offsets.ToImmutableArray(), bytes, bound);
            }

            if (bytes == bound)
            {
                break;
            }
        }

        return best!;
    }

    private static (long[] Offsets, long Bytes) FirstFit(IReadOnlyList<Block> blocks, IEnumerable<int> order)
    {
        var offsets = new long[blocks.Count];

        // Blocks that have their place, by offset.
        long[] starts = new long[blocks.Count], ends = new long[blocks.Count];
        int[] firsts = new int[blocks.Count], lasts = new int[blocks.Count];
        int count = 0;
        long total = 0;
        foreach (int i in order)
        {
            int first = blocks[i].First, last = blocks[i].Last;
            long size = Align(blocks[i].Bytes), offset = 0;
            for (int p = 0; p < count; p++)
            {
                if (firsts[p] > last || lasts[p] < first)
                {
                    continue;
                }

                if (offset + size <= starts[p])
                {
                    break;
                }

                offset = Math.Max(offset, ends[p]);
            }

            offsets[i] = offset;
            int at = Array.BinarySearch(starts, 0, count, offset);
            at = at < 0 ? ~at : at;
            Insert(starts, at, count, offset);
            Insert(ends, at, count, offset + size);
            Insert(firsts, at, count, first);
            Insert(lasts, at, count, last);
            count++;
            total = Math.Max(total, offset + size);
        }

        return (offsets, total);
    }

    private static void Insert<T>(T[] items, int at, int count, T item)
    {
        Array.Copy(items, at, items, at + 1, count - at);
        items[at] = item;
    }

    private static long LowerBound(IReadOnlyList<Block> blocks)
    {
        var changes = new SortedDictionary<int, long>();
        foreach (Block block in blocks)
        {
            changes[block.First] = (changes.TryGetValue(block.First, out long a) ? a : 0) + Align(block.Bytes);
            changes[block.Last + 1] = (changes.TryGetValue(block.Last + 1, out long b) ? b : 0) - Align(block.Bytes);
        }

        long live = 0, most = 0;
        foreach (long change in changes.Values)
        {
            live += change;
            most = Math.Max(most, live);
        }

        return most;
    }
}
