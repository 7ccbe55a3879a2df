using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Scheduling;

/// <summary>One run of all ranks. Every instruction is looked at a bounded number of times: once when its rank comes to it, and once for each
/// event that it may wait for.</summary>
internal sealed class WorldRunner
{
    private readonly RankWorld _world;
    private readonly EngineModel _engine;
    private readonly CancellationToken _cancellation;
    private readonly Dictionary<(int From, int To), Channel> _channels = [];
    private readonly Channel[] _channelOf;
    private readonly GroupLane[] _groups;
    private readonly double[] _sent, _received;
    private readonly double[][] _ends;
    private readonly double[] _clock;
    private readonly int[] _next;
    private readonly bool[] _joined;
    private readonly Func<int, double> _transfer;
    private readonly Stack<int> _ready = new();
    private Standstill? _disagreement;

    public WorldRunner(RankWorld world, EngineModel engine, CancellationToken cancellation)
    {
        (_world, _engine, _cancellation) = (world, engine, cancellation);
        _channelOf = new Channel[world.Messages.Count];
        for (int m = 0; m < _channelOf.Length; m++)
        {
            (int From, int To) edge = (world.Messages[m].From, world.Messages[m].To);
            if (!_channels.TryGetValue(edge, out Channel? channel))
            {
                _channels[edge] = channel = new Channel();
            }

            _channelOf[m] = channel;
        }

        _groups = world.Groups.Select(g => new GroupLane(g)).ToArray();
        _sent = Enumerable.Repeat(-1.0, world.Messages.Count).ToArray();
        _received = Enumerable.Repeat(-1.0, world.Messages.Count).ToArray();
        _clock = new double[world.Programs.Count];
        _next = new int[world.Programs.Count];
        _joined = new bool[world.Programs.Count];
        _transfer = m => world.Link.Transfer(world.Messages[m].Bytes);
        _ends = world.Programs.Select(p => new double[p.Count]).ToArray();
    }

    public RankWorldRun Run()
    {
        for (int rank = _next.Length - 1; rank >= 0; rank--)
        {
            _ready.Push(rank);
        }

        while (_ready.Count > 0 && _disagreement is null)
        {
            _cancellation.ThrowIfCancellationRequested();
            int rank = _ready.Pop();
            ImmutableArray<LaneInstruction> program = _world.Programs[rank].Items;
            while (_next[rank] < program.Length && _disagreement is null && Step(rank, program[_next[rank]]) is double end and >= 0)
            {
                _clock[rank] = Math.Max(_clock[rank], end);
                _ends[rank][_next[rank]++] = _clock[rank];
            }
        }

        Standstill? standstill = _disagreement ?? new StandstillReport(_world, _next, Blockers, Waiting).Find() ?? Unmet();
        return new RankWorldRun(standstill, _clock.Length == 0 ? 0 : _clock.Max(), _ends.Select(e => e.ToEquatable()).ToEquatable());
    }

    /// <summary>Does an instruction; its end, or a negative number if it must wait.</summary>
    private double Step(int rank, LaneInstruction instruction)
    {
        double now = _clock[rank];
        switch (instruction.Kind)
        {
            case LaneKind.Compute:
                return now + instruction.Time;
            case LaneKind.StartSend:
                Channel channel = _channelOf[instruction.Number];
                if (_engine.ChannelCapacity is int capacity && channel.UnderWay >= capacity)
                {
                    return -1;
                }

                channel.Send(instruction.Number, now);
                if (!_engine.Rendezvous)
                {
                    _sent[instruction.Number] = now;
                }

                Meet(instruction.Number);
                return now;
            case LaneKind.StartReceive:
                _channelOf[instruction.Number].Receive(instruction.Number, now);
                Meet(instruction.Number);
                return now;
            case LaneKind.AwaitSend:
                return _sent[instruction.Number];
            case LaneKind.AwaitReceive:
                return _received[instruction.Number];
            default:
                return Collective(rank, instruction, now);
        }
    }

    private double Collective(int rank, LaneInstruction instruction, double now)
    {
        GroupLane group = _groups[instruction.Number];
        if (!group.Has(rank))
        {
            _disagreement = Disagree(rank, rank, $"{_world.Rank(rank)} has {instruction.Text ?? "a collective"} in {group.Group.Name}, and is no member of that group");
            return -1;
        }

        bool starts = instruction.Kind != LaneKind.AwaitCollective;
        bool awaits = instruction.Kind != LaneKind.StartCollective, holds = awaits || _engine.CollectivesBlock;
        if (starts && !_joined[rank])
        {
            int done = group.Ends.Count;
            if (group.Start(rank, instruction.Text ?? "", now, instruction.Time) is (int other, string text))
            {
                _disagreement = Disagree(rank, other, $"the members of {group.Group.Name} do not agree: {_world.Rank(rank)} has '{instruction.Text}' where {_world.Rank(other)} has '{text}'");
                return -1;
            }

            _joined[rank] = true;
            if (group.Ends.Count > done)
            {
                foreach (int member in group.Group.Members.Where(m => m != rank))
                {
                    _ready.Push(member);
                }
            }
        }

        int number = awaits && !starts ? group.Awaited(rank) : group.StartedBy(rank) - 1;
        if (number >= group.StartedBy(rank))
        {
            _disagreement = Disagree(rank, rank, $"{_world.Rank(rank)} waits for a collective of {group.Group.Name} that it has not started");
            return -1;
        }

        if (holds && number >= group.Ends.Count)
        {
            return -1;
        }

        _joined[rank] = false;
        if (awaits)
        {
            group.Take(rank);
        }

        return holds ? Math.Max(now, group.Ends[number]) : now;
    }

    private void Meet(int message)
    {
        Channel channel = _channelOf[message];
        while (channel.Meet(out int sent, out int received, _transfer, _engine.Rendezvous, out double left))
        {
            LaneMessage edge = _world.Messages[sent];
            if (sent != received)
            {
                _disagreement = Disagree(edge.From, edge.To,
                    $"{_world.Rank(edge.From)} sends {_world.Message(sent)} where {_world.Rank(edge.To)} expects {_world.Message(received)}: the channel between them is ordered, so both must name their messages in one order");
                return;
            }

            _sent[sent] = _engine.Rendezvous ? left : _sent[sent];
            _received[sent] = left + _world.Link.Latency;
            _ready.Push(edge.From);
            _ready.Push(edge.To);
        }
    }

    /// <summary>The ranks that a rank waits for.</summary>
    private IEnumerable<int> Blockers(int rank)
    {
        LaneInstruction instruction = _world.Programs[rank][_next[rank]];
        switch (instruction.Kind)
        {
            case LaneKind.AwaitReceive:
                return [_world.Messages[instruction.Number].From];
            case LaneKind.AwaitSend or LaneKind.StartSend:
                return [_world.Messages[instruction.Number].To];
            default:
                GroupLane group = _groups[instruction.Number];
                int number = instruction.Kind == LaneKind.AwaitCollective ? group.Awaited(rank) : group.StartedBy(rank) - 1;
                return group.Group.Members.Where(m => group.StartedBy(m) <= number);
        }
    }

    /// <summary>What a rank waits for.</summary>
    private string Waiting(int rank)
    {
        LaneInstruction instruction = _world.Programs[rank][_next[rank]];
        return instruction.Kind switch
        {
            LaneKind.AwaitReceive => $"to receive {_world.Message(instruction.Number)}",
            LaneKind.AwaitSend => $"until {_world.Message(instruction.Number)} is taken",
            LaneKind.StartSend => $"for room to send {_world.Message(instruction.Number)}",
            _ => $"in {_groups[instruction.Number].Group.Name}" + (instruction.Text is null ? "" : $" ({instruction.Text})"),
        };
    }

    private Standstill? Unmet()
    {
        foreach (Channel channel in _channels.Values)
        {
            if (channel.Left is int message and >= 0)
            {
                LaneMessage edge = _world.Messages[message];
                bool sends = channel.UnderWay > 0;
                return Disagree(edge.From, edge.To, sends
                    ? $"{_world.Rank(edge.From)} sends {_world.Message(message)}, and {_world.Rank(edge.To)} never receives it"
                    : $"{_world.Rank(edge.To)} posts the receive of {_world.Message(message)}, and {_world.Rank(edge.From)} never sends it");
            }
        }

        foreach (GroupLane group in _groups)
        {
            if (group.Open is (string text, int first))
            {
                return Disagree(first, first, $"{_world.Rank(first)} starts '{text}' in {group.Group.Name}, and not all members do");
            }
        }

        return null;
    }

    private Standstill Disagree(int rank, int other, string message) => new(
        message, new[] { rank, other }.Distinct().Select(r => new WaitingRank(r, _next[r], _world.Rank(r))).ToEquatable());
}
