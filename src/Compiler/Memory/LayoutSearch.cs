namespace Shardwright.Compiler.Memory;

/// <summary>The search of one layout. Its work is bounded: for many blocks fewer orders are tried.</summary>
internal sealed class LayoutSearch
{
    /// <summary>Of so many blocks it is found once who meets whom; of more, again and again: a table would take more memory than that is worth.</summary>
    private const int MostInTable = 2048;

    private const int BitsPerWord = 64;

    /// <summary>How nearly alike sizes are that get the same room, as shares.</summary>
    private static readonly double[] s_alike = { 1, 0.92, 0.8, 0.7, 0.6 };
    private readonly long _mostLooks;
    private readonly IReadOnlyList<Block> _blocks;
    private readonly long[] _sizes;
    private readonly int[] _first;
    private readonly int[] _last;
    private readonly bool _stretches;
    private readonly ulong[]? _meets;
    private readonly int _words;
    private readonly int[] _met;
    private readonly double[] _weights;
    private readonly long _bound;
    private readonly int[] _sorted;
    private long _looks;
    private Placed? _best;

    /// <summary>How blocks are placed.</summary>
    /// <param name="Rooms">Room that each block is given. Sizes that are nearly alike get the same: then one fits exactly where another was.</param>
    /// <param name="Keeps">Whether a block leaves the rooms of others as they are; one that does not may lie in what they do not fill.</param>
    /// <param name="IsTight">Whether a block goes into the smallest gap that holds it rather than the lowest.</param>
    private readonly record struct Manner(long[] Rooms, bool[] Keeps, bool IsTight);

    /// <summary>A layout: which order and manner gave which offsets.</summary>
    private sealed record Placed(int[] Order, Manner Manner, long[] Offsets, long Bytes);

    public LayoutSearch(IReadOnlyList<Block> blocks, long bound, long mostLooks)
    {
        int count = blocks.Count;
        _mostLooks = mostLooks;
        _blocks = blocks;
        _bound = bound;
        _sizes = blocks.Select(b => ArenaLayout.Align(b.Bytes)).ToArray();
        _first = blocks.Select(b => b.First).ToArray();
        _last = blocks.Select(b => b.Last).ToArray();
        _stretches = blocks.Any(b => b.Stretches.Count > 0);
        _sorted = new int[count];
        _met = new int[count];
        _weights = new double[count];
        _words = (count + BitsPerWord - 1) / BitsPerWord;
        ulong[]? meets = count <= MostInTable ? new ulong[count * _words] : null;
        for (int i = 0; i < count; i++)
        {
            for (int j = 0; j < i; j++)
            {
                if (!Overlap(i, j))
                {
                    continue;
                }

                _met[i]++;
                _met[j]++;
                _weights[i] += _sizes[j];
                _weights[j] += _sizes[i];
                if (meets is not null)
                {
                    meets[i * _words + j / BitsPerWord] |= 1UL << (j % BitsPerWord);
                    meets[j * _words + i / BitsPerWord] |= 1UL << (i % BitsPerWord);
                }
            }
        }

        _meets = meets;
    }

    private bool Overlap(int i, int j) => _first[i] <= _last[j] && _first[j] <= _last[i] && (!_stretches || _blocks[i].Meets(_blocks[j]));

    /// <summary>Whether two blocks live at one time.</summary>
    private bool Meet(int i, int j) => _meets is null ? Overlap(i, j) : (_meets[i * _words + j / BitsPerWord] >> (j % BitsPerWord) & 1) != 0;

    public Layout Run()
    {
        int[] all = Enumerable.Range(0, _blocks.Count).ToArray();
        IEnumerable<int>[] orders =
        {
            all.OrderByDescending(i => _sizes[i]).ThenBy(i => i),
            all.OrderByDescending(i => (double)_sizes[i] * Length(i)).ThenBy(i => i),
            all.OrderByDescending(Length).ThenByDescending(i => _sizes[i]).ThenBy(i => i),
            all.OrderBy(i => _first[i]).ThenByDescending(i => _sizes[i]).ThenBy(i => i),
            all.OrderByDescending(i => _weights[i]).ThenByDescending(i => _sizes[i]).ThenBy(i => i),
        };
        int[][] sorted = Array.ConvertAll(orders, o => o.ToArray());
        var starts = new List<Placed>();
        foreach (double alike in s_alike)
        {
            Placed? start = null;
            long[] rooms = Rooms(alike);
            var mixed = new HashSet<long>(all.Where(i => _sizes[i] < rooms[i]).Select(i => rooms[i]));
            bool[] smaller = Array.ConvertAll(all, i => _sizes[i] < rooms[i]), alikes = Array.ConvertAll(all, i => mixed.Contains(rooms[i]));

            // Blocks of one room in the order in which they begin take no more rooms than are in use at one time.
            foreach (int[] order in sorted.Prepend(all.OrderByDescending(i => rooms[i]).ThenBy(i => _first[i]).ThenBy(i => i).ToArray()))
            {
                foreach (bool[] keeps in mixed.Count > 0 ? new[] { smaller, alikes } : new[] { smaller })
                {
                    foreach (bool tight in new[] { false, true })
                    {
                        if (_best is null || (_best.Bytes > _bound && _looks < _mostLooks))
                        {
                            Placed tried = Try(order, new Manner(rooms, keeps, tight));
                            start = start is null || tried.Bytes < start.Bytes ? tried : start;
                        }
                    }
                }
            }

            if (start is not null)
            {
                starts.Add(start);
            }
        }

        // The best of each is improved: the smallest at first is often not the one that gets smallest.
        starts = starts.OrderBy(s => s.Bytes).ToList();
        for (int i = 0; i < starts.Count; i++)
        {
            Improve(starts[i], _looks + (_mostLooks - _looks) / (starts.Count - i));
        }

        return new Layout(_best!.Offsets.ToImmutableArray(), _best.Bytes, _bound);
    }

    private long[] Rooms(double alike)
    {
        var rooms = new long[_sizes.Length];
        long room = 0;
        foreach (int i in Enumerable.Range(0, _sizes.Length).OrderByDescending(i => _sizes[i]))
        {
            room = room > 0 && _sizes[i] >= alike * room ? room : _sizes[i];
            rooms[i] = room;
        }

        return rooms;
    }

    private int Length(int i) => _last[i] - _first[i] + 1;

    /// <summary>What reaches highest is placed earlier, again and again; now and then a step that makes it worse is taken, to leave a corner. The steps are the same on every run.</summary>
    private void Improve(Placed start, long mostLooks)
    {
        Placed best = start, now = start;
        uint random = 12345;
        int Next(int below)
        {
            random = unchecked(random * 1664525 + 1013904223);
            return (int)((random >> 8) % (uint)below);
        }

        while (_best!.Bytes > _bound && _looks < mostLooks)
        {
            int at = Array.FindIndex(now.Order, i => now.Offsets[i] + _sizes[i] == now.Bytes);
            if (at <= 0)
            {
                now = best;
                at = 1 + Next(now.Order.Length - 1);
            }

            int to = Next(at);
            int[] next = (int[])now.Order.Clone();
            Array.Copy(now.Order, to, next, to + 1, at - to);
            next[to] = now.Order[at];
            Placed tried = Try(next, now.Manner with { IsTight = best.Manner.IsTight ^ (Next(4) == 0) }, now, to);
            best = tried.Bytes < best.Bytes ? tried : best;
            if (tried.Bytes <= now.Bytes || Next(8) == 0)
            {
                now = tried;
            }
        }
    }

    private Placed Try(int[] order, Manner manner, Placed? like = null, int same = 0)
    {
        (long[] offsets, long bytes) = Fit(order, manner, like is not null && like.Manner == manner ? like.Offsets : Array.Empty<long>(), same);
        var placed = new Placed(order, manner, offsets, bytes);
        _best = _best is null || bytes < _best.Bytes ? placed : _best;
        return placed;
    }

    /// <summary>Places block after block: into the lowest gap that holds it, or into the smallest one.</summary>
    private (long[] Offsets, long Bytes) Fit(int[] order, Manner manner, long[] known, int same)
    {
        var offsets = new long[order.Length];
        long total = 0;
        for (int count = 0; count < order.Length; count++)
        {
            int i = order[count];
            _looks += 4;
            if (count < same && known.Length > 0)
            {
                total = Math.Max(total, Put(i, known[i], count, offsets));
                continue;
            }

            _looks += _met[i];

            // Those that are placed, lowest first.
            long room = manner.Rooms[i], top = 0, best = -1, gap = long.MaxValue;
            long[] taken = manner.Keeps[i] ? manner.Rooms : _sizes;
            for (int p = 0; p < count; p++)
            {
                int other = _sorted[p];
                if (!Meet(i, other))
                {
                    continue;
                }

                long free = offsets[other] - top;
                if (free >= room && free < gap)
                {
                    (best, gap) = (top, free);
                    if (!manner.IsTight)
                    {
                        break;
                    }
                }

                top = Math.Max(top, offsets[other] + taken[other]);
            }

            total = Math.Max(total, Put(i, best >= 0 ? best : top, count, offsets));
        }

        return (offsets, total);
    }

    /// <summary>Places a block among those that are sorted by offset; returns where it ends.</summary>
    private long Put(int i, long offset, int count, long[] offsets)
    {
        int at = count;
        for (; at > 0 && offsets[_sorted[at - 1]] > offset; at--)
        {
            _sorted[at] = _sorted[at - 1];
        }

        _sorted[at] = i;
        offsets[i] = offset;
        return offset + _sizes[i];
    }
}
