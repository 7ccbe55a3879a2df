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

    /// <summary>The cut whose simulated step is shortest, by the times that the device's figures predict.</summary>
    private CutResult? Search(ModelGraph train, ActionTable table, ModelSegments segments, int microBatches)
    {
        if (Place(train, microBatches) is not { } sharded)
        {
            return null;
        }

        int copies = 2 + _on.Optimizer switch { "AdamW" => 2, "Momentum" => 1, _ => 0 };
        segments.Price(sharded, _on.Mesh.Device, IsHalf, copies);
        LinkDefinition link = _on.Mesh.Axes.First(a => a.Role == "Pipeline" && a.Size > 1).Link;
        double rate = link.BytesPerSecond / 1e12;
        var request = new CutRequest(segments.Costs, null, table.Shape, new LinkCost(Math.Round(link.LatencySeconds * 1e12), 1 / rate), MemoryLimit())
        {
            Table = table, MaxCuts = MostLookedAt, MaxActions = MostActions,
        };
        return _cut = CutSearch.Find(request, _cancellation);
    }

    /// <summary>Bytes that the pieces of a rank may take.</summary>
    private long? MemoryLimit() => Budget - ScratchBytesPerThread * Math.Max(1, _on.Mesh.Device.MaxThreads) - _spare is var left and > 0 ? left : null;

    /// <summary>What to take off the limit for another cut: 0 where the cut was not searched, fits, or was known not to.</summary>
    private long NextSpare(RankProgram program) => _cut is { Best.Overflow: 0 } && program.ArenaBytes > Budget ? _spare + program.ArenaBytes - Budget : 0;
}
