using System.Globalization;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Planning;

/// <summary>What compiles, fits: the bytes of every rank against those of the device, with the ways out where they are too many; and the plan in one line.</summary>
public sealed partial class Planner
{
    private ImmutableArray<WayOut> _waysOut = ImmutableArray<WayOut>.Empty;
    private long _batch;

    private void CheckFit(RankProgram program)
    {
        RankPlan largest = PlanDocument.Largest(program);
        long needed = largest.ArenaBytes, usable = program.Forecast.UsableBytes;
        string who = $"'{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}'";
        if (needed > usable)
        {
            var placed = new Dictionary<(MeshDefinition, Expression, string), PlacedModel?>();
            (bool?, RankProgram?) Again(ShardedOnDefinition on)
            {
                // Where a pipeline is cut depends on what its stages keep.
                string kept = on.Mesh.Axes.Any(a => a.Role == "Pipeline" && a.Size > 1) ? on.Recompute + on.Zero : "";
                placed.TryGetValue((on.Mesh, on.MicroBatches, kept), out PlacedModel? model);
                (bool?, RankProgram?) other = Try(on, ref model);
                placed[(on.Mesh, on.MicroBatches, kept)] = model;
                return other;
            }

            MemoryFloor floor = MemoryFloor.Of(program, _on);
            _waysOut = WaysOut.Find(_on, program.MicroBatches, _batch, on => floor.For(on, on.MicroBatches is Expression.Integer { Value: > 0 } count ? (int)count.Value : program.MicroBatches) <= usable, Again);
            _findings.Add(Finding.At("SW3001", Site, $"{who} does not fit: {Rank(program, largest)} needs {Exact(needed)} of the {Exact(usable)} that device '{program.Forecast.Device}' leaves an arena ({Breakdown(program, largest)}{Cause(largest)}); {Proposal(program)}") with
            {
                Fixes = _waysOut.Take(2).Select((w, i) => Fit(w, i)).Where(f => f is not null).Select(f => f!).ToEquatable(),
            });
        }
        else
        {
            // From how little headroom on it is said is for the editor's threshold.
            _findings.Add(Finding.At("SW3002", Site, $"{who} fits with {Quantity.Bytes(usable - needed)} to spare: {Rank(program, largest)} needs {Exact(needed)}, {Quantity.Share((double)needed / usable)} of the {Exact(usable)} that device '{program.Forecast.Device}' leaves an arena ({Breakdown(program, largest)}{Cause(largest)}); what a driver or a library takes beside its reserve may be missing") with { Measure = 100.0 * (usable - needed) / usable });
        }

        string bubble = program.Pipeline is null ? "" : $", bubble {Quantity.Share(program.Forecast.Bubble)}";
        _findings.Add(Finding.At("SW9001", Site, $"{who}: {_on.Mesh.Ranks} rank{(_on.Mesh.Ranks == 1 ? "" : "s")}, at most {Quantity.Bytes(needed)} of {Quantity.Bytes(usable)}, step {Quantity.Time(program.Forecast.StepSeconds)}, MFU {Quantity.Share(program.Forecast.Mfu)}{bubble} predicted on {program.Forecast.Device}"));
    }

    /// <summary>A way out as edits of the attribute; null where it is another mesh, which is not the model's to edit.</summary>
    private Fix? Fit(WayOut way, int rank)
    {
        if (way.On.Mesh != _on.Mesh)
        {
            return null;
        }

        EquatableArray<FixEdit> edits = Edits(way.On);
        return edits.Count == 0 ? null : new Fix($"Make it fit: {way.Change} ({Quantity.Bytes(way.ArenaBytes)}, step {Quantity.Time(way.StepSeconds)})", rank == 0 ? "SW3001/fit" : "SW3001/fit-" + (rank + 1), edits);
    }

    /// <summary>The edits of the [ShardedOn] attribute that make another request of this one, on the same mesh.</summary>
    private EquatableArray<FixEdit> Edits(ShardedOnDefinition on)
    {
        var edits = new List<FixEdit>();
        void Set(string name, string before, string after, string written)
        {
            if (before != after)
            {
                edits.Add(new FixEdit(EditKind.SetArgument, Site, name, written));
            }
        }

        Set("Recompute", _on.Recompute, on.Recompute, "RecomputeMode." + on.Recompute);
        Set("Zero", _on.Zero, on.Zero, "ZeroStage." + on.Zero);
        Set("Schedule", _on.Schedule, on.Schedule, "PipelineSchedule." + on.Schedule);
        if (on.MicroBatches != _on.MicroBatches && on.MicroBatches is Expression.Integer count)
        {
            edits.Add(new FixEdit(EditKind.SetArgument, Site, "MicroBatches", count.Value.ToString(CultureInfo.InvariantCulture)));
        }

        return edits.ToEquatable();
    }

    private static string Rank(RankProgram program, RankPlan rank)
    {
        if (program.Pipeline is not { } pipeline)
        {
            return "a rank";
        }

        string stages = string.Join(", ", rank.Chunks.Select(c => c.Stage));
        return $"a rank at {pipeline.Axis} = {program.Ranks.Items.IndexOf(rank)} (stage{(rank.Chunks.Count == 1 ? "" : "s")} {stages})";
    }

    private static string Breakdown(RankProgram program, RankPlan rank) => string.Join(", ", PlanDocument.Memory(program, rank).Select(m => $"{m.Key} {Quantity.Bytes(m.Value)}"));

    /// <summary>What takes more than training does; empty where training takes most.</summary>
    private string Cause(RankPlan rank)
    {
        long training = rank.BytesFor("Train");
        return training == rank.ArenaBytes ? ""
            : $"; training alone needs {Quantity.Bytes(training)}, the rest is for {(rank.BytesFor("Infer") == rank.ArenaBytes ? "Forward, whose result of a micro-batch is whole on every rank" : "Evaluate")}";
    }

    private string Proposal(RankProgram program) => _waysOut.Length == 0
        ? "no other Recompute, MicroBatches, Zero or split of the mesh over the same ranks fits: it takes more ranks, smaller sizes or a larger device"
        : "what fits: " + string.Join("; or ", _waysOut.Take(2).Select(w => $"{w.Change}: {Quantity.Bytes(w.ArenaBytes)}, step {Quantity.Time(w.StepSeconds)}")) + $" (now {Quantity.Time(program.Forecast.StepSeconds)})";

    private static string Exact(long bytes) => $"{Quantity.Bytes(bytes)} ({bytes.ToString("N0", CultureInfo.InvariantCulture)} bytes)";
}
