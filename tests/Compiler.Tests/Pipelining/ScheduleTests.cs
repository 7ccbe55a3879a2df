using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Tests.Pipelining;

/// <summary>Every schedule on all small counts: a step in order, with the makespan and peak of its closed form.</summary>
public sealed class ScheduleTests
{
    private static readonly StageCost s_units = new(1, 1, 1);

    /// <summary>All shapes with P ≤ 8, V ≤ 3, M ≤ 24 that a schedule runs with.</summary>
    internal static IEnumerable<ScheduleShape> Shapes(Schedule schedule) =>
        from ranks in Enumerable.Range(1, 8)
        from chunks in Enumerable.Range(1, 3)
        from count in Enumerable.Range(1, 24)
        let shape = new ScheduleShape(ranks, chunks, count)
        where schedule.Refuse(shape) is null
        select shape;

    public static TheoryData<string> Names => new(Schedules.All.Select(s => s.Name));

    [Theory]
    [MemberData(nameof(Names))]
    public void EveryTableIsAStep(string name)
    {
        Schedule schedule = Schedules.Find(name)!;
        int tables = 0;
        foreach (ScheduleShape shape in Shapes(schedule))
        {
            ActionTable table = ActionTable.Build(schedule, shape);
            Assert.Null(TableValidation.Check(table));
            Assert.Null(TableValidation.Check(table.Merged(everywhere: true)));
            Assert.Equal(schedule.SplitsBackward, table.SplitsBackward);
            tables++;
        }

        // Interleaved refuses those that do not make equal groups, and only those.
        int expected = schedule.RequiredChunks is null
            ? schedule.TakesGroupSize ? 3 * Enumerable.Range(1, 8).Sum(p => Enumerable.Range(1, 24).Count(m => m % Math.Max(1, m / p) == 0)) : 8 * 3 * 24
            : 8 * 24;
        Assert.Equal(expected, tables);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void MakespansAndPeaksAreThoseOfTheClosedForms(string name)
    {
        Schedule schedule = Schedules.Find(name)!;
        foreach (ScheduleShape shape in Shapes(schedule))
        {
            (int ranks, int chunks, int count) = (shape.Ranks, shape.Chunks, shape.MicroBatches);
            Simulation run = Simulator.Run(ActionTable.Build(schedule, shape), s_units);
            int? makespan = name switch
            {
                "gpipe" or "1f1b" => 3 * (count + ranks - 1),
                "interleaved" or "bfs" => count >= ranks ? 3 * count * chunks + 3 * (ranks - 1) : null,
                "zb-h1" => count >= ranks ? 3 * count + ranks - 1 : null,
                _ => count >= 2 * ranks - 1 ? 6 * count + ranks - 1 : null,
            };
            Assert.True(makespan is null || makespan == run.Makespan, $"{name} {shape}: {run.Makespan}, not {makespan}");
            for (int rank = 0; rank < ranks; rank++)
            {
                int group = Interleaved.GroupSize(shape);
                int? peak = name switch
                {
                    "gpipe" => count,
                    "1f1b" => Math.Min(count, ranks - rank),
                    "interleaved" => Math.Min(count * chunks, (chunks - 1) * group + 2 * (ranks - 1 - rank) + 1),
                    "bfs" => count * chunks,
                    "zb-h1" => count >= ranks ? ranks : null,
                    _ => count >= 2 * ranks - 1 ? 2 * ranks : null,
                };
                Assert.True(peak is null || peak == run.Peak[rank], $"{name} {shape}, rank {rank}: {run.Peak[rank]}, not {peak}");
                Assert.True(run.Peak[rank] <= (name == "zb-v" ? 2 * ranks : name == "zb-h1" ? ranks : count * chunks), $"{name} {shape}, rank {rank}: {run.Peak[rank]}");
                Assert.Equal(3 * count * chunks, run.Busy[rank]);
            }
        }
    }

    [Fact]
    public void TheBubbleIsThatOfTheClosedForms()
    {
        foreach (ScheduleShape shape in Shapes(new Interleaved()).Where(s => s.MicroBatches % s.Ranks == 0))
        {
            double bubble = (shape.Ranks - 1.0) / (shape.Chunks * shape.MicroBatches + shape.Ranks - 1);
            Assert.Equal(bubble, Simulator.Run(ActionTable.Build(new Interleaved(), shape), s_units).Bubble, 9);
        }

        // No rank of a ZB-V step waits between its first action and its last.
        ActionTable table = ActionTable.Build(new ZeroBubbleV(), new ScheduleShape(6, 2, 14));
        Simulation run = Simulator.Run(table, s_units);
        Assert.All(Enumerable.Range(0, 6), r => Assert.Equal(run.Busy[r], run.Ends[r].Max() - run.Starts[r].Min()));
    }

    [Fact]
    public void ADeeperWarmUpHidesHops()
    {
        var link = new LinkCost(0.5);
        foreach (Schedule schedule in new Schedule[] { new OneForwardOneBackward(), new ZeroBubbleH1() })
        {
            foreach (int ranks in new[] { 3, 4, 8 })
            {
                var shape = new ScheduleShape(ranks, 1, 64);
                ActionTable plain = ActionTable.Build(schedule, shape), aware = ActionTable.Build(schedule, shape with { HopAware = true });
                Assert.Null(TableValidation.Check(aware));
                double lost = Simulator.Run(plain, s_units, link).Makespan, hidden = Simulator.Run(aware, s_units, link).Makespan;
                Assert.True(hidden < lost - (schedule.SplitsBackward ? 0 : 10), $"{schedule.Name} on {ranks}: {hidden} against {lost}");
                Assert.True(aware.PeakLive(0) > plain.PeakLive(0));
                Assert.True(aware.PeakLive(0) <= 2 * ranks);
            }
        }

        // 1F1B: two hops for each of the micro-batches that pass in a round of P; hop-aware: those of filling and draining only.
        ActionTable deep = ActionTable.Build(new OneForwardOneBackward(), new ScheduleShape(4, 1, 64, HopAware: true));
        Assert.Equal(3 * (64 + 3) + 2 * 3 * 0.5, Simulator.Run(deep, s_units, link).Makespan, 9);
    }

    [Theory]
    [InlineData("gpipe", 4, 2, 8, null, "give 1, or use interleaved or bfs or zb-v")]
    [InlineData("zb-v", 4, 1, 8, null, "give 2")]
    [InlineData("1f1b", 4, 1, 8, 4, "leave it out, or use interleaved")]
    [InlineData("1f1b", 0, 1, 8, null, "each must be 1 or more; 1, 1 and 8 would do")]
    [InlineData("interleaved", 4, 2, 9, null, "8 or 10 micro-batches would, or a group size of 9")]
    [InlineData("interleaved", 4, 2, 8, 5, "a group size of 4 or 8 would do")]
    [InlineData("interleaved", 4, 2, 8, 2, "groups of 4 would do")]
    [InlineData("gpipe", 1000, 1, 100000, null, "16666 micro-batches would do")]
    public void RefusalsNameTheNearestCountsThatWork(string name, int ranks, int chunks, int count, int? group, string expected) =>
        Assert.Contains(expected, Schedules.Find(name)!.Refuse(new ScheduleShape(ranks, chunks, count, group)), StringComparison.Ordinal);

    [Fact]
    public void AnActionReadsAsInTheDesign()
    {
        ActionTable table = ActionTable.Build(new ZeroBubbleH1(), new ScheduleShape(2, 1, 3));
        Assert.Equal("0F0 0F1 0I0 0W0 0F2 0I1 0W1 0I2 0W2", string.Join(" ", table.Ranks[0]));
        Assert.Equal("1F0 1I0 1F1 1I1 1W0 1F2 1I2 1W1 1W2", string.Join(" ", table.Ranks[1]));
        Assert.Equal("0F0 0F1 0B0 0F2 0B1 0B2", string.Join(" ", table.Merged().Ranks[0]));
        Assert.Equal("1F0 1I0 1F1 1I1 1W0 1F2 1I2 1W1 1W2", string.Join(" ", table.Merged().Ranks[1]));
    }
}
