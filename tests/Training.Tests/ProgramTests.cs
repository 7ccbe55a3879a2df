using Shardwright.Execution;

namespace Shardwright.Tests;

/// <summary>What generated programs promise beside the numbers: memory, allocations, communication, eager agreement.</summary>
public sealed class ProgramTests
{
    [Fact]
    public void AStepAllocatesNothingAfterTheFirst()
    {
        using var world = World.InProcess(ParityGpt.OneM2.Mesh, new WorldOptions { ThreadsPerRank = 2 });
        world.Run(context =>
        {
            using var gpt = new ParityGpt.OneM2.Rank(context, 1);
            (TokenTensor ids, TokenTensor targets) = ParityTests.Data(0);
            var settings = new AdamWSettings(1e-3f, ClipNorm: 1);
            gpt.TrainStep(ids, targets, settings);
            gpt.TrainStep(ids, targets, settings);
            long own = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 5; i++)
            {
                gpt.TrainStep(ids, targets, settings);
            }

            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - own);
        });
    }

    [Fact]
    public void AStateLiesLikeItsParameter()
    {
        using var world = World.InProcess(ParityGpt.Dp2Tp2M2.Mesh);
        world.Run(context =>
        {
            using var gpt = new ParityGpt.Dp2Tp2M2.Rank(context, 1);
            (TokenTensor ids, TokenTensor targets) = ParityTests.Data(0);
            StepResult result = gpt.TrainStep(ids, targets, new AdamWSettings(1e-3f, Beta1: 0.75f, Beta2: 0.5f));
            Assert.Equal(ParityGpt.Dp2Tp2M2.Plan.Optimizer, gpt.Plan.Optimizer);
            foreach (ParameterView parameter in gpt.Parameters)
            {
                Assert.Equal(["firstMoment", "secondMoment"], parameter.StateNames);
                Assert.Equal(parameter.Path.Contains("feedForward.up", StringComparison.Ordinal) ? ["dp"] : parameter.Replicas.Contains("tp") ? ["dp", "tp"] : ["dp"], parameter.Replicas);
                Span<float> first = parameter.State("firstMoment"), second = parameter.State("secondMoment");
                for (int i = 0; i < first.Length; i++)
                {
                    double gradient = parameter.Gradient[i] / result.Weight;
                    Assert.Equal(0.25 * gradient, first[i], 1e-5 * Math.Abs(gradient) + 1e-12);
                    Assert.Equal(0.5 * gradient * gradient, second[i], 1e-5 * gradient * gradient + 1e-20);
                }
            }

            Assert.Contains("no state 'velocity'", Assert.Throws<ArgumentException>(() => gpt.Parameters[0].State("velocity")).Message, StringComparison.Ordinal);
        });
    }

    [Fact]
    public void ARankAllocatesWhatItsPlanSays()
    {
        using var world = World.InProcess(ParityGpt.Dp2Tp2M2.Mesh);
        world.Run(context =>
        {
            using var gpt = new ParityGpt.Dp2Tp2M2.Rank(context, 1);
            Assert.Equal(ParityGpt.Dp2Tp2M2.Plan.TotalBytes, gpt.AllocatedBytes);
        });
        Assert.Equal(ParityGpt.Dp2Tp2M2.Plan.TotalBytes, ParityGpt.Dp2Tp2M2.Plan.Memory.Values.Sum());
        Assert.Contains("dp 2 × tp 2", ParityGpt.Dp2Tp2M2.Plan.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void ABlockCostsTwoReductionsForwardAndTwoBackwardOnATensorAxis()
    {
        var block = ParityGpt.Dp2Tp2M1.Plan.Collectives.Where(c => c.Where is "ForwardBlocks" or "BackwardBlocks").ToList();
        Assert.Equal(2, block.Count(c => c.Where == "ForwardBlocks"));
        Assert.Equal(2, block.Count(c => c.Where == "BackwardBlocks"));
        Assert.All(block, c => Assert.Equal(("AllReduce", "tp"), (c.Op, c.Axis)));
        Assert.All(ParityGpt.Dp2Tp2M1.Plan.Collectives.Where(c => c.Axis == "dp"), c => Assert.Equal("ReduceGradients", c.Where));
    }

    [Fact]
    public void OneRankNeedsNoCollective() => Assert.Empty(ParityGpt.OneM1.Plan.Collectives);

    [Fact]
    public void EagerAndGeneratedAgreeOnTheFirstLossDropoutIncluded()
    {
        (TokenTensor ids, TokenTensor targets) = ParityTests.Data(0);
        var model = new DropoutGpt();
        double eager;
        using (EagerSession session = Eager.Session(model, 9))
        {
            eager = session.Objective(model.Loss(ids, targets));
        }

        using var world = World.InProcess(DropoutGpt.OneM1.Mesh);
        world.Run(context =>
        {
            using var gpt = new DropoutGpt.OneM1.Rank(context, 9);
            Assert.Equal(eager, gpt.TrainStep(ids, targets, new SgdSettings(0)).Loss, 1e-5);
            Assert.NotEqual(eager, gpt.Evaluate(ids, targets).Loss, 1e-5);
        });
        using EagerSession evaluation = Eager.Session(model, 9);
        evaluation.Training = false;
        double without = evaluation.Objective(model.Loss(ids, targets));
        world.Run(context =>
        {
            using var gpt = new DropoutGpt.OneM1.Rank(context, 9);
            Assert.Equal(without, gpt.Evaluate(ids, targets).Loss, 1e-5);
        });
    }

    [Fact]
    public void EagerWithoutASessionSaysWhatToWrite()
    {
        (TokenTensor ids, TokenTensor targets) = ParityTests.Data(0);
        var error = Assert.Throws<InvalidOperationException>(() => new DropoutGpt().Loss(ids, targets));
        Assert.Contains("Eager.Session(model, seed: 42)", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AWrongBatchIsNamed()
    {
        using var world = World.InProcess(ParityGpt.OneM1.Mesh);
        var error = Assert.Throws<RankFailedException>(() => world.Run(context =>
        {
            using var gpt = new ParityGpt.OneM1.Rank(context, 1);
            gpt.TrainStep(TokenTensor.Of(new int[10], 2, 5), TokenTensor.Of(new int[10], 2, 5), new(1e-3f));
        }));
        Assert.Contains("'ids' has shape [2, 5]; the model takes [8, 24]", error.Message, StringComparison.Ordinal);
    }
}
