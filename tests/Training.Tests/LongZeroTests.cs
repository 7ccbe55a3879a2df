using Xunit.Abstractions;

namespace Shardwright.Tests;

/// <summary>ZeRO over many steps: what is cut into shards learns the same. SHARDWRIGHT_ZERO_STEPS=200 for a long run.</summary>
public sealed class LongZeroTests(ITestOutputHelper output)
{
    private static readonly int s_steps = int.TryParse(Environment.GetEnvironmentVariable("SHARDWRIGHT_ZERO_STEPS"), out int steps) ? steps : 16;
    private static readonly Lazy<RunResult> s_none = new(() => MeshRun.Run("None", ZeroGpt.None.Mesh, s_steps, r => new ZeroGpt.None.Rank(r, 21), (r, i) => r.TrainStep(Data(i).Ids, Data(i).Targets, s_settings)));
    private static readonly AdamWSettings s_settings = new(1e-3f, WeightDecay: 0.1f, ClipNorm: 1);

    private static (TokenTensor Ids, TokenTensor Targets) Data(int step)
    {
        // Each byte follows from the two before it, but for one in eight.
        var random = new Random(4000 + step);
        int[] ids = new int[ZeroGpt.Batch * ZeroGpt.Context], targets = new int[ids.Length];
        int last = 0, next = 0;
        for (int i = 0; i < ids.Length; i++)
        {
            ids[i] = next;
            (last, next) = (next, random.Next(8) == 0 ? random.Next(ZeroGpt.Vocab) : (5 * next + 3 * last + 11) % 64);
            targets[i] = next;
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
        double[] differences = [.. expected.Losses.Zip(actual.Losses, (a, b) => Math.Abs(a - b) / a)];
        double apart = Math.Sqrt(expected.Final.Sum(p => p.Value.Zip(actual.Final[p.Key], (a, b) => ((double)a - b) * ((double)a - b)).Sum()) / expected.Final.Sum(p => p.Value.Sum(x => (double)x * x)));
        output.WriteLine($"ZeRO-{stage}, {s_steps} steps: loss {expected.Losses[0]:F4} to {expected.Losses[^1]:F4} and {actual.Losses[^1]:F4}; relative difference of losses at most {differences.Max():G3}, of parameters at the end {apart:G3}");
        Assert.True(expected.Losses[^1] < 0.9 * expected.Losses[0], $"{expected.Losses[0]} to {expected.Losses[^1]}: nothing was learnt");
        if (stage == 1)
        {
            Assert.Equal(expected.Losses, actual.Losses);
            Assert.Equal(0, apart);
            return;
        }

        // Gradients are summed over ranks first and over micro-batches then: another order of rounding, which training carries on.
        Assert.InRange(differences.Take(16).Max(), 0, 1e-5);
        Assert.InRange(differences.Max(), 0, 1e-3);
    }
}
