using Shardwright.Execution;

namespace Shardwright.Tests;

/// <summary>A model on a mesh, with the data and settings that all tests share.</summary>
/// <param name="Name">Model and mesh.</param>
/// <param name="Mesh">The mesh.</param>
/// <param name="Plan">The plan.</param>
/// <param name="Make">Makes a rank.</param>
/// <param name="Train">Runs the step with a number.</param>
public sealed record Subject(string Name, Mesh Mesh, Func<Plan> Plan, Func<RankContext, ulong, RankBase> Make, Func<RankBase, int, StepResult> Train)
{
    private static readonly AdamWSettings s_adam = new(3e-4f, ClipNorm: 1);
    private static readonly MomentumSettings s_momentum = new(0.05f, Nesterov: true);
    private static readonly SgdSettings s_sgd = new(0.3f);

    public static IReadOnlyList<Subject> All { get; } =
    [
        new("Adam/One", AdamModel.OnOne.Mesh, () => AdamModel.OnOne.Plan, (r, s) => new AdamModel.OnOne.Rank(r, s), (r, i) => ((AdamModel.OnOne.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Adam/OneM2", AdamModel.OneM2.Mesh, () => AdamModel.OneM2.Plan, (r, s) => new AdamModel.OneM2.Rank(r, s), (r, i) => ((AdamModel.OneM2.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Adam/Dp2", AdamModel.OnDp2.Mesh, () => AdamModel.OnDp2.Plan, (r, s) => new AdamModel.OnDp2.Rank(r, s), (r, i) => ((AdamModel.OnDp2.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Adam/Tp2", AdamModel.OnTp2.Mesh, () => AdamModel.OnTp2.Plan, (r, s) => new AdamModel.OnTp2.Rank(r, s), (r, i) => ((AdamModel.OnTp2.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Adam/Dp2Tp2", AdamModel.OnDp2Tp2.Mesh, () => AdamModel.OnDp2Tp2.Plan, (r, s) => new AdamModel.OnDp2Tp2.Rank(r, s), (r, i) => ((AdamModel.OnDp2Tp2.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Adam/Tq2Dp2Tp2", AdamModel.OnTq2Dp2Tp2.Mesh, () => AdamModel.OnTq2Dp2Tp2.Plan, (r, s) => new AdamModel.OnTq2Dp2Tp2.Rank(r, s), (r, i) => ((AdamModel.OnTq2Dp2Tp2.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Adam/Pp2ZbV", AdamModel.Pp2ZbV.Mesh, () => AdamModel.Pp2ZbV.Plan, (r, s) => new AdamModel.Pp2ZbV.Rank(r, s), (r, i) => ((AdamModel.Pp2ZbV.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Adam/Pp2Dp2Tp2", AdamModel.OnPp2Dp2Tp2.Mesh, () => AdamModel.OnPp2Dp2Tp2.Plan, (r, s) => new AdamModel.OnPp2Dp2Tp2.Rank(r, s), (r, i) => ((AdamModel.OnPp2Dp2Tp2.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Adam/Zero1", AdamModel.Zero1.Mesh, () => AdamModel.Zero1.Plan, (r, s) => new AdamModel.Zero1.Rank(r, s), (r, i) => ((AdamModel.Zero1.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Adam/PipelineZero1", AdamModel.PipelineZero1.Mesh, () => AdamModel.PipelineZero1.Plan, (r, s) => new AdamModel.PipelineZero1.Rank(r, s), (r, i) => ((AdamModel.PipelineZero1.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Adam/Zero2", AdamModel.Zero2.Mesh, () => AdamModel.Zero2.Plan, (r, s) => new AdamModel.Zero2.Rank(r, s), (r, i) => ((AdamModel.Zero2.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Adam/Zero3", AdamModel.Zero3.Mesh, () => AdamModel.Zero3.Plan, (r, s) => new AdamModel.Zero3.Rank(r, s), (r, i) => ((AdamModel.Zero3.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Adam/PipelineZero3", AdamModel.PipelineZero3.Mesh, () => AdamModel.PipelineZero3.Plan, (r, s) => new AdamModel.PipelineZero3.Rank(r, s), (r, i) => ((AdamModel.PipelineZero3.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Momentum/One", MomentumModel.OnOne.Mesh, () => MomentumModel.OnOne.Plan, (r, s) => new MomentumModel.OnOne.Rank(r, s), (r, i) => ((MomentumModel.OnOne.Rank)r).TrainStep(Ids(i), Targets(i), s_momentum)),
        new("Momentum/Tq2Dp2Tp2", MomentumModel.OnTq2Dp2Tp2.Mesh, () => MomentumModel.OnTq2Dp2Tp2.Plan, (r, s) => new MomentumModel.OnTq2Dp2Tp2.Rank(r, s), (r, i) => ((MomentumModel.OnTq2Dp2Tp2.Rank)r).TrainStep(Ids(i), Targets(i), s_momentum)),
        new("Small/One", SmallModel.OnOne.Mesh, () => SmallModel.OnOne.Plan, (r, s) => new SmallModel.OnOne.Rank(r, s), (r, i) => ((SmallModel.OnOne.Rank)r).TrainStep(Ids(i), Targets(i), s_sgd)),
        new("Small/Tp2", SmallModel.OnTp2.Mesh, () => SmallModel.OnTp2.Plan, (r, s) => new SmallModel.OnTp2.Rank(r, s), (r, i) => ((SmallModel.OnTp2.Rank)r).TrainStep(Ids(i), Targets(i), s_sgd)),
        new("Small/OneAdam", SmallModel.OnOneAdam.Mesh, () => SmallModel.OnOneAdam.Plan, (r, s) => new SmallModel.OnOneAdam.Rank(r, s), (r, i) => ((SmallModel.OnOneAdam.Rank)r).TrainStep(Ids(i), Targets(i), s_adam)),
        new("Wider/One", WiderModel.OnOne.Mesh, () => WiderModel.OnOne.Plan, (r, s) => new WiderModel.OnOne.Rank(r, s), (r, i) => ((WiderModel.OnOne.Rank)r).TrainStep(Ids(i), Targets(i), s_sgd)),
    ];

    public static Subject Of(string name) => All.Single(s => s.Name == name);

    public static TokenTensor Ids(int step) => Data(2 * step);

    public static TokenTensor Targets(int step) => Data(2 * step + 1);

    /// <summary>Runs a body on all ranks of the mesh.</summary>
    public void Run(Action<RankBase> body, ulong seed = 7)
    {
        using var world = World.InProcess(Mesh, new WorldOptions { ThreadsPerRank = 1 });
        world.Run(context =>
        {
            using RankBase rank = Make(context, seed);
            body(rank);
        });
    }

    /// <summary>Runs a body on all ranks; what fails is a checkpoint's fault.</summary>
    public CheckpointException Fails(Action<RankBase> body) => Assert.IsType<CheckpointException>(Assert.Throws<RankFailedException>(() => Run(body)).InnerException);

    /// <summary>Trains up to a step; losses and norms of rank 0 as bits.</summary>
    public List<(long Loss, long Norm)> Steps(RankBase rank, int until)
    {
        var results = new List<(long, long)>();
        while (rank.Step < until)
        {
            StepResult result = Train(rank, rank.Step);
            results.Add((BitConverter.DoubleToInt64Bits(result.Loss), BitConverter.DoubleToInt64Bits(result.GradientNorm)));
        }

        return results;
    }

    private static TokenTensor Data(int seed)
    {
        var random = new Random(500 + seed);
        return TokenTensor.Of([.. Enumerable.Range(0, AdamModel.Batch * AdamModel.Context).Select(_ => random.Next(AdamModel.Vocab))], AdamModel.Batch, AdamModel.Context);
    }
}

/// <summary>A folder that is gone afterwards.</summary>
public sealed class Scratch : IDisposable
{
    public string Root { get; } = Directory.CreateTempSubdirectory("shardwright-").FullName;

    public string this[string name] => Path.Combine(Root, name);

    public void Dispose() => Directory.Delete(Root, recursive: true);
}
