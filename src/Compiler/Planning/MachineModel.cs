using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>The axes of a mesh as the passes use them.</summary>
internal static class MachineModel
{
    /// <summary>Axes in the order in which they slice: the micro-batches, then the mesh from the outside in. An axis without a role splits the batch
    /// where an input of the model says so.</summary>
    public static ImmutableArray<ShardAxis> Axes(MeshDefinition mesh, ModelGraph graph, int microBatches)
    {
        var axes = ImmutableArray.CreateBuilder<ShardAxis>();
        axes.Add(new ShardAxis("", microBatches, 0, 1));
        foreach (MeshAxisDefinition axis in mesh.Axes.Where(a => a.Role != "Pipeline"))
        {
            axes.Add(new ShardAxis(axis.Name, axis.Size, axis.Link.LatencySeconds, axis.Link.BytesPerSecond, axis.Role == "Data" || (axis.Role == "Auto" && SplitsBatch(graph, axis.Name))));
        }

        return axes.ToImmutable();
    }

    private static bool SplitsBatch(ModelGraph graph, string axis) => graph.Inputs.Any(i => i.Requests.Any(r => r.Axis == axis && r.Placement == Placement.Split(0)));
}
