namespace Shardwright.Tests;

/// <summary>What is sharded, is the same: every mesh and number of micro-batches against one rank.</summary>
public sealed class ParityTests
{
    private const int Steps = 50;
    private static readonly Lazy<RunResult> s_reference = new(() => Adam("OneM1"));
    private static readonly Lazy<RunResult> s_dropout = new(() => Sgd("OneM1"));

    internal static (TokenTensor Ids, TokenTensor Targets) Data(int step)
    {
        var random = new Random(1000 + step);
        int[] ids = new int[ParityGpt.Batch * ParityGpt.Context], targets = new int[ids.Length];
        for (int i = 0; i < ids.Length; i++)
        {
            ids[i] = random.Next(ParityGpt.Vocab);
            targets[i] = (ids[i] * 5 + 3) % ParityGpt.Vocab;

            // Uneven counts: the more, the later the row.
            if (random.NextDouble() < 0.08 * (i / ParityGpt.Context))
            {
                targets[i] = -100;
            }
        }

        return (TokenTensor.Of(ids, ParityGpt.Batch, ParityGpt.Context), TokenTensor.Of(targets, ParityGpt.Batch, ParityGpt.Context));
    }

    private static readonly AdamWSettings s_adam = new(3e-4f);
    private static readonly SgdSettings s_sgd = new(0.2f, ClipNorm: 0.5f);

    private static RunResult Adam(string name) => name switch
    {
        "OneM1" => MeshRun.Run(name, ParityGpt.OneM1.Mesh, Steps, r => new ParityGpt.OneM1.Rank(r, 7), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_adam)),
        "OneM2" => MeshRun.Run(name, ParityGpt.OneM2.Mesh, Steps, r => new ParityGpt.OneM2.Rank(r, 7), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_adam)),
        "OneM4" => MeshRun.Run(name, ParityGpt.OneM4.Mesh, Steps, r => new ParityGpt.OneM4.Rank(r, 7), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_adam)),
        "Dp2M1" => MeshRun.Run(name, ParityGpt.Dp2M1.Mesh, Steps, r => new ParityGpt.Dp2M1.Rank(r, 7), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_adam)),
        "Dp2M2" => MeshRun.Run(name, ParityGpt.Dp2M2.Mesh, Steps, r => new ParityGpt.Dp2M2.Rank(r, 7), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_adam)),
        "Dp2M4" => MeshRun.Run(name, ParityGpt.Dp2M4.Mesh, Steps, r => new ParityGpt.Dp2M4.Rank(r, 7), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_adam)),
        "Tp2M1" => MeshRun.Run(name, ParityGpt.Tp2M1.Mesh, Steps, r => new ParityGpt.Tp2M1.Rank(r, 7), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_adam)),
        "Tp2M2" => MeshRun.Run(name, ParityGpt.Tp2M2.Mesh, Steps, r => new ParityGpt.Tp2M2.Rank(r, 7), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_adam)),
        "Tp2M4" => MeshRun.Run(name, ParityGpt.Tp2M4.Mesh, Steps, r => new ParityGpt.Tp2M4.Rank(r, 7), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_adam)),
        "Dp2Tp2M1" => MeshRun.Run(name, ParityGpt.Dp2Tp2M1.Mesh, Steps, r => new ParityGpt.Dp2Tp2M1.Rank(r, 7), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_adam)),
        "Dp2Tp2M2" => MeshRun.Run(name, ParityGpt.Dp2Tp2M2.Mesh, Steps, r => new ParityGpt.Dp2Tp2M2.Rank(r, 7), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_adam)),
        "Dp2Tp2M4" => MeshRun.Run(name, ParityGpt.Dp2Tp2M4.Mesh, Steps, r => new ParityGpt.Dp2Tp2M4.Rank(r, 7), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_adam)),
        _ => MeshRun.Run(name, ParityGpt.Tp2Dp2Tq2M2.Mesh, Steps, r => new ParityGpt.Tp2Dp2Tq2M2.Rank(r, 7), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_adam)),
    };

    private static RunResult Sgd(string name) => name switch
    {
        "OneM1" => MeshRun.Run(name, DropoutGpt.OneM1.Mesh, Steps, r => new DropoutGpt.OneM1.Rank(r, 9), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_sgd)),
        "OneM2" => MeshRun.Run(name, DropoutGpt.OneM2.Mesh, Steps, r => new DropoutGpt.OneM2.Rank(r, 9), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_sgd)),
        "Dp2M1" => MeshRun.Run(name, DropoutGpt.Dp2M1.Mesh, Steps, r => new DropoutGpt.Dp2M1.Rank(r, 9), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_sgd)),
        "Tp2M2" => MeshRun.Run(name, DropoutGpt.Tp2M2.Mesh, Steps, r => new DropoutGpt.Tp2M2.Rank(r, 9), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_sgd)),
        "Tp2Dp2Tq2M1" => MeshRun.Run(name, DropoutGpt.Tp2Dp2Tq2M1.Mesh, Steps, r => new DropoutGpt.Tp2Dp2Tq2M1.Rank(r, 9), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_sgd)),
        _ => MeshRun.Run(name, DropoutGpt.Dp2Tp2M2.Mesh, Steps, r => new DropoutGpt.Dp2Tp2M2.Rank(r, 9), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_sgd)),
    };

    [Theory]
    [InlineData("OneM2")]
    [InlineData("OneM4")]
    [InlineData("Dp2M1")]
    [InlineData("Dp2M2")]
    [InlineData("Dp2M4")]
    [InlineData("Tp2M1")]
    [InlineData("Tp2M2")]
    [InlineData("Tp2M4")]
    [InlineData("Dp2Tp2M1")]
    [InlineData("Dp2Tp2M2")]
    [InlineData("Dp2Tp2M4")]
    [InlineData("Tp2Dp2Tq2M2")]
    public void AdamWOnAMeshFollowsOneRank(string name)
    {
        RunResult actual = Adam(name);
        MeshRun.AssertInitial(s_reference.Value, actual);
        MeshRun.AssertGradients(s_reference.Value, actual, 1e-5);
        Assert.InRange(Math.Abs(actual.Norms[0] / s_reference.Value.Norms[0] - 1), 0, 1e-6);
        MeshRun.AssertLosses(s_reference.Value, actual, 11, 1e-6);
        MeshRun.AssertLosses(s_reference.Value, actual, Steps, 5e-6);
    }

    [Theory]
    [InlineData("OneM2")]
    [InlineData("Dp2M1")]
    [InlineData("Tp2M2")]
    [InlineData("Dp2Tp2M2")]
    [InlineData("Tp2Dp2Tq2M1")]
    public void SgdWithDropoutAndClippingFollowsOneRank(string name)
    {
        RunResult actual = Sgd(name);
        MeshRun.AssertInitial(s_dropout.Value, actual);
        MeshRun.AssertGradients(s_dropout.Value, actual, 1e-5);
        MeshRun.AssertLosses(s_dropout.Value, actual, 11, 1e-6);
        MeshRun.AssertLosses(s_dropout.Value, actual, Steps, 5e-6);
    }

    [Fact]
    public void TheModelLearns() => Assert.True(s_reference.Value.Losses[^1] < 0.995 * s_reference.Value.Losses[0]);

    [Fact]
    public void TwoRunsOnOneMeshAreBitIdentical()
    {
        RunResult first = Adam("Dp2Tp2M2"), second = Adam("Dp2Tp2M2");
        Assert.Equal(first.Losses, second.Losses);
        Assert.Equal(first.Norms, second.Norms);
        foreach ((string path, float[] values) in first.Final)
        {
            Assert.True(values.AsSpan().SequenceEqual(second.Final[path]), path);
        }
    }
}
