using System.Diagnostics;
using System.Reflection;
using Shardwright.Execution;
using Shardwright.Observability;

namespace Shardwright.Tests;

/// <summary>Collectives of tensor axes run beside kernels that do not depend on them: the same numbers, and less to wait for.</summary>
public sealed class OverlapTests
{
    private const int Steps = 5;

    private static Type Class(string name) => typeof(OverlapTests).Assembly.GetType("Shardwright.Tests." + name.Split('.')[0])!.GetNestedType(name.Split('.')[1])!;

    private static T Static<T>(string name, string property) => (T)Class(name).GetProperty(property)!.GetValue(null)!;

    private static RunResult Run(string name, bool overlap)
    {
        Type rankType = Class(name).GetNestedType("Rank")!;
        MethodInfo train = rankType.GetMethod("TrainStep")!;
        bool adam = train.GetParameters()[^1].ParameterType == typeof(AdamWSettings), pipeline = name.StartsWith("Pipeline", StringComparison.Ordinal);
        StepResult Step(RankBase rank, int step)
        {
            (TokenTensor ids, TokenTensor targets) = pipeline ? PipelineTests.Data(step) : ParityTests.Data(step);
            return adam ? train.CreateDelegate<Func<TokenTensor, TokenTensor, AdamWSettings, StepResult>>(rank)(ids, targets, new AdamWSettings(1e-3f, ClipNorm: 0.5f))
                : train.CreateDelegate<Func<TokenTensor, TokenTensor, SgdSettings, StepResult>>(rank)(ids, targets, new SgdSettings(0.2f, ClipNorm: 0.5f));
        }

        return MeshRun.Run(name, Static<Mesh>(name, "Mesh"), Steps, context => (RankBase)Activator.CreateInstance(rankType, context, 5UL)!, Step, overlap);
    }

    /// <summary>Each collective of a layer is under way beside kernels, or ends where it is started: not a bit differs.</summary>
    [Theory]
    [InlineData("ParityGpt.Tp2M1")]
    [InlineData("ParityGpt.Dp2Tp2M4")]
    [InlineData("ParityGpt.Tp2Dp2Tq2M2")]
    [InlineData("DropoutGpt.Tp2M2")]
    [InlineData("SequenceGpt.OnDp2Tp2")]
    [InlineData("RecomputeGpt.MeshSelective")]
    [InlineData("RecomputeGpt.WideFull")]
    [InlineData("PipelineGpt.Pp2Dp2Tp2M4")]
    [InlineData("PipelineGpt.Pp2Dp2Tp2M4ZbV")]
    public void OverlapChangesNoBit(string name)
    {
        Assert.Contains(Static<Plan>(name, "Plan").Collectives, c => c.Axis is "tp" or "tq" && c.Beside.Length > 0);
        RunResult without = Run(name, overlap: false), with = Run(name, overlap: true);
        Assert.Equal(without.Losses, with.Losses);
        Assert.Equal(without.Norms, with.Norms);
        foreach ((string path, float[] values) in without.Final)
        {
            Assert.True(without.Gradients[path].AsSpan().SequenceEqual(with.Gradients[path]), $"gradient of {path}");
            Assert.True(values.AsSpan().SequenceEqual(with.Final[path]), path);
        }
    }

    /// <summary>The sums of what layers hand back travel beside gradients of weights: of the waits on a slow link, those of forward are left.</summary>
    [Fact]
    public void ASlowLinkIsWaitedForLess()
    {
        PlanCollective[] backward = [.. WideNet.OnSlowTp2.Plan.Collectives.Where(c => c.Where == "BackwardLayers")];
        Assert.Equal("LayersMatMulBackward2, LayersMatMulBackward3", Assert.Single(backward).Beside); // the gradients of both weights
        double without = Waited(overlap: false), with = Waited(overlap: true);
        Assert.True(with < 0.75 * without, $"{1e3 * with:N1} ms with overlap, {1e3 * without:N1} ms without");
    }

    /// <summary>Seconds of a step that the rank waits which comes last to a collective: the other waits for that rank too.</summary>
    private static double Waited(bool overlap)
    {
        var recorder = new TraceRecorder();
        var random = new Random(3);
        var x = Tensor.Of([.. Enumerable.Range(0, WideNet.Rows * WideNet.Hidden).Select(_ => random.NextSingle() - 0.5f)], WideNet.Rows, WideNet.Hidden);
        using (var world = World.InProcess(WideNet.OnSlowTp2.Mesh, new WorldOptions
        {
            ThreadsPerRank = 1,
            Overlap = overlap,
            Trace = recorder,
            Links = new Dictionary<string, LinkModel> { ["tp"] = LinkModel.Of(typeof(SlowWire)) },
        }))
        {
            world.Run(context =>
            {
                using var rank = new WideNet.OnSlowTp2.Rank(context, 1);
                for (int step = 0; step < Steps; step++)
                {
                    rank.TrainStep(x, new SgdSettings(1e-3f));
                }
            });
        }

        double[][] waits = [.. recorder.Ranks.Select(r => r.Entries.Where(e => e.Kind == SpanKind.Wait).Select(e => (e.End - e.Start) / (double)Stopwatch.Frequency).ToArray())];
        Assert.Equal(waits[0].Length, waits[1].Length);
        return waits[0].Zip(waits[1], Math.Min).Sum() / Steps;
    }
}
