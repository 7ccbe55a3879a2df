using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Sharding;
using Shardwright.Compiler.Tests.Memory;

namespace Shardwright.Compiler.Tests.Sharding;

using Plans = Shardwright.Compiler.Tests.Memory.Plans;

/// <summary>The search of the cheapest assignment: exact, and never with what cannot be where something can.</summary>
public sealed class CostNetworkTests
{
    private const long No = ReshardCost.Impossible;

    [Fact]
    public void TheCheapestAssignmentIsFoundWithAndWithoutPairsThatCannotBe()
    {
        var random = new Random(7);
        for (int round = 0; round < 200; round++)
        {
            int count = 2 + random.Next(6);
            double share = round % 2 == 0 ? 0 : 0.4;
            var network = new CostNetwork();
            int[] domains = [.. Enumerable.Range(0, count).Select(_ => 1 + random.Next(4))];
            int[] variables = [.. domains.Select(d => network.Variable([.. Enumerable.Range(0, d).Select(_ => (long)random.Next(100))]))];
            for (int a = 0; a < count; a++)
            {
                for (int b = 0; b < a; b++)
                {
                    if (random.Next(2) == 0)
                    {
                        network.Pair(variables[a], variables[b], (_, _) => random.NextDouble() < share ? No : random.Next(100));
                    }
                }
            }

            long best = All(domains).Min(network.Cost);
            int[] found = network.Solve(null, default);
            Assert.True(best < No ? network.Cost(found) == best : network.Cost(found) >= No, $"round {round}: {network.Cost(found)} instead of {best}");
        }
    }

    private static IEnumerable<int[]> All(int[] domains)
    {
        int total = domains.Aggregate(1, (a, b) => a * b);
        return Enumerable.Range(0, total).Select(i =>
        {
            int[] assignment = new int[domains.Length];
            for (int v = 0; v < domains.Length; v++, i /= domains[v - 1])
            {
                assignment[v] = i % domains[v];
            }

            return assignment;
        });
    }

    /// <summary>Far too entangled for exact tables: each variable stands beside every other. What the first may be leaves one value to each of them, and that is found.</summary>
    [Fact]
    public void WhatFollowsIsNotSearched()
    {
        const int Count = 40, Domain = 8;
        var network = new CostNetwork();
        int[] variables = [.. Enumerable.Range(0, Count).Select(v => network.Variable([.. Enumerable.Range(0, v == 0 ? 1 : Domain).Select(i => (long)(Domain - i) * 1000)]))];
        for (int v = 1; v < Count; v++)
        {
            // Cheapest alone is the last value; beside the one before it, only one is possible.
            int before = v - 1;
            network.Pair(variables[before], variables[v], (a, b) => b == (before == 0 ? 3 : (a + 1) % Domain) ? 0 : No);
            for (int other = 0; other < before; other++)
            {
                network.Pair(variables[other], variables[v], (a, b) => a * b % 7);
            }
        }

        int[] found = network.Solve(null, default);
        Assert.True(network.Cost(found) < No);
        Assert.Equal(Enumerable.Range(1, Count - 1).Select(v => (v + 2) % Domain), found.Skip(1));
    }

    /// <summary>Two micro-batches divide more dims of this model than four do, so there is more to search; every number that divides its rows has a plan.</summary>
    [Theory]
    [InlineData("Pp2Dp2M4", 1)]
    [InlineData("Pp2Dp2M4", 2)]
    [InlineData("Pp2Dp2M4", 3)]
    [InlineData("Pp2Dp2M4", 6)]
    [InlineData("Pp2Dp2M4", 12)]
    [InlineData("Dp2M4", 2)]
    [InlineData("Tp2Dp2Tq2M1", 2)]
    public void EveryNumberOfMicroBatchesThatDividesTheBatchHasAPlan(string mesh, int microBatches)
    {
        PlanResult result = s_net.Plan(mesh, m => m with { MicroBatches = new Expression.Integer(microBatches, -1) });
        Assert.True(result.Program is not null, string.Join("\n", result.Findings.Select(f => f.Message)));
    }

    /// <summary>Products of seconds outweigh the gradients of their parameters: each rank keeps its rows, and only gradients are summed over the data axis.</summary>
    [Fact]
    public void AsLargeAsAModelMayBeItsBatchStaysSplit()
    {
        RankProgram program = Plans.TinyGpt.Program("OnDp2Tp2", m => m with { Mesh = m.Mesh with { Device = m.Mesh.Device with { Fp32TFlops = 19.5, BandwidthGBs = 2000 } } },
            ("Layers", 40), ("Hidden", 6144), ("Heads", 48), ("Batch", 1024), ("Context", 2048), ("Vocab", 51200));
        EntryPlan train = program.Stages[0].Entries.Single(e => e.Name == "Train");
        Assert.DoesNotContain(train.Methods.SelectMany(m => m.Statements).OfType<ProgramStatement.Start>(), s => s.Axes.Contains("dp"));
        Assert.Contains(program.Stages[0].Groups, g => g.Reductions.Any(r => r.Axis == "dp"));
    }

    private static readonly Plans s_net = Plans.Files("Shardwright.Tests.ZeroNet", "tests/Training.Tests", "ZeroModel.cs", "ParityModel.cs");
}
