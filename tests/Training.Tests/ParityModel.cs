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
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.SharedMemory))]
[MeshAxis("tq", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Tp2Dp2Tq2;

[ShardedLayer]
public sealed partial class FeedForward(int hidden, int inner)
{
    [Split("tp", dim: 1), Split("tq", dim: 1)] readonly Tensor up = Parameter(hidden, inner, Init.Normal(0.08f));
    [Split("tp", dim: 0), Split("tq", dim: 0)] readonly Tensor down = Parameter(inner, hidden, Init.Normal(0.08f));
    [Split("tp", dim: 0), Split("tq", dim: 0), NoDecay] readonly Tensor bias = Parameter(inner, Init.Uniform(-0.1f, 0.1f));

    public Tensor Forward(Tensor x) => MatMul(Gelu(Linear(x, up, bias)), down);
}

[ShardedLayer]
public sealed partial class SelfAttention(int hidden, int heads)
{
    [Split("tp", dim: 1)] readonly Tensor query = Parameter(hidden, hidden, Init.Normal(0.08f));
    [Split("tp", dim: 1)] readonly Tensor key = Parameter(hidden, hidden, Init.Normal(0.08f));
    [Split("tp", dim: 1)] readonly Tensor value = Parameter(hidden, hidden, Init.Normal(0.08f));
    [Split("tp", dim: 0)] readonly Tensor output = Parameter(hidden, hidden, Init.Normal(0.08f));

    public Tensor Forward(Tensor x)
    {
        var attended = Attention(Heads(MatMul(x, query)), Heads(MatMul(x, key)), Heads(MatMul(x, value)), causal: true);
        return MatMul(Reshape(Transpose(attended, 1, 2), x.Shape[0], x.Shape[1], hidden), output);
    }

    Tensor Heads(Tensor x) => Transpose(Reshape(x, x.Shape[0], x.Shape[1], heads, hidden / heads), 1, 2);
}

[ShardedLayer]
public sealed partial class Block(int hidden, int heads, float dropout)
{
    readonly LayerNorm attentionNorm = new(hidden);
    readonly SelfAttention attention = new(hidden, heads);
    readonly LayerNorm feedForwardNorm = new(hidden);
    readonly FeedForward feedForward = new(hidden, 4 * hidden);

    public Tensor Forward(Tensor x)
    {
        x += Dropout(attention.Forward(attentionNorm.Forward(x)), dropout);
        return x + Dropout(feedForward.Forward(feedForwardNorm.Forward(x)), dropout);
    }
}

/// <summary>A small GPT on every mesh and number of micro-batches; AdamW, no dropout.</summary>
[ShardedOn<One>(Name = "OneM1")]
[ShardedOn<One>(Name = "OneM2", MicroBatches = 2)]
[ShardedOn<One>(Name = "OneM4", MicroBatches = 4)]
[ShardedOn<Dp2>(Name = "Dp2M1")]
[ShardedOn<Dp2>(Name = "Dp2M2", MicroBatches = 2)]
[ShardedOn<Dp2>(Name = "Dp2M4", MicroBatches = 4)]
[ShardedOn<Tp2>(Name = "Tp2M1")]
[ShardedOn<Tp2>(Name = "Tp2M2", MicroBatches = 2)]
[ShardedOn<Tp2>(Name = "Tp2M4", MicroBatches = 4)]
[ShardedOn<Dp2Tp2>(Name = "Dp2Tp2M1")]
[ShardedOn<Dp2Tp2>(Name = "Dp2Tp2M2", MicroBatches = 2)]
[ShardedOn<Dp2Tp2>(Name = "Dp2Tp2M4", MicroBatches = 4)]
[ShardedOn<Tp2Dp2Tq2>(Name = "Tp2Dp2Tq2M2", MicroBatches = 2)]
public sealed partial class ParityGpt
{
    public const int Vocab = 64, Hidden = 32, Heads = 4, Layers = 3, Context = 24, Batch = 8;

    [Split("tp", dim: 0)] readonly Embedding tokens = new(Vocab, Hidden);
    readonly Embedding positions = new(Context, Hidden);
    readonly LayerStack<Block> blocks = new(Layers, () => new Block(Hidden, Heads, 0f));
    readonly LayerNorm norm = new(Hidden);

    public Tensor Loss([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor targets)
    {
        var x = tokens.Forward(ids) + positions.Forward(Range(Context));
        x = norm.Forward(blocks.Forward(x));
        return CrossEntropy(MatMul(x, Transpose(tokens.Weight)), targets);
    }
}

/// <summary>The same with dropout and SGD.</summary>
[ShardedOn<One>(Name = "OneM1", Optimizer = OptimizerKind.Sgd)]
[ShardedOn<One>(Name = "OneM2", MicroBatches = 2, Optimizer = OptimizerKind.Sgd)]
[ShardedOn<Dp2>(Name = "Dp2M1", Optimizer = OptimizerKind.Sgd)]
[ShardedOn<Tp2>(Name = "Tp2M2", MicroBatches = 2, Optimizer = OptimizerKind.Sgd)]
[ShardedOn<Dp2Tp2>(Name = "Dp2Tp2M2", MicroBatches = 2, Optimizer = OptimizerKind.Sgd)]
[ShardedOn<Tp2Dp2Tq2>(Name = "Tp2Dp2Tq2M1", Optimizer = OptimizerKind.Sgd)]
public sealed partial class DropoutGpt
{
    [Split("tp", dim: 0)] readonly Embedding tokens = new(ParityGpt.Vocab, ParityGpt.Hidden);
    readonly LayerStack<Block> blocks = new(ParityGpt.Layers, () => new Block(ParityGpt.Hidden, ParityGpt.Heads, 0.2f));
    readonly LayerNorm norm = new(ParityGpt.Hidden);

    public Tensor Loss([Shape(ParityGpt.Batch, ParityGpt.Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(ParityGpt.Batch, ParityGpt.Context), Split("dp", dim: 0)] TokenTensor targets)
    {
        var x = Dropout(tokens.Forward(ids), 0.1f);
        x = norm.Forward(blocks.Forward(x));
        return CrossEntropy(MatMul(x, Transpose(tokens.Weight)), targets);
    }
}
