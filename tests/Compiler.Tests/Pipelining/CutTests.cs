using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Tests.Pipelining;

/// <summary>The best cut is the one that a search over all of them finds.</summary>
public sealed class CutTests
{
    [Fact]
    public void TheSmallestLargestStageIsNotTheShortestStep()
    {
        CutResult result = CutSearch.Find(Request([8, 11, 2, 1, 18, 5, 4, 11], new OneForwardOneBackward(), new ScheduleShape(4, 1, 8)));
        Assert.True(result.Exact);
        Assert.Equal(573, result.Best.Makespan);
        Assert.Equal(600, result.MinMax.Makespan);
        Assert.Equal(60, result.MinMax.LargestStage);
        Assert.Equal(8, result.Best.Counts.Sum());
    }

    [Theory]
    [MemberData(nameof(ScheduleTests.Names), MemberType = typeof(ScheduleTests))]
    public void TheCutIsTheBestOfAll(string name)
    {
        Schedule schedule = Schedules.Find(name)!;
        var random = new Random(17);
        for (int trial = 0; trial < 30; trial++)
        {
            int chunks = schedule.RequiredChunks ?? random.Next(1, 3), ranks = random.Next(1, 5), count = ranks * random.Next(1, 4);
            int segments = ranks * chunks + random.Next(0, 6);
            SegmentCost[] costs = [.. Enumerable.Range(0, segments).Select(_ =>
                new SegmentCost(random.Next(0, 20), random.Next(1, 20), random.Next(0, 20), random.Next(0, 50), random.Next(0, 200), random.Next(0, 8)))];
            var request = new CutRequest(costs.ToEquatable(), schedule, new ScheduleShape(ranks, chunks, count), new LinkCost(random.Next(0, 3), 0.5 * random.Next(0, 3)));
            Cut[] all = [.. Enumerable.Range(0, 1 << (segments - 1)).Select(bits => Counts(bits, segments)).Where(c => c.Length == ranks * chunks).Select(c => CutSearch.Price(request, c))];
            CutResult free = CutSearch.Find(request);
            Assert.True(free.Exact);
            Assert.Equal(all.Min(c => c.Makespan), free.Best.Makespan);
            Assert.Equal(all.Min(c => c.LargestStage), free.MinMax.LargestStage);
            Assert.True(free.Best.Makespan <= free.MinMax.Makespan);

            // With a limit that half of all cuts keep, and with one that none keeps.
            long limit = all.Select(c => c.PeakBytes.Max()).Order().ElementAt(all.Length / 2);
            CutResult bound = CutSearch.Find(request with { MemoryLimit = limit });
            Assert.Equal(all.Where(c => c.PeakBytes.Max() <= limit).Min(c => c.Makespan), bound.Best.Makespan);
            Assert.Equal(0, bound.Best.Overflow);
            long least = all.Min(c => c.PeakBytes.Max());
            if (least > 0)
            {
                Assert.Equal(1, CutSearch.Find(request with { MemoryLimit = least - 1 }).Best.Overflow);
            }
        }
    }

    [Fact]
    public void BytesOfARankAreItsLiveMicroBatchesAndParameters()
    {
        SegmentCost[] costs = [.. Enumerable.Range(0, 4).Select(i => new SegmentCost(1, 1, 1, 10, 100 * (i + 1)))];
        Cut cut = CutSearch.Price(new CutRequest(costs.ToEquatable(), new OneForwardOneBackward(), new ScheduleShape(2, 1, 8)), [1, 3]);
        Assert.Equal([2 * 10 + 100, 30 + 900], cut.PeakBytes);
        Cut interleaved = CutSearch.Price(new CutRequest(costs.ToEquatable(), new Interleaved(), new ScheduleShape(2, 2, 4)), [1, 1, 1, 1]);
        Assert.Equal([5 * 10 + 100 + 300, 3 * 10 + 200 + 400], interleaved.PeakBytes);
    }

    [Fact]
    public void LargeSearchesAreBoundedAndNoWorseThanMinMax()
    {
        var random = new Random(3);
        foreach (Schedule schedule in new Schedule[] { new OneForwardOneBackward(), new ZeroBubbleV() })
        {
            SegmentCost[] costs = [.. Enumerable.Range(0, 98).Select(_ => new SegmentCost(5 + random.Next(6), 5 + random.Next(6), 5 + random.Next(6), 1, 10, 4))];
            costs[0] = costs[0] with { Forward = 1, Input = 0 };
            costs[97] = costs[97] with { Forward = 60, Input = 60, Weight = 60 };
            CutResult result = CutSearch.Find(new CutRequest(costs.ToEquatable(), schedule, new ScheduleShape(8, schedule.RequiredChunks ?? 2, 32), new LinkCost(1, 0.01)));
            Assert.False(result.Exact);
            Assert.True(result.Best.Makespan <= result.MinMax.Makespan);
            Assert.True(result.Simulated < 60_000, $"{result.Simulated}");
        }
    }

    [Theory]
    [InlineData(3, 4, 1, "1f1b", "3 segments for 4 stages (4 ranks with 1 on each): each stage needs one or more, so 3 ranks would do")]
    [InlineData(9, 4, 3, "interleaved", "9 segments for 12 stages (4 ranks with 3 on each): each stage needs one or more, so 2 chunks would do")]
    [InlineData(5, 4, 2, "zb-v", "so 2 ranks would do")]
    [InlineData(5, 4, 2, "gpipe", "gpipe runs 1 stage on each rank")]
    public void TooFewSegmentsAreRefused(int segments, int ranks, int chunks, string schedule, string expected) =>
        Assert.Contains(expected, CutSearch.Refuse(Request(Enumerable.Repeat(1, segments).ToArray(), Schedules.Find(schedule)!, new ScheduleShape(ranks, chunks, 8))), StringComparison.Ordinal);

    private static CutRequest Request(int[] forward, Schedule schedule, ScheduleShape shape) =>
        new(forward.Select(f => new SegmentCost(f, f, f)).ToEquatable(), schedule, shape);

    private static int[] Counts(int bits, int segments)
    {
        var counts = new List<int> { 1 };
        for (int i = 0; i < segments - 1; i++)
        {
            if ((bits >> i & 1) == 1)
            {
                counts.Add(1);
            }
            else
            {
                counts[^1]++;
            }
        }

        return [.. counts];
    }
}
