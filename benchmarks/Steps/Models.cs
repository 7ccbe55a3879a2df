using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Benchmarks.Steps;

/// <summary>One rank, on the machine that was calibrated.</summary>
[DeviceMesh(Device = typeof(ThisMachine))]
public sealed class Single;

/// <summary>Two ranks that share the batch.</summary>
[DeviceMesh(Device = typeof(Devices.LocalCpu))]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.SharedMemory))]
public sealed class Dp2;

/// <summary>Two ranks that share each layer.</summary>
[DeviceMesh(Device = typeof(Devices.LocalCpu))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Tp2;

/// <summary>The feed-forward half of a block.</summary>
[ShardedLayer]
public sealed partial class FeedForward(int hidden)
{
    [Split("tp", dim: 1)] readonly Tensor up = Parameter(hidden, 4 * hidden, Init.Normal(0.02f));
    [Split("tp", dim: 0)] readonly Tensor down = Parameter(4 * hidden, hidden, Init.Normal(0.02f));

    public Tensor Forward(Tensor x) => MatMul(Gelu(MatMul(x, up)), down);
}

/// <summary>The attention half of a block.</summary>
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
    readonly FeedForward feedForward = new(hidden);

    public Tensor Forward(Tensor x)
    {
        x += attention.Forward(attentionNorm.Forward(x));
        return x + feedForward.Forward(feedForwardNorm.Forward(x));
    }
}

/// <summary>Four blocks of 128: 16 sequences of 128 tokens, 256 classes.</summary>
[ShardedOn<Single>]
public sealed partial class Gpt4x128
{
    public const int Vocabulary = 256, Hidden = 128, Heads = 8, Layers = 4, Context = 128, Batch = 16;

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

/// <summary>Six blocks of 384: 8 sequences of 256 tokens, 256 classes.</summary>
[ShardedOn<Single>]
[ShardedOn<Dp2>]
[ShardedOn<Tp2>]
public sealed partial class Gpt6x384
{
    public const int Vocabulary = 256, Hidden = 384, Heads = 6, Layers = 6, Context = 256, Batch = 8;

    [Split("tp", dim: 0)] readonly Embedding tokens = new(Vocabulary, Hidden);
    readonly Embedding positions = new(Context, Hidden);
    readonly LayerStack<Block> blocks = new(Layers, () => new Block(Hidden, Heads));
    readonly LayerNorm norm = new(Hidden);

    public Tensor Loss([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor targets)
    {
        var x = tokens.Forward(ids) + positions.Forward(Range(Context));
        return CrossEntropy(MatMul(norm.Forward(blocks.Forward(x)), Transpose(tokens.Weight)), targets);
    }
}

/// <summary>Twelve blocks of 768: 2 sequences of 256 tokens, 8192 classes.</summary>
[ShardedOn<Single>]
public sealed partial class Gpt12x768
{
    public const int Vocabulary = 8192, Hidden = 768, Heads = 12, Layers = 12, Context = 256, Batch = 2;

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
