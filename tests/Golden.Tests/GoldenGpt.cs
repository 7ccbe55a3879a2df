using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Tests.Cases;

[DeviceMesh] public sealed class One;

[DeviceMesh]
[MeshAxis("dp", 2, Role = AxisRole.Data)]
[MeshAxis("tp", 3, Role = AxisRole.Tensor)]
public sealed class Dp2Tp3;

/// <summary>A small GPT of the sample's blocks, which come from another assembly with their graph; odd sizes, ignored targets, token weights, an auxiliary loss.</summary>
[ShardedOn<One>]
[ShardedOn<One>(Name = "OnOneM2", MicroBatches = 2)]
[ShardedOn<Dp2Tp3>(MicroBatches = 2)]
public sealed partial class GoldenGpt
{
    public const int Vocab = 19, Hidden = 12, Heads = 3, Layers = 2, Context = 9, Batch = 4;

    readonly Embedding tokens = new(Vocab, Hidden);
    readonly Embedding positions = new(Context, Hidden);
    readonly LayerStack<TinyGpt.Block> blocks = new(Layers, () => new TinyGpt.Block(Hidden, Heads));
    readonly LayerNorm norm = new(Hidden);

    public Tensor Loss(
        [Shape(Batch, Context), Split("dp", 0)] TokenTensor ids,
        [Shape(Batch, Context), Split("dp", 0)] TokenTensor targets,
        [Shape(Batch, Context), Split("dp", 0)] Tensor weights)
    {
        var x = norm.Forward(blocks.Forward(tokens.Forward(ids) + positions.Forward(Range(Context))));
        AddLoss(Sum(Square(norm.Scale)), 0.01f);
        return CrossEntropy(MatMul(x, Transpose(tokens.Weight)), targets, weights: weights);
    }
}
