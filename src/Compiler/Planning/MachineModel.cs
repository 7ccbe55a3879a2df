using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Numbers of a mesh as the passes use them.</summary>
internal static class MachineModel
{
    /// <summary>Share of a device's peak that a planned product reaches.</summary>
    private const double Efficiency = 0.5;

    /// <summary>Share of a link's nominal rate that a planned message reaches.</summary>
    private const double LinkEfficiency = 0.8;

    /// <summary>Axes in the order in which they slice: the micro-batches, then the mesh from the outside in. An axis without a role splits the batch
    /// where an input of the model says so.</summary>
    public static ImmutableArray<ShardAxis> Axes(MeshDefinition mesh, ModelGraph graph, int microBatches)
    {
        var axes = ImmutableArray.CreateBuilder<ShardAxis>();
        axes.Add(new ShardAxis("", microBatches, 0, 1));
        foreach (MeshAxisDefinition axis in mesh.Axes.Where(a => a.Role != "Pipeline"))
        {
            axes.Add(new ShardAxis(axis.Name, axis.Size, axis.Link.LatencyMicroseconds * 1e-6, Math.Max(1, axis.Link.BandwidthGBs * 1e9 * LinkEfficiency), axis.Role == "Data" || (axis.Role == "Auto" && SplitsBatch(graph, axis.Name))));
        }

        return axes.ToImmutable();
    }

    private static bool SplitsBatch(ModelGraph graph, string axis) => graph.Inputs.Any(i => i.Requests.Any(r => r.Axis == axis && r.Placement == Placement.Split(0)));

    /// <summary>Floating-point operations per second that a planned product reaches.</summary>
    public static double FlopsPerSecond(DeviceDefinition device) => Math.Max(1, device.Fp32TFlops * 1e12 * Efficiency);
}
