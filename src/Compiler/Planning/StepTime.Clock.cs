using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Scheduling;

namespace Shardwright.Compiler.Planning;

/// <summary>A whole step on its clocks: actions folded into how often they run, the pipeline as the simulator runs it, and the end of the step rank by rank.</summary>
internal sealed partial class StepTime
{
    /// <summary>A step.</summary>
    /// <param name="Pipeline">Times of the pipeline; null for a model of one stage.</param>
    /// <param name="Ranks">One for each pipeline coordinate.</param>
    /// <param name="Seconds">Its time.</param>
    private sealed record StepClock(Simulation? Pipeline, List<RankClock> Ranks, double Seconds);

    /// <summary>The step of the ranks with one pipeline coordinate.</summary>
    /// <param name="Compute">Kernels.</param>
    /// <param name="Communication">Collectives, as long as they are under way.</param>
    /// <param name="Waits">What they wait for, the longest first.</param>
    /// <param name="End">The end of the step.</param>
    private sealed record RankClock(double Compute, double Communication, List<ExposedCollective> Waits, StepEnd End)
    {
        /// <summary>Waits for communication under way.</summary>
        public double Exposed { get; } = Waits.Sum(w => w.Seconds);

        /// <summary>What follows the last action: kernels, and waits for collectives.</summary>
        public WorkTime Update { get; } = new(End.Spans.Where(s => s.Kind == SimulatedKind.Kernel).Sum(s => s.Seconds), End.Spans.Sum(s => s.Exposed));
    }

    /// <summary>Runs the step.</summary>
    /// <param name="order">The order of the pipeline; null for a model of one stage.</param>
    /// <param name="least">Whether collectives start and are waited for as early and as late as what they carry allows.</param>
    private StepClock Clock(LoweredPipeline? order, bool least)
    {
        Simulation? pipeline = order is null ? null : Pipeline(order, least);
        List<StepEnd> ends = Enumerable.Range(0, _program.Ranks.Count).Select(rank => Reduced(rank, order, pipeline, least)).ToList();

        // Losses and the norm of the gradients are those of all ranks: the optimizer begins on all at once, and the step ends with the slowest.
        Join(ends, "end of the pipeline");
        for (int rank = 0; rank < ends.Count; rank++)
        {
            SumScalars(ends[rank], RankProgram.LossSetsOf(_program.Stages, "Train"), "loss");
            Norms(rank, ends[rank]);
        }

        Join(ends, "norms of other stages");
        for (int rank = 0; rank < ends.Count; rank++)
        {
            SumScalars(ends[rank], _program.NormSets, "gradient norm");
            Update(rank, ends[rank]);
        }

        double seconds = Join(ends, "update of other stages");
        return new StepClock(pipeline, ends.Select((end, rank) => Rank(rank, end, pipeline, least)).ToList(), seconds);
    }

    /// <summary>All ranks wait for the slowest.</summary>
    private static double Join(List<StepEnd> ends, string name)
    {
        double joined = ends.Max(e => e.Clock);
        ends.ForEach(e => e.Join(joined, name));
        return joined;
    }

    private RankClock Rank(int rank, StepEnd end, Simulation? pipeline, bool least)
    {
        List<List<Round>> stages = IsSpanning ? new List<List<Round>> { Turns(rank) } : _program.Ranks[rank].Chunks.Select(c => Rounds(c.Program)).ToList();
        (ActionTime First, ActionTime Last) Ends(List<Round> rounds) => IsSpanning ? (Turn(rank, 0), Turn(rank, _program.Order!.Table.Ranks[rank].Count - 1)) : (rounds[0].Action, rounds[rounds.Count - 1].Action);
        IEnumerable<ExposedCollective> within = least
            ? stages.Select(s => new ExposedCollective("", "", "", s.Sum(r => r.Times * Math.Max(0, r.Action.LeastSeconds - r.Action.Compute)) + Outside(Ends(s).First, Ends(s).Last), ""))
            : stages.SelectMany(s => s).SelectMany(r => r.Action.Parts.SelectMany(p => p.Waits.Select(w => w with { Seconds = (double)r.Times * p.Times * w.Seconds })));
        IEnumerable<ExposedCollective> between = pipeline is null ? Enumerable.Empty<ExposedCollective>() : new[] { new ExposedCollective("Send", _program.Pipeline!.Axis, "between stages", pipeline.Exposed[rank], NeededNext) };
        List<ExposedCollective> waits = within.Concat(between).Concat(end.Waits).Where(w => w.Seconds > 0)
            .GroupBy(w => (w.Operation, w.Axis, w.For, w.Why)).Select(g => g.First() with { Seconds = g.Sum(w => w.Seconds) })
            .OrderByDescending(w => w.Seconds).ThenBy(w => w.Operation + w.Axis + w.For, StringComparer.Ordinal).ToList();
        return new RankClock(
            stages.SelectMany(s => s).Sum(r => r.Times * r.Action.Compute) + end.Spans.Where(s => s.Kind == SimulatedKind.Kernel).Sum(s => s.Seconds),
            stages.SelectMany(s => s).Sum(r => r.Times * r.Action.Communication) + end.Spans.Where(s => s.Kind == SimulatedKind.Communication).Sum(s => s.Seconds), waits, end);
    }

    /// <summary>What nothing hides of collectives that run beside other layers: those of the first layer, before it, and those of the last, behind it.</summary>
    private static double Outside(ActionTime first, ActionTime last)
    {
        double before = 0, fill = 0;
        foreach (Part part in first.Parts)
        {
            double compute = part.Times * part.Spans.Where(s => s.Kind == SimulatedKind.Kernel).Sum(s => s.Seconds);
            if (part.Least.Fill > 0 || part.Least.Ahead > 0)
            {
                fill = Math.Max(0, Math.Max(part.Least.Fill - before, part.Least.Ahead - before - compute));
                break;
            }

            before += compute;
        }

        double behind = 0;
        foreach (Part part in last.Parts.Reverse())
        {
            if (part.Least.Drain > 0)
            {
                return fill + Math.Max(0, part.Least.Drain - behind);
            }

            behind += part.Times * part.Spans.Where(s => s.Kind == SimulatedKind.Kernel).Sum(s => s.Seconds);
        }

        return fill;
    }

    private Simulation Pipeline(LoweredPipeline order, bool least)
    {
        Dictionary<int, int> programs = _program.Ranks.SelectMany(r => r.Chunks).ToDictionary(c => c.Stage, c => c.Program);
        List<StageCost> costs = Costs(order.Table, s => programs[s], least);
        LinkCost link = Link(_program.Pipeline!.Axis);
        double[][]? times = IsSpanning ? order.Table.Ranks.Select((actions, rank) => Enumerable.Range(0, actions.Count).Select(at => Turn(rank, at).Of(least)).ToArray()).ToArray() : null;
        return least ? Simulator.Run(order.Table, costs, link, order.Edges.ToList(), times) : PipelineClock.Run(order, costs, link, times);
    }

    /// <summary>Times of the stages' actions for one micro-batch.</summary>
    /// <param name="table">The order.</param>
    /// <param name="programOf">For each stage its program.</param>
    /// <param name="least">Whether collectives start and are waited for as early and as late as what they carry allows.</param>
    internal List<StageCost> Costs(ActionTable table, Func<int, int> programOf, bool least)
    {
        double Seconds(int stage, ActionKind kind) => Action(programOf(stage), PhasesOf(kind)).Of(least);
        return Enumerable.Range(0, table.Stages).Select(s => new StageCost(Seconds(s, ActionKind.Forward), Seconds(s, ActionKind.InputGradient), Seconds(s, ActionKind.WeightGradient))).ToList();
    }
}
