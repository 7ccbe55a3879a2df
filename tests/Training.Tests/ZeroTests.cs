using System.Reflection;
using Shardwright.Execution;

namespace Shardwright.Tests;

/// <summary>State, gradients and parameters in shards: the training is the same.</summary>
public sealed class ZeroTests
{
    private const int Steps = 12;

    // The norm of the first steps is about 1: clipping is at work.
    private static readonly AdamWSettings s_settings = new(2e-3f, WeightDecay: 0.1f, ClipNorm: 0.5f);
    private static readonly System.Collections.Concurrent.ConcurrentDictionary<string, RunResult> s_runs = new();

    private static (TokenTensor Ids, TokenTensor Targets) Data(int step)
    {
        var random = new Random(700 + step);
        int[] ids = new int[ZeroNet.Batch * ZeroNet.Context], targets = new int[ids.Length];
        for (int i = 0; i < ids.Length; i++)
        {
            ids[i] = random.Next(ZeroNet.Vocab);
            targets[i] = random.Next(6) == 0 ? -100 : (ids[i] * 7 + 3) % ZeroNet.Vocab;
        }

        return (TokenTensor.Of(ids, ZeroNet.Batch, ZeroNet.Context), TokenTensor.Of(targets, ZeroNet.Batch, ZeroNet.Context));
    }

    private static Type Class(string name) => typeof(ZeroNet).GetNestedType(name) ?? typeof(ZeroDeep).GetNestedType(name) ?? typeof(ZeroSmall).GetNestedType(name)!;

    private static T Static<T>(string name, string property) => (T)Class(name).GetProperty(property)!.GetValue(null)!;

    private static RankBase Make(string name, RankContext context) => (RankBase)Activator.CreateInstance(Class(name).GetNestedType("Rank")!, BindingFlags.Default, null, [context, 5UL], null)!;

    private static TDelegate Method<TDelegate>(RankBase rank, string method) where TDelegate : Delegate => rank.GetType().GetMethod(method)!.CreateDelegate<TDelegate>(rank);

    private static RunResult Run(string name, bool overlap = true) => s_runs.GetOrAdd(overlap ? name : name + ", no overlap", _ =>
    {
        StepResult Step(RankBase rank, int step)
        {
            (TokenTensor ids, TokenTensor targets) = Data(step);
            return Method<Func<TokenTensor, TokenTensor, AdamWSettings, StepResult>>(rank, "TrainStep")(ids, targets, s_settings);
        }

        return MeshRun.Run(name, Static<Mesh>(name, "Mesh"), Steps, context => Make(name, context), Step, overlap);
    });

    private static void AssertSameBits(RunResult expected, RunResult actual)
    {
        MeshRun.AssertInitial(expected, actual);
        Assert.Equal(expected.Losses, actual.Losses);
        Assert.Equal(expected.Norms, actual.Norms);
        foreach ((string path, float[] values) in expected.Final)
        {
            Assert.True(expected.Gradients[path].AsSpan().SequenceEqual(actual.Gradients[path]), $"{actual.Name}: gradient of {path}");
            Assert.True(values.AsSpan().SequenceEqual(actual.Final[path]), $"{actual.Name}: {path}");
        }
    }

    [Theory]
    [InlineData("Dp2M1", 1)]
    [InlineData("Dp2M1", 2)]
    [InlineData("Dp2M1", 3)]
    [InlineData("Dp2M4", 1)]
    [InlineData("Dp3M1", 1)]
    [InlineData("Dp3M1", 2)]
    [InlineData("Dp3M1", 3)]
    [InlineData("Tp2Dp2Tq2M1", 1)]
    [InlineData("Tp2Dp2Tq2M1", 2)]
    [InlineData("Tp2Dp2Tq2M1", 3)]
    [InlineData("Pp2Dp2M4", 1)]
    [InlineData("Pp2Dp2M4ZbV", 1)]
    [InlineData("Pp2Dp2M4Own", 1)]
    public void ShardsChangeNoBit(string name, int stage)
    {
        RunResult without = Run(name);
        Assert.True(without.Norms[0] > 2 * s_settings.ClipNorm, $"a norm of {without.Norms[0]} does not clip");
        AssertSameBits(without, Run($"{name}Zero{stage}"));
    }

    /// <summary>Gradients are summed bucket by bucket while backward goes on, or each where it is complete: the same sums.</summary>
    [Theory]
    [InlineData("Dp2M4")]
    [InlineData("Dp2M4Zero1")]
    [InlineData("Dp2M4Zero3")]
    [InlineData("Tp2Dp2Tq2M1")]
    [InlineData("Pp2Dp2M4")]
    [InlineData("Pp2Dp2M4ZbVZero1")]
    [InlineData("Dp2M4Zero2")]
    [InlineData("Dp3M1Zero3")]
    [InlineData("Tp2Dp2Tq2M1Zero2")]
    [InlineData("Tp2Dp2Tq2M1Zero3")]
    [InlineData("Pp2Dp2M4Zero3")]
    [InlineData("Pp2Dp2M4ZbVZero3")]
    [InlineData("Pp2Dp2M4ZbH1Zero2")]
    [InlineData("Pp2Dp2M4BfsZero3")]
    public void OverlapChangesNoBit(string name) => AssertSameBits(Run(name, overlap: false), Run(name));

    public static TheoryData<string> Deep { get; } = new(typeof(ZeroDeep).GetNestedTypes().Where(t => t.Name.Contains("Zero", StringComparison.Ordinal)).Select(t => t.Name));

    /// <summary>Windows that span actions: what is gathered and summed beside a neighbouring action is the same as where each action waits for its own, and follows one rank.</summary>
    [Theory]
    [MemberData(nameof(Deep))]
    public void WindowsThatSpanActionsFollowOneRank(string name)
    {
        RunResult expected = Run("DeepOne"), actual = Run(name);
        AssertSameBits(Run(name, overlap: false), actual);
        MeshRun.AssertInitial(expected, actual);
        MeshRun.AssertGradients(expected, actual, 1e-5);
        MeshRun.AssertLosses(expected, actual, Steps, 5e-6);
    }

    [Fact]
    public void WindowsThatSpanActionsChangeNoBitOfOneMicroBatch() => AssertSameBits(Run("DeepM1"), Run("DeepM1Zero3"));

    /// <summary>On a link whose latency is all that counts, the collectives of a layer that are under way together take the time of one: a step waits for less of them.</summary>
    [Fact]
    public void GathersUnderWayTogetherHideEachOther()
    {
        const string Name = "Dp2M1Zero3";
        double Milliseconds(bool overlap)
        {
            double least = double.PositiveInfinity;
            using var world = World.InProcess(Static<Mesh>(Name, "Mesh"), new WorldOptions
            {
                ThreadsPerRank = 1,
                Overlap = overlap,
                Links = new Dictionary<string, LinkModel> { ["dp"] = new LinkModel(TimeSpan.FromMilliseconds(5), 1e9) },
            });
            world.Run(context =>
            {
                using RankBase rank = Make(Name, context);
                for (int step = 0; step < 3; step++)
                {
                    (TokenTensor ids, TokenTensor targets) = Data(step);
                    var clock = System.Diagnostics.Stopwatch.StartNew();
                    Method<Func<TokenTensor, TokenTensor, AdamWSettings, StepResult>>(rank, "TrainStep")(ids, targets, s_settings);
                    least = context.Rank == 0 ? Math.Min(least, clock.Elapsed.TotalMilliseconds) : least;
                }
            });
            return least;
        }

        double without = Milliseconds(overlap: false), with = Milliseconds(overlap: true);
        Assert.True(with < 0.85 * without, $"{with:N1} ms with overlap, {without:N1} ms without");
    }

    /// <summary>With several micro-batches gradients are summed over ranks first and over micro-batches then: another order.</summary>
    [Theory]
    [InlineData("Dp2M4Zero2")]
    [InlineData("Dp2M4Zero3")]
    [InlineData("Pp2Dp2M4Zero2")]
    [InlineData("Pp2Dp2M4Zero3")]
    [InlineData("Pp2Dp2M4ZbVZero3")]
    [InlineData("Pp2Dp2M4ZbH1Zero2")]
    [InlineData("Pp2Dp2M4BfsZero3")]
    [InlineData("Pp2Dp2M4InterleavedZero2")]
    [InlineData("Pp2Dp2M4GPipeZero3")]
    [InlineData("Pp2Dp2M4OwnZero2")]
    [InlineData("Pp2Dp2M4OwnZero3")]
    public void ShardsOfGradientsFollowOneRank(string name)
    {
        RunResult expected = Run("OneM1"), actual = Run(name);
        MeshRun.AssertInitial(expected, actual);
        MeshRun.AssertGradients(expected, actual, 1e-5);
        Assert.InRange(Math.Abs(actual.Norms[0] / expected.Norms[0] - 1), 0, 1e-6);
        MeshRun.AssertLosses(expected, actual, 10, 1e-6);
        MeshRun.AssertLosses(expected, actual, Steps, 5e-6);
    }

    [Theory]
    [InlineData("Dp2M1", "Dp2M1Zero3")]
    [InlineData("Pp2Dp2M4", "Pp2Dp2M4Zero3")]
    [InlineData("Dp2M4", "Dp2M4Zero3")]
    [InlineData("Pp2Dp2M4Own", "Pp2Dp2M4OwnZero3")]
    public void EvaluationAndInferenceGatherToo(string without, string with)
    {
        (TokenTensor ids, TokenTensor targets) = Data(3);
        (double Loss, float[] Logits) Results(string name)
        {
            (double, float[]) results = default;
            using var world = World.InProcess(Static<Mesh>(name, "Mesh"), new WorldOptions { ThreadsPerRank = 1 });
            world.Run(context =>
            {
                using RankBase rank = Make(name, context);
                Method<Func<TokenTensor, TokenTensor, AdamWSettings, StepResult>>(rank, "TrainStep")(ids, targets, s_settings);
                double loss = Method<Func<TokenTensor, TokenTensor, StepResult>>(rank, "Evaluate")(ids, targets).Loss;
                float[] logits = Method<Func<TokenTensor, Tensor>>(rank, "Forward")(ids).Span.ToArray();
                if (context.Rank == 0)
                {
                    results = (loss, logits);
                }
            });
            return results;
        }

        (double loss, float[] logits) = Results(without);
        (double cutLoss, float[] cutLogits) = Results(with);
        Assert.Equal(loss, cutLoss, 1e-6);
        Assert.All(logits.Zip(cutLogits), p => Assert.Equal(p.First, p.Second, 1e-5));
    }

    [Theory]
    [InlineData("Momentum", 1)]
    [InlineData("Momentum", 3)]
    [InlineData("Sgd", 1)]
    public void OtherOptimizersToo(string name, int stage) => AssertSameBits(Small(name), Small($"{name}Zero{stage}"));

    [Fact]
    public void AGradientThatIsTheSameForAllMicroBatchesCountsOnce()
    {
        RunResult expected = Small("Sgd"), actual = Small("SgdZero2");
        Assert.NotEqual(0, expected.Gradients["alone"][0]);
        MeshRun.AssertGradients(expected, actual, 1e-6);
        MeshRun.AssertLosses(expected, actual, Steps, 1e-6);
    }

    private static RunResult Small(string name)
    {
        return MeshRun.Run(name, Static<Mesh>(name, "Mesh"), Steps, context => Make(name, context), (rank, step) =>
        {
            var random = new Random(step);
            var x = Tensor.Of([.. Enumerable.Range(0, ZeroNet.Batch * 6).Select(_ => random.NextSingle() - 0.5f)], ZeroNet.Batch, 6);
            return name.StartsWith("Momentum", StringComparison.Ordinal)
                ? Method<Func<Tensor, MomentumSettings, StepResult>>(rank, "TrainStep")(x, new(0.05f, Nesterov: true, WeightDecay: 0.1f, ClipNorm: 0.1f))
                : Method<Func<Tensor, SgdSettings, StepResult>>(rank, "TrainStep")(x, new(0.05f, WeightDecay: 0.1f, ClipNorm: 0.1f));
        });
    }

    /// <summary>Sizes here leave gaps: what a plan names as padding and the table are all that a rank holds of the model.</summary>
    [Theory]
    [InlineData("Dp2M1", 16)]
    [InlineData("Dp2M1Zero1", 8 + 8 / 2.0)]
    [InlineData("Dp3M1Zero2", 4 + 12 / 3.0)]
    [InlineData("Dp3M1Zero3", 16 / 3.0)]
    [InlineData("Pp2Dp2M4Zero3", 16 / 2.0)]
    public void ModelStateIsTheTablePlusNamedPadding(string name, double bytes)
    {
        foreach (PlanRank rank in Static<Plan>(name, "Plan").Ranks)
        {
            long state = rank.Memory["Parameters"] + rank.Memory["Gradients"] + rank.Memory["OptimizerState"];
            Assert.True(rank.Padding > 0);
            Assert.Equal(bytes * rank.Parameters, state - rank.Padding, 64.0); // fractions of a byte, rounded for each group
        }
    }

    [Theory]
    [InlineData("Dp2M1")]
    [InlineData("Dp3M1Zero1")]
    [InlineData("Dp3M1Zero2")]
    [InlineData("Dp3M1Zero3")]
    [InlineData("Pp2Dp2M4ZbVZero1")]
    [InlineData("Pp2Dp2M4ZbVZero3")]
    [InlineData("Pp2Dp2M4OwnZero3")]
    public void ARankAllocatesWhatItsPlanSays(string name)
    {
        Plan plan = Static<Plan>(name, "Plan");
        using var world = World.InProcess(Static<Mesh>(name, "Mesh"));
        world.Run(context =>
        {
            using RankBase rank = Make(name, context);
            PlanRank planned = plan.Ranks[plan.PipelineAxis.Length > 0 ? context.Coordinate(plan.PipelineAxis) : 0];
            Assert.Equal(planned.TotalBytes, rank.AllocatedBytes);
            Assert.Equal(planned.TotalBytes, planned.Memory.Values.Sum());
        });
    }
}
