using Shardwright.Execution;
using Shardwright.Worlds;

namespace Shardwright.Benchmarks.Steps;

/// <summary>A model that is measured: sizes for the peer, and how to make a rank of it.</summary>
/// <param name="Name">Name.</param>
/// <param name="Layers">Blocks.</param>
/// <param name="Hidden">Width.</param>
/// <param name="Heads">Attention heads.</param>
/// <param name="Vocabulary">Classes.</param>
/// <param name="Context">Tokens of a sequence.</param>
/// <param name="Batch">Sequences of a step.</param>
/// <param name="Mesh">The mesh.</param>
/// <param name="Plan">The plan.</param>
/// <param name="Make">Makes a rank.</param>
/// <param name="Step">Runs a step of it.</param>
internal sealed record Subject(string Name, int Layers, int Hidden, int Heads, int Vocabulary, int Context, int Batch, Mesh Mesh, Plan Plan, Func<RankContext, RankBase> Make, Func<RankBase, TokenTensor, TokenTensor, AdamWSettings, StepResult> Step)
{
    public static IReadOnlyList<Subject> All { get; } =
    [
        new("4x128", Gpt4x128.Layers, Gpt4x128.Hidden, Gpt4x128.Heads, Gpt4x128.Vocabulary, Gpt4x128.Context, Gpt4x128.Batch, Gpt4x128.OnSingle.Mesh, Gpt4x128.OnSingle.Plan,
            rank => new Gpt4x128.OnSingle.Rank(rank, 1), (rank, ids, targets, settings) => ((Gpt4x128.OnSingle.Rank)rank).TrainStep(ids, targets, settings)),
        new("6x384", Gpt6x384.Layers, Gpt6x384.Hidden, Gpt6x384.Heads, Gpt6x384.Vocabulary, Gpt6x384.Context, Gpt6x384.Batch, Gpt6x384.OnSingle.Mesh, Gpt6x384.OnSingle.Plan,
            rank => new Gpt6x384.OnSingle.Rank(rank, 1), (rank, ids, targets, settings) => ((Gpt6x384.OnSingle.Rank)rank).TrainStep(ids, targets, settings)),
        new("12x768", Gpt12x768.Layers, Gpt12x768.Hidden, Gpt12x768.Heads, Gpt12x768.Vocabulary, Gpt12x768.Context, Gpt12x768.Batch, Gpt12x768.OnSingle.Mesh, Gpt12x768.OnSingle.Plan,
            rank => new Gpt12x768.OnSingle.Rank(rank, 1), (rank, ids, targets, settings) => ((Gpt12x768.OnSingle.Rank)rank).TrainStep(ids, targets, settings)),
        new("6x384 Dp2", Gpt6x384.Layers, Gpt6x384.Hidden, Gpt6x384.Heads, Gpt6x384.Vocabulary, Gpt6x384.Context, Gpt6x384.Batch, Gpt6x384.OnDp2.Mesh, Gpt6x384.OnDp2.Plan,
            rank => new Gpt6x384.OnDp2.Rank(rank, 1), (rank, ids, targets, settings) => ((Gpt6x384.OnDp2.Rank)rank).TrainStep(ids, targets, settings)),
        new("6x384 Tp2", Gpt6x384.Layers, Gpt6x384.Hidden, Gpt6x384.Heads, Gpt6x384.Vocabulary, Gpt6x384.Context, Gpt6x384.Batch, Gpt6x384.OnTp2.Mesh, Gpt6x384.OnTp2.Plan,
            rank => new Gpt6x384.OnTp2.Rank(rank, 1), (rank, ids, targets, settings) => ((Gpt6x384.OnTp2.Rank)rank).TrainStep(ids, targets, settings)),
    ];

    /// <summary>FLOPs of the model's products and its attention, causal at the half that is computed, forward and backward.</summary>
    public double ModelFlops
    {
        get
        {
            double tokens = (double)Batch * Context, h = Hidden;
            return 3 * tokens * (Layers * (2 * 12 * h * h + 2.0 * Context * h) + 2 * h * Vocabulary);
        }
    }

    /// <summary>A batch of random tokens.</summary>
    public (TokenTensor Ids, TokenTensor Targets) Data()
    {
        var random = new Random(7);
        int[] Tokens() => [.. Enumerable.Range(0, Batch * Context).Select(_ => random.Next(Vocabulary))];
        return (TokenTensor.Of(Tokens(), Batch, Context), TokenTensor.Of(Tokens(), Batch, Context));
    }
}
