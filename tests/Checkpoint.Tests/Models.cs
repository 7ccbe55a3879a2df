using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Tests;

[DeviceMesh] public sealed class One;

[DeviceMesh]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.SharedMemory))]
public sealed class Dp2;

[DeviceMesh]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Tp2;

[DeviceMesh]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.SharedMemory))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Dp2Tp2;

[DeviceMesh]
[MeshAxis("tq", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.SharedMemory))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Tq2Dp2Tp2;

[DeviceMesh]
[MeshAxis("pp", 2, Role = AxisRole.Pipeline, Link = typeof(Links.SharedMemory))]
public sealed class Pp2;

[DeviceMesh]
[MeshAxis("pp", 2, Role = AxisRole.Pipeline, Link = typeof(Links.SharedMemory))]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.SharedMemory))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Pp2Dp2Tp2;

/// <summary>Splits by columns and by rows, on one axis and on two that cut one dim; dropout, so that seed and step count.</summary>
[ShardedLayer]
public sealed partial class SavedBlock(int hidden, float dropout)
{
    readonly LayerNorm norm = new(hidden);
    [Split("tp", dim: 1), Split("tq", dim: 1)] readonly Tensor up = Parameter(hidden, 4 * hidden, Init.Normal(0.2f));
    [Split("tp", dim: 0), Split("tq", dim: 0), NoDecay] readonly Tensor bias = Parameter(4 * hidden, Init.Uniform(-0.1f, 0.1f));
    [Split("tp", dim: 0), Split("tq", dim: 0)] readonly Tensor down = Parameter(4 * hidden, hidden, Init.Normal(0.2f));

    public Tensor Forward(Tensor x) => x + Dropout(MatMul(Gelu(Linear(norm.Forward(x), up, bias)), down), dropout);
}

/// <summary>Trained with AdamW on every mesh. Tied weights (at both ends of a pipeline: on two ranks, and in the V on one), a stack, whole and split parameters.</summary>
[ShardedOn<One>]
[ShardedOn<One>(Name = "OneM2", MicroBatches = 2)]
[ShardedOn<Dp2>]
[ShardedOn<Tp2>]
[ShardedOn<Dp2Tp2>]
[ShardedOn<Tq2Dp2Tp2>]
[ShardedOn<Pp2>(Name = "Pp2ZbV", MicroBatches = 2, Schedule = PipelineSchedule.ZeroBubbleV)]
[ShardedOn<Pp2Dp2Tp2>(MicroBatches = 2)]
[ShardedOn<Dp2Tp2>(Name = "Zero1", Zero = ZeroStage.OptimizerState)]
[ShardedOn<Dp2Tp2>(Name = "Zero2", Zero = ZeroStage.Gradients)]
[ShardedOn<Dp2Tp2>(Name = "Zero3", Zero = ZeroStage.Parameters)]
[ShardedOn<Pp2Dp2Tp2>(Name = "PipelineZero1", MicroBatches = 2, Zero = ZeroStage.OptimizerState)]
[ShardedOn<Pp2Dp2Tp2>(Name = "PipelineZero3", MicroBatches = 2, Zero = ZeroStage.Parameters)]
public sealed partial class AdamModel
{
    public const int Vocab = 32, Hidden = 16, Layers = 4, Context = 10, Batch = 8;

    [Split("tp", dim: 0)] readonly Embedding tokens = new(Vocab, Hidden);
    readonly LayerStack<SavedBlock> blocks = new(Layers, () => new SavedBlock(Hidden, 0.1f));
    readonly LayerNorm norm = new(Hidden);

    public Tensor Loss([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor targets) =>
        CrossEntropy(MatMul(norm.Forward(blocks.Forward(Dropout(tokens.Forward(ids), 0.1f))), Transpose(tokens.Weight)), targets);
}

/// <summary>The same with momentum.</summary>
[ShardedOn<One>(Optimizer = OptimizerKind.Momentum)]
[ShardedOn<Tq2Dp2Tp2>(Optimizer = OptimizerKind.Momentum)]
public sealed partial class MomentumModel
{
    [Split("tp", dim: 0)] readonly Embedding tokens = new(AdamModel.Vocab, AdamModel.Hidden);
    readonly LayerStack<SavedBlock> blocks = new(2, () => new SavedBlock(AdamModel.Hidden, 0.1f));

    public Tensor Loss([Shape(AdamModel.Batch, AdamModel.Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(AdamModel.Batch, AdamModel.Context), Split("dp", dim: 0)] TokenTensor targets) =>
        CrossEntropy(MatMul(blocks.Forward(tokens.Forward(ids)), Transpose(tokens.Weight)), targets);
}

/// <summary>A model of one parameter, without state, and its kin of another shape and name: for what is damaged or of another model.</summary>
[ShardedOn<One>(Optimizer = OptimizerKind.Sgd)]
[ShardedOn<Tp2>(Optimizer = OptimizerKind.Sgd)]
[ShardedOn<One>(Name = "OnOneAdam")]
public sealed partial class SmallModel
{
    [Split("tp", dim: 1)] readonly Embedding tokens = new(AdamModel.Vocab, 4);

    public Tensor Loss([Shape(AdamModel.Batch, AdamModel.Context)] TokenTensor ids, [Shape(AdamModel.Batch, AdamModel.Context)] TokenTensor targets) =>
        CrossEntropy(MatMul(Dropout(tokens.Forward(ids), 0.2f), Transpose(tokens.Weight)), targets);
}

/// <summary>Another parameter beside, and the common one wider.</summary>
[ShardedOn<One>(Optimizer = OptimizerKind.Sgd)]
public sealed partial class WiderModel
{
    readonly Embedding tokens = new(AdamModel.Vocab, 6);
    readonly LayerNorm norm = new(6);

    public Tensor Loss([Shape(AdamModel.Batch, AdamModel.Context)] TokenTensor ids, [Shape(AdamModel.Batch, AdamModel.Context)] TokenTensor targets) =>
        CrossEntropy(MatMul(norm.Forward(tokens.Forward(ids)), Transpose(tokens.Weight)), targets);
}
