using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Predicted time of nodes on a rank, for one micro-batch: their work, and the collectives that bring their inputs to what they want.</summary>
internal sealed class NodeTime
{
    private readonly ShardedGraph _sharded;
    private readonly DeviceDefinition _device;
    private readonly Arithmetic _arithmetic;

    /// <summary>Times on a device.</summary>
    /// <param name="sharded">A graph with placements.</param>
    /// <param name="device">The device.</param>
    /// <param name="arithmetic">What the factors of products are.</param>
    public NodeTime(ShardedGraph sharded, DeviceDefinition device, Arithmetic arithmetic)
    {
        _sharded = sharded;
        _device = device;
        _arithmetic = arithmetic;
    }

    /// <summary>Seconds of a node; in a loop, of one layer.</summary>
    public double Seconds(Node node)
    {
        if (node.Op is ReshapeOp or ElementwiseOp { Function: "Reshard" })
        {
            return 0;
        }

        var types = new OperandTypes(
            node.Inputs.Select((v, i) => v.Type.With(_sharded.Local(v.Type, _sharded.InputLayout(node, i)))).ToEquatable(),
            node.Outputs.Select((v, o) => v.Type.With(_sharded.Local(v.Type, _sharded.OutputLayout(node, o)))).ToEquatable());
        double seconds = OpTime.Seconds(_device, node.Op.Work, node.Op.Flops(types), types.Inputs.Sum(t => t.Bytes) + types.Outputs.Sum(t => t.Bytes), _arithmetic);
        for (int i = 0; i < node.Inputs.Length; i++)
        {
            seconds += Reshard(node.Inputs[i], _sharded.Layout(node.Inputs[i]), _sharded.InputLayout(node, i));
        }

        for (int o = 0; o < node.Outputs.Length; o++)
        {
            seconds += Reshard(node.Outputs[o], _sharded.OutputLayout(node, o), _sharded.Layout(node.Outputs[o]));
        }

        return seconds;
    }

    /// <summary>Bytes of a value on a rank, for one micro-batch; in a loop, of one layer.</summary>
    public long Bytes(Value value) => value.Type.With(_sharded.Local(value.Type, _sharded.Layout(value))).Bytes;

    private double Reshard(Value value, ImmutableArray<Placement> from, ImmutableArray<Placement> to)
    {
        double seconds = 0;
        for (int axis = 0; axis < _sharded.Axes.Length; axis++)
        {
            if (from[axis] != to[axis] && !_sharded.Axes[axis].IsMicroBatch)
            {
                seconds += ReshardCost.Of(_sharded.Axes[axis], from[axis], to[axis], value.Type.With(_sharded.Local(value.Type, from, axis)).Bytes) / ReshardCost.PerSecond;
            }
        }

        return seconds;
    }
}
