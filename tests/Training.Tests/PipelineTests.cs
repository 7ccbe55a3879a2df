namespace Shardwright.Tests;

/// <summary>Pipelines compute what one rank computes, whatever the schedule, bit for bit the same from run to run.</summary>
public sealed class PipelineTests
{
    private const int Steps = 12;

    private static readonly Lazy<RunResult> s_reference = new(() => Run("OneM1"));
    private static readonly AdamWSettings s_settings = new(3e-4f);

    private static (TokenTensor Ids, TokenTensor Targets) Data(int step)
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
        _ => MeshRun.Run(name, PipelineGpt.Pp2Dp2Tp2M4.Mesh, Steps, r => new PipelineGpt.Pp2Dp2Tp2M4.Rank(r, 3), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
    };

    [Theory]
    [InlineData("Pp2M1")]
    [InlineData("Pp2M4")]
    [InlineData("Pp4M8")]
    [InlineData("Pp4M2GPipe")]
    [InlineData("Pp2M4Interleaved")]
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
}
