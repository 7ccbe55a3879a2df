using System.Reflection;
using Shardwright.Execution;

namespace Shardwright.Tests;

/// <summary>Nothing is read that was not written in its lifetime: memory that holds nothing is filled with NaN, at the start of a step and where each tensor dies, and no loss changes. Every rank
/// allocates once, and exactly what its plan says.</summary>
public sealed class PoisonTests
{
    public static TheoryData<string> Meshes { get; } = new(new[] { typeof(ParityGpt), typeof(DropoutGpt), typeof(PipelineGpt), typeof(RecomputeGpt), typeof(MarkedGpt), typeof(ZeroNet), typeof(ZeroDeep), typeof(SplitGpt) }
        .SelectMany(m => m.GetNestedTypes().Where(t => t.GetProperty("Mesh") is not null).Select(t => $"{m.Name}.{t.Name}")));

    [Theory]
    [MemberData(nameof(Meshes))]
    public void LossesAreTheSameWhereMemoryThatHoldsNothingIsNaN(string name)
    {
        string[] parts = name.Split('.');
        Type on = typeof(PoisonTests).Assembly.GetType("Shardwright.Tests." + parts[0])!.GetNestedType(parts[1])!;
        Assert.Equal(Run(on, false), Run(on, true));
    }

    /// <summary>Losses and norms of two steps, of an evaluation, and a sum of the logits where the model has them.</summary>
    private static double[] Run(Type on, bool poisons)
    {
        var mesh = (Mesh)on.GetProperty("Mesh")!.GetValue(null)!;
        var plan = (Plan)on.GetProperty("Plan")!.GetValue(null)!;
        Type rankType = on.GetNestedType("Rank")!;
        MethodInfo train = rankType.GetMethod("TrainStep")!, evaluate = rankType.GetMethod("Evaluate")!;
        MethodInfo? forward = rankType.GetMethod("Forward");
        (int[] shape, int vocab) = on.DeclaringType == typeof(PipelineGpt) ? ([PipelineGpt.Batch, PipelineGpt.Context], PipelineGpt.Vocab)
            : on.DeclaringType == typeof(ZeroNet) || on.DeclaringType == typeof(ZeroDeep) ? ([ZeroNet.Batch, ZeroNet.Context], ZeroNet.Vocab)
            : on.DeclaringType == typeof(SplitGpt) ? ([SplitGpt.Batch, SplitGpt.Context], SplitGpt.Vocab)
            : (new[] { ParityGpt.Batch, ParityGpt.Context }, ParityGpt.Vocab);
        TokenTensor Tokens(int seed) => TokenTensor.Of([.. Enumerable.Range(0, shape[0] * shape[1]).Select(i => (int)((i * 7919L + seed * 104729L + i * (long)i * 31) % vocab))], shape);
        var backend = new CountingBackend();
        var results = new double[5];
        using var world = World.InProcess(mesh, new WorldOptions { ThreadsPerRank = 1, PoisonMemory = poisons, Backend = backend });
        world.Run(context =>
        {
            using var rank = (RankBase)Activator.CreateInstance(rankType, context, 3UL)!;
            int coordinate = plan.PipelineAxis.Length == 0 ? 0 : context.Coordinate(plan.PipelineAxis);
            Assert.Equal(plan.Ranks[coordinate].TotalBytes, rank.AllocatedBytes);
            Assert.Equal(plan.Ranks[coordinate].TotalBytes, plan.Ranks[coordinate].Memory.Values.Sum());
            object settings = train.GetParameters()[^1].ParameterType == typeof(AdamWSettings) ? new AdamWSettings(1e-3f, ClipNorm: 1)
                : train.GetParameters()[^1].ParameterType == typeof(MomentumSettings) ? new MomentumSettings(1e-2f) : new SgdSettings(1e-2f);
            for (int step = 0; step < 2; step++)
            {
                var result = (StepResult)train.Invoke(rank, [Tokens(step), Tokens(step + 9), settings])!;
                if (context.Rank == 0)
                {
                    (results[2 * step], results[2 * step + 1]) = (result.Loss, result.GradientNorm);
                }
            }

            var evaluated = (StepResult)evaluate.Invoke(rank, [Tokens(5), Tokens(6)])!;
            if (forward is not null)
            {
                Assert.All(((Tensor)forward.Invoke(rank, [Tokens(7)])!).Span.ToArray(), x => Assert.True(float.IsFinite(x)));
            }

            if (context.Rank == 0)
            {
                results[4] = evaluated.Loss;
            }
        });
        Assert.Equal(mesh.Ranks, backend.Allocations);
        Assert.All(results, r => Assert.True(double.IsFinite(r)));
        return results;
    }

    private sealed class CountingBackend : Backend
    {
        private int _allocations;

        public override string Name => "a host that counts";

        public int Allocations => _allocations;

        public override Arena Allocate(long bytes, Slice<byte> scratch, int rank)
        {
            Interlocked.Increment(ref _allocations);
            return new Arena(bytes, rank);
        }
    }
}
