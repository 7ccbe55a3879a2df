using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Planning;

/// <summary>The spans of a step. They follow the prediction: actions at the times of the simulated schedule, then what ends a step, which begins on all ranks at once and ends with the slowest.</summary>
internal sealed partial class StepTime
{
    private const string BetweenStages = "SendReceive";

    private Simulation? _simulated;
    private Dictionary<(int Edge, bool Back, int MicroBatch), Passing>? _passing;

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
                    hidden += Math.Max(0, span.Seconds - span.Exposed);
                    (double seconds, double exposed) = sums.TryGetValue(key, out (double, double) sum) ? sum : default;
                    sums[key] = (seconds + span.Seconds, exposed + span.Exposed);
                }
            }

            double open = sums.Values.Sum(s => s.Exposed);
            return new SimulatedRank(
                rank, each, compute, open, hidden, Math.Max(0, waits - open),
                sums.Select(s => new SimulatedCommunication(s.Key.Item1, s.Key.Item2, s.Value.Seconds, s.Value.Exposed)).OrderByDescending(c => c.Exposed).ThenBy(c => c.Operation + c.Group, StringComparer.Ordinal).ToEquatable(), count);
        }).ToEquatable();
    }

    /// <summary>Spans of the ranks with one pipeline coordinate.</summary>
    public IEnumerable<SimulatedSpan> Spans(int rank, bool inFew)
    {
        double step = _program.Forecast.StepSeconds, host = Device.StepMicroseconds * 1e-6, clock = 0;
        yield return new SimulatedSpan(SimulatedKind.Step, "", "step 0", 0, step, 0);
        if (_program.Order is { } order)
        {
            _simulated ??= Simulator.Run(order.Table, Costs(order.Table), Link(order), order.Edges.ToList());
            foreach (SimulatedSpan span in Actions(rank, order, _simulated, inFew))
            {
                yield return span;
            }

            EquatableArray<double> ends = _simulated.Ends[rank];
            clock = ends.Count == 0 ? 0 : ends[ends.Count - 1];
            if (_simulated.Makespan > clock)
            {
                yield return new SimulatedSpan(SimulatedKind.Wait, "", "end of the pipeline", clock, clock = _simulated.Makespan, 0);
            }
        }
        else
        {
            ActionTime action = Action(_program.Ranks[rank].Chunks[0].Program, s_all, inFew);
            for (int i = 0; i < _program.MicroBatches; i++, clock += action.Seconds)
            {
                foreach (SimulatedSpan span in At(action, clock))
                {
                    yield return span;
                }
            }
        }

        foreach (UpdatePiece piece in UpdatePieces(rank).Where(p => p.Seconds > 0))
        {
            double from = clock;
            clock += piece.Seconds;
            yield return new SimulatedSpan(piece.Lane.Length > 0 ? SimulatedKind.Wait : SimulatedKind.Kernel, "", piece.Name, from, clock, 0);
            if (piece.Lane.Length > 0)
            {
                yield return new SimulatedSpan(SimulatedKind.Communication, piece.Lane, piece.Name, from, clock, piece.Bytes) { Exposed = piece.Seconds };
            }
        }

        // Rounding alone is no wait.
        if (step - host - clock > 1e-9 * step)
        {
            yield return new SimulatedSpan(SimulatedKind.Wait, "", "update of other stages", clock, step - host, 0);
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
            foreach (SimulatedSpan span in At(Action(programs[action.Stage], PhasesOf(action.Kind), inFew), start))
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
        LinkCost link = Link(order);
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
