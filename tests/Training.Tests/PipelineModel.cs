using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Tests;

[DeviceMesh]
[MeshAxis("pp", 2, Role = AxisRole.Pipeline, Link = typeof(Links.SharedMemory))]
public sealed class Pp2;

[DeviceMesh]
[MeshAxis("pp", 4, Role = AxisRole.Pipeline, Link = typeof(Links.SharedMemory))]
public sealed class Pp4;

[DeviceMesh]
[MeshAxis("pp", 2, Role = AxisRole.Pipeline, Link = typeof(Links.SharedMemory))]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.SharedMemory))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Pp2Dp2Tp2;

/// <summary>A schedule that the compiler does not have: two stages on each rank laid out as a V, backward in another order than forward, some of it split.</summary>
[RankActions(0, "0F0 0F1 3F0 3F1 3B0 3B1 0F2 0F3 3F2 3F3 3I3 0B0 0B1 3B2 0I3 0I2 3W3 0W3 0W2")]
[RankActions(1, "1F0 2F0 1F1 2F1 2B0 2I1 1B0 1F2 2F2 1F3 2F3 1B1 2W1 2B3 1B3 2B2 1B2")]
public sealed class OwnSchedule;

[ShardedLayer]
public sealed partial class PipelineBlock(int hidden, int heads, float dropout)
{
    readonly LayerNorm attentionNorm = new(hidden);
    readonly SelfAttention attention = new(hidden, heads);
    readonly LayerNorm feedForwardNorm = new(hidden);
    [Split("tp", dim: 1)] readonly Tensor up = Parameter(hidden, 4 * hidden, Init.Normal(0.08f));
    [Split("tp", dim: 0)] readonly Tensor down = Parameter(4 * hidden, hidden, Init.Normal(0.08f));

    public Tensor Forward(Tensor x)
    {
        x += Dropout(attention.Forward(attentionNorm.Forward(x)), dropout);
        return x + Dropout(MatMul(Gelu(MatMul(feedForwardNorm.Forward(x), up)), down), dropout);
    }
}

/// <summary>A small GPT with tied weights on pipelines of every schedule.</summary>
[ShardedOn<One>(Name = "OneM1")]
[ShardedOn<One>(Name = "OneM4", MicroBatches = 4)]
[ShardedOn<Pp2>(Name = "Pp2M1")]
[ShardedOn<Pp2>(Name = "Pp2M4", MicroBatches = 4)]
[ShardedOn<Pp4>(Name = "Pp4M8", MicroBatches = 8)]
[ShardedOn<Pp4>(Name = "Pp4M2GPipe", MicroBatches = 2, Schedule = PipelineSchedule.GPipe)]
[ShardedOn<Pp2>(Name = "Pp2M4Interleaved", MicroBatches = 4, Schedule = PipelineSchedule.Interleaved)]
[ShardedOn<Pp2>(Name = "Pp2M4Bfs", MicroBatches = 4, Schedule = PipelineSchedule.LoopedBreadthFirst)]
[ShardedOn<Pp2>(Name = "Pp2M4V3", MicroBatches = 4, Schedule = PipelineSchedule.Interleaved, Chunks = 3, GroupSize = 2)]
[ShardedOn<Pp4>(Name = "Pp4M2V2", MicroBatches = 2, Schedule = PipelineSchedule.Interleaved)]
[ShardedOn<Pp4>(Name = "Pp4M8V3", MicroBatches = 8, Schedule = PipelineSchedule.Interleaved, Chunks = 3)]
[ShardedOn<Pp4>(Name = "Pp4M8ZbH1", MicroBatches = 8, Schedule = PipelineSchedule.ZeroBubbleH1, HopAwareWarmUp = true)]
[ShardedOn<Pp2>(Name = "Pp2M4ZbV", MicroBatches = 4, Schedule = PipelineSchedule.ZeroBubbleV)]
[ShardedOn<Pp2>(Name = "Pp2M1ZbV", MicroBatches = 1, Schedule = PipelineSchedule.ZeroBubbleV)]
[ShardedOn<Pp2>(Name = "Pp2M4Own", MicroBatches = 4, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(OwnSchedule))]
[ShardedOn<Pp2Dp2Tp2>(Name = "Pp2Dp2Tp2M4", MicroBatches = 4)]
[ShardedOn<Pp2Dp2Tp2>(Name = "Pp2Dp2Tp2M1GPipe", Schedule = PipelineSchedule.GPipe)]
[ShardedOn<Pp2Dp2Tp2>(Name = "Pp2Dp2Tp2M2ZbH1", MicroBatches = 2, Schedule = PipelineSchedule.ZeroBubbleH1)]
[ShardedOn<Pp2Dp2Tp2>(Name = "Pp2Dp2Tp2M4V2", MicroBatches = 4, Schedule = PipelineSchedule.Interleaved)]
[ShardedOn<Pp2Dp2Tp2>(Name = "Pp2Dp2Tp2M2Bfs", MicroBatches = 2, Schedule = PipelineSchedule.LoopedBreadthFirst)]
[ShardedOn<Pp2Dp2Tp2>(Name = "Pp2Dp2Tp2M4ZbV", MicroBatches = 4, Schedule = PipelineSchedule.ZeroBubbleV)]
public sealed partial class PipelineGpt
{
    public const int Vocab = 64, Hidden = 32, Heads = 4, Layers = 10, Context = 24, Batch = 16;

    [Split("tp", dim: 0)] readonly Embedding tokens = new(Vocab, Hidden);
    readonly Embedding positions = new(Context, Hidden);
    readonly LayerStack<PipelineBlock> blocks = new(Layers, () => new PipelineBlock(Hidden, Heads, 0.1f));
    readonly LayerNorm norm = new(Hidden);

    public Tensor Loss([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor targets) =>
        CrossEntropy(Logits(ids), targets);

    public Tensor Forward([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids) => Logits(ids);

    Tensor Logits(TokenTensor ids)
    {
        var x = tokens.Forward(ids) + positions.Forward(Range(Context));
        x = norm.Forward(blocks.Forward(x));
        return MatMul(x, Transpose(tokens.Weight));
    }
}
