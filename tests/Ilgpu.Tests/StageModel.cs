using static Shardwright.Ops;

namespace Shardwright.Tests;

[DeviceMesh]
[MeshAxis("dp", 2, Role = AxisRole.Data)]
public sealed class Pair;

[DeviceMesh]
[MeshAxis("pp", 2, Role = AxisRole.Pipeline)]
public sealed class TwoStages;

[DeviceMesh]
[MeshAxis("pp", 2, Role = AxisRole.Pipeline)]
[MeshAxis("dp", 2, Role = AxisRole.Data)]
[MeshAxis("tp", 2, Role = AxisRole.Tensor)]
public sealed class Cube;

/// <summary>Two stages on each rank as a V: neighbours on one rank hand over by a copy; some of backward is split.</summary>
[RankActions(0, "0F0 0F1 3F0 3F1 3B0 3I1 0B0 0B1 3W1")]
[RankActions(1, "1F0 2F0 1F1 2F1 2B0 2I1 1B0 1B1 2W1")]
public sealed class OwnOrder;

/// <summary>Tied weights at both ends, dropout, whole and split parameters: on pipelines of every schedule, with ZeRO, with recomputation.</summary>
[ShardedOn<Cases.One>(Name = "Alone")]
[ShardedOn<Cases.One>(Name = "Full", Recompute = RecomputeMode.Full)]
[ShardedOn<Cases.One>(Name = "Selective", MicroBatches = 2, Recompute = RecomputeMode.Selective)]
[ShardedOn<TwoStages>(Name = "OneForwardOneBackward", MicroBatches = 4)]
[ShardedOn<TwoStages>(Name = "GPipe", MicroBatches = 2, Schedule = PipelineSchedule.GPipe, Recompute = RecomputeMode.Full)]
[ShardedOn<TwoStages>(Name = "Interleaved", MicroBatches = 2, Schedule = PipelineSchedule.Interleaved)]
[ShardedOn<TwoStages>(Name = "BreadthFirst", MicroBatches = 2, Schedule = PipelineSchedule.LoopedBreadthFirst)]
[ShardedOn<TwoStages>(Name = "ZeroBubble", MicroBatches = 2, Schedule = PipelineSchedule.ZeroBubbleH1)]
[ShardedOn<TwoStages>(Name = "ZeroBubbleV", MicroBatches = 2, Schedule = PipelineSchedule.ZeroBubbleV)]
[ShardedOn<TwoStages>(Name = "Own", MicroBatches = 2, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(OwnOrder))]
[ShardedOn<Cube>(Name = "CubeZero1", MicroBatches = 2, Zero = ZeroStage.OptimizerState)]
[ShardedOn<Cube>(Name = "CubeZero3", MicroBatches = 2, Schedule = PipelineSchedule.ZeroBubbleV, Zero = ZeroStage.Parameters)]
[ShardedOn<Pair>(Name = "Zero1", Zero = ZeroStage.OptimizerState)]
[ShardedOn<Pair>(Name = "Zero2", MicroBatches = 2, Zero = ZeroStage.Gradients)]
[ShardedOn<Pair>(Name = "Zero3", MicroBatches = 2, Zero = ZeroStage.Parameters, Recompute = RecomputeMode.Full)]
public sealed partial class StageNet
{
    public const int Vocab = 12, Width = 8, Layers = 4, Context = 4, Batch = 8;

    [Split("tp", dim: 0)] readonly Embedding tokens = new(Vocab, Width);
    readonly LayerStack<StageBlock> blocks = new(Layers, () => new StageBlock(Width));
    readonly LayerNorm norm = new(Width);

    public Tensor Loss([Shape(Batch, Context), Split("dp", 0)] TokenTensor ids, [Shape(Batch, Context), Split("dp", 0)] TokenTensor targets) => CrossEntropy(Logits(ids), targets);

    public Tensor Forward([Shape(Batch, Context), Split("dp", 0)] TokenTensor ids) => Logits(ids);

    Tensor Logits(TokenTensor ids) => MatMul(norm.Forward(blocks.Forward(tokens.Forward(ids))), Transpose(tokens.Weight));

    /// <summary>A batch.</summary>
    public static object[] Data(int seed = 0) =>
    [
        TokenTensor.Of([.. Enumerable.Range(0, Batch * Context).Select(i => (i * 5 + i / 7 + seed) % Vocab)], Batch, Context),
        TokenTensor.Of([.. Enumerable.Range(0, Batch * Context).Select(i => i % 5 == 0 ? -100 : (i * 3 + seed) % Vocab)], Batch, Context),
    ];
}

[ShardedLayer]
public sealed partial class StageBlock(int width)
{
    readonly LayerNorm norm = new(width);
    [Split("tp", dim: 1)] readonly Tensor up = Parameter(width, 2 * width, Init.Normal(0.3f));
    [Split("tp", dim: 0)] readonly Tensor down = Parameter(2 * width, width, Init.Normal(0.3f));

    public Tensor Forward(Tensor x) => x + Dropout(MatMul(Gelu(MatMul(norm.Forward(x), up)), down), 0.2f);
}
