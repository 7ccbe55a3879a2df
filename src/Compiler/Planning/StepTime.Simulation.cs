using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Planning;

/// <summary>The spans of a step. They follow the prediction: actions at the times of the simulated schedule, sums of gradients beside them, then the optimizer, which begins on all ranks at once.</summary>
internal sealed partial class StepTime
{
    private const string BetweenStages = "SendReceive";

    private StepClock? _planned;
    private Dictionary<(int Edge, bool Back, int MicroBatch), Passing>? _passing;

    private StepClock Planned => _planned ??= Clock(_program.Order, least: false);

    /// <summary>A message between ranks.</summary>
    /// <param name="Made">When its sender has made it.</param>
    /// <param name="Sent">When the channel takes it.</param>
    /// <param name="Arrived">When it is there.</param>
    private readonly record struct Passing(int From, int To, double Made, double Sent, double Arrived, long Bytes);

    /// <summary>The step of every pipeline coordinate in sums.</summary>
    public EquatableArray<SimulatedRank> Ranks(bool inFew)
    {
        long each = _mesh.Axes.Aggregate(1L, (product, axis) => product * axis.Size) / _program.Ranks.Count;
        return Enumerable.Range(0, _program.Ranks.Count).Select(rank =>
        {
            double compute = 0, waits = 0, hidden = 0;
            long count = 0;
            var sums = new Dictionary<(string, string), (double Seconds, double Exposed)>();
            foreach (SimulatedSpan span in Spans(rank, inFew))
            {
                count++;
                compute += span.Kind == SimulatedKind.Kernel ? span.Seconds : 0;
                waits += span.Kind == SimulatedKind.Wait ? span.Seconds : 0;
                if (span.Kind == SimulatedKind.Communication)
                {
                    (string, string) key = (span.Name, span.Lane.Split(',')[0]);
                    hidden += span.Seconds - span.Exposed; // a wait for one that is behind others on its lane counts their time too
                    (double seconds, double exposed) = sums.TryGetValue(key, out (double, double) sum) ? sum : default;
                    sums[key] = (seconds + span.Seconds, exposed + span.Exposed);
                }
            }

            double open = sums.Values.Sum(s => s.Exposed);
            return new SimulatedRank(
                rank, each, compute, open, Math.Max(0, hidden), Math.Max(0, waits - open),
                sums.Select(s => new SimulatedCommunication(s.Key.Item1, s.Key.Item2, s.Value.Seconds, s.Value.Exposed)).OrderByDescending(c => c.Exposed).ThenBy(c => c.Operation + c.Group, StringComparer.Ordinal).ToEquatable(), count);
        }).ToEquatable();
    }

    /// <summary>Spans of the ranks with one pipeline coordinate: in order of their starts on each lane.</summary>
    public IEnumerable<SimulatedSpan> Spans(int rank, bool inFew)
    {
        yield return new SimulatedSpan(SimulatedKind.Step, "", "step 0", 0, _program.Forecast.StepSeconds, 0);

        // Sums of gradients lie beside backward, on lanes that it may use too.
        StepEnd end = Planned.Ranks[rank].End;
        var sums = new Queue<SimulatedSpan>(end.Spans.Where(s => s.Kind == SimulatedKind.Communication).OrderBy(s => s.Start));
        foreach (SimulatedSpan span in MicroBatches(rank, inFew))
        {
            while (sums.Count > 0 && sums.Peek().Start < span.Start)
            {
                yield return sums.Dequeue();
            }

            yield return span;
        }

        foreach (SimulatedSpan span in sums.Concat(end.Spans.Where(s => s.Kind != SimulatedKind.Communication)).OrderBy(s => s.Start).ThenBy(s => s.End))
        {
            yield return span;
        }
    }

    private IEnumerable<SimulatedSpan> MicroBatches(int rank, bool inFew)
    {
        if (_program.Order is { } order)
        {
            return Actions(rank, order, Planned.Pipeline!, inFew);
        }

        return InTurn(Rounds(_program.Ranks[rank].Chunks[0].Program), inFew);
    }

    private static IEnumerable<SimulatedSpan> InTurn(List<Round> rounds, bool inFew)
    {
        double start = 0;
        foreach (Round round in rounds)
        {
            ActionTime action = inFew ? round.Action.InFew() : round.Action;
            for (int i = 0; i < round.Times; i++, start += action.Seconds)
            {
                foreach (SimulatedSpan span in At(action, start))
                {
                    yield return span;
                }
            }
        }
    }

    private IEnumerable<SimulatedSpan> Actions(int rank, LoweredPipeline order, Simulation simulated, bool inFew)
    {
        _passing ??= Messages(order, simulated);
        string axis = _program.Pipeline!.Axis;
        Dictionary<int, int> programs = _program.Ranks[rank].Chunks.ToDictionary(c => c.Stage, c => c.Program);
        EquatableArray<StageAction> actions = order.Table.Ranks[rank];
        double free = 0;
        for (int i = 0; i < actions.Count; i++)
        {
            StageAction action = actions[i];
            double start = simulated.Starts[rank][i];
            List<Passing> arriving = Into(order, action).ToList();
            foreach (Passing message in arriving)
            {
                // Of the last to arrive, what is under way while the rank waits; the wait before is for its sender's work.
                double exposed = message.Arrived == arriving.Max(m => m.Arrived) ? Math.Max(0, start - Math.Max(free, message.Made)) : 0;
                yield return new SimulatedSpan(SimulatedKind.Communication, $"{axis}, from {axis} {message.From}", BetweenStages, message.Sent, message.Arrived, 0) { Exposed = exposed };
            }

            if (start > free)
            {
                yield return new SimulatedSpan(SimulatedKind.Wait, "", BetweenStages, free, start, 0);
            }

            free = simulated.Ends[rank][i];
            yield return new SimulatedSpan(SimulatedKind.Action, "", action.ToString(), start, free, 0);
            foreach (SimulatedSpan span in At(IsSpanning ? Turn(rank, i, inFew) : Action(programs[action.Stage], PhasesOf(action.Kind), inFew), start))
            {
                yield return span with { Start = Math.Min(span.Start, free), End = Math.Min(span.End, free) }; // sums of one kind differ from the other by rounding
            }

            foreach (Passing message in OutOf(order, action).Select(k => _passing.TryGetValue(k, out Passing m) ? m : default).Where(m => m.From != m.To))
            {
                yield return new SimulatedSpan(SimulatedKind.Communication, $"{axis}, to {axis} {message.To}", BetweenStages, message.Sent, message.Arrived, message.Bytes);
            }
        }
    }

    /// <summary>Messages that an action waits for.</summary>
    private IEnumerable<Passing> Into(LoweredPipeline order, StageAction action)
    {
        for (int e = 0; e < order.Edges.Count && action.Kind != ActionKind.WeightGradient; e++)
        {
            bool back = action.Kind != ActionKind.Forward;
            if ((back ? order.Edges[e].From : order.Edges[e].To) == action.Stage && _passing!.TryGetValue((e, back, action.MicroBatch), out Passing message))
            {
                yield return message;
            }
        }
    }

    /// <summary>What an action makes for other stages, in the order in which it is sent.</summary>
    private static IEnumerable<(int Edge, bool Back, int MicroBatch)> OutOf(LoweredPipeline order, StageAction action)
    {
        bool back = action.Kind != ActionKind.Forward;
        for (int e = 0; e < order.Edges.Count && (!back || action.GivesInputGradient); e++)
        {
            if ((back ? order.Edges[e].To : order.Edges[e].From) == action.Stage && (!back || order.Edges[e].HasGradient))
            {
                yield return (e, back, action.MicroBatch);
            }
        }
    }

    /// <summary>Every message on its channel, as the simulator sends them: a channel carries one at a time, in the order in which they are made.</summary>
    private Dictionary<(int, bool, int), Passing> Messages(LoweredPipeline order, Simulation simulated)
    {
        LinkCost link = Link(_program.Pipeline!.Axis);
        var channels = new Dictionary<(int, int), double>();
        var messages = new Dictionary<(int, bool, int), Passing>();
        for (int rank = 0; rank < order.Table.Ranks.Count; rank++)
        {
            for (int i = 0; i < order.Table.Ranks[rank].Count; i++)
            {
                double made = simulated.Ends[rank][i];
                foreach ((int edge, bool back, int microBatch) in OutOf(order, order.Table.Ranks[rank][i]))
                {
                    int to = order.Table.RankOfStage[back ? order.Edges[edge].From : order.Edges[edge].To];
                    if (to != rank)
                    {
                        double sent = Math.Max(made, channels.TryGetValue((rank, to), out double taken) ? taken : 0), over = sent + link.Transfer(order.Edges[edge].Bytes);
                        channels[(rank, to)] = over;
                        messages[(edge, back, microBatch)] = new Passing(rank, to, made, sent, over + link.Latency, order.Edges[edge].Bytes);
                    }
                }
            }
        }

        return messages;
    }

    private static IEnumerable<SimulatedSpan> At(ActionTime action, double start)
    {
        foreach (Part part in action.Parts)
        {
            for (int i = 0; i < part.Times; i++, start += part.Seconds)
            {
                foreach (SimulatedSpan span in part.Spans)
                {
                    yield return span with { Start = start + span.Start, End = start + span.End };
                }
            }
        }
    }
}
