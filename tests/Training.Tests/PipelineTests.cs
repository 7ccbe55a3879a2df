using Shardwright.Execution;

namespace Shardwright.Tests;

/// <summary>Pipelines compute what one rank computes, whatever the schedule, bit for bit the same from run to run.</summary>
public sealed class PipelineTests
{
    private static readonly int Steps = int.TryParse(Environment.GetEnvironmentVariable("SHARDWRIGHT_PARITY_STEPS"), out int steps) ? steps : 12;

    private static readonly Lazy<RunResult> s_reference = new(() => Run("OneM1"));
    private static readonly AdamWSettings s_settings = new(3e-4f);

    internal static (TokenTensor Ids, TokenTensor Targets) Data(int step)
    {
        var random = new Random(1000 + step);
        int[] ids = new int[PipelineGpt.Batch * PipelineGpt.Context], targets = new int[ids.Length];
        for (int i = 0; i < ids.Length; i++)
        {
            ids[i] = random.Next(PipelineGpt.Vocab);
            targets[i] = random.Next(5) == 0 ? -100 : (ids[i] * 7 + 3) % PipelineGpt.Vocab;
        }

        return (TokenTensor.Of(ids, PipelineGpt.Batch, PipelineGpt.Context), TokenTensor.Of(targets, PipelineGpt.Batch, PipelineGpt.Context));
    }

    private static RunResult Run(string name) => name switch
    {
        "OneM1" => MeshRun.Run(name, PipelineGpt.OneM1.Mesh, Steps, r => new PipelineGpt.OneM1.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp2M1" => MeshRun.Run(name, PipelineGpt.Pp2M1.Mesh, Steps, r => new PipelineGpt.Pp2M1.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp2M4" => MeshRun.Run(name, PipelineGpt.Pp2M4.Mesh, Steps, r => new PipelineGpt.Pp2M4.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp4M8" => MeshRun.Run(name, PipelineGpt.Pp4M8.Mesh, Steps, r => new PipelineGpt.Pp4M8.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp4M2GPipe" => MeshRun.Run(name, PipelineGpt.Pp4M2GPipe.Mesh, Steps, r => new PipelineGpt.Pp4M2GPipe.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp2M4Interleaved" => MeshRun.Run(name, PipelineGpt.Pp2M4Interleaved.Mesh, Steps, r => new PipelineGpt.Pp2M4Interleaved.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp2M4Bfs" => MeshRun.Run(name, PipelineGpt.Pp2M4Bfs.Mesh, Steps, r => new PipelineGpt.Pp2M4Bfs.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp4M8ZbH1" => MeshRun.Run(name, PipelineGpt.Pp4M8ZbH1.Mesh, Steps, r => new PipelineGpt.Pp4M8ZbH1.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp2M4ZbV" => MeshRun.Run(name, PipelineGpt.Pp2M4ZbV.Mesh, Steps, r => new PipelineGpt.Pp2M4ZbV.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp2M4Own" => MeshRun.Run(name, PipelineGpt.Pp2M4Own.Mesh, Steps, r => new PipelineGpt.Pp2M4Own.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp2M1ZbV" => MeshRun.Run(name, PipelineGpt.Pp2M1ZbV.Mesh, Steps, r => new PipelineGpt.Pp2M1ZbV.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp2Dp2Tp2M2ZbH1" => MeshRun.Run(name, PipelineGpt.Pp2Dp2Tp2M2ZbH1.Mesh, Steps, r => new PipelineGpt.Pp2Dp2Tp2M2ZbH1.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp2M4V3" => MeshRun.Run(name, PipelineGpt.Pp2M4V3.Mesh, Steps, r => new PipelineGpt.Pp2M4V3.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp4M2V2" => MeshRun.Run(name, PipelineGpt.Pp4M2V2.Mesh, Steps, r => new PipelineGpt.Pp4M2V2.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp4M8V3" => MeshRun.Run(name, PipelineGpt.Pp4M8V3.Mesh, Steps, r => new PipelineGpt.Pp4M8V3.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp2Dp2Tp2M1GPipe" => MeshRun.Run(name, PipelineGpt.Pp2Dp2Tp2M1GPipe.Mesh, Steps, r => new PipelineGpt.Pp2Dp2Tp2M1GPipe.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp2Dp2Tp2M4V2" => MeshRun.Run(name, PipelineGpt.Pp2Dp2Tp2M4V2.Mesh, Steps, r => new PipelineGpt.Pp2Dp2Tp2M4V2.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp2Dp2Tp2M2Bfs" => MeshRun.Run(name, PipelineGpt.Pp2Dp2Tp2M2Bfs.Mesh, Steps, r => new PipelineGpt.Pp2Dp2Tp2M2Bfs.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        "Pp2Dp2Tp2M4ZbV" => MeshRun.Run(name, PipelineGpt.Pp2Dp2Tp2M4ZbV.Mesh, Steps, r => new PipelineGpt.Pp2Dp2Tp2M4ZbV.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        _ => MeshRun.Run(name, PipelineGpt.Pp2Dp2Tp2M4.Mesh, Steps, r => new PipelineGpt.Pp2Dp2Tp2M4.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
    };

    [Theory]
    [InlineData("Pp2M1")]
    [InlineData("Pp2M4")]
    [InlineData("Pp4M8")]
    [InlineData("Pp4M2GPipe")]
    [InlineData("Pp2M4Interleaved")]
    [InlineData("Pp2M4Bfs")]
    [InlineData("Pp2M4V3")]
    [InlineData("Pp4M2V2")]
    [InlineData("Pp4M8V3")]
    [InlineData("Pp4M8ZbH1")]
    [InlineData("Pp2M4ZbV")]
    [InlineData("Pp2M1ZbV")]
    [InlineData("Pp2M4Own")]
    [InlineData("Pp2Dp2Tp2M2ZbH1")]
    [InlineData("Pp2Dp2Tp2M1GPipe")]
    [InlineData("Pp2Dp2Tp2M4V2")]
    [InlineData("Pp2Dp2Tp2M2Bfs")]
    [InlineData("Pp2Dp2Tp2M4ZbV")]
    [InlineData("Pp2Dp2Tp2M4")]
    public void APipelineFollowsOneRank(string name)
    {
        RunResult actual = Run(name);
        MeshRun.AssertInitial(s_reference.Value, actual);
        MeshRun.AssertGradients(s_reference.Value, actual, 1e-5);
        Assert.InRange(Math.Abs(actual.Norms[0] / s_reference.Value.Norms[0] - 1), 0, 1e-6);
        MeshRun.AssertLosses(s_reference.Value, actual, 10, 1e-6);
        MeshRun.AssertLosses(s_reference.Value, actual, Steps, 5e-6);
    }

    [Theory]
    [InlineData("Pp2Dp2Tp2M2ZbH1")]
    [InlineData("Pp2Dp2Tp2M4V2")]
    [InlineData("Pp4M8V3")]
    public void TwoRunsAreBitIdentical(string name)
    {
        RunResult first = Run(name), second = Run(name);
        Assert.Equal(first.Losses, second.Losses);
        foreach ((string path, float[] values) in first.Final)
        {
            Assert.True(values.AsSpan().SequenceEqual(second.Final[path]), path);
        }
    }

    [Fact]
    public void EvaluationAndInferenceOnAPipelineAreThoseOfOneRank()
    {
        (TokenTensor ids, TokenTensor targets) = Data(0);
        (double Loss, float[] Logits) One()
        {
            double loss = 0;
            float[] logits = [];
            using var world = World.InProcess(PipelineGpt.OneM1.Mesh);
            world.Run(r =>
            {
                using var gpt = new PipelineGpt.OneM1.Rank(r, 3);
                loss = gpt.Evaluate(ids, targets).Loss;
                logits = gpt.Forward(ids).Span.ToArray();
            });
            return (loss, logits);
        }

        (double expected, float[] logits) = One();
        using var pipeline = World.InProcess(PipelineGpt.Pp2M4ZbV.Mesh);
        pipeline.Run(r =>
        {
            using var gpt = new PipelineGpt.Pp2M4ZbV.Rank(r, 3);
            Assert.Equal(expected, gpt.Evaluate(ids, targets).Loss, 1e-5);
            float[] actual = gpt.Forward(ids).Span.ToArray();
            Assert.Equal(logits.Length, actual.Length);
            Assert.All(logits.Zip(actual), p => Assert.Equal(p.First, p.Second, 1e-4));
        });
        using var single = World.InProcess(PipelineGpt.OneM4.Mesh);
        single.Run(r =>
        {
            using var gpt = new PipelineGpt.OneM4.Rank(r, 3);
            float[] actual = gpt.Forward(ids).Span.ToArray();
            Assert.Equal(logits.Length, actual.Length);
            Assert.All(logits.Zip(actual), p => Assert.Equal(p.First, p.Second, 1e-4));
        });
        using var interleaved = World.InProcess(PipelineGpt.Pp2Dp2Tp2M4.Mesh);
        interleaved.Run(r =>
        {
            using var gpt = new PipelineGpt.Pp2Dp2Tp2M4.Rank(r, 3);
            Assert.Equal(expected, gpt.Evaluate(ids, targets).Loss, 1e-5);
            float[] actual = gpt.Forward(ids).Span.ToArray();
            Assert.All(logits.Zip(actual), p => Assert.Equal(p.First, p.Second, 1e-4));
        });
    }

    /// <summary>The V of two ranks puts the first and the last stage on rank 0, which so holds the tied embedding twice.</summary>
    [Fact]
    public void ALoadedParameterIsSetInEveryCopy()
    {
        using var world = World.InProcess(PipelineGpt.Pp2M4ZbV.Mesh);
        world.Run(r =>
        {
            using var gpt = new PipelineGpt.Pp2M4ZbV.Rank(r, 3);
            ParameterView[] copies = [.. gpt.Parameters.Where(p => p.Path == "tokens.weight")];
            Assert.Equal(r.Coordinate("pp") == 0 ? 2 : 0, copies.Length);
            if (copies.Length > 0)
            {
                float[] values = [.. Enumerable.Range(0, PipelineGpt.Vocab * PipelineGpt.Hidden).Select(i => i / 64f)];
                gpt.LoadParameter("tokens.weight", values);
                Assert.All(copies, copy => Assert.Equal(values, copy.Read()));
            }
        });
    }

    [Fact]
    public void ARankThatFailsInMidScheduleEndsTheOthers()
    {
        using var world = World.InProcess(PipelineGpt.Pp4M8.Mesh);
        var watch = new System.Diagnostics.Stopwatch();
        var error = Assert.Throws<RankFailedException>(() => world.Run(r =>
        {
            using var gpt = new PipelineGpt.Pp4M8.Rank(r, 3);
            (TokenTensor ids, TokenTensor targets) = Data(0);
            gpt.TrainStep(ids, targets, s_settings);
            if (r.Rank == 2)
            {
                watch.Start();
                throw new InvalidOperationException("the cause");
            }

            gpt.TrainStep(ids, targets, s_settings);
        }));
        Assert.Equal(2, error.Rank);
        Assert.Contains("the cause", error.Message, StringComparison.Ordinal);
        Assert.InRange(watch.Elapsed.TotalSeconds, 0, 2);
    }

    [Fact]
    public void EachRankAllocatesWhatItsPlanSays()
    {
        Plan plan = PipelineGpt.Pp2M4ZbV.Plan;
        Assert.Equal(4, plan.Stages);
        using var world = World.InProcess(PipelineGpt.Pp2M4ZbV.Mesh);
        world.Run(r =>
        {
            using var gpt = new PipelineGpt.Pp2M4ZbV.Rank(r, 1);
            PlanRank rank = plan.Ranks[r.Coordinate("pp")];
            Assert.Equal(rank.TotalBytes, gpt.AllocatedBytes);
            Assert.Equal(rank.TotalBytes, rank.Memory.Values.Sum());
        });
        Assert.Equal(PipelineGpt.OneM1.Plan.ParameterCount, plan.ParameterCount);
        Assert.Equal((4, PipelineGpt.Layers), (plan.StageLayers["blocks"].Count, plan.StageLayers["blocks"].Sum()));
    }

    [Fact]
    public void AStepAllocatesNothingAfterTheFirst()
    {
        using var world = World.InProcess(PipelineGpt.Pp2M4Interleaved.Mesh, new WorldOptions { ThreadsPerRank = 1 });
        world.Run(r =>
        {
            using var gpt = new PipelineGpt.Pp2M4Interleaved.Rank(r, 3);
            (TokenTensor ids, TokenTensor targets) = Data(0);
            gpt.TrainStep(ids, targets, s_settings);
            gpt.TrainStep(ids, targets, s_settings);
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 3; i++)
            {
                gpt.TrainStep(ids, targets, s_settings);
            }

            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        });
    }
}
