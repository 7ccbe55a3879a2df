using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Tests;

[DeviceMesh]
[MeshAxis("dp", 3, Role = AxisRole.Data, Link = typeof(Links.SharedMemory))]
public sealed class Dp3;

[DeviceMesh]
[MeshAxis("pp", 2, Role = AxisRole.Pipeline, Link = typeof(Links.SharedMemory))]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.SharedMemory))]
public sealed class Pp2Dp2;

/// <summary>Whole and split parameters, decayed and not; sizes that leave gaps between tensors.</summary>
[ShardedLayer]
public sealed partial class ZeroLayer(int hidden, int inner)
{
    readonly LayerNorm norm = new(hidden);
    [Split("tp", dim: 1), Split("tq", dim: 1)] readonly Tensor up = Parameter(hidden, inner, Init.Normal(0.2f));
    [Split("tp", dim: 0), Split("tq", dim: 0), NoDecay] readonly Tensor bias = Parameter(inner, Init.Uniform(-0.1f, 0.1f));
    [Split("tp", dim: 0), Split("tq", dim: 0)] readonly Tensor down = Parameter(inner, hidden, Init.Normal(0.2f));
    readonly Tensor gate = Parameter(hidden, Init.Uniform(0.5f, 1.5f));

    public Tensor Forward(Tensor x) => x + MatMul(Gelu(Linear(norm.Forward(x), up, bias)), down) * gate;
}

/// <summary>A small network with tied weights, a stack, and a layer outside of it: with and without ZeRO.</summary>
[ShardedOn<One>(Name = "OneM1")]
[ShardedOn<Dp2>(Name = "Dp2M1")]
[ShardedOn<Dp2>(Name = "Dp2M1Zero1", Zero = ZeroStage.OptimizerState)]
[ShardedOn<Dp2>(Name = "Dp2M1Zero2", Zero = ZeroStage.Gradients)]
[ShardedOn<Dp2>(Name = "Dp2M1Zero3", Zero = ZeroStage.Parameters)]
[ShardedOn<Dp2>(Name = "Dp2M4", MicroBatches = 4)]
[ShardedOn<Dp2>(Name = "Dp2M4Zero1", MicroBatches = 4, Zero = ZeroStage.OptimizerState)]
[ShardedOn<Dp2>(Name = "Dp2M4Zero2", MicroBatches = 4, Zero = ZeroStage.Gradients)]
[ShardedOn<Dp2>(Name = "Dp2M4Zero3", MicroBatches = 4, Zero = ZeroStage.Parameters)]
[ShardedOn<Dp3>(Name = "Dp3M1")]
[ShardedOn<Dp3>(Name = "Dp3M1Zero1", Zero = ZeroStage.OptimizerState, ZeroAxis = "dp")]
[ShardedOn<Dp3>(Name = "Dp3M1Zero2", Zero = ZeroStage.Gradients, ZeroAxis = "dp")]
[ShardedOn<Dp3>(Name = "Dp3M1Zero3", Zero = ZeroStage.Parameters, ZeroAxis = "dp")]
[ShardedOn<Tp2Dp2Tq2>(Name = "Tp2Dp2Tq2M1")]
[ShardedOn<Tp2Dp2Tq2>(Name = "Tp2Dp2Tq2M1Zero1", Zero = ZeroStage.OptimizerState)]
[ShardedOn<Tp2Dp2Tq2>(Name = "Tp2Dp2Tq2M1Zero2", Zero = ZeroStage.Gradients)]
[ShardedOn<Tp2Dp2Tq2>(Name = "Tp2Dp2Tq2M1Zero3", Zero = ZeroStage.Parameters)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4", MicroBatches = 4)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4Zero1", MicroBatches = 4, Zero = ZeroStage.OptimizerState)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4Zero2", MicroBatches = 4, Zero = ZeroStage.Gradients)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4Zero3", MicroBatches = 4, Zero = ZeroStage.Parameters)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4ZbV", MicroBatches = 4, Schedule = PipelineSchedule.ZeroBubbleV)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4ZbVZero1", MicroBatches = 4, Schedule = PipelineSchedule.ZeroBubbleV, Zero = ZeroStage.OptimizerState)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4ZbVZero3", MicroBatches = 4, Schedule = PipelineSchedule.ZeroBubbleV, Zero = ZeroStage.Parameters)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4ZbH1Zero2", MicroBatches = 4, Schedule = PipelineSchedule.ZeroBubbleH1, Zero = ZeroStage.Gradients)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4BfsZero3", MicroBatches = 4, Schedule = PipelineSchedule.LoopedBreadthFirst, Zero = ZeroStage.Parameters)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4InterleavedZero2", MicroBatches = 4, Schedule = PipelineSchedule.Interleaved, Zero = ZeroStage.Gradients)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4GPipeZero3", MicroBatches = 4, Schedule = PipelineSchedule.GPipe, Zero = ZeroStage.Parameters)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4Own", MicroBatches = 4, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(OwnSchedule))]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4OwnZero1", MicroBatches = 4, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(OwnSchedule), Zero = ZeroStage.OptimizerState)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4OwnZero2", MicroBatches = 4, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(OwnSchedule), Zero = ZeroStage.Gradients)]
[ShardedOn<Pp2Dp2>(Name = "Pp2Dp2M4OwnZero3", MicroBatches = 4, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(OwnSchedule), Zero = ZeroStage.Parameters)]
public sealed partial class ZeroNet
{
    public const int Vocab = 30, Hidden = 12, Inner = 20, Layers = 4, Context = 6, Batch = 24;

    [Split("tp", dim: 0)] readonly Embedding tokens = new(Vocab, Hidden);
    readonly LayerStack<ZeroLayer> layers = new(Layers, () => new ZeroLayer(Hidden, Inner));
    readonly ZeroLayer last = new(Hidden, Inner);
    readonly LayerNorm norm = new(Hidden);

    public Tensor Loss([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor targets) =>
        CrossEntropy(Logits(ids), targets);

    public Tensor Forward([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids) => Logits(ids);

    Tensor Logits(TokenTensor ids) => MatMul(norm.Forward(last.Forward(layers.Forward(tokens.Forward(ids)))), Transpose(tokens.Weight));
}

/// <summary>Other optimizers; and a parameter whose gradient is the same for all micro-batches and ranks.</summary>
[ShardedOn<Dp2>(Name = "Momentum", Optimizer = OptimizerKind.Momentum)]
[ShardedOn<Dp2>(Name = "MomentumZero1", Optimizer = OptimizerKind.Momentum, Zero = ZeroStage.OptimizerState)]
[ShardedOn<Dp2>(Name = "MomentumZero3", Optimizer = OptimizerKind.Momentum, Zero = ZeroStage.Parameters)]
[ShardedOn<Dp2>(Name = "Sgd", MicroBatches = 2, Optimizer = OptimizerKind.Sgd)]
[ShardedOn<Dp2>(Name = "SgdZero1", MicroBatches = 2, Optimizer = OptimizerKind.Sgd, Zero = ZeroStage.OptimizerState)]
[ShardedOn<Dp2>(Name = "SgdZero2", MicroBatches = 2, Optimizer = OptimizerKind.Sgd, Zero = ZeroStage.Gradients)]
public sealed partial class ZeroSmall
{
    readonly Tensor weight = Parameter(6, 5, Init.Normal(0.5f));
    [NoDecay] readonly Tensor bias = Parameter(5, Init.Uniform(-0.5f, 0.5f));
    readonly Tensor alone = Parameter(7, Init.Uniform(-0.5f, 0.5f));

    public Tensor Loss([Shape(ZeroNet.Batch, 6), Split("dp", dim: 0)] Tensor x)
    {
        AddLoss(Sum(Square(alone)), 0.5f);
        return Mean(Square(Linear(x, weight, bias)));
    }
}
