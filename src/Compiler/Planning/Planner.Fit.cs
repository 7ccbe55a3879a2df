using System.Globalization;
using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Planning;

/// <summary>What compiles, fits: the bytes of every rank against those of the device, with the ways out where they are too many; and the plan in one line.</summary>
public sealed partial class Planner
{
    /// <summary>Share of the usable memory above which a plan that fits is tight.</summary>
    private const double Tight = 0.9;

    private ImmutableArray<WayOut> _waysOut = ImmutableArray<WayOut>.Empty;
    private long _batch;

    private void CheckFit(RankProgram program)
    {
        RankPlan largest = PlanDocument.Largest(program);
        long needed = largest.ArenaBytes, usable = program.Forecast.UsableBytes;
        string who = $"'{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}'";
        if (needed > usable)
        {
            _waysOut = WaysOut.Find(_on, program.MicroBatches, _batch, on => Plan(_model, _layers, on, _overrides, proposes: false, _cancellation).Program);
            _findings.Add(Finding.At("SW3001", Site, $"{who} does not fit: {Rank(program, largest)} needs {Exact(needed)} of the {Exact(usable)} that device '{program.Forecast.Device}' leaves an arena ({Breakdown(program, largest)}); {Proposal(program)}"));
        }
        else if (needed > Tight * usable)
        {
            _findings.Add(Finding.At("SW3002", Site, $"{who} fits with {Quantity.Bytes(usable - needed)} to spare: {Rank(program, largest)} needs {Exact(needed)}, {Quantity.Share((double)needed / usable)} of the {Exact(usable)} that device '{program.Forecast.Device}' leaves an arena ({Breakdown(program, largest)}); what a driver or a library takes beside its reserve may be missing"));
        }

        string bubble = program.Pipeline is null ? "" : $", bubble {Quantity.Share(program.Forecast.Bubble)}";
        _findings.Add(Finding.At("SW9001", Site, $"{who}: {_on.Mesh.Ranks} rank{(_on.Mesh.Ranks == 1 ? "" : "s")}, at most {Quantity.Bytes(needed)} of {Quantity.Bytes(usable)}, step {Quantity.Time(program.Forecast.StepSeconds)}, MFU {Quantity.Share(program.Forecast.Mfu)}{bubble} predicted on {program.Forecast.Device}"));
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

    private string Proposal(RankProgram program) => _waysOut.Length == 0
        ? "no other Recompute, MicroBatches, Zero or split of the mesh over the same ranks fits: it takes more ranks, smaller sizes or a larger device"
        : "what fits: " + string.Join("; or ", _waysOut.Take(2).Select(w => $"{w.Change}: {Quantity.Bytes(w.ArenaBytes)}, step {Quantity.Time(w.StepSeconds)}")) + $" (now {Quantity.Time(program.Forecast.StepSeconds)})";

    private static string Exact(long bytes) => $"{Quantity.Bytes(bytes)} ({bytes.ToString("N0", CultureInfo.InvariantCulture)} bytes)";
}
