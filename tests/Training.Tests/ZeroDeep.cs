using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Tests;

/// <summary>Parameters that both directions read, and some that forward alone does.</summary>
[ShardedLayer]
public sealed partial class ZeroDeepLayer(int hidden, int inner)
{
    readonly LayerNorm norm = new(hidden);
    readonly Tensor up = Parameter(hidden, inner, Init.Normal(0.2f));
    [NoDecay] readonly Tensor bias = Parameter(inner, Init.Uniform(-0.1f, 0.1f));
    readonly Tensor down = Parameter(inner, hidden, Init.Normal(0.2f));

    public Tensor Forward(Tensor x) => x + MatMul(Gelu(Linear(norm.Forward(x), up, bias)), down);
}

/// <summary>Seven layers: stages of two, three and four, or of one and two, whose windows span actions that turn round, repeat each other, or are of other stages.</summary>
[ShardedOn<One>(Name = "DeepOne")]
[ShardedOn<Pp2Dp2>(Name = "DeepZero2", MicroBatches = 6, Zero = ZeroStage.Gradients)]
[ShardedOn<Pp2Dp2>(Name = "DeepZero3", MicroBatches = 6, HopAwareWarmUp = true, Zero = ZeroStage.Parameters)]
[ShardedOn<Pp2Dp2>(Name = "DeepM1Zero3", MicroBatches = 1, Zero = ZeroStage.Parameters)]
[ShardedOn<Pp2Dp2>(Name = "DeepM1", MicroBatches = 1)]
[ShardedOn<Pp2Dp2>(Name = "DeepGPipeZero2", MicroBatches = 6, Schedule = PipelineSchedule.GPipe, Zero = ZeroStage.Gradients)]
[ShardedOn<Pp2Dp2>(Name = "DeepGPipeZero3", MicroBatches = 6, Schedule = PipelineSchedule.GPipe, Zero = ZeroStage.Parameters)]
[ShardedOn<Pp2Dp2>(Name = "DeepGPipeAgainZero3", MicroBatches = 6, Schedule = PipelineSchedule.GPipe, Zero = ZeroStage.Parameters, Recompute = RecomputeMode.Full)]
[ShardedOn<Pp2Dp2>(Name = "DeepBfsZero3", MicroBatches = 6, Schedule = PipelineSchedule.LoopedBreadthFirst, Zero = ZeroStage.Parameters)]
[ShardedOn<Pp2Dp2>(Name = "DeepInterleavedZero3", MicroBatches = 6, Schedule = PipelineSchedule.Interleaved, Zero = ZeroStage.Parameters)]
[ShardedOn<Pp2Dp2>(Name = "DeepZbH1Zero3", MicroBatches = 6, Schedule = PipelineSchedule.ZeroBubbleH1, Zero = ZeroStage.Parameters)]
[ShardedOn<Pp2Dp2>(Name = "DeepZbH1AgainZero3", MicroBatches = 6, Schedule = PipelineSchedule.ZeroBubbleH1, Zero = ZeroStage.Parameters, Recompute = RecomputeMode.Full)]
[ShardedOn<Pp2Dp2>(Name = "DeepZbVZero3", MicroBatches = 6, Schedule = PipelineSchedule.ZeroBubbleV, Zero = ZeroStage.Parameters)]
[ShardedOn<Pp2Dp2>(Name = "DeepOwnZero3", MicroBatches = 4, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(OwnSchedule), Zero = ZeroStage.Parameters)]
public sealed partial class ZeroDeep
{
    public const int Layers = 7;

    readonly Embedding tokens = new(ZeroNet.Vocab, ZeroNet.Hidden);
    readonly LayerStack<ZeroDeepLayer> layers = new(Layers, () => new ZeroDeepLayer(ZeroNet.Hidden, ZeroNet.Inner));
    readonly LayerNorm norm = new(ZeroNet.Hidden);

    public Tensor Loss([Shape(ZeroNet.Batch, ZeroNet.Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(ZeroNet.Batch, ZeroNet.Context), Split("dp", dim: 0)] TokenTensor targets) =>
        CrossEntropy(MatMul(norm.Forward(layers.Forward(tokens.Forward(ids))), Transpose(tokens.Weight)), targets);
}
