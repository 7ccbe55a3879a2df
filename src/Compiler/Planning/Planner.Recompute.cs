using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>What the backward pass computes again instead of keeping it.</summary>
public sealed partial class Planner
{
    private static readonly string[] s_recomputeModes = { "None", "Selective", "Full", "Auto" };

    /// <summary>Bytes that training may take beside the reserve.</summary>
    private long Budget => _on.Mesh.Device.UsableBytes - _on.Mesh.Device.ReserveBytes;

    /// <summary>Rewrites the backward pass of a training graph as [Recompute] and the model's mode say.</summary>
    private Recomputation Recompute(ShardedGraph sharded, StageMap map, PipelineRequest.Answer request, int microBatches)
    {
        ModelGraph graph = sharded.Graph;
        var kept = Recomputation.Kept(graph).ToList();
        foreach ((string path, string site) in graph.Recompute)
        {
            if (!kept.Any(v => IsUnder(v, path)))
            {
                string name = path.Length == 0 ? _model.Layer.ShortName : path.Replace("{0}", "*");
                _findings.Add(Finding.At("SW3004", site, $"[Recompute] of '{name}' has nothing to compute again: backward keeps no value that this layer makes; take it off, or put it on a layer that holds products or norms") with
                {
                    Fixes = site.EndsWith("#-1", StringComparison.Ordinal) ? default : EquatableArray.Of(Fix.Of("Take [Recompute] off", "SW3004/remove", EditKind.RemoveFieldAttribute, site, "Recompute")),
                });
            }
        }

        if (_on.Recompute == "Auto")
        {
            ImmutableArray<RecomputeChoice.Candidate> all = Order(sharded);
            return Apply(sharded, map, Without(graph, all, Least(sharded, map, all.Length, n => Without(graph, all, n), request, microBatches)));
        }

        if (_on.Recompute == "Full" && !kept.Any(v => IsOfLayer(graph, v)))
        {
            _findings.Add(Finding.At("SW3004", Site, $"Recompute = Full of '{_model.Layer.ShortName}' has nothing to compute again: backward keeps no value that one of its layers makes; take it off") with
            {
                Fixes = EquatableArray.Of(Fix.Of("Take Recompute off", "SW3004/remove", EditKind.RemoveArgument, Site, "Recompute")),
            });
        }

        return Apply(sharded, map, Again(sharded, _on.Recompute));
    }

    /// <summary>What a mode makes again.</summary>
    private Func<Value, bool> Again(ShardedGraph sharded, string mode)
    {
        ModelGraph graph = sharded.Graph;
        switch (mode)
        {
            case "Full":
                return v => IsMarked(graph, v) || IsOfLayer(graph, v);
            case "Selective":
                ImmutableArray<RecomputeChoice.Candidate> cheap = Order(sharded);
                return Without(graph, cheap, RecomputeChoice.Selective(cheap));
            default:
                return v => IsMarked(graph, v);
        }
    }

    private ImmutableArray<RecomputeChoice.Candidate> Order(ShardedGraph sharded) =>
        RecomputeChoice.Order(sharded, _on.Mesh.Device, Arithmetic, v => IsOfLayer(sharded.Graph, v) && !IsMarked(sharded.Graph, v), v => IsMarked(sharded.Graph, v));

    /// <summary>All of the layers but candidates after the first few.</summary>
    private static Func<Value, bool> Without(ModelGraph graph, ImmutableArray<RecomputeChoice.Candidate> order, int count)
    {
        var left = new HashSet<Value>(order.Skip(count).Select(c => c.Value));
        return v => IsMarked(graph, v) || (IsOfLayer(graph, v) && !left.Contains(v));
    }

    private static bool IsMarked(ModelGraph graph, Value value) => graph.Recompute.Any(r => IsUnder(value, r.Path));

    /// <summary>Layers of stacks; where a model has none, its own layers. What stands between the last layer and the loss is needed again at once.</summary>
    private static bool IsOfLayer(ModelGraph graph, Value value) => value.Stack >= 0 || (graph.Stacks.Count == 0 && value.Producer!.Origin.Length > 0);

    private static Recomputation Apply(ShardedGraph sharded, StageMap map, Func<Value, bool> again)
    {
        Recomputation change = Recomputation.Apply(sharded, again, (made, reader) => made.Outputs[0].Stack >= 0 || map.StageOf(made) == map.StageOf(reader));
        foreach ((Node from, Node to) in change.Replaced.Where(r => r.From.Outputs[0].Stack < 0))
        {
            map.Put(to, map.StageOf(from));
        }

        return change;
    }

    /// <summary>Fewest candidates without which training fits; all of them where even that does not. More dropped is less kept, so halving finds it.</summary>
    private int Least(ShardedGraph sharded, StageMap map, int count, Func<int, Func<Value, bool>> without, PipelineRequest.Answer request, int microBatches)
    {
        int low = 0, high = count;
        while (low < high)
        {
            _cancellation.ThrowIfCancellationRequested();
            int middle = (low + high) / 2;
            Recomputation change = Apply(sharded, map, without(middle));
            bool fits = TrainingBytes(sharded, map, request, microBatches) <= Budget;
            change.Undo();
            (low, high) = fits ? (low, middle) : (middle + 1, high);
        }

        // A search does not need the program of what surely does not fit; but another cut might.
        if (low == count && _probes && _cut is not { Best.Overflow: 0 })
        {
            Recomputation all = Apply(sharded, map, without(count));
            _isTooLarge = TrainingBytes(sharded, map, request, microBatches) > Budget;
            all.Undo();
        }

        return low;
    }

    private static bool IsUnder(Value value, string path) =>
        value.Producer is { } producer && (path.Length == 0 ? value.Stack >= 0 || producer.Origin.Length > 0 : producer.Origin == path || producer.Origin.StartsWith(path + ".", StringComparison.Ordinal));

    /// <summary>Bytes of the largest rank for training alone.</summary>
    private long TrainingBytes(ShardedGraph sharded, StageMap map, PipelineRequest.Answer request, int microBatches)
    {
        var train = new TracedEntry("Train", sharded.Graph, sharded, map, microBatches);
        var stages = new StagePlanner(new List<TracedEntry> { train }, _on.Optimizer, _on.Precision, _zero, request.Table is not null, request.Table?.SplitsBackward ?? false, _on.Mesh, Arithmetic, _cancellation);
        int[] programOf = Enumerable.Range(0, request.Cut.Stages).Select(stages.Plan).ToArray();
        if (stages.Unroutable.Count > 0)
        {
            return long.MaxValue;
        }

        var arenas = new ArenaPlanner(stages.Programs, _on.Mesh.Ranks, ScratchBytesPerThread * Math.Max(1, _on.Mesh.Device.MaxThreads));
        if (request.Table is not { } table)
        {
            return arenas.Single().ArenaBytes;
        }

        LoweredPipeline order = PipelineLowering.Lower(table, Edges(train, stages, programOf), s_lowering);
        return arenas.Pipeline(programOf, map, new[] { (train.Name, order) }, 0).Max(r => r.ArenaBytes);
    }

}
