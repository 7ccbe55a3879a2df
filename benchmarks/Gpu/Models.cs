using static Shardwright.Ops;

namespace Shardwright.Benchmarks.Accelerators;

/// <summary>One rank, which the host can run as well.</summary>
[DeviceMesh(Device = typeof(Devices.LocalCpu))]
public sealed class OneRank;

/// <summary>One rank on a large GPU.</summary>
[DeviceMesh(Device = typeof(Devices.H100))]
public sealed class OneGpu;

/// <summary>A transformer block with normalisation in front.</summary>
[ShardedLayer]
public sealed partial class Block(int hidden, int heads)
{
    readonly LayerNorm attentionNorm = new(hidden);
    readonly Tensor query = Parameter(hidden, hidden, Init.Normal(0.02f));
    readonly Tensor key = Parameter(hidden, hidden, Init.Normal(0.02f));
    readonly Tensor value = Parameter(hidden, hidden, Init.Normal(0.02f));
    readonly Tensor output = Parameter(hidden, hidden, Init.Normal(0.02f));
    readonly LayerNorm feedForwardNorm = new(hidden);
    readonly Tensor up = Parameter(hidden, 4 * hidden, Init.Normal(0.02f));
    readonly Tensor upBias = Parameter(4 * hidden, Init.Zeros);
    readonly Tensor down = Parameter(4 * hidden, hidden, Init.Normal(0.02f));

    public Tensor Forward(Tensor x)
    {
        var normal = attentionNorm.Forward(x);
        var attended = Attention(Heads(MatMul(normal, query)), Heads(MatMul(normal, key)), Heads(MatMul(normal, value)), causal: true);
        x += MatMul(Reshape(Transpose(attended, 1, 2), x.Shape[0], x.Shape[1], hidden), output);
        return x + MatMul(Gelu(Linear(feedForwardNorm.Forward(x), up, upBias)), down);
    }

    // [batch, tokens, hidden] -> [batch, heads, tokens, width]
    Tensor Heads(Tensor x) => Transpose(Reshape(x, x.Shape[0], x.Shape[1], heads, hidden / heads), 1, 2);
}

/// <summary>Two blocks of 16, for machines without a GPU: every kernel, at sizes that mean nothing.</summary>
[ShardedOn<OneRank>]
public sealed partial class Tiny
{
    public const int Vocabulary = 24, Hidden = 16, Heads = 2, Layers = 2, Context = 8, Batch = 2;

    readonly Embedding tokens = new(Vocabulary, Hidden);
    readonly Embedding positions = new(Context, Hidden);
    readonly LayerStack<Block> blocks = new(Layers, () => new Block(Hidden, Heads));
    readonly LayerNorm norm = new(Hidden);

    public Tensor Loss([Shape(Batch, Context)] TokenTensor ids, [Shape(Batch, Context)] TokenTensor targets)
    {
        var x = tokens.Forward(ids) + positions.Forward(Range(Context));
        return CrossEntropy(MatMul(norm.Forward(blocks.Forward(x)), Transpose(tokens.Weight)), targets);
    }
}

/// <summary>Four blocks of 256: what a host trains beside the device, to compare losses.</summary>
[ShardedOn<OneRank>]
public sealed partial class Compared
{
    public const int Vocabulary = 1024, Hidden = 256, Heads = 4, Layers = 4, Context = 128, Batch = 8;

    readonly Embedding tokens = new(Vocabulary, Hidden);
    readonly Embedding positions = new(Context, Hidden);
    readonly LayerStack<Block> blocks = new(Layers, () => new Block(Hidden, Heads));
    readonly LayerNorm norm = new(Hidden);

    public Tensor Loss([Shape(Batch, Context)] TokenTensor ids, [Shape(Batch, Context)] TokenTensor targets)
    {
        var x = tokens.Forward(ids) + positions.Forward(Range(Context));
        return CrossEntropy(MatMul(norm.Forward(blocks.Forward(x)), Transpose(tokens.Weight)), targets);
    }
}

/// <summary>The shape of GPT-2 small (Radford et al. 2019), its vocabulary padded to whole tiles: 8 sequences of 1024 tokens.</summary>
[ShardedOn<OneGpu>]
public sealed partial class Gpt2Small
{
    public const int Vocabulary = 50304, Hidden = 768, Heads = 12, Layers = 12, Context = 1024, Batch = 8;

    readonly Embedding tokens = new(Vocabulary, Hidden);
    readonly Embedding positions = new(Context, Hidden);
    readonly LayerStack<Block> blocks = new(Layers, () => new Block(Hidden, Heads));
    readonly LayerNorm norm = new(Hidden);

    public Tensor Loss([Shape(Batch, Context)] TokenTensor ids, [Shape(Batch, Context)] TokenTensor targets)
    {
        var x = tokens.Forward(ids) + positions.Forward(Range(Context));
        return CrossEntropy(MatMul(norm.Forward(blocks.Forward(x)), Transpose(tokens.Weight)), targets);
    }
}
