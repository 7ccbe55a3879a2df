using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Tests;

/// <summary>A link whose latency is all that counts: an all-reduce of two ranks takes 8 ms.</summary>
[LinkSpec(BandwidthGBs = 1000, LatencyMicroseconds = 4000)]
public sealed class SlowWire;

[DeviceMesh]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(SlowWire))]
public sealed class SlowTp2;

[ShardedLayer]
public sealed partial class WideLayer(int hidden, int inner)
{
    [Split("tp", dim: 1)] readonly Tensor up = Parameter(hidden, inner, Init.Normal(0.05f));
    [Split("tp", dim: 0)] readonly Tensor down = Parameter(inner, hidden, Init.Normal(0.05f));

    public Tensor Forward(Tensor x) => x + MatMul(Relu(MatMul(x, up)), down);
}

/// <summary>Layers that take about as long as an all-reduce on a slow link.</summary>
[ShardedOn<SlowTp2>(Optimizer = OptimizerKind.Sgd)]
public sealed partial class WideNet
{
    public const int Layers = 4, Hidden = 256, Rows = 1024;

    readonly LayerStack<WideLayer> layers = new(Layers, () => new WideLayer(Hidden, 4 * Hidden));

    public Tensor Loss([Shape(Rows, Hidden)] Tensor x) => Mean(layers.Forward(x));
}
