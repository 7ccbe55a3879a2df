using System.Globalization;
using System.Text.RegularExpressions;

namespace Shardwright.Plans;

/// <summary>An action of a step, placed in time.</summary>
/// <param name="Kind">F, I, W or B.</param>
/// <param name="Stage">Its stage.</param>
/// <param name="MicroBatch">Its micro-batch.</param>
/// <param name="Start">Seconds from the start of the step.</param>
/// <param name="Time">What it takes.</param>
internal readonly record struct StepAction(char Kind, int Stage, int MicroBatch, double Start = 0, PlanTime Time = default)
{
    public double End => Start + Time.Total;

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Stage}{Kind}{MicroBatch}");
}

/// <summary>A message between two coordinates of the pipeline axis.</summary>
internal readonly record struct StepMessage(int From, int To, double Start, double Arrival);

/// <summary>A predicted step, run again from its order and the times of its stages: each coordinate in its order, each action when what it needs has arrived.</summary>
internal sealed partial class StepRun
{
    /// <summary>Most actions that are placed, whatever a document says.</summary>
    private const int MostActions = 8192;

    private readonly Plan _plan;
    private readonly StepAction[][] _order;
    private readonly int[] _rankOf;
    private readonly Dictionary<(char Kind, int Stage, int MicroBatch), double> _ready = [];
    private readonly Dictionary<(int From, int To), double> _channels = [];

    private StepRun(Plan plan, StepAction[][] order)
    {
        (_plan, _order) = (plan, order);
        _rankOf = new int[plan.Timing.Stages.Count];
        foreach (PlanRank rank in plan.Ranks)
        {
            foreach (int stage in rank.Stages.Where(s => s >= 0 && s < _rankOf.Length))
            {
                _rankOf[stage] = rank.Coordinate;
            }
        }
    }

    /// <summary>Actions of each coordinate, in order.</summary>
    public IReadOnlyList<IReadOnlyList<StepAction>> Ranks => _order;

    /// <summary>Messages between them.</summary>
    public List<StepMessage> Messages { get; } = [];

    /// <summary>End of the last action.</summary>
    public double Makespan => _order.Max(r => r.Length == 0 ? 0 : r[^1].End);

    /// <summary>Share of all coordinates' time in which nothing runs.</summary>
    public double Bubble => Makespan > 0 ? 1 - _order.Sum(r => r.Sum(a => a.Time.Total)) / (Makespan * _order.Length) : 0;

    /// <summary>The step of a plan; null where the plan does not say its order, or has too many actions to look at.</summary>
    public static StepRun? Of(Plan plan)
    {
        if (plan.Timing.Stages.Count == 0 || (plan.Stages > 1 && plan.Timing.Order.Count == 0) || 2L * plan.MicroBatches * plan.Stages > MostActions)
        {
            return null;
        }

        StepAction[][] order = plan.Stages > 1 ? [.. plan.Timing.Order.Select(Parse)]
            : [[.. Enumerable.Range(0, plan.MicroBatches).SelectMany(m => new[] { new StepAction('F', 0, m), new StepAction('B', 0, m) })]];
        return order.All(r => r.All(a => a.Stage < plan.Timing.Stages.Count)) ? new StepRun(plan, order).Run() : null;
    }

    private StepRun? Run()
    {
        int[] next = new int[_order.Length];
        double[] free = new double[_order.Length];
        for (bool moved = true; moved;)
        {
            moved = false;
            for (int rank = 0; rank < next.Length; rank++)
            {
                for (; next[rank] < _order[rank].Length && Arrived(_order[rank][next[rank]]) is double arrived; next[rank]++, moved = true)
                {
                    StepAction done = _order[rank][next[rank]];
                    done = done with { Start = Math.Max(arrived, free[rank]), Time = Time(done) };
                    _order[rank][next[rank]] = done;
                    free[rank] = done.End;
                    Hand(rank, done);
                }
            }
        }

        return next.Zip(_order).All(r => r.First == r.Second.Length) ? this : null;
    }

    private PlanTime Time(StepAction action)
    {
        PlanStageTime stage = _plan.Timing.Stages[action.Stage];
        return action.Kind switch { 'F' => stage.Forward, 'I' => stage.Input, 'W' => stage.Weight, _ => stage.Input + stage.Weight };
    }

    /// <summary>When what it needs is there; null as long as that is not known.</summary>
    private double? Arrived(StepAction action)
    {
        if (action.Kind == 'W')
        {
            return Ready('I', action.Stage, action.MicroBatch);
        }

        if (action.Kind == 'F')
        {
            return action.Stage == 0 ? 0 : Ready('f', action.Stage, action.MicroBatch);
        }

        bool waits = action.Stage + 1 < _plan.Timing.Stages.Count && _plan.Timing.Stages[action.Stage + 1].Returns > 0;
        double? own = Ready('F', action.Stage, action.MicroBatch), after = waits ? Ready('g', action.Stage, action.MicroBatch) : 0;
        return own is null || after is null ? null : Math.Max(own.Value, after.Value);
    }

    private double? Ready(char kind, int stage, int microBatch) => _ready.TryGetValue((kind, stage, microBatch), out double at) ? at : null;

    /// <summary>What it made is there for its own stage at once, and for the stage beside it when the message has come.</summary>
    private void Hand(int rank, StepAction done)
    {
        PlanStageTime stage = _plan.Timing.Stages[done.Stage];
        if (done.Kind == 'F')
        {
            _ready[('F', done.Stage, done.MicroBatch)] = done.End;
            Send(rank, 'f', done.Stage + 1, done, stage.Sends);
        }
        else if (done.Kind is 'I' or 'B')
        {
            _ready[('I', done.Stage, done.MicroBatch)] = done.End;
            Send(rank, 'g', done.Stage - 1, done, stage.Returns);
        }
    }

    private void Send(int rank, char kind, int stage, StepAction done, long bytes)
    {
        if (stage < 0 || stage >= _rankOf.Length)
        {
            return;
        }

        double arrival = done.End;
        if (_rankOf[stage] != rank && bytes > 0 && _plan.Timing.Links.FirstOrDefault(l => l.Axis == _plan.PipelineAxis) is { BytesPerSecond: > 0 } link)
        {
            double start = Math.Max(done.End, _channels.GetValueOrDefault((rank, _rankOf[stage])));
            _channels[(rank, _rankOf[stage])] = start + bytes / link.BytesPerSecond;
            arrival = _channels[(rank, _rankOf[stage])] + link.LatencySeconds;
            Messages.Add(new StepMessage(rank, _rankOf[stage], start, arrival));
        }

        _ready[(kind, stage, done.MicroBatch)] = arrival;
    }

    /// <summary>Reads an order: see <see cref="PlanTiming"/>.</summary>
    private static StepAction[] Parse(string text)
    {
        var actions = new List<StepAction>();
        foreach (Match part in OrderPart().Matches(text))
        {
            int times = part.Groups["times"] is { Success: true } found ? Number(found.Value) : 1;
            StepAction[] once = [.. part.Groups["action"].Captures.Select(a => Action(a.Value))];
            for (int i = 0; i < times && actions.Count <= MostActions; i++)
            {
                actions.AddRange(once.Select(a => a with { MicroBatch = a.MicroBatch + i }));
            }
        }

        return [.. actions];
    }

    private static StepAction Action(string text)
    {
        int letter = text.IndexOfAny(['F', 'B', 'I', 'W']);
        return new StepAction(text[letter], Number(text[..letter]), Number(text[(letter + 1)..]));
    }

    private static int Number(string digits) => int.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"\((?<action>\d{1,8}[FBIW]\d{1,8})(?: (?<action>\d{1,8}[FBIW]\d{1,8}))*\)x(?<times>\d{1,8})|(?<action>\d{1,8}[FBIW]\d{1,8})(?:x(?<times>\d{1,8}))?")]
    private static partial Regex OrderPart();
}
