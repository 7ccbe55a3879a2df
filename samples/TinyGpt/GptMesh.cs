using Shardwright;
using Shardwright.Execution;

namespace TinyGpt;

/// <summary>A rank of the model on any mesh: the generated ranks have one shape, and this names it.</summary>
public interface IGptRank : IDisposable
{
    /// <summary>Parameters, gradients, allocated bytes.</summary>
    RankBase Rank { get; }

    /// <summary>One optimizer step.</summary>
    StepResult TrainStep(TokenTensor ids, TokenTensor targets, AdamWSettings settings);

    /// <summary>Loss without training.</summary>
    StepResult Evaluate(TokenTensor ids, TokenTensor targets);

    /// <summary>Logits [batch, context, vocabulary].</summary>
    Tensor Forward(TokenTensor ids);
}

/// <summary>A mesh that the model runs on.</summary>
public sealed record GptMesh(string Name, Mesh Mesh, Func<Plan> Plan, Func<RankContext, ulong, IGptRank> Make)
{
    /// <summary>All meshes.</summary>
    public static IReadOnlyList<GptMesh> All { get; } =
    [
        new("Single", Gpt.OnSingle.Mesh, () => Gpt.OnSingle.Plan, (r, s) => new SingleRank(new(r, s))),
        new("Dp2", Gpt.OnDp2.Mesh, () => Gpt.OnDp2.Plan, (r, s) => new Dp2Rank(new(r, s))),
        new("Dp2Zero1", Gpt.OnDp2Zero1.Mesh, () => Gpt.OnDp2Zero1.Plan, (r, s) => new Dp2Zero1Rank(new(r, s))),
        new("Dp2Zero3", Gpt.OnDp2Zero3.Mesh, () => Gpt.OnDp2Zero3.Plan, (r, s) => new Dp2Zero3Rank(new(r, s))),
        new("Tp2", Gpt.OnTp2.Mesh, () => Gpt.OnTp2.Plan, (r, s) => new Tp2Rank(new(r, s))),
        new("Dp2Tp2", Gpt.OnDp2Tp2.Mesh, () => Gpt.OnDp2Tp2.Plan, (r, s) => new Dp2Tp2Rank(new(r, s))),
        new("Pp2", Gpt.OnPp2.Mesh, () => Gpt.OnPp2.Plan, (r, s) => new Pp2Rank(new(r, s))),
        new("Pp2Interleaved", Gpt.OnPp2Interleaved.Mesh, () => Gpt.OnPp2Interleaved.Plan, (r, s) => new Pp2InterleavedRank(new(r, s))),
        new("Pp2Dp2Tp2", Gpt.OnPp2Dp2Tp2.Mesh, () => Gpt.OnPp2Dp2Tp2.Plan, (r, s) => new Pp2Dp2Tp2Rank(new(r, s))),
    ];

    private abstract class GptRank(RankBase rank) : IGptRank
    {
        public RankBase Rank => rank;

        public void Dispose() => rank.Dispose();

        public abstract StepResult TrainStep(TokenTensor ids, TokenTensor targets, AdamWSettings settings);

        public abstract StepResult Evaluate(TokenTensor ids, TokenTensor targets);

        public abstract Tensor Forward(TokenTensor ids);
    }

    private sealed class SingleRank(Gpt.OnSingle.Rank gpt) : GptRank(gpt)
    {
        public override StepResult TrainStep(TokenTensor ids, TokenTensor targets, AdamWSettings settings) => gpt.TrainStep(ids, targets, settings);

        public override StepResult Evaluate(TokenTensor ids, TokenTensor targets) => gpt.Evaluate(ids, targets);

        public override Tensor Forward(TokenTensor ids) => gpt.Forward(ids);
    }

    private sealed class Dp2Rank(Gpt.OnDp2.Rank gpt) : GptRank(gpt)
    {
        public override StepResult TrainStep(TokenTensor ids, TokenTensor targets, AdamWSettings settings) => gpt.TrainStep(ids, targets, settings);

        public override StepResult Evaluate(TokenTensor ids, TokenTensor targets) => gpt.Evaluate(ids, targets);

        public override Tensor Forward(TokenTensor ids) => gpt.Forward(ids);
    }

    private sealed class Dp2Zero1Rank(Gpt.OnDp2Zero1.Rank gpt) : GptRank(gpt)
    {
        public override StepResult TrainStep(TokenTensor ids, TokenTensor targets, AdamWSettings settings) => gpt.TrainStep(ids, targets, settings);

        public override StepResult Evaluate(TokenTensor ids, TokenTensor targets) => gpt.Evaluate(ids, targets);

        public override Tensor Forward(TokenTensor ids) => gpt.Forward(ids);
    }

    private sealed class Dp2Zero3Rank(Gpt.OnDp2Zero3.Rank gpt) : GptRank(gpt)
    {
        public override StepResult TrainStep(TokenTensor ids, TokenTensor targets, AdamWSettings settings) => gpt.TrainStep(ids, targets, settings);

        public override StepResult Evaluate(TokenTensor ids, TokenTensor targets) => gpt.Evaluate(ids, targets);

        public override Tensor Forward(TokenTensor ids) => gpt.Forward(ids);
    }

    private sealed class Tp2Rank(Gpt.OnTp2.Rank gpt) : GptRank(gpt)
    {
        public override StepResult TrainStep(TokenTensor ids, TokenTensor targets, AdamWSettings settings) => gpt.TrainStep(ids, targets, settings);

        public override StepResult Evaluate(TokenTensor ids, TokenTensor targets) => gpt.Evaluate(ids, targets);

        public override Tensor Forward(TokenTensor ids) => gpt.Forward(ids);
    }

    private sealed class Dp2Tp2Rank(Gpt.OnDp2Tp2.Rank gpt) : GptRank(gpt)
    {
        public override StepResult TrainStep(TokenTensor ids, TokenTensor targets, AdamWSettings settings) => gpt.TrainStep(ids, targets, settings);

        public override StepResult Evaluate(TokenTensor ids, TokenTensor targets) => gpt.Evaluate(ids, targets);

        public override Tensor Forward(TokenTensor ids) => gpt.Forward(ids);
    }

    private sealed class Pp2Rank(Gpt.OnPp2.Rank gpt) : GptRank(gpt)
    {
        public override StepResult TrainStep(TokenTensor ids, TokenTensor targets, AdamWSettings settings) => gpt.TrainStep(ids, targets, settings);

        public override StepResult Evaluate(TokenTensor ids, TokenTensor targets) => gpt.Evaluate(ids, targets);

        public override Tensor Forward(TokenTensor ids) => gpt.Forward(ids);
    }

    private sealed class Pp2InterleavedRank(Gpt.OnPp2Interleaved.Rank gpt) : GptRank(gpt)
    {
        public override StepResult TrainStep(TokenTensor ids, TokenTensor targets, AdamWSettings settings) => gpt.TrainStep(ids, targets, settings);

        public override StepResult Evaluate(TokenTensor ids, TokenTensor targets) => gpt.Evaluate(ids, targets);

        public override Tensor Forward(TokenTensor ids) => gpt.Forward(ids);
    }

    private sealed class Pp2Dp2Tp2Rank(Gpt.OnPp2Dp2Tp2.Rank gpt) : GptRank(gpt)
    {
        public override StepResult TrainStep(TokenTensor ids, TokenTensor targets, AdamWSettings settings) => gpt.TrainStep(ids, targets, settings);

        public override StepResult Evaluate(TokenTensor ids, TokenTensor targets) => gpt.Evaluate(ids, targets);

        public override Tensor Forward(TokenTensor ids) => gpt.Forward(ids);
    }
}
