namespace Shardwright.Tests;

/// <summary>What is computed again, is the same: losses, norms, gradients and parameters, bit by bit.</summary>
public sealed class RecomputeTests
{
    private const int Steps = 6;
    private static readonly AdamWSettings s_settings = new(1e-3f, ClipNorm: 1);
    private static readonly Lazy<RunResult> s_one = new(() => Run("OneNone")), s_mesh = new(() => Run("MeshNone"));

    private static RunResult Run(string name) => name switch
    {
        "OneNone" => MeshRun.Run(name, RecomputeGpt.OneNone.Mesh, Steps, r => new RecomputeGpt.OneNone.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
        "OneSelective" => MeshRun.Run(name, RecomputeGpt.OneSelective.Mesh, Steps, r => new RecomputeGpt.OneSelective.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
        "OneFull" => MeshRun.Run(name, RecomputeGpt.OneFull.Mesh, Steps, r => new RecomputeGpt.OneFull.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
        "OneAuto" => MeshRun.Run(name, RecomputeGpt.OneAuto.Mesh, Steps, r => new RecomputeGpt.OneAuto.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
        "OneMarked" => MeshRun.Run(name, MarkedGpt.OnOne.Mesh, Steps, r => new MarkedGpt.OnOne.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
        "PipeNone" => MeshRun.Run(name, RecomputeGpt.PipeNone.Mesh, Steps, r => new RecomputeGpt.PipeNone.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
        "PipeFull" => MeshRun.Run(name, RecomputeGpt.PipeFull.Mesh, Steps, r => new RecomputeGpt.PipeFull.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
        "PipeMarked" => MeshRun.Run(name, MarkedGpt.OnPp2.Mesh, Steps, r => new MarkedGpt.OnPp2.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
        "ZbNone" => MeshRun.Run(name, RecomputeGpt.ZbNone.Mesh, Steps, r => new RecomputeGpt.ZbNone.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
        "ZbFull" => MeshRun.Run(name, RecomputeGpt.ZbFull.Mesh, Steps, r => new RecomputeGpt.ZbFull.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
        "MeshNone" => MeshRun.Run(name, RecomputeGpt.MeshNone.Mesh, Steps, r => new RecomputeGpt.MeshNone.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
        "MeshSelective" => MeshRun.Run(name, RecomputeGpt.MeshSelective.Mesh, Steps, r => new RecomputeGpt.MeshSelective.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
        "MeshFull" => MeshRun.Run(name, RecomputeGpt.MeshFull.Mesh, Steps, r => new RecomputeGpt.MeshFull.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
        _ => MeshRun.Run(name, MarkedGpt.OnDp2Tp2.Mesh, Steps, r => new MarkedGpt.OnDp2Tp2.Rank(r, 3), (r, i) => r.TrainStep(ParityTests.Data(i).Ids, ParityTests.Data(i).Targets, s_settings)),
    };

    [Theory]
    [InlineData("OneSelective")]
    [InlineData("OneFull")]
    [InlineData("OneAuto")]
    [InlineData("OneMarked")]
    [InlineData("MeshSelective")]
    [InlineData("MeshFull")]
    [InlineData("MeshMarked")]
    [InlineData("PipeFull")]
    [InlineData("PipeMarked")]
    [InlineData("ZbFull")]
    public void ComputingAgainChangesNoBit(string name)
    {
        RunResult expected = name.StartsWith("One", StringComparison.Ordinal) ? s_one.Value : name.StartsWith("Mesh", StringComparison.Ordinal) ? s_mesh.Value : Run(name.StartsWith("Zb", StringComparison.Ordinal) ? "ZbNone" : "PipeNone"), actual = Run(name);
        Assert.Equal(expected.Losses, actual.Losses);
        Assert.Equal(expected.Norms, actual.Norms);
        foreach ((string path, float[] values) in expected.Gradients)
        {
            Assert.True(values.AsSpan().SequenceEqual(actual.Gradients[path]), $"gradient of {path} differs");
        }

        foreach ((string path, float[] values) in expected.Final)
        {
            Assert.True(values.AsSpan().SequenceEqual(actual.Final[path]), $"{path} differs");
        }
    }

    [Fact]
    public void ComputingAgainSavesMemory()
    {
        Assert.True(RecomputeGpt.OneFull.Plan.Memory["Activations"] < RecomputeGpt.OneSelective.Plan.Memory["Activations"]);
        Assert.True(RecomputeGpt.OneSelective.Plan.Memory["Activations"] < RecomputeGpt.OneNone.Plan.Memory["Activations"]);
        Assert.True(RecomputeGpt.MeshFull.Plan.Memory["Activations"] < RecomputeGpt.MeshNone.Plan.Memory["Activations"]);
        Assert.True(RecomputeGpt.PipeFull.Plan.Ranks.Zip(RecomputeGpt.PipeNone.Plan.Ranks).All(r => r.First.TotalBytes < r.Second.TotalBytes));
        Assert.True(RecomputeGpt.ZbFull.Plan.Ranks.Zip(RecomputeGpt.ZbNone.Plan.Ranks).All(r => r.First.TotalBytes < r.Second.TotalBytes));
        Assert.True(MarkedGpt.OnDp2Tp2.Plan.Memory["Activations"] < RecomputeGpt.MeshNone.Plan.Memory["Activations"]);
        Assert.Equal(RecomputeGpt.OneNone.Plan.TotalBytes, RecomputeGpt.OneAuto.Plan.TotalBytes);
    }
}
