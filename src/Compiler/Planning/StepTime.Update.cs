using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>The end of a step on a rank: gradients reduced, from the last micro-batch's backward on; then, on all ranks at once, their norm, the optimizer, parameters gathered.</summary>
internal sealed partial class StepTime
{
    private const string NothingBeside = "waited for where it starts", LongerThanWork = "longer than the work beside it", BehindOthers = "behind others on its link", NeededNext = "a stage waits for its message";

    /// <summary>A sum of gradients.</summary>
    /// <param name="Stage">Program of its stage.</param>
    /// <param name="Group">Its group of parameters.</param>
    /// <param name="Ready">When it is complete, seconds since the step began.</param>
    /// <param name="Span">Where it is on its lane.</param>
    private readonly record struct Bucket(int Stage, int Group, double Ready, SimulatedSpan Span);

    /// <summary>The end of a step on the ranks with one pipeline coordinate, as far as it has come.</summary>
    private sealed class StepEnd
    {
        private readonly Dictionary<string, double> _lanes = new();

        public StepEnd(double clock) => (Backward, Clock) = (clock, clock);

        /// <summary>End of the last action.</summary>
        public double Backward { get; }

        public double Clock { get; private set; }

        /// <summary>Kernels, waits, and communication with what of it is exposed.</summary>
        public List<SimulatedSpan> Spans { get; } = new();

        public List<ExposedCollective> Waits { get; } = new();

        public void Compute(string name, double seconds)
        {
            if (seconds > 0)
            {
                Spans.Add(new SimulatedSpan(SimulatedKind.Kernel, "", name, Clock, Clock += seconds, 0));
            }
        }

        /// <summary>A collective that may start at a time, on its lane.</summary>
        public SimulatedSpan Send(string lane, string name, double ready, double seconds, long bytes)
        {
            double from = Math.Max(ready, _lanes.TryGetValue(lane, out double free) ? free : 0);
            return new SimulatedSpan(SimulatedKind.Communication, lane, name, from, _lanes[lane] = from + seconds, bytes);
        }

        public void Await(SimulatedSpan communication, string of, string why)
        {
            double exposed = Math.Max(0, communication.End - Clock);
            if (exposed > 0)
            {
                Spans.Add(new SimulatedSpan(SimulatedKind.Wait, "", communication.Name, Clock, Clock = communication.End, 0));
                Waits.Add(new ExposedCollective(communication.Name, communication.Lane, of, exposed, why));
            }

            if (communication.Seconds > 0)
            {
                Spans.Add(communication with { Exposed = exposed });
            }
        }

        /// <summary>Waits for other ranks.</summary>
        public void Join(double time, string name)
        {
            // Rounding alone is no wait.
            if (time - Clock > 1e-9 * time)
            {
                Spans.Add(new SimulatedSpan(SimulatedKind.Wait, "", name, Clock, time, 0));
            }

            Clock = Math.Max(Clock, time);
        }
    }

    /// <summary>Reduces the gradients of a rank's stages, each sum when it is complete; those that backward has started are under way beside what followed.</summary>
    /// <param name="rank">Pipeline coordinate.</param>
    /// <param name="order">The order of the pipeline.</param>
    /// <param name="pipeline">Its times.</param>
    /// <param name="least">Whether nothing is waited for before all have started.</param>
    private StepEnd Reduced(int rank, LoweredPipeline? order, Simulation? pipeline, bool least)
    {
        var end = new StepEnd(pipeline is null ? Rounds(_program.Ranks[rank].Chunks[0].Program).Sum(r => r.Times * r.Action.Of(least)) : pipeline.Ends[rank].LastOrDefault());
        var started = new Dictionary<(int, int), Queue<Bucket>>();
        foreach ((int stage, int number, double ready) in Completions(rank, order, pipeline, least).OrderBy(c => c.Ready))
        {
            ParameterGroup group = _program.Stages[stage].Groups[number];
            ReductionPlan reduction = group.Reductions[0];
            if (!started.TryGetValue((stage, number), out Queue<Bucket>? buckets))
            {
                started[(stage, number)] = buckets = new Queue<Bucket>();
            }

            buckets.Enqueue(new Bucket(stage, number, ready, end.Send(reduction.Axis, reduction.Kind.ToString(), ready, Seconds(_program.Stages[stage], group, reduction), reduction.Bytes)));
        }

        var later = new List<(SimulatedSpan Span, string Of, string Why)>();
        foreach (int program in _program.Ranks[rank].Chunks.Select(c => c.Program))
        {
            StageProgram stage = _program.Stages[program];
            for (int g = 0; g < stage.Groups.Count; g++)
            {
                ParameterGroup group = stage.Groups[g];
                string of = "gradients, " + group.Name;
                for (int i = 0; i < group.Buckets && group.Reductions.Count > 0; i++)
                {
                    double made = end.Clock;
                    for (int r = 0; r < group.Reductions.Count; r++)
                    {
                        ReductionPlan reduction = group.Reductions[r];
                        bool beside = r == 0 && started.TryGetValue((program, g), out Queue<Bucket>? buckets) && buckets.Count > 0;
                        Bucket bucket = beside ? started[(program, g)].Dequeue() : default;
                        SimulatedSpan span = beside ? bucket.Span : end.Send(reduction.Axis, reduction.Kind.ToString(), least ? made : end.Clock, Seconds(stage, group, reduction), reduction.Bytes);
                        string why = !beside ? NothingBeside : span.Start > bucket.Ready ? BehindOthers : LongerThanWork;
                        made = span.End;
                        if (least)
                        {
                            later.Add((span, of, why));
                        }
                        else
                        {
                            end.Await(span, of, why);
                        }
                    }
                }
            }
        }

        later.ForEach(l => end.Await(l.Span, l.Of, l.Why));
        foreach (TiedPlan tied in (_program.Pipeline?.Tied ?? default).Where(t => t.Ranks.Count > 1 && t.Ranks.Contains(rank)))
        {
            LinkDefinition link = LinkOf(_program.Pipeline!.Axis);
            double seconds = CollectiveTime.AllReduce(tied.Ranks.Count, tied.Bytes, link.LatencySeconds, link.BytesPerSecond);
            end.Await(end.Send(_program.Pipeline.Axis, nameof(CollectiveKind.AllReduce), end.Clock, seconds, tied.Bytes), tied.Path, NothingBeside);
        }

        return end;
    }

    private double Seconds(StageProgram stage, ParameterGroup group, ReductionPlan reduction) =>
        Collective(_mesh, reduction.Kind, new[] { reduction.Axis }, Bytes(stage, group, reduction.Source) / group.Buckets, 0);

    /// <summary>When backward has completed each sum that starts within it: in the last micro-batch of a stage.</summary>
    private IEnumerable<(int Stage, int Group, double Ready)> Completions(int rank, LoweredPipeline? order, Simulation? pipeline, bool least)
    {
        IEnumerable<(int, int, double)> Of(int program, ActionTime action, double start)
        {
            StageProgram stage = _program.Stages[program];
            return stage.Groups.Any(g => g.StartsInBackward) ? action.Sums(least).Select(s => (program, s.Group, start + s.At)) : Enumerable.Empty<(int, int, double)>();
        }

        if (pipeline is null)
        {
            int program = _program.Ranks[rank].Chunks[0].Program;
            List<Round> rounds = Rounds(program);
            ActionTime last = rounds[rounds.Count - 1].Action;
            return Of(program, last, rounds.Sum(r => r.Times * r.Action.Of(least)) - last.Of(least));
        }

        // The last action of each stage and kind.
        Dictionary<int, int> programs = _program.Ranks[rank].Chunks.ToDictionary(c => c.Stage, c => c.Program);
        var ends = new Dictionary<(int, ActionKind), int>();
        EquatableArray<StageAction> actions = order!.Table.Ranks[rank];
        for (int i = 0; i < actions.Count; i++)
        {
            ends[(actions[i].Stage, actions[i].Kind)] = i;
        }

        return ends.Where(l => l.Key.Item2 != ActionKind.Forward).OrderBy(l => l.Value).SelectMany(l => Of(programs[l.Key.Item1], Action(programs[l.Key.Item1], PhasesOf(l.Key.Item2)), pipeline.Starts[rank][l.Value]));
    }

    /// <summary>The optimizer of a rank's stages, one after another; parameters of which only shards are updated are gathered beside what follows, and each stage waits for its own.</summary>
    private void Update(int rank, StepEnd end)
    {
        List<StageProgram> stages = _program.Ranks[rank].Chunks.Select(c => _program.Stages[c.Program]).ToList();
        foreach ((StageProgram stage, ParameterGroup group) in stages.SelectMany(s => s.Groups.Select(g => (s, g))))
        {
            end.Compute($"norm of {group.Name}", OpTime.Seconds(Device, WorkKind.Elementwise, 2 * group.Buckets * group.Updated.Length, Bytes(stage, group, group.Gradients), _arithmetic));
        }

        foreach (StageProgram stage in stages)
        {
            var gathers = new List<(SimulatedSpan Span, string Of, string Why)>();
            foreach (ParameterGroup group in stage.Groups)
            {
                long kept = Bytes(stage, group, group.Updated) + group.States.Sum(s => Bytes(stage, group, s)), elements = group.Buckets * group.Updated.Length;
                double seconds = OpTime.Seconds(Device, WorkKind.Elementwise, 12 * elements, 2 * kept + Bytes(stage, group, group.Gradients), _arithmetic);
                int pieces = group.Shards is { Stage: < 3 } shards ? shards.Buckets : 0;
                for (int i = 0; i < Math.Max(1, pieces); i++)
                {
                    end.Compute($"{_program.Optimizer} of {group.Name}", seconds / Math.Max(1, pieces));
                    if (pieces > 0)
                    {
                        SimulatedSpan gather = end.Send(group.Shards!.Axis, nameof(CollectiveKind.AllGather), end.Clock, Collective(_mesh, CollectiveKind.AllGather, new[] { group.Shards.Axis }, 0, Bytes(stage, group, group.Parameters) / pieces), group.Shards.GatherBytes);
                        gathers.Add((gather, "parameters, " + group.Name, gather.Start > end.Clock ? BehindOthers : LongerThanWork));
                    }
                }
            }

            gathers.ForEach(g => end.Await(g.Span, g.Of, g.Why));
        }
    }

    /// <summary>Bytes of an operand in all buckets of a group.</summary>
    private static long Bytes(StageProgram stage, ParameterGroup group, OperandPlan operand) => group.Buckets * operand.Length * BufferPlan.Width(stage.Buffers[operand.Buffer].Element);
}
