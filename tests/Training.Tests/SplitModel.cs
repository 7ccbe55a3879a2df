using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Tests;

/// <summary>A link whose sums take no longer than the products before them.</summary>
[LinkSpec(BandwidthGBs = 2.5, LatencyMicroseconds = 1)]
public sealed class NarrowWire;

/// <summary>A device on which chunks pay.</summary>
[DeviceSpec(MemoryBytes = 1L << 30, BandwidthGBs = 20, Fp32TFlops = 0.16, LaunchMicroseconds = 1, MaxThreads = 16)]
public sealed class QuickToLaunch;

/// <summary>The same, and each kernel costs more than a chunk can win.</summary>
[DeviceSpec(MemoryBytes = 1L << 30, BandwidthGBs = 20, Fp32TFlops = 0.16, LaunchMicroseconds = 500, MaxThreads = 16)]
public sealed class SlowToLaunch;

[DeviceMesh(Device = typeof(SlowToLaunch))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(NarrowWire))]
public sealed class WholeTp2;

[DeviceMesh(Device = typeof(QuickToLaunch))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(NarrowWire))]
public sealed class SplitTp2;

[DeviceMesh(Device = typeof(SlowToLaunch))]
[MeshAxis("tp", 4, Role = AxisRole.Tensor, Link = typeof(NarrowWire))]
public sealed class WholeTp4;

[DeviceMesh(Device = typeof(QuickToLaunch))]
[MeshAxis("tp", 4, Role = AxisRole.Tensor, Link = typeof(NarrowWire))]
public sealed class SplitTp4;

[DeviceMesh(Device = typeof(SlowToLaunch))]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(NarrowWire))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(NarrowWire))]
public sealed class WholeDp2Tp2;

[DeviceMesh(Device = typeof(QuickToLaunch))]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(NarrowWire))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(NarrowWire))]
public sealed class SplitDp2Tp2;

[DeviceMesh(Device = typeof(SlowToLaunch))]
[MeshAxis("pp", 2, Role = AxisRole.Pipeline, Link = typeof(NarrowWire))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(NarrowWire))]
public sealed class WholePp2Tp2;

[DeviceMesh(Device = typeof(QuickToLaunch))]
[MeshAxis("pp", 2, Role = AxisRole.Pipeline, Link = typeof(NarrowWire))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(NarrowWire))]
public sealed class SplitPp2Tp2;

/// <summary>A GPT with dropout and biases behind its sums, on meshes that differ in nothing but what a kernel costs to launch: where that is little, products are cut into chunks.</summary>
[ShardedOn<WholeTp2>(Name = "Tp2Whole", MicroBatches = 2)]
[ShardedOn<SplitTp2>(Name = "Tp2Split", MicroBatches = 2)]
[ShardedOn<WholeTp4>(Name = "Tp4Whole")]
[ShardedOn<SplitTp4>(Name = "Tp4Split")]
[ShardedOn<WholeDp2Tp2>(Name = "Dp2Tp2Whole", MicroBatches = 2)]
[ShardedOn<SplitDp2Tp2>(Name = "Dp2Tp2Split", MicroBatches = 2)]
[ShardedOn<WholeDp2Tp2>(Name = "Zero1Whole", Zero = ZeroStage.OptimizerState)]
[ShardedOn<SplitDp2Tp2>(Name = "Zero1Split", Zero = ZeroStage.OptimizerState)]
[ShardedOn<WholeDp2Tp2>(Name = "Zero2Whole", Zero = ZeroStage.Gradients, MicroBatches = 2)]
[ShardedOn<SplitDp2Tp2>(Name = "Zero2Split", Zero = ZeroStage.Gradients, MicroBatches = 2)]
[ShardedOn<WholeDp2Tp2>(Name = "Zero3Whole", Zero = ZeroStage.Parameters, MicroBatches = 2)]
[ShardedOn<SplitDp2Tp2>(Name = "Zero3Split", Zero = ZeroStage.Parameters, MicroBatches = 2)]
[ShardedOn<WholeDp2Tp2>(Name = "Zero3OnceWhole", Zero = ZeroStage.Parameters)]
[ShardedOn<SplitDp2Tp2>(Name = "Zero3OnceSplit", Zero = ZeroStage.Parameters)]
[ShardedOn<WholeTp2>(Name = "FullWhole", Recompute = RecomputeMode.Full)]
[ShardedOn<SplitTp2>(Name = "FullSplit", Recompute = RecomputeMode.Full)]
[ShardedOn<WholeTp2>(Name = "SelectiveWhole", Recompute = RecomputeMode.Selective)]
[ShardedOn<SplitTp2>(Name = "SelectiveSplit", Recompute = RecomputeMode.Selective)]
[ShardedOn<WholePp2Tp2>(Name = "PipelineWhole", MicroBatches = 4)]
[ShardedOn<SplitPp2Tp2>(Name = "PipelineSplit", MicroBatches = 4)]
[ShardedOn<WholePp2Tp2>(Name = "ZeroBubbleWhole", MicroBatches = 4, Schedule = PipelineSchedule.ZeroBubbleV)]
[ShardedOn<SplitPp2Tp2>(Name = "ZeroBubbleSplit", MicroBatches = 4, Schedule = PipelineSchedule.ZeroBubbleV)]
public sealed partial class SplitGpt
{
    public const int Vocab = 64, Hidden = 64, Heads = 4, Layers = 4, Context = 64, Batch = 16;

    [Split("tp", dim: 0)] readonly Embedding tokens = new(Vocab, Hidden);
    readonly LayerStack<SplitBlock> blocks = new(Layers, () => new SplitBlock(Hidden, Heads, 0.1f));
    readonly LayerNorm norm = new(Hidden);

    public Tensor Loss([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor targets) => CrossEntropy(Logits(ids), targets);

    public Tensor Forward([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids) => Logits(ids);

    Tensor Logits(TokenTensor ids) => MatMul(norm.Forward(blocks.Forward(tokens.Forward(ids))), Transpose(tokens.Weight));
}

/// <summary>A block whose second product has a bias.</summary>
[ShardedLayer]
public sealed partial class SplitBlock(int hidden, int heads, float dropout)
{
    readonly LayerNorm attentionNorm = new(hidden);
    readonly SelfAttention attention = new(hidden, heads);
    readonly LayerNorm feedForwardNorm = new(hidden);
    [Split("tp", dim: 1)] readonly Tensor up = Parameter(hidden, 4 * hidden, Init.Normal(0.08f));
    [Split("tp", dim: 0)] readonly Tensor down = Parameter(4 * hidden, hidden, Init.Normal(0.08f));
    readonly Tensor bias = Parameter(hidden, Init.Uniform(-0.1f, 0.1f));

    public Tensor Forward(Tensor x)
    {
        x += Dropout(attention.Forward(attentionNorm.Forward(x)), dropout);
        return x + Dropout(Linear(Gelu(MatMul(feedForwardNorm.Forward(x), up)), down, bias), dropout);
    }
}
