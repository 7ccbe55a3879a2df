namespace Shardwright.Compiler.Memory;

/// <summary>The search of one layout. Its work is bounded: for many blocks fewer orders are tried.</summary>
internal sealed class LayoutSearch
{
    private readonly long _mostLooks;
    private readonly IReadOnlyList<Block> _blocks;
    private readonly long[] _sizes;
    private long[] _room;
    private readonly int[][] _meets;
    private readonly long _bound;
    private readonly long[] _starts;
    private readonly long[] _ends;
    private long _looks;
    private long[]? _best;
    private long _bestBytes;
    private int[] _bestOrder = Array.Empty<int>();
    private long[] _bestRoom = Array.Empty<long>();
    private bool _bestTight;

    public LayoutSearch(IReadOnlyList<Block> blocks, long bound, long mostLooks)
    {
        _mostLooks = mostLooks;
        _blocks = blocks;
        _bound = bound;
        _sizes = blocks.Select(b => ArenaLayout.Align(b.Bytes)).ToArray();
        _room = _sizes;
        _starts = new long[blocks.Count];
        _ends = new long[blocks.Count];
        _meets = Meetings(blocks);
    }

    /// <summary>For each block, those that live at a time when it does. Counted first: of thousands of blocks nearly all meet, and lists that grow would take three times the memory.</summary>
    private static int[][] Meetings(IReadOnlyList<Block> blocks)
    {
        var counts = new int[blocks.Count];
        var meets = new int[blocks.Count][];
        for (int pass = 0; pass < 2; pass++)
        {
            for (int i = 0; i < blocks.Count; i++)
            {
                for (int j = 0; j < i; j++)
                {
                    if (!blocks[i].Meets(blocks[j]))
                    {
                        continue;
                    }

                    if (pass > 0)
                    {
                        meets[i][counts[i]] = j;
                        meets[j][counts[j]] = i;
                    }

                    counts[i]++;
                    counts[j]++;
                }
            }

            for (int i = 0; pass == 0 && i < blocks.Count; i++)
            {
                meets[i] = new int[counts[i]];
                counts[i] = 0;
            }
        }

        return meets;
    }

    public Layout Run()
    {
        int[] all = Enumerable.Range(0, _blocks.Count).ToArray();
        int[][] orders = new[]
        {
            all.OrderByDescending(i => _sizes[i]).ThenBy(i => i),
            all.OrderByDescending(i => (double)_sizes[i] * Length(i)).ThenBy(i => i),
            all.OrderByDescending(Length).ThenByDescending(i => _sizes[i]).ThenBy(i => i),
            all.OrderBy(i => _blocks[i].First).ThenByDescending(i => _sizes[i]).ThenBy(i => i),
            all.OrderByDescending(i => _meets[i].Sum(m => (double)_sizes[m])).ThenByDescending(i => _sizes[i]).ThenBy(i => i),
        }.Select(o => o.ToArray()).ToArray();
        foreach (double alike in new[] { 1, 0.92, 0.8 })
        {
            _room = Rooms(alike);
            foreach (int[] order in orders)
            {
                foreach (bool tight in new[] { false, true })
                {
                    if (_best is null || (_bestBytes > _bound && _looks < _mostLooks))
                    {
                        Try(order, tight);
                    }
                }
            }
        }

        _room = _bestRoom;
        Improve();
        return new Layout(_best!.ToImmutableArray(), _bestBytes, _bound);
    }

    /// <summary>Room that each block is given. Sizes that are nearly alike get the same: then one fits exactly where another was.</summary>
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

    private int Length(int i) => _blocks[i].Last - _blocks[i].First + 1;

    /// <summary>What reaches highest is placed earlier, again and again; now and then a step that makes it worse is taken, to leave a corner. The steps are the same on every run.</summary>
    private void Improve()
    {
        (int[] order, long[] offsets, long bytes) = (_bestOrder, _best!, _bestBytes);
        uint random = 12345;
        int Next(int below)
        {
            random = unchecked(random * 1664525 + 1013904223);
            return (int)((random >> 8) % (uint)below);
        }

        while (_bestBytes > _bound && _looks < _mostLooks)
        {
            int at = Array.FindIndex(order, i => offsets[i] + _sizes[i] == bytes);
            if (at <= 0)
            {
                (order, offsets, bytes) = (_bestOrder, _best!, _bestBytes);
                at = 1 + Next(order.Length - 1);
            }

            int to = Next(at);
            int[] next = (int[])order.Clone();
            Array.Copy(order, to, next, to + 1, at - to);
            next[to] = order[at];
            (long[] tried, long size) = Try(next, Next(4) == 0 ? !_bestTight : _bestTight);
            if (size <= bytes || Next(8) == 0)
            {
                (order, offsets, bytes) = (next, tried, size);
            }
        }
    }

    private (long[] Offsets, long Bytes) Try(int[] order, bool tight)
    {
        (long[] offsets, long bytes) = Fit(order, tight);
        if (_best is null || bytes < _bestBytes)
        {
            (_best, _bestBytes, _bestOrder, _bestTight, _bestRoom) = (offsets, bytes, order, tight, _room);
        }

        return (offsets, bytes);
    }

    /// <summary>Places block after block: into the lowest gap that holds it, or into the smallest one.</summary>
    private (long[] Offsets, long Bytes) Fit(int[] order, bool tight)
    {
        long[] offsets = _blocks.Select(_ => -1L).ToArray();
        long total = 0;
        foreach (int i in order)
        {
            int placed = 0;
            foreach (int other in _meets[i])
            {
                if (offsets[other] >= 0)
                {
                    _starts[placed] = offsets[other];
                    _ends[placed++] = offsets[other] + _room[other];
                }
            }

            _looks += _meets[i].Length + 4;
            Array.Sort(_starts, _ends, 0, placed);
            long top = 0, best = -1, gap = long.MaxValue;
            for (int p = 0; p < placed; p++)
            {
                long free = _starts[p] - top;
                if (free >= _room[i] && free < gap && (tight || best < 0))
                {
                    (best, gap) = (top, free);
                }

                top = Math.Max(top, _ends[p]);
            }

            offsets[i] = best >= 0 ? best : top;
            total = Math.Max(total, offsets[i] + _sizes[i]);
        }

        return (offsets, total);
    }
}
