using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Where a pipeline is cut that nobody has cut by hand.</summary>
public sealed partial class Planner
{
    /// <summary>Times that a model is cut again because the memory of a rank came out larger than its pieces had promised.</summary>
    private const int MostCuts = 3;

    // Bounds of the search in a build: a tenth of a second, where the tool's own command may take longer.
    private const int MostLookedAt = 4_000;
    private const long MostActions = 500_000;

    private CutResult? _cut;
    private long _spare;

    /// <summary>The cut whose simulated step is shortest, by the times that the device's figures predict. Where it is left to the planner what backward computes again, nothing is if that fits, else everything:
    /// what lies between is chosen for the cut.</summary>
    private CutResult? Search(ModelGraph train, ActionTable table, ModelSegments segments, int microBatches)
    {
        Narrow(train);
        if (Place(train, microBatches) is not { } sharded || !ReadZero(sharded))
        {
            return null;
        }

        CutResult With(string recompute)
        {
            Recomputation change = Recomputation.Apply(sharded, Again(sharded, recompute), segments.AreTogether);
            segments.Follow(change);
            segments.Price(sharded, _on.Mesh.Device, Arithmetic, p => StateBytes(sharded, p));
            change.Undo();
            return Find(table, segments);
        }

        bool isAuto = _on.Recompute == "Auto";
        CutResult found = With(isAuto ? "None" : _on.Recompute);
        return _cut = isAuto && found.Best.Overflow > 0 ? With("Full") : found;
    }

    /// <summary>Bytes that a rank keeps of a parameter from step to step, its gradient and states included.</summary>
    private long StateBytes(ShardedGraph sharded, Value parameter)
    {
        ImmutableArray<Placement> layout = sharded.Layout(parameter);
        int axis = _zero is null ? -1 : Enumerable.Range(0, sharded.Axes.Length).First(a => sharded.Axes[a].Name == _zero.Axis);
        bool isCut = axis >= 0 && layout[axis].IsBroadcast;
        return (long)(parameter.Type.With(sharded.Local(parameter.Type, layout)).Count * ModelState.BytesPerElement(_on.Optimizer, _on.Precision, isCut ? _zero!.Stage : 0, isCut ? sharded.Axes[axis].Parts : 1));
    }

    private CutResult Find(ActionTable table, ModelSegments segments)
    {
        LinkDefinition link = _on.Mesh.Axes.First(a => a.Role == "Pipeline" && a.Size > 1).Link;
        double rate = link.BytesPerSecond / 1e12;
        var request = new CutRequest(segments.Costs, null, table.Shape, new LinkCost(Math.Round(link.LatencySeconds * 1e12), 1 / rate), MemoryLimit())
        {
            Table = table, MaxCuts = MostLookedAt, MaxActions = MostActions,
        };
        return CutSearch.Find(request, _cancellation);
    }

    /// <summary>Bytes that the pieces of a rank may take.</summary>
    private long? MemoryLimit() => Budget - ScratchBytesPerThread * Math.Max(1, _on.Mesh.Device.MaxThreads) - _spare is var left and > 0 ? left : null;

    /// <summary>What to take off the limit for another cut: 0 where the cut was not searched, fits, or was known not to.</summary>
    private long NextSpare(RankProgram program) => _cut is { Best.Overflow: 0 } && program.TrainingBytes > Budget ? _spare + program.TrainingBytes - Budget : 0;
}
