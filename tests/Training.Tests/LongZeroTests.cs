using Xunit.Abstractions;

namespace Shardwright.Tests;

/// <summary>ZeRO over many steps: what is cut into shards learns the same. SHARDWRIGHT_ZERO_STEPS=200 for a long run.</summary>
public sealed class LongZeroTests(ITestOutputHelper output)
{
    private static readonly int s_steps = int.TryParse(Environment.GetEnvironmentVariable("SHARDWRIGHT_ZERO_STEPS"), out int steps) ? steps : 16;
    private static readonly Lazy<RunResult> s_none = new(() => MeshRun.Run("None", ZeroGpt.None.Mesh, s_steps, r => new ZeroGpt.None.Rank(r, 21), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)));

    /// <summary>The same without micro-batches: gradients in another order of sums, and nothing else.</summary>
    private static readonly Lazy<RunResult> s_otherOrder = new(() => MeshRun.Run("NoneM1", ZeroGpt.NoneM1.Mesh, s_steps, r => new ZeroGpt.NoneM1.Rank(r, 21), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)));
    private static readonly AdamWSettings s_settings = new(1e-3f, WeightDecay: 0.1f, ClipNorm: 1);

    private static (TokenTensor Ids, TokenTensor Targets) Data(int step)
    {
        // Each byte follows from the one before it, but for one in eight.
        var random = new Random(4000 + step);
        int[] ids = new int[ZeroGpt.Batch * ZeroGpt.Context], targets = new int[ids.Length];
        int next = 0;
        for (int i = 0; i < ids.Length; i++)
        {
            ids[i] = next;
            targets[i] = next = random.Next(8) == 0 ? random.Next(ZeroGpt.Vocab) : (5 * next + 11) % 64;
        }

        return (TokenTensor.Of(ids, ZeroGpt.Batch, ZeroGpt.Context), TokenTensor.Of(targets, ZeroGpt.Batch, ZeroGpt.Context));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void ManyStepsLearnTheSame(int stage)
    {
        RunResult expected = s_none.Value, actual = stage switch
        {
            1 => MeshRun.Run("Zero1", ZeroGpt.Zero1.Mesh, s_steps, r => new ZeroGpt.Zero1.Rank(r, 21), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
            2 => MeshRun.Run("Zero2", ZeroGpt.Zero2.Mesh, s_steps, r => new ZeroGpt.Zero2.Rank(r, 21), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
            _ => MeshRun.Run("Zero3", ZeroGpt.Zero3.Mesh, s_steps, r => new ZeroGpt.Zero3.Rank(r, 21), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)),
        };
        (double loss, double parameters) = Apart(expected, actual);
        output.WriteLine($"ZeRO-{stage}, {s_steps} steps: loss {expected.Losses[0]:F4} to {expected.Losses[^1]:F4} and {actual.Losses[^1]:F4}; relative difference of losses at most {loss:G3}, of parameters at the end {parameters:G3}");
        Assert.True(expected.Losses[^1] < 0.9 * expected.Losses[0], $"{expected.Losses[0]} to {expected.Losses[^1]}: nothing was learnt");
        if (stage == 1)
        {
            Assert.Equal(expected.Losses, actual.Losses);
            Assert.Equal(0, parameters);
            return;
        }

        // Gradients are summed over ranks first and over micro-batches then: rounding that training carries on, as it does any other.
        (double otherLoss, double otherParameters) = Apart(expected, s_otherOrder.Value);
        output.WriteLine($"another order of sums: losses {otherLoss:G3}, parameters {otherParameters:G3}");
        Assert.InRange(loss, 0, 4 * otherLoss);
        Assert.InRange(parameters, 0, 4 * otherParameters);
        MeshRun.AssertLosses(expected, actual, 16, 1e-5);
    }

    /// <summary>Largest relative difference of the losses, and that of all parameters at the end.</summary>
    private static (double Loss, double Parameters) Apart(RunResult a, RunResult b) => (
        a.Losses.Zip(b.Losses, (x, y) => Math.Abs(x - y) / x).Max(),
        Math.Sqrt(a.Final.Sum(p => p.Value.Zip(b.Final[p.Key], (x, y) => ((double)x - y) * ((double)x - y)).Sum()) / a.Final.Sum(p => p.Value.Sum(x => (double)x * x))));
}
