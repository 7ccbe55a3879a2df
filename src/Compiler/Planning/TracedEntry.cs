using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>An entry of the model with placements and stages.</summary>
/// <param name="Name">Train, Evaluate or Infer.</param>
/// <param name="Graph">Its logical graph.</param>
/// <param name="Sharded">With placements.</param>
/// <param name="Map">With stages.</param>
/// <param name="MicroBatches">Micro-batches that it is run in.</param>
internal sealed record TracedEntry(string Name, ModelGraph Graph, ShardedGraph Sharded, StageMap Map, int MicroBatches)
{
    /// <summary>Bytes of the result of a micro-batch, whole; 0 without one.</summary>
    public long ResultBytes => Graph.Result is { } result ? result.Type.Bytes / MicroBatches : 0;
}
