using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Pipelining;

/// <summary>Lowers the actions of one rank.</summary>
internal sealed class RankLowering
{
    private static readonly List<int> s_none = [];
    private readonly ActionTable _table;
    private readonly MessageTable _messages;
    private readonly LoweringOptions _options;
    private readonly EquatableArray<StageAction> _actions;
    private readonly int _rank;
    private readonly List<int>?[] _posts;
    private readonly List<int>?[] _waits;
    private readonly List<int> _late = [];

    public RankLowering(ActionTable table, MessageTable messages, int rank, LoweringOptions options, List<int>[] sent)
    {
        (_table, _messages, _rank, _options, _actions) = (table, messages, rank, options, table.Ranks[rank]);
        _posts = new List<int>?[_actions.Count + 1];
        _waits = new List<int>?[_actions.Count + 1];
        PlacePosts(sent);
        PlaceWaits();
    }

    /// <summary>The lines, in order.</summary>
    public IEnumerable<LoweredAction> Lines()
    {
        Dictionary<int, int> last = LastWeights();
        var gathers = _options.GatherParameters ? Gathers() : [];
        var reductions = new Queue<LoweredAction>();
        for (int i = 0; i < _actions.Count; i++)
        {
            StageAction action = _actions[i];
            foreach (int message in _posts[i] ?? s_none)
            {
                yield return Line(LoweredKind.StartReceive, message, _messages.Messages[message].ToStage);
            }

            if (gathers.Contains(i))
            {
                yield return LoweredAction.Of(LoweredKind.StartGather, action.Stage);
            }

            foreach (int message in _waits[i] ?? s_none)
            {
                yield return Line(LoweredKind.AwaitSend, message, _messages.Messages[message].FromStage);
            }

            while (_options.ReduceEach && action.Releases && reductions.Count >= _options.GradientWindow)
            {
                yield return reductions.Dequeue() with { Kind = LoweredKind.AwaitReduce };
            }

            if (gathers.Contains(i))
            {
                yield return LoweredAction.Of(LoweredKind.AwaitGather, action.Stage);
            }

            foreach (int message in _messages.NeededBy(action))
            {
                yield return Line(LoweredKind.AwaitReceive, message, action.Stage);
            }

            yield return LoweredAction.Compute(action);
            foreach (int message in _messages.MadeBy(action))
            {
                yield return Line(LoweredKind.StartSend, message, action.Stage);
            }

            if (action.Releases && (_options.ReduceEach || last[action.Stage] == i))
            {
                LoweredAction reduce = LoweredAction.Of(LoweredKind.StartReduce, action.Stage, _options.ReduceEach ? action.MicroBatch : -1);
                reductions.Enqueue(reduce);
                yield return reduce;
            }
        }

        foreach (LoweredAction line in EndOfStep(reductions))
        {
            yield return line;
        }
    }

    private IEnumerable<LoweredAction> EndOfStep(IEnumerable<LoweredAction> reductions)
    {
        foreach (int message in _late)
        {
            yield return Line(LoweredKind.AwaitSend, message, _messages.Messages[message].FromStage);
        }

        foreach (LoweredAction reduce in reductions)
        {
            yield return reduce with { Kind = LoweredKind.AwaitReduce };
        }

        for (int group = 0; group < _options.TiedStages.Count; group++)
        {
            if (_options.TiedStages[group].Any(s => _table.RankOfStage[s] == _rank))
            {
                yield return LoweredAction.Of(LoweredKind.ReduceTied, group);
            }
        }

        if (_options.ShareLoss)
        {
            yield return LoweredAction.Of(LoweredKind.ShareLoss);
        }

        if (_options.ReduceNorm)
        {
            yield return LoweredAction.Of(LoweredKind.ReduceNorm);
        }

        yield return LoweredAction.Of(LoweredKind.Update);
    }

    private LoweredAction Line(LoweredKind kind, int message, int stage) => new(kind, default, stage, _messages.Messages[message].MicroBatch, message);

    /// <summary>A receive is posted so many actions ahead of the first one that needs it or any message behind it on the same channel.</summary>
    private void PlacePosts(List<int>[] sent)
    {
        var needed = new Dictionary<int, int>();
        var senders = new SortedSet<int>();
        for (int i = 0; i < _actions.Count; i++)
        {
            foreach (int message in _messages.NeededBy(_actions[i]))
            {
                needed[message] = i;
                senders.Add(_messages.Messages[message].FromRank);
            }
        }

        foreach (int sender in senders)
        {
            int[] channel = sent[sender].Where(m => _messages.Messages[m].ToRank == _rank).ToArray();
            var limit = new int[channel.Length];
            for (int k = channel.Length - 1; k >= 0; k--)
            {
                limit[k] = Math.Min(needed[channel[k]], k + 1 < channel.Length ? limit[k + 1] : int.MaxValue);
            }

            for (int k = 0; k < channel.Length; k++)
            {
                (_posts[Math.Max(0, limit[k] - _options.ReceiveDepth)] ??= new List<int>()).Add(channel[k]);
            }
        }
    }

    /// <summary>A send is waited for ahead of the action that needs its buffer again.</summary>
    private void PlaceWaits()
    {
        var onTheirWay = new Dictionary<(int Edge, MessageKind Kind), Queue<int>>();
        for (int i = 0; i < _actions.Count; i++)
        {
            foreach (int message in _messages.MadeBy(_actions[i]))
            {
                (int, MessageKind) key = (_messages.Messages[message].Edge, _messages.Messages[message].Kind);
                if (!onTheirWay.TryGetValue(key, out Queue<int>? queue))
                {
                    onTheirWay[key] = queue = new Queue<int>();
                }

                if (queue.Count == _options.SendDepth)
                {
                    (_waits[i] ??= new List<int>()).Add(queue.Dequeue());
                }

                queue.Enqueue(message);
            }
        }

        var late = new HashSet<int>(onTheirWay.Values.SelectMany(q => q));
        _late.AddRange(_actions.SelectMany(_messages.MadeBy).Where(late.Contains));
    }

    private Dictionary<int, int> LastWeights()
    {
        var last = new Dictionary<int, int>();
        for (int i = 0; i < _actions.Count; i++)
        {
            if (_actions[i].Releases)
            {
                last[_actions[i].Stage] = i;
            }
        }

        return last;
    }

    /// <summary>Where a run of actions of one stage and direction begins.</summary>
    private HashSet<int> Gathers() => new(Enumerable.Range(0, _actions.Count).Where(i =>
        i == 0 || _actions[i].Stage != _actions[i - 1].Stage || (_actions[i].Kind == ActionKind.Forward) != (_actions[i - 1].Kind == ActionKind.Forward)));
}
