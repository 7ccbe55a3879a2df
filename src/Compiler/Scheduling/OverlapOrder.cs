namespace Shardwright.Compiler.Scheduling;

/// <summary>Brings work that does not depend on a collective between its start and its wait: waits sink, starts rise, and where time is still waited for, the nearest independent work is moved in,
/// from before the start or from behind the wait. A move is kept where the program becomes shorter on the clock; none may raise the most bytes that are live at once. Collectives keep their order,
/// on every rank the same. The search is bounded and takes the same steps on every machine.</summary>
public sealed class OverlapOrder
{
    /// <summary>Steps on each side of a collective that are looked at.</summary>
    private const int Window = 48;

    /// <summary>Work that a search may do: looks at a step or at a touch of memory.</summary>
    private const long MostLooks = 2_000_000;

    /// <summary>Share of a collective's time that a move must win: less may be rounding, which machines differ in.</summary>
    private const double LeastGain = 1e-6;

    private readonly IReadOnlyList<OrderedStep> _steps;
    private readonly IReadOnlyList<OrderedBlock> _blocks;
    private readonly HashSet<int>[] _needs;
    private readonly int[][] _inPlace;
    private readonly int[][] _touched;
    private readonly int _touches;
    private readonly double[] _exposed;
    private readonly List<int> _order;

    // What each look at the clock and the memory uses again.
    private readonly Dictionary<string, double> _free = new();
    private readonly double[] _ends;
    private readonly double[] _exposedBefore;
    private readonly int[] _at;
    private readonly long[] _change;
    private readonly int[] _first;
    private readonly int[] _last;
    private long _limit;
    private long _looks;
    private double _seconds;

    private OverlapOrder(IReadOnlyList<OrderedStep> steps, IReadOnlyList<OrderedBlock> blocks)
    {
        _steps = steps;
        _blocks = blocks;
        _needs = steps.Select(s => new HashSet<int>(s.Needs)).ToArray();
        _inPlace = new int[steps.Count][];
        _touched = blocks.Select(b => b.Steps.ToArray()).ToArray();
        _touches = _touched.Sum(t => t.Length);
        _exposed = new double[steps.Count];
        _exposedBefore = new double[steps.Count];
        _ends = new double[steps.Count];
        _at = new int[steps.Count];
        _change = new long[steps.Count + 2];
        _first = new int[blocks.Count];
        _last = new int[blocks.Count];
        _order = Enumerable.Range(0, steps.Count).ToList();
        var inPlace = new List<int>[steps.Count];
        for (int b = 0; b < blocks.Count; b++)
        {
            foreach (int step in _touched[b].Where(i => steps[i].WorksInPlace))
            {
                (inPlace[step] ??= new List<int>()).Add(b);
            }
        }

        for (int i = 0; i < steps.Count; i++)
        {
            _inPlace[i] = inPlace[i]?.ToArray() ?? Array.Empty<int>();
        }
    }

    /// <summary>Finds an order.</summary>
    /// <param name="steps">The program as it is.</param>
    /// <param name="blocks">Memory whose lifetime follows from the order.</param>
    /// <param name="cancellation">Ends the search.</param>
    public static FoundOrder Find(IReadOnlyList<OrderedStep> steps, IReadOnlyList<OrderedBlock> blocks, CancellationToken cancellation) => new OverlapOrder(steps, blocks).Run(cancellation);

    private FoundOrder Run(CancellationToken cancellation)
    {
        int[] starts = Enumerable.Range(0, _steps.Count).Where(i => _steps[i].Role == StepRole.Start).ToArray();
        Dictionary<int, int> waits = Enumerable.Range(0, _steps.Count).Where(i => _steps[i].Role == StepRole.Wait).ToDictionary(i => _steps[i].Of);
        (_seconds, _limit) = Clock();
        SinkWaits();
        foreach (int start in starts)
        {
            Rise(start);
            while (_exposed[start] > Gain(start) && (MoveDown(start) || MoveUp(start, waits[start])))
            {
                cancellation.ThrowIfCancellationRequested();
                Sink(waits[start]);
            }
        }

        SinkWaits();
        (double end, long bytes) = Clock();
        return new FoundOrder(_order, end, bytes, _exposed);

        void SinkWaits()
        {
            for (int i = starts.Length - 1; i >= 0; i--)
            {
                Sink(waits[starts[i]]);
            }
        }
    }

    /// <summary>A wait as late as what needs it, and memory, allow.</summary>
    private void Sink(int wait)
    {
        int from = _order.IndexOf(wait), to = from;
        while (to + 1 < _order.Count && !_needs[_order[to + 1]].Contains(wait))
        {
            to++;
        }

        for (; to > from && !Keeps(from, to, mustGain: -1); to--)
        {
        }
    }

    /// <summary>A start right behind what it needs, where that gains time.</summary>
    private void Rise(int start)
    {
        int from = _order.IndexOf(start), to = from;
        while (to > 0 && !_needs[start].Contains(_order[to - 1]))
        {
            to--;
        }

        _ = to < from && Keeps(from, to, Gain(start));
    }

    /// <summary>Moves the nearest work from before a start behind it.</summary>
    private bool MoveDown(int start)
    {
        int at = _order.IndexOf(start);
        for (int i = at - 1; i >= Math.Max(0, at - Window); i--)
        {
            int step = _order[i];
            if (_steps[step].Role == StepRole.Compute && !_order.Skip(i + 1).Take(at - i).Any(later => _needs[later].Contains(step)) && Keeps(i, at, Gain(start)))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Moves the nearest work from behind a wait before it.</summary>
    private bool MoveUp(int start, int wait)
    {
        int at = _order.IndexOf(wait);
        for (int i = at + 1; i < Math.Min(_order.Count, at + 1 + Window); i++)
        {
            int step = _order[i];
            if (_steps[step].Role == StepRole.Compute && !_order.Skip(at).Take(i - at).Any(_needs[step].Contains) && Keeps(i, at, Gain(start)))
            {
                return true;
            }
        }

        return false;
    }

    private double Gain(int start) => LeastGain * _steps[start].Seconds;

    /// <summary>Moves a step to a position, unless that gains too little or takes more memory than there was use for before.</summary>
    private bool Keeps(int from, int to, double mustGain)
    {
        if (_looks > MostLooks)
        {
            return false;
        }

        Move(from, to);
        Array.Copy(_exposed, _exposedBefore, _exposed.Length);
        (double seconds, long bytes) = Clock();
        if (bytes <= _limit && _seconds - seconds > mustGain)
        {
            _seconds = seconds;
            return true;
        }

        Move(to, from);
        Array.Copy(_exposedBefore, _exposed, _exposed.Length);
        return false;
    }

    private void Move(int from, int to)
    {
        int step = _order[from];
        _order.RemoveAt(from);
        _order.Insert(to, step);
    }

    /// <summary>Time of the program, what is waited for, and the most bytes that are live at once.</summary>
    private (double Seconds, long Bytes) Clock()
    {
        double clock = 0;
        _free.Clear();
        foreach (int i in _order)
        {
            OrderedStep step = _steps[i];
            if (step.Role == StepRole.Start)
            {
                _free[step.Lane] = _ends[i] = Math.Max(clock, _free.TryGetValue(step.Lane, out double since) ? since : 0) + step.Seconds;
            }
            else if (step.Role == StepRole.Wait)
            {
                _exposed[step.Of] = Math.Max(0, _ends[step.Of] - clock);
                clock += _exposed[step.Of];
            }
            else
            {
                clock += step.Seconds;
            }
        }

        _looks += _order.Count + _touches;
        return (clock, Live());
    }

    private long Live()
    {
        int count = _order.Count;
        for (int i = 0; i < count; i++)
        {
            _at[_order[i]] = i;
        }

        Array.Clear(_change, 0, _change.Length);
        for (int b = 0; b < _first.Length; b++)
        {
            OrderedBlock block = _blocks[b];
            (int first, int last) = (block.IsLiveBefore ? -1 : count, block.IsLiveAfter ? count : -1);
            foreach (int step in _touched[b])
            {
                first = Math.Min(first, _at[step]);
                last = Math.Max(last, _at[step]);
            }

            (_first[b], _last[b]) = (first, last);
            _change[Math.Max(0, first)] += block.Bytes;
            _change[last + 1] -= block.Bytes;
        }

        long live = 0, most = 0;
        for (int i = 0; i < count; i++)
        {
            live += _change[i];
            most = Math.Max(most, live - Shared(_inPlace[_order[i]], i));
        }

        return most;
    }

    /// <summary>Bytes that a step in place does not need: of results that begin in it over inputs that end in it.</summary>
    private long Shared(int[] touched, int at)
    {
        long shared = 0;
        for (int b = 0; b < touched.Length; b++)
        {
            long bytes = _blocks[touched[b]].Bytes;
            int begin = 0, end = 0;
            bool counted = false;
            for (int other = 0; other < touched.Length; other++)
            {
                if (_blocks[touched[other]].Bytes == bytes)
                {
                    counted |= other < b;
                    begin += _first[touched[other]] == at && _last[touched[other]] != at ? 1 : 0;
                    end += _last[touched[other]] == at && _first[touched[other]] != at ? 1 : 0;
                }
            }

            shared += counted ? 0 : bytes * Math.Min(begin, end);
        }

        return shared;
    }
}
