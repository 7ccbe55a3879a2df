using System.Reflection;
using Shardwright.Execution;

namespace Shardwright.Tests;

/// <summary>Every program of this assembly, on each of its ranks: what is allocated is what is planned, to the byte and at once. Nothing is trained, so all of them are tried.</summary>
public sealed class AllocationTests
{
    /// <summary>Least number of combinations of mesh, ZeRO, recomputation and schedule that these programs are.</summary>
    private const int Combinations = 60;

    private static IEnumerable<Type> Programs => typeof(AllocationTests).Assembly.GetTypes().Where(t => t.IsNested && t.GetNestedType("Rank") is not null && t.GetProperty("Plan") is not null).OrderBy(t => t.FullName, StringComparer.Ordinal);

    [Fact]
    public void EveryRankAllocatesOnceAndWhatItsPlanSays()
    {
        var combinations = new HashSet<string>();
        foreach (Type program in Programs)
        {
            var plan = (Plan)program.GetProperty("Plan")!.GetValue(null)!;
            if (!plan.Fits)
            {
                continue; // such a rank refuses to start: FitTests
            }

            var mesh = (Mesh)program.GetProperty("Mesh")!.GetValue(null)!;
            var backend = new Counting();
            using var world = World.InProcess(mesh, new WorldOptions { ThreadsPerRank = 1, Backend = backend });
            world.Run(context =>
            {
                using var rank = (RankBase)Activator.CreateInstance(program.GetNestedType("Rank")!, context, 3UL)!;
                PlanRank planned = plan.Ranks[plan.PipelineAxis.Length == 0 ? 0 : context.Coordinate(plan.PipelineAxis)];
                Assert.Equal(planned.TotalBytes, rank.AllocatedBytes);
                Assert.Equal(planned.TotalBytes, planned.Memory.Values.Sum());
            });
            Assert.Equal(mesh.Ranks, backend.Sizes.Count);
            Assert.Equal(plan.TotalBytes, backend.Sizes.Max());
            combinations.Add(Combination(program, mesh));
        }

        Assert.True(combinations.Count >= Combinations, $"{combinations.Count} combinations: {string.Join("; ", combinations.Order(StringComparer.Ordinal))}");
    }

    /// <summary>What its attribute asks for: sizes of axes, micro-batches, and what is not left as it is by default.</summary>
    private static string Combination(Type program, Mesh mesh)
    {
        Attribute on = program.DeclaringType!.GetCustomAttributes().Single(a => a.GetType().Name == "ShardedOnAttribute`1"
            && ((string?)a.GetType().GetProperty("Name")!.GetValue(a) is { } name ? name == program.Name : "On" + a.GetType().GetGenericArguments()[0].Name == program.Name));
        string[] asked = ["MicroBatches", "Schedule", "Chunks", "Zero", "Recompute"];
        return string.Join(" ", asked.Select(p => on.GetType().GetProperty(p)!.GetValue(on)!.ToString()!).Prepend(string.Join("×", mesh.Axes.Select(a => a.Name + a.Size))));
    }

    /// <summary>Host memory; remembers what was asked of it.</summary>
    private sealed class Counting : Backend
    {
        public override string Name => "a host that counts";

        public System.Collections.Concurrent.ConcurrentBag<long> Sizes { get; } = [];

        public override Arena Allocate(long bytes, Slice<byte> scratch, int rank)
        {
            Sizes.Add(bytes);
            return new Arena(bytes, rank);
        }
    }
}
