using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Pipelining;

/// <summary>One run of the simulator: every action is looked at once, whatever the number of ranks.</summary>
internal sealed class SimulatorRun
{
    private readonly ActionTable _table;
    private readonly IReadOnlyList<StageCost> _costs;
    private readonly LinkCost _link;
    private readonly IReadOnlyList<StageEdge> _edges;
    private readonly int _count;
    private readonly double[] _forward, _input, _arrived, _made;
    private readonly int[] _channel;
    private readonly double[] _channelFree;
    private readonly int[][] _into, _out;
    private readonly int[] _next;
    private readonly double[] _free, _busy, _exposed;
    private readonly double[][]? _starts, _ends;
    private readonly IReadOnlyList<double[]>? _each;
    private readonly Stack<int> _ready = new();

    public SimulatorRun(ActionTable table, IReadOnlyList<StageCost> costs, LinkCost link, IReadOnlyList<StageEdge> edges, bool times = true, IReadOnlyList<double[]>? each = null)
    {
        _each = each;
        (_table, _costs, _link, _edges, _count) = (table, costs, link, edges, table.Shape.MicroBatches);
        _forward = NotYet(table.Stages * _count);
        _input = NotYet(table.Stages * _count);
        _arrived = NotYet(2 * edges.Count * _count);
        _made = new double[_arrived.Length];
        _into = Enumerable.Range(0, table.Stages).Select(_ => Array.Empty<int>()).ToArray();
        _out = Enumerable.Range(0, table.Stages).Select(_ => Array.Empty<int>()).ToArray();
        _channel = new int[2 * edges.Count];
        var channels = new Dictionary<(int, int), int>();
        for (int e = 0; e < edges.Count; e++)
        {
            _into[edges[e].To] = [.. _into[edges[e].To], e];
            _out[edges[e].From] = [.. _out[edges[e].From], e];
            int from = table.RankOfStage[edges[e].From], to = table.RankOfStage[edges[e].To];
            _channel[2 * e] = from == to ? -1 : Number(channels, (from, to));
            _channel[2 * e + 1] = from == to ? -1 : Number(channels, (to, from));
        }

        _channelFree = new double[channels.Count];
        _next = new int[table.Ranks.Count];
        _free = new double[table.Ranks.Count];
        _busy = new double[table.Ranks.Count];
        _exposed = new double[table.Ranks.Count];
        if (times)
        {
            _starts = table.Ranks.Select(r => new double[r.Count]).ToArray();
            _ends = table.Ranks.Select(r => new double[r.Count]).ToArray();
        }
    }

    public Simulation Run()
    {
        double makespan = Makespan();
        return new Simulation(
            makespan, _busy.ToEquatable(), Enumerable.Range(0, _next.Length).Select(_table.PeakLive).ToEquatable(),
            _starts!.Select(s => s.ToEquatable()).ToEquatable(), _ends!.Select(e => e.ToEquatable()).ToEquatable())
        {
            Exposed = _exposed.ToEquatable(),
        };
    }

    /// <summary>The time of the step alone.</summary>
    public double Makespan()
    {
        for (int rank = _table.Ranks.Count - 1; rank >= 0; rank--)
        {
            _ready.Push(rank);
        }

        while (_ready.Count > 0)
        {
            int rank = _ready.Pop();
            ImmutableArray<StageAction> actions = _table.Ranks[rank].Items;
            while (_next[rank] < actions.Length && Earliest(actions[_next[rank]]) is double earliest and >= 0)
            {
                Do(rank, actions[_next[rank]], Math.Max(earliest, _free[rank]));
            }
        }

        for (int rank = 0; rank < _next.Length; rank++)
        {
            if (_next[rank] < _table.Ranks[rank].Count)
            {
                throw new InvalidOperationException($"rank {rank} of the {_table.Name} table waits for ever at {_table.Ranks[rank][_next[rank]]}");
            }
        }

        return _free.Length == 0 ? 0 : _free.Max();
    }

    /// <summary>When what an action needs is there; negative as long as that is not known.</summary>
    private double Earliest(StageAction action)
    {
        int own = action.Stage * _count + action.MicroBatch;
        if (action.Kind == ActionKind.WeightGradient)
        {
            return _input[own];
        }

        bool forward = action.Kind == ActionKind.Forward;
        double earliest = forward ? 0 : _forward[own];
        foreach (int e in forward ? _into[action.Stage] : _out[action.Stage])
        {
            if (forward || _edges[e].HasGradient)
            {
                double arrived = _arrived[(2 * e + (forward ? 0 : 1)) * _count + action.MicroBatch];
                earliest = arrived < 0 || earliest < 0 ? -1 : Math.Max(earliest, arrived);
            }
        }

        return earliest;
    }

    private void Do(int rank, StageAction action, double start)
    {
        double time = _each is null ? _costs[action.Stage].Of(action.Kind) : _each[rank][_next[rank]], end = start + time;
        _exposed[rank] += Exposed(rank, action, start);
        int at = _next[rank]++;
        _free[rank] = end;
        if (_starts is not null)
        {
            (_starts[rank][at], _ends![rank][at]) = (start, end);
        }

        _busy[rank] += time;
        int own = action.Stage * _count + action.MicroBatch;
        if (action.Kind == ActionKind.Forward)
        {
            _forward[own] = end;
            Hand(_out[action.Stage], 0, action.MicroBatch, end);
        }
        else if (action.GivesInputGradient)
        {
            _input[own] = end;
            Hand(_into[action.Stage], 1, action.MicroBatch, end);
        }
    }

    /// <summary>Time for which the rank waits for a message that is under way: the last to arrive, from when it was made. The wait before that is for its sender's work.</summary>
    private double Exposed(int rank, StageAction action, double start)
    {
        if (start <= _free[rank] || action.Kind == ActionKind.WeightGradient)
        {
            return 0;
        }

        bool forward = action.Kind == ActionKind.Forward;
        double last = 0, made = start;
        foreach (int e in forward ? _into[action.Stage] : _out[action.Stage])
        {
            int message = (2 * e + (forward ? 0 : 1)) * _count + action.MicroBatch;
            if (_channel[2 * e + (forward ? 0 : 1)] >= 0 && (forward || _edges[e].HasGradient) && _arrived[message] > last)
            {
                (last, made) = (_arrived[message], _made[message]);
            }
        }

        return Math.Max(0, start - Math.Max(_free[rank], made));
    }

    private void Hand(int[] edges, int direction, int microBatch, double end)
    {
        foreach (int e in edges)
        {
            int stage = direction == 0 ? _edges[e].To : _edges[e].From, channel = _channel[2 * e + direction];
            double arrival = end;
            if (channel >= 0 && (direction == 0 || _edges[e].HasGradient))
            {
                double transfer = _link.Transfer(_edges[e].Bytes);
                _channelFree[channel] = Math.Max(end, _channelFree[channel]) + transfer;
                arrival = _channelFree[channel] + _link.Latency;
            }

            _arrived[(2 * e + direction) * _count + microBatch] = arrival;
            _made[(2 * e + direction) * _count + microBatch] = end;
            int rank = _table.RankOfStage[stage];
            ImmutableArray<StageAction> actions = _table.Ranks[rank].Items;
            if (channel >= 0 && _next[rank] < actions.Length && actions[_next[rank]] is StageAction waiting && waiting.Stage == stage && waiting.MicroBatch == microBatch)
            {
                _ready.Push(rank);
            }
        }
    }

    private static double[] NotYet(int length)
    {
        var times = new double[length];
        for (int i = 0; i < length; i++)
        {
            times[i] = -1;
        }

        return times;
    }

    private static int Number(Dictionary<(int, int), int> channels, (int, int) key)
    {
        if (!channels.TryGetValue(key, out int number))
        {
            channels[key] = number = channels.Count;
        }

        return number;
    }
}
