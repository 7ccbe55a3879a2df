using Shardwright.Execution;
using Shardwright.Gpu;

namespace Shardwright.Benchmarks.Accelerators;

/// <summary>A model that is measured.</summary>
/// <param name="Name">Name.</param>
/// <param name="Mesh">Its mesh, of one rank.</param>
/// <param name="Plan">Its plan.</param>
/// <param name="Vocabulary">Classes.</param>
/// <param name="Context">Tokens of a sequence.</param>
/// <param name="Batch">Sequences of a step.</param>
/// <param name="Host">Makes a rank on the host.</param>
/// <param name="Device">Makes a rank on an accelerator.</param>
internal sealed record Subject(string Name, Mesh Mesh, Plan Plan, int Vocabulary, int Context, int Batch, Func<RankContext, Subject.Trained> Host, Func<RankContext, Subject.Trained> Device)
{
    private static readonly AdamWSettings s_settings = new(1e-3f, ClipNorm: 1);

    /// <summary>A rank and its step.</summary>
    public sealed record Trained(RankBase Rank, Func<TokenTensor, TokenTensor, AdamWSettings, StepResult> Train);

    public static Subject Tiny { get; } = new(
        "2x16", Accelerators.Tiny.OnOneRank.Mesh, Accelerators.Tiny.OnOneRank.Plan, Accelerators.Tiny.Vocabulary, Accelerators.Tiny.Context, Accelerators.Tiny.Batch,
        context => Of(new Accelerators.Tiny.OnOneRank.Rank(context, 1), rank => rank.TrainStep), context => Of(new Accelerators.Tiny.OnOneRank.IlgpuRank(context, 1), rank => rank.TrainStep));

    public static Subject Compared { get; } = new(
        "4x256", Accelerators.Compared.OnOneRank.Mesh, Accelerators.Compared.OnOneRank.Plan, Accelerators.Compared.Vocabulary, Accelerators.Compared.Context, Accelerators.Compared.Batch,
        context => Of(new Accelerators.Compared.OnOneRank.Rank(context, 1), rank => rank.TrainStep), context => Of(new Accelerators.Compared.OnOneRank.IlgpuRank(context, 1), rank => rank.TrainStep));

    public static Subject Gpt2 { get; } = new(
        "12x768", Gpt2Small.OnOneGpu.Mesh, Gpt2Small.OnOneGpu.Plan, Gpt2Small.Vocabulary, Gpt2Small.Context, Gpt2Small.Batch,
        context => Of(new Gpt2Small.OnOneGpu.Rank(context, 1), rank => rank.TrainStep), context => Of(new Gpt2Small.OnOneGpu.IlgpuRank(context, 1), rank => rank.TrainStep));

    private static Trained Of<TRank>(TRank rank, Func<TRank, Func<TokenTensor, TokenTensor, AdamWSettings, StepResult>> step)
        where TRank : RankBase => new(rank, step(rank));

    /// <summary>Runs a body with a rank, and a step of it on the batch of a number.</summary>
    public void Run(Backend backend, Observability.TraceRecorder? trace, Action<RankBase, Func<int, StepResult>> body)
    {
        using var world = World.InProcess(Mesh, new WorldOptions { Backend = backend, Trace = trace });
        world.Run(context =>
        {
            Trained trained = backend is GpuBackend ? Device(context) : Host(context);
            using RankBase rank = trained.Rank;
            body(rank, step =>
            {
                (TokenTensor ids, TokenTensor targets) = Data(step);
                return trained.Train(ids, targets, s_settings);
            });
        });
    }

    /// <summary>Sequences in which each token follows from the one before, mostly.</summary>
    private (TokenTensor Ids, TokenTensor Targets) Data(int step)
    {
        var random = new Random(1000 + step);
        int[] ids = new int[Batch * Context], targets = new int[ids.Length];
        for (int i = 0; i < ids.Length; i++)
        {
            ids[i] = i % Context == 0 || random.Next(8) == 0 ? random.Next(Vocabulary) : targets[i - 1];
            targets[i] = (int)((ids[i] * 5L + 1) % Vocabulary);
        }

        return (TokenTensor.Of(ids, Batch, Context), TokenTensor.Of(targets, Batch, Context));
    }
}
