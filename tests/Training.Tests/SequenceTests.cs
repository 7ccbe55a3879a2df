using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Tests;

/// <summary>FeedForward on one tensor axis.</summary>
[ShardedLayer]
public sealed partial class SequenceFeedForward(int hidden, int inner)
{
    [Split("tp", dim: 1)] readonly Tensor up = Parameter(hidden, inner, Init.Normal(0.08f));
    [Split("tp", dim: 0)] readonly Tensor down = Parameter(inner, hidden, Init.Normal(0.08f));
    [Split("tp", dim: 0), NoDecay] readonly Tensor bias = Parameter(inner, Init.Uniform(-0.1f, 0.1f));

    public Tensor Forward(Tensor x) => MatMul(Gelu(Linear(x, up, bias)), down);
}

/// <summary>The block of DropoutGpt in sequence parallelism: between the products, each rank of the tensor axis has its own part of the tokens.</summary>
[ShardedLayer]
public sealed partial class SequenceBlock(int hidden, int heads, float dropout)
{
    readonly LayerNorm attentionNorm = new(hidden);
    readonly SelfAttention attention = new(hidden, heads);
    readonly LayerNorm feedForwardNorm = new(hidden);
    readonly SequenceFeedForward feedForward = new(hidden, 4 * hidden);

    [return: Split("tp", dim: 1)]
    public Tensor Forward([Split("tp", dim: 1)] Tensor x)
    {
        x += Dropout(Part(attention.Forward(Whole(attentionNorm.Forward(x)))), dropout);
        return x + Dropout(Part(feedForward.Forward(Whole(feedForwardNorm.Forward(x)))), dropout);
    }

    Tensor Whole(Tensor x) => Reshard(x, Placement.Broadcast("tp"));

    Tensor Part(Tensor x) => Reshard(x, Placement.Split("tp", 1));
}

/// <summary>DropoutGpt in sequence parallelism.</summary>
[ShardedOn<Dp2Tp2>(MicroBatches = 2, Optimizer = OptimizerKind.Sgd)]
public sealed partial class SequenceGpt
{
    [Split("tp", dim: 0)] readonly Embedding tokens = new(ParityGpt.Vocab, ParityGpt.Hidden);
    readonly LayerStack<SequenceBlock> blocks = new(ParityGpt.Layers, () => new SequenceBlock(ParityGpt.Hidden, ParityGpt.Heads, 0.2f));
    readonly LayerNorm norm = new(ParityGpt.Hidden);

    public Tensor Loss([Shape(ParityGpt.Batch, ParityGpt.Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(ParityGpt.Batch, ParityGpt.Context), Split("dp", dim: 0)] TokenTensor targets)
    {
        var x = Dropout(tokens.Forward(ids), 0.1f);
        x = Reshard(norm.Forward(blocks.Forward(x)), Placement.Broadcast("tp"));
        return CrossEntropy(MatMul(x, Transpose(tokens.Weight)), targets);
    }
}

/// <summary>Sequence parallelism (Korthikanti et al., arXiv 2205.05198): an all-gather before and a reduce-scatter after each pair of products, in place of one all-reduce, in both directions.</summary>
public sealed class SequenceTests
{
    private static readonly SgdSettings s_sgd = new(0.2f, ClipNorm: 0.5f);

    [Fact]
    public void ItChangesNoNumber()
    {
        const int Steps = 10;
        RunResult one = MeshRun.Run("OneM1", DropoutGpt.OneM1.Mesh, Steps, r => new DropoutGpt.OneM1.Rank(r, 9), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_sgd));
        RunResult sequence = MeshRun.Run("Sequence", SequenceGpt.OnDp2Tp2.Mesh, Steps, r => new SequenceGpt.OnDp2Tp2.Rank(r, 9), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_sgd));
        MeshRun.AssertInitial(one, sequence);
        MeshRun.AssertGradients(one, sequence, 1e-5);
        MeshRun.AssertLosses(one, sequence, Steps, 1e-6);
    }

    [Fact]
    public void GathersAndScattersTakeThePlaceOfAllReduces()
    {
        PlanCollective[] blocks = [.. SequenceGpt.OnDp2Tp2.Plan.Collectives.Where(c => c.Axis == "tp" && c.Where is "ForwardBlocks" or "BackwardBlocks")];
        foreach (string where in new[] { "ForwardBlocks", "BackwardBlocks" })
        {
            Assert.Equal(2, blocks.Count(c => c.Where == where && c.Op == "AllGather"));
            Assert.Equal(2, blocks.Count(c => c.Where == where && c.Op == "ReduceScatter"));
        }

        Assert.Equal(8, blocks.Length);
        PlanCollective[] whole = [.. DropoutGpt.Dp2Tp2M2.Plan.Collectives.Where(c => c.Axis == "tp" && c.Where is "ForwardBlocks" or "BackwardBlocks")];
        Assert.All(whole, c => Assert.Equal("AllReduce", c.Op));
        Assert.Equal(whole.Sum(c => c.BytesPerRank), blocks.Sum(c => c.BytesPerRank));
    }
}
