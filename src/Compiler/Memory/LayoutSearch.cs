namespace Shardwright.Compiler.Memory;

/// <summary>The search of one layout. Its work is bounded: for many blocks fewer orders are tried.</summary>
internal sealed class LayoutSearch
{
    /// <summary>Of so many blocks it is found once who meets whom; of more, again and again: a table would take more memory than that is worth.</summary>
    private const int MostInTable = 2048;

    private const int BitsPerWord = 64;
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
    private long[] _room;
    private long _looks;
    private long[]? _best;
    private long _bestBytes;
    private int[] _bestOrder = Array.Empty<int>();
    private long[] _bestRoom = Array.Empty<long>();
    private bool _bestTight;

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
        _room = _sizes;
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
        var sorted = new int[orders.Length][];
        foreach (double alike in new[] { 1, 0.92, 0.8 })
        {
            _room = Rooms(alike);
            for (int o = 0; o < orders.Length; o++)
            {
                foreach (bool tight in new[] { false, true })
                {
                    if (_best is null || (_bestBytes > _bound && _looks < _mostLooks))
                    {
                        Try(sorted[o] ??= orders[o].ToArray(), tight);
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

    private int Length(int i) => _last[i] - _first[i] + 1;

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
        var offsets = new long[order.Length];
        long total = 0;
        for (int count = 0; count < order.Length; count++)
        {
            int i = order[count];
            _looks += _met[i] + 4;

            // Those that are placed, lowest first.
            long room = _room[i], top = 0, best = -1, gap = long.MaxValue;
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
                    if (!tight)
                    {
                        break;
                    }
                }

                top = Math.Max(top, offsets[other] + _room[other]);
            }

            long offset = best >= 0 ? best : top;
            int at = count;
            for (; at > 0 && offsets[_sorted[at - 1]] > offset; at--)
            {
                _sorted[at] = _sorted[at - 1];
            }

            _sorted[at] = i;
            offsets[i] = offset;
            total = Math.Max(total, offset + _sizes[i]);
        }

        return (offsets, total);
    }
}
