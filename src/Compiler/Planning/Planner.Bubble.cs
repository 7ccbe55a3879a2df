using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Planning;

/// <summary>SW2004: how much of the ranks' time is spent waiting for a pipeline, and what would make it less. What is proposed for a large bubble was planned; bubbles that nobody is told of without a threshold of
/// their own cost no plan.</summary>
public sealed partial class Planner
{
    /// <summary>Share from where on a bubble is reported unless .editorconfig says otherwise.</summary>
    private const double LargeBubble = 0.2;

    private const int MostMicroBatches = 1024;

    /// <summary>Plans that are made in search of a smaller bubble, and how many of them for one schedule.</summary>
    private const int MostBubblePlans = 8, MostPlansOfOne = 3;

    private void Bubble(RankProgram program, long batch)
    {
        double bubble = program.Forecast.Bubble;
        if (program.Pipeline is not { } pipeline || bubble < LeastBubble)
        {
            return;
        }

        var shape = new ScheduleShape(pipeline.Ranks, pipeline.Stages / pipeline.Ranks, program.MicroBatches, _on.GroupSize != 0 ? _on.GroupSize : null, _on.HopAwareWarmUp);
        (string says, EquatableArray<Fix> fixes) = bubble > LargeBubble ? Planned(program, shape, batch) : Halved(shape, batch);
        _findings.Add(Finding.At("SW2004", Site, $"ranks of '{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}' wait for {Quantity.Share(bubble)} of a step: {program.MicroBatches} micro-batches fill {pipeline.Stages} stages ({pipeline.Schedule}); {says}") with
        {
            Measure = 100 * bubble, Fixes = fixes,
        });
    }

    /// <summary>For a moderate bubble: the micro-batches that would halve it if stages were equal.</summary>
    private (string, EquatableArray<Fix>) Halved(ScheduleShape shape, long batch)
    {
        if (Schedules.Find(_on.Schedule) is { } schedule && Simulated(schedule, shape) is var now && Counts(schedule, shape, batch).Where(s => Simulated(schedule, s) <= now / 2).Select(s => (int?)s.MicroBatches).FirstOrDefault() is { } count)
        {
            return ($"MicroBatches = {count} would halve that", EquatableArray.Of(Offer($"Set MicroBatches to {count}", "SW2004/micro-batches", With(_on, count))));
        }

        return ("no number of micro-batches that divides the batch would halve that: use a larger batch, fewer stages, or an interleaved or zero-bubble schedule", default);
    }

    /// <summary>For a large bubble: what gets below the threshold, with a shorter step, and fits where this does.</summary>
    private (string, EquatableArray<Fix>) Planned(RankProgram program, ScheduleShape shape, long batch)
    {
        int plans = 0;
        (string Change, RankProgram Program)? least = null;
        var found = new List<(string Change, ShardedOnDefinition On, RankProgram Program, string Key)>();
        RankProgram? Look(ShardedOnDefinition on, string change)
        {
            if (plans++ >= MostBubblePlans || Try(_model, _layers, on, _cancellation) is not { } other || other.Forecast.StepSeconds >= program.Forecast.StepSeconds
                || (other.ArenaBytes > other.Forecast.UsableBytes && program.ArenaBytes <= program.Forecast.UsableBytes))
            {
                return null;
            }

            least = least is { } known && known.Program.Forecast.Bubble <= other.Forecast.Bubble ? known : (change, other);
            return other;
        }

        // The fewest micro-batches that halve it and are below the threshold; else that are below it.
        void More(Schedule schedule, ScheduleShape from, ShardedOnDefinition on, string before)
        {
            double aim = Math.Min(LargeBubble, program.Forecast.Bubble / 2);
            foreach (ScheduleShape next in Counts(schedule, from, batch).Where(s => Simulated(schedule, s) <= aim).Take(MostPlansOfOne))
            {
                ShardedOnDefinition more = With(on, next.MicroBatches);
                string change = $"{before}MicroBatches = {next.MicroBatches}";
                if (Look(more, change) is { } other && other.Forecast.Bubble <= LargeBubble)
                {
                    found.Add((change, more, other, before.Length == 0 ? "SW2004/micro-batches" : "SW2004/schedule"));
                    return;
                }
            }
        }

        if (Schedules.Find(_on.Schedule) is { } now)
        {
            More(now, shape, _on, "");
            foreach (Schedule schedule in Schedules.All.Where(s => s.EnumName != now.EnumName))
            {
                ScheduleShape other = shape with { Chunks = schedule.RequiredChunks ?? Math.Max(2, shape.Chunks) };
                ShardedOnDefinition on = _on with { Schedule = schedule.EnumName };
                string change = "Schedule = PipelineSchedule." + schedule.EnumName;
                if (schedule.Refuse(other) is null && Simulated(schedule, other) <= LargeBubble && Look(on, change) is { } planned && planned.Forecast.Bubble <= LargeBubble)
                {
                    found.Add((change, on, planned, "SW2004/schedule"));
                }
                else if (found.Count == 0 && schedule.EnumName is "Interleaved" or "ZeroBubbleH1")
                {
                    More(schedule, other, on, change + ", ");
                }
            }
        }

        var best = found.GroupBy(f => f.Key).Select(g => g.OrderBy(f => f.Program.Forecast.StepSeconds).First()).OrderBy(f => f.Key, StringComparer.Ordinal).ToList();
        string Result(string change, RankProgram other) => $"{change} makes that {Quantity.Share(other.Forecast.Bubble)}, and the step {Quantity.Time(other.Forecast.StepSeconds)} instead of {Quantity.Time(program.Forecast.StepSeconds)}";
        return best.Count > 0
            ? (string.Join("; or ", best.Select(f => Result(f.Change, f.Program))), best.Select(f => Offer($"Write {f.Change} (bubble {Quantity.Share(f.Program.Forecast.Bubble)})", f.Key, f.On)).ToEquatable())
            : ($"no schedule with micro-batches that divide the batch of {batch} gets below {Quantity.Share(LargeBubble)}{(least is { } nearest ? ": " + Result(nearest.Change, nearest.Program) : "")}; use a larger batch or fewer stages", default);
    }

    private Fix Offer(string title, string key, ShardedOnDefinition on) => new(title, key, Edits(on));

    private static ShardedOnDefinition With(ShardedOnDefinition on, int microBatches) => on with { MicroBatches = new Expression.Integer(microBatches, -1) };

    /// <summary>Larger numbers of micro-batches that divide the batch, keep a row for each rank that splits it, and that a schedule can run.</summary>
    private IEnumerable<ScheduleShape> Counts(Schedule schedule, ScheduleShape shape, long batch)
    {
        long rows = (_train?.Axes ?? default).Where(a => a.IsData).Aggregate(1L, (product, a) => product * a.Parts);
        for (long count = 2L * shape.MicroBatches; count <= Math.Min(MostMicroBatches, batch); count += shape.MicroBatches)
        {
            _cancellation.ThrowIfCancellationRequested();
            ScheduleShape next = shape with { MicroBatches = (int)count };
            if (batch % (count * rows) == 0 && schedule.Refuse(next) is null)
            {
                yield return next;
            }
        }
    }

    /// <summary>The bubble if stages were equal.</summary>
    private static double Simulated(Schedule schedule, ScheduleShape shape) => Simulator.Run(ActionTable.Build(schedule, shape), new StageCost(1, 1, 1)).Bubble;
}
