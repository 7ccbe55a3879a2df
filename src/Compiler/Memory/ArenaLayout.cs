namespace Shardwright.Compiler.Memory;

/// <summary>A piece of memory with a lifetime.</summary>
/// <param name="Bytes">Size; rounded up to the alignment by the layout.</param>
/// <param name="First">First position in the program at which it holds something.</param>
/// <param name="Last">Last position at which that is needed.</param>
public sealed record Block(long Bytes, int First, int Last)
{
    /// <summary>Stretches between First and Last in which it holds something, rising and apart; all of it where there are none.</summary>
    public EquatableArray<(int First, int Last)> Stretches { get; init; }

    /// <summary>A block that is in use in stretches, in any order.</summary>
    public static Block Of(long bytes, IEnumerable<(int First, int Last)> stretches)
    {
        var joined = new List<(int First, int Last)>();
        foreach ((int first, int last) in stretches.OrderBy(s => s.First))
        {
            if (joined.Count > 0 && first <= joined[joined.Count - 1].Last + 1)
            {
                joined[joined.Count - 1] = (joined[joined.Count - 1].First, Math.Max(last, joined[joined.Count - 1].Last));
            }
            else
            {
                joined.Add((first, last));
            }
        }

        return new Block(bytes, joined[0].First, joined[joined.Count - 1].Last) { Stretches = joined.ToEquatable() };
    }

    /// <summary>Whether both are in use at some position.</summary>
    public bool Meets(Block other)
    {
        if (Last < other.First || other.Last < First)
        {
            return false;
        }

        if (Stretches.Count == 0 && other.Stretches.Count == 0)
        {
            return true;
        }

        ImmutableArray<(int First, int Last)> own = Parts, others = other.Parts;
        for (int i = 0, j = 0; i < own.Length && j < others.Length;)
        {
            if (own[i].Last < others[j].First)
            {
                i++;
            }
            else if (others[j].Last < own[i].First)
            {
                j++;
            }
            else
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Its stretches, at least one.</summary>
    internal ImmutableArray<(int First, int Last)> Parts => Stretches.Count == 0 ? ImmutableArray.Create((First, Last)) : Stretches.Items;
}

/// <summary>Where each block lies, and how much memory that takes.</summary>
/// <param name="Offsets">Offset of each block.</param>
/// <param name="Bytes">Size of the whole.</param>
/// <param name="LowerBound">Largest sum of live bytes at any position: no layout is smaller.</param>
public sealed record Layout(ImmutableArray<long> Offsets, long Bytes, long LowerBound);

/// <summary>Lays blocks out so that those in use at one time never overlap: several orders of first fit and best fit, the smallest result wins, and is then improved.</summary>
public static class ArenaLayout
{
    /// <summary>All blocks start at multiples of this.</summary>
    public const long Alignment = 64;

    /// <summary>Rounds up to the alignment.</summary>
    public static long Align(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    /// <summary>Lays blocks out.</summary>
    /// <param name="blocks">The blocks.</param>
    /// <param name="looks">Work that the search may do: looks at a neighbour of a block.</param>
    public static Layout Place(IReadOnlyList<Block> blocks, long looks = 300_000) => new LayoutSearch(blocks, LowerBound(blocks), looks).Run();

    private static long LowerBound(IReadOnlyList<Block> blocks)
    {
        var positions = new List<int>();
        var changes = new List<long>();
        foreach (Block block in blocks)
        {
            long bytes = Align(block.Bytes);
            foreach ((int first, int last) in block.Parts)
            {
                positions.Add(first);
                changes.Add(bytes);
                positions.Add(last + 1);
                changes.Add(-bytes);
            }
        }

        int[] at = positions.ToArray();
        long[] by = changes.ToArray();
        Array.Sort(at, by);
        long live = 0, most = 0;
        for (int i = 0; i < at.Length; i++)
        {
            // What ends where another begins: only the sum of a position counts.
            live += by[i];
            most = i + 1 == at.Length || at[i + 1] != at[i] ? Math.Max(most, live) : most;
        }

        return most;
    }
}
