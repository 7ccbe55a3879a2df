using System.Reflection;
using Shardwright.Execution;

namespace Shardwright.Tests;

/// <summary>A product in chunks, each summed beside the next one's work, makes the bits of the whole: on every kind of mesh, and with each wait beside its start too.</summary>
public sealed class SplitTests
{
    private const int Steps = 3;

    public static TheoryData<string> Cases { get; } = new(typeof(SplitGpt).GetNestedTypes().Select(t => t.Name).Where(n => n.EndsWith("Split", StringComparison.Ordinal)).Select(n => n[..^"Split".Length]));

    private static Type Class(string name) => typeof(SplitGpt).GetNestedType(name)!;

    private static T Static<T>(string name, string property) => (T)Class(name).GetProperty(property)!.GetValue(null)!;

    private static TokenTensor Tokens(int seed) =>
        TokenTensor.Of([.. Enumerable.Range(0, SplitGpt.Batch * SplitGpt.Context).Select(i => (int)((i * 7919L + seed * 104729L + i * (long)i * 31) % SplitGpt.Vocab))], SplitGpt.Batch, SplitGpt.Context);

    private static RunResult Run(string name, bool overlap)
    {
        Type rankType = Class(name).GetNestedType("Rank")!;
        MethodInfo train = rankType.GetMethod("TrainStep")!;
        return MeshRun.Run(name, Static<Mesh>(name, "Mesh"), Steps, context => (RankBase)Activator.CreateInstance(rankType, context, 5UL)!,
            (rank, step) => train.CreateDelegate<Func<TokenTensor, TokenTensor, AdamWSettings, StepResult>>(rank)(Tokens(step), Tokens(step + 9), new AdamWSettings(1e-3f, ClipNorm: 0.5f)), overlap);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void ChunksChangeNoBit(string name)
    {
        Assert.DoesNotContain(Static<Plan>(name + "Whole", "Plan").Collectives, c => c.Chunks > 1);
        Assert.Contains(Static<Plan>(name + "Split", "Plan").Collectives, c => c.Axis == "tp" && c.Chunks > 1);
        RunResult whole = Run(name + "Whole", overlap: true);
        foreach (bool overlap in new[] { true, false })
        {
            RunResult split = Run(name + "Split", overlap);
            Assert.Equal(whole.Losses, split.Losses);
            Assert.Equal(whole.Norms, split.Norms);
            foreach ((string path, float[] values) in whole.Final)
            {
                Assert.True(whole.Gradients[path].AsSpan().SequenceEqual(split.Gradients[path]), $"gradient of {path}");
                Assert.True(values.AsSpan().SequenceEqual(split.Final[path]), path);
            }
        }
    }

    /// <summary>No rank needs more memory for it.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void ChunksTakeNoMemory(string name) =>
        Assert.All(Static<Plan>(name + "Whole", "Plan").Ranks.Zip(Static<Plan>(name + "Split", "Plan").Ranks), r => Assert.True(r.Second.TotalBytes <= r.First.TotalBytes, $"{r.Second.TotalBytes} bytes, {r.First.TotalBytes} without"));
}
