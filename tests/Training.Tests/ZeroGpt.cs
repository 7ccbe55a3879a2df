using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Tests;

/// <summary>A transformer block that no axis splits.</summary>
[ShardedLayer]
public sealed partial class ZeroBlock(int hidden, int heads)
{
    readonly LayerNorm attentionNorm = new(hidden), feedForwardNorm = new(hidden);
    readonly Tensor query = Parameter(hidden, hidden), key = Parameter(hidden, hidden), value = Parameter(hidden, hidden), output = Parameter(hidden, hidden);
    readonly Tensor up = Parameter(hidden, 4 * hidden), down = Parameter(4 * hidden, hidden);

    public Tensor Forward(Tensor x)
    {
        var normed = attentionNorm.Forward(x);
        var attended = Attention(Heads(MatMul(normed, query)), Heads(MatMul(normed, key)), Heads(MatMul(normed, value)), causal: true);
        x += MatMul(Reshape(Transpose(attended, 1, 2), x.Shape[0], x.Shape[1], hidden), output);
        return x + MatMul(Gelu(MatMul(feedForwardNorm.Forward(x), up)), down);
    }

    Tensor Heads(Tensor x) => Transpose(Reshape(x, x.Shape[0], x.Shape[1], heads, hidden / heads), 1, 2);
}

/// <summary>A byte-level GPT of the sample's width, with and without ZeRO: for runs of many steps.</summary>
[ShardedOn<Dp2>(Name = "None", MicroBatches = 2)]
[ShardedOn<Dp2>(Name = "NoneM1")]
[ShardedOn<Dp2>(Name = "Zero1", MicroBatches = 2, Zero = ZeroStage.OptimizerState)]
[ShardedOn<Dp2>(Name = "Zero2", MicroBatches = 2, Zero = ZeroStage.Gradients)]
[ShardedOn<Dp2>(Name = "Zero3", MicroBatches = 2, Zero = ZeroStage.Parameters)]
public sealed partial class ZeroGpt
{
    public const int Vocab = 256, Hidden = 128, Heads = 8, Layers = 4, Context = 64, Batch = 8;

    readonly Embedding tokens = new(Vocab, Hidden);
    readonly Embedding positions = new(Context, Hidden);
    readonly LayerStack<ZeroBlock> blocks = new(Layers, () => new ZeroBlock(Hidden, Heads));
    readonly LayerNorm norm = new(Hidden);

    public Tensor Loss([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor targets)
    {
        var x = tokens.Forward(ids) + positions.Forward(Range(Context));
        return CrossEntropy(MatMul(norm.Forward(blocks.Forward(x)), Transpose(tokens.Weight)), targets);
    }
}
