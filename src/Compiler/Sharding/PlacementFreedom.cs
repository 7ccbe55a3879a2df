using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Sharding;

/// <summary>Parameters that the search may place itself, on axes that do not split the batch. What it leaves whole on every rank it prices: the optimizer goes over it on each of them.</summary>
/// <param name="Group">Name of what places a parameter: all of one name lie alike, for they are one field in source. Null for a parameter that lies where it is.</param>
/// <param name="SecondsPerByte">What a byte of a parameter on a rank costs, for each micro-batch.</param>
public sealed record PlacementFreedom(Func<Value, string?> Group, double SecondsPerByte)
{
    /// <summary>Nothing is free.</summary>
    public static PlacementFreedom None { get; } = new(_ => null, 0);

    /// <summary>Groups that are free on an axis, in order of their first member.</summary>
    internal List<List<Value>> Groups(ModelGraph graph, ShardAxis axis) => axis.IsMicroBatch || axis.IsData
        ? new List<List<Value>>()
        : graph.Parameters.Where(p => p.Requests.All(r => r.Axis != axis.Name) && Group(p) is not null).GroupBy(p => Group(p)!).Select(g => g.ToList()).ToList();
}
