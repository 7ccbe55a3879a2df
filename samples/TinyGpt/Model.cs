using Shardwright;
using static Shardwright.Ops;

namespace TinyGpt;

/// <summary>Two products with an activation between: split by columns, then by rows, so that a tensor axis costs one all-reduce.</summary>
[ShardedLayer]
public sealed partial class FeedForward(int hidden, int inner)
{
    [Split("tp", dim: 1)] readonly Tensor up = Parameter(hidden, inner, Init.Normal(0.02f));
    [Split("tp", dim: 0)] readonly Tensor down = Parameter(inner, hidden, Init.Normal(0.02f));

    public Tensor Forward(Tensor x) => MatMul(Gelu(MatMul(x, up)), down);
}

/// <summary>Causal self-attention, split by heads.</summary>
[ShardedLayer]
public sealed partial class SelfAttention(int hidden, int heads)
{
    [Split("tp", dim: 1)] readonly Tensor query = Parameter(hidden, hidden, Init.Normal(0.02f));
    [Split("tp", dim: 1)] readonly Tensor key = Parameter(hidden, hidden, Init.Normal(0.02f));
    [Split("tp", dim: 1)] readonly Tensor value = Parameter(hidden, hidden, Init.Normal(0.02f));
    [Split("tp", dim: 0)] readonly Tensor output = Parameter(hidden, hidden, Init.Normal(0.02f));

    public Tensor Forward(Tensor x)
    {
        var attended = Attention(Heads(MatMul(x, query)), Heads(MatMul(x, key)), Heads(MatMul(x, value)), causal: true);
        return MatMul(Reshape(Transpose(attended, 1, 2), x.Shape[0], x.Shape[1], hidden), output);
    }

    // [batch, tokens, hidden] -> [batch, heads, tokens, width]
    Tensor Heads(Tensor x) => Transpose(Reshape(x, x.Shape[0], x.Shape[1], heads, hidden / heads), 1, 2);
}

/// <summary>A transformer block with normalisation in front.</summary>
[ShardedLayer]
public sealed partial class Block(int hidden, int heads)
{
    readonly LayerNorm attentionNorm = new(hidden);
    readonly SelfAttention attention = new(hidden, heads);
    readonly LayerNorm feedForwardNorm = new(hidden);
    readonly FeedForward feedForward = new(hidden, 4 * hidden);

    public Tensor Forward(Tensor x)
    {
        x += attention.Forward(attentionNorm.Forward(x));
        return x + feedForward.Forward(feedForwardNorm.Forward(x));
    }
}

/// <summary>A byte-level GPT.</summary>
[ShardedOn<Single>]
[ShardedOn<Dp2>]
[ShardedOn<Dp2>(Name = "OnDp2Zero1", Zero = ZeroStage.OptimizerState)]
[ShardedOn<Dp2>(Name = "OnDp2Zero3", Zero = ZeroStage.Parameters)]
[ShardedOn<Tp2>]
[ShardedOn<Dp2Tp2>]
[ShardedOn<Pp2>(MicroBatches = 4)]
[ShardedOn<Pp2>(Name = "OnPp2Interleaved", MicroBatches = 4, Schedule = PipelineSchedule.Interleaved)]
[ShardedOn<Pp2Dp2Tp2>(MicroBatches = 4)]
public sealed partial class Gpt
{
    /// <summary>Tokens: bytes.</summary>
    public const int Vocab = 256;

    /// <summary>Width of the residual stream.</summary>
    public const int Hidden = 128;

    /// <summary>Attention heads.</summary>
    public const int Heads = 8;

    /// <summary>Blocks.</summary>
    public const int Layers = 4;

    /// <summary>Tokens of a sequence.</summary>
    public const int Context = 128;

    /// <summary>Sequences of a step.</summary>
    public const int Batch = 16;

    [Split("tp", dim: 0)] readonly Embedding tokens = new(Vocab, Hidden);
    readonly Embedding positions = new(Context, Hidden);
    readonly LayerStack<Block> blocks = new(Layers, () => new Block(Hidden, Heads));
    readonly LayerNorm norm = new(Hidden);

    /// <summary>Training entry: the mean cross-entropy of the next byte.</summary>
    public Tensor Loss([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor targets) =>
        CrossEntropy(Logits(ids), targets);

    /// <summary>Inference entry: logits of the next byte at each position.</summary>
    public Tensor Forward([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids) => Logits(ids);

    Tensor Logits(TokenTensor ids)
    {
        var x = tokens.Forward(ids) + positions.Forward(Range(Context));
        x = norm.Forward(blocks.Forward(x));
        return MatMul(x, Transpose(tokens.Weight));   // tied weights
    }
}
