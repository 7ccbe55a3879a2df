using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Planning;

/// <summary>SW2004: how much of the ranks' time is spent waiting for a pipeline, and what would make it less. What is proposed for a large bubble was planned; bubbles that nobody is told of without a threshold of
/// their own cost no plan.</summary>
public sealed partial class Planner
{
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
        (string says, EquatableArray<Fix> fixes) = !Fits(program) ? ("what makes it fit comes first (SW3001)", default) : bubble > _limits.Bubble && MayOffer ? Planned(program, shape, batch) : Halved(shape, batch);
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

    /// <summary>Another way to run the stages; simulated when asked.</summary>
    private sealed record Filling(string Change, string Key, ShardedOnDefinition On, Lazy<double> Bubble);

    /// <summary>For a large bubble of a plan that fits: what gets below the threshold, with a shorter step, and fits.</summary>
    private (string, EquatableArray<Fix>) Planned(RankProgram program, ScheduleShape shape, long batch)
    {
        int plans = 0;
        RankProgram? Look(Filling way) =>
            plans++ < MostBubblePlans && Try(_model, _layers, way.On, _cancellation) is { } other && other.Forecast.StepSeconds < program.Forecast.StepSeconds && Fits(other) ? other : null;

        // More micro-batches of the schedule that is there, the fewest that halve it; another schedule; both.
        double half = Math.Min(_limits.Bubble, program.Forecast.Bubble / 2);
        List<Filling> ways = Fillings(shape, batch).ToList();
        var found = new List<(Filling Way, RankProgram Program)>();
        foreach (IGrouping<string, Filling> schedule in ways.GroupBy(w => w.On.Schedule))
        {
            bool own = schedule.Key == _on.Schedule;
            if (own || found.All(f => f.Way.On.Schedule == _on.Schedule))
            {
                foreach (Filling way in schedule.Where(w => w.Bubble.Value <= (own ? half : _limits.Bubble)).Take(own ? MostPlansOfOne : 1))
                {
                    if (Look(way) is { } other && other.Forecast.Bubble <= _limits.Bubble)
                    {
                        found.Add((way, other));
                        break;
                    }
                }
            }
        }

        string Result(Filling way, RankProgram other) => $"{way.Change} makes that {Quantity.Share(other.Forecast.Bubble)}, and the step {Quantity.Time(other.Forecast.StepSeconds)} instead of {Quantity.Time(program.Forecast.StepSeconds)}";
        if (found.Count > 0)
        {
            return (string.Join("; or ", found.Select(f => Result(f.Way, f.Program))), found.Select(f => Offer($"Write {f.Way.Change} (bubble {Quantity.Share(f.Program.Forecast.Bubble)})", f.Way.Key, f.Way.On)).ToEquatable());
        }

        plans = Math.Min(plans, MostBubblePlans - MostPlansOfOne);
        (Filling Way, RankProgram? Program) least = ways.OrderBy(w => w.Bubble.Value).Select(w => (w, Look(w))).Take(MostPlansOfOne).FirstOrDefault(l => l.Item2 is not null && l.Item2.Forecast.Bubble < program.Forecast.Bubble);

        // What its bubble alone would let pass may not fit, or not be faster, and only a few are planned.
        string which = $"with micro-batches that divide the batch of {batch}", none = ways.Any(w => w.Bubble.Value <= _limits.Bubble) ? $"of the schedules {which}, none that was planned gets" : $"no schedule {which} gets";
        return ($"{none} below {Quantity.Share(_limits.Bubble)}{(least.Program is { } nearest ? ": " + Result(least.Way, nearest) : "")}; use a larger batch or fewer stages", default);
    }

    /// <summary>What could be written instead: for each schedule, the one that is there first, its counts of micro-batches from the present one up.</summary>
    private IEnumerable<Filling> Fillings(ScheduleShape shape, long batch)
    {
        if (Schedules.Find(_on.Schedule) is not { } now)
        {
            yield break;
        }

        foreach (Schedule schedule in Schedules.All.OrderByDescending(s => s == now))
        {
            ScheduleShape other = schedule == now ? shape : shape with { Chunks = schedule.RequiredChunks ?? Math.Max(2, shape.Chunks) };
            ShardedOnDefinition on = _on with { Schedule = schedule.EnumName };
            string change = schedule == now ? "" : "Schedule = PipelineSchedule." + schedule.EnumName;
            if (schedule != now && schedule.Refuse(other) is null)
            {
                yield return new Filling(change, "SW2004/schedule", on, new Lazy<double>(() => Simulated(schedule, other)));
            }

            foreach (ScheduleShape next in Counts(schedule, other, batch))
            {
                yield return new Filling($"{change}{(change.Length > 0 ? ", " : "")}MicroBatches = {next.MicroBatches}", change.Length > 0 ? "SW2004/schedule" : "SW2004/micro-batches", With(on, next.MicroBatches), new Lazy<double>(() => Simulated(schedule, next)));
            }
        }
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
