using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Tests;

/// <summary>The same block, and its attention runs again.</summary>
[ShardedLayer]
public sealed partial class MarkedBlock(int hidden, int heads, float dropout)
{
    readonly LayerNorm attentionNorm = new(hidden);
    [Recompute] readonly SelfAttention attention = new(hidden, heads);
    readonly LayerNorm feedForwardNorm = new(hidden);
    readonly FeedForward feedForward = new(hidden, 4 * hidden);

    public Tensor Forward(Tensor x)
    {
        x += Dropout(attention.Forward(attentionNorm.Forward(x)), dropout);
        return x + Dropout(feedForward.Forward(feedForwardNorm.Forward(x)), dropout);
    }
}

/// <summary>A GPT with dropout and layers outside of its stack, in every mode of recomputation.</summary>
[ShardedOn<One>(Name = "OneNone")]
[ShardedOn<One>(Name = "OneSelective", Recompute = RecomputeMode.Selective)]
[ShardedOn<One>(Name = "OneFull", Recompute = RecomputeMode.Full)]
[ShardedOn<One>(Name = "OneAuto", Recompute = RecomputeMode.Auto)]
[ShardedOn<Dp2Tp2>(Name = "MeshNone", MicroBatches = 2)]
[ShardedOn<Dp2Tp2>(Name = "MeshSelective", MicroBatches = 2, Recompute = RecomputeMode.Selective)]
[ShardedOn<Dp2Tp2>(Name = "MeshFull", MicroBatches = 2, Recompute = RecomputeMode.Full)]
[ShardedOn<Tp2Dp2Tq2>(Name = "WideFull", Recompute = RecomputeMode.Full)]
[ShardedOn<Pp2>(Name = "PipeNone", MicroBatches = 4)]
[ShardedOn<Pp2>(Name = "PipeFull", MicroBatches = 4, Recompute = RecomputeMode.Full)]
[ShardedOn<Pp2>(Name = "ZbNone", MicroBatches = 4, Schedule = PipelineSchedule.ZeroBubbleH1)]
[ShardedOn<Pp2>(Name = "ZbFull", MicroBatches = 4, Schedule = PipelineSchedule.ZeroBubbleH1, Recompute = RecomputeMode.Full)]
public sealed partial class RecomputeGpt
{
    [Split("tp", dim: 0)] readonly Embedding tokens = new(ParityGpt.Vocab, ParityGpt.Hidden);
    readonly LayerStack<Block> blocks = new(ParityGpt.Layers, () => new Block(ParityGpt.Hidden, ParityGpt.Heads, 0.2f));
    readonly FeedForward last = new(ParityGpt.Hidden, 64);
    readonly LayerNorm norm = new(ParityGpt.Hidden);

    public Tensor Loss([Shape(ParityGpt.Batch, ParityGpt.Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(ParityGpt.Batch, ParityGpt.Context), Split("dp", dim: 0)] TokenTensor targets)
    {
        var x = Dropout(tokens.Forward(ids), 0.1f);
        x = norm.Forward(last.Forward(blocks.Forward(x)));
        return CrossEntropy(MatMul(x, Transpose(tokens.Weight)), targets);
    }
}

/// <summary>The same model; a layer of the block, and one outside of the stack, run again.</summary>
[ShardedOn<One>]
[ShardedOn<Dp2Tp2>(MicroBatches = 2)]
[ShardedOn<Tp2Dp2Tq2>]
[ShardedOn<Pp2>(MicroBatches = 4)]
public sealed partial class MarkedGpt
{
    [Split("tp", dim: 0)] readonly Embedding tokens = new(ParityGpt.Vocab, ParityGpt.Hidden);
    readonly LayerStack<MarkedBlock> blocks = new(ParityGpt.Layers, () => new MarkedBlock(ParityGpt.Hidden, ParityGpt.Heads, 0.2f));
    [Recompute] readonly FeedForward last = new(ParityGpt.Hidden, 64);
    readonly LayerNorm norm = new(ParityGpt.Hidden);

    public Tensor Loss([Shape(ParityGpt.Batch, ParityGpt.Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(ParityGpt.Batch, ParityGpt.Context), Split("dp", dim: 0)] TokenTensor targets)
    {
        var x = Dropout(tokens.Forward(ids), 0.1f);
        x = norm.Forward(last.Forward(blocks.Forward(x)));
        return CrossEntropy(MatMul(x, Transpose(tokens.Weight)), targets);
    }
}
