using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Scheduling;

namespace Shardwright.Compiler.Tests.Scheduling;

/// <summary>Independent work moves between the start of a collective and its wait; nothing else moves.</summary>
public sealed class OverlapOrderTests
{
    private readonly List<OrderedStep> _steps = [];
    private readonly List<OrderedBlock> _blocks = [];

    private int Work(double seconds, params int[] needs) => Add(new OrderedStep(StepRole.Compute, seconds, Sorted(needs)));

    private (int Start, int Wait) Collective(double seconds, int needs, string lane = "tp")
    {
        // Collectives of a lane, and the waits for them, keep their order.
        int before = _steps.FindLastIndex(s => s.Role == StepRole.Start && s.Lane == lane), waited = _steps.FindLastIndex(s => s.Role == StepRole.Wait && _steps[s.Of].Lane == lane);
        int start = Add(new OrderedStep(StepRole.Start, seconds, Sorted(needs, before)) { Lane = lane });
        return (start, Add(new OrderedStep(StepRole.Wait, 0, Sorted(start, waited)) { Of = start }));
    }

    private static EquatableArray<int> Sorted(params int[] needs) => needs.Where(n => n >= 0).Distinct().Order().ToEquatable();

    private int Add(OrderedStep step)
    {
        _steps.Add(step);
        return _steps.Count - 1;
    }

    private void Memory(long bytes, params int[] steps) => _blocks.Add(new OrderedBlock(bytes, Sorted(steps), false, false));

    private int[] Find()
    {
        int[] order = [.. OverlapOrder.Find(_steps, _blocks, default).Steps];
        Assert.Equal(order, OverlapOrder.Find(_steps, _blocks, default).Steps);
        return order;
    }

    [Fact]
    public void AWaitSinksToWhatNeedsIt()
    {
        int made = Work(1);
        (int start, int wait) = Collective(3, made);
        int independent = Work(2, made), next = Work(1, wait, independent), behind = Work(1, next);
        Assert.Equal([made, start, independent, wait, next, behind], Find());
    }

    [Fact]
    public void WorkFromBeforeTheStartMovesBehindIt()
    {
        int first = Work(1), weights = Work(2, first), inputs = Work(2, first);
        (int start, int wait) = Collective(3, inputs);
        int next = Work(1, wait);
        Assert.Equal([first, inputs, start, weights, wait, next], Find());
    }

    [Fact]
    public void WorkFromBehindTheWaitMovesBeforeIt()
    {
        int first = Work(1);
        (int start, int wait) = Collective(3, first);
        int next = Work(1, wait), after = Work(1, next), other = Work(2), more = Work(2, other), last = Work(1, more, after);
        Assert.Equal([first, start, other, more, wait, next, after, last], Find());
    }

    /// <summary>Work that hides one collective stays there: to move it would hide another one instead.</summary>
    [Fact]
    public void NoMoreWorkIsMovedThanHides()
    {
        int first = Work(1);
        (int start, int wait) = Collective(1, first);
        int next = Work(1, wait), near = Work(2), far = Work(2), last = Work(1, next, near, far);
        Assert.Equal([first, start, near, wait, next, far, last], Find());
    }

    [Fact]
    public void AStartRisesToWhatItNeeds()
    {
        int first = Work(1), independent = Work(2);
        (int start, int wait) = Collective(3, first);
        int next = Work(1, wait);
        Assert.Equal([first, start, independent, wait, next], Find());
    }

    [Fact]
    public void NothingMovesWhereNothingIsIndependent()
    {
        int first = Work(1);
        (int start, int wait) = Collective(3, first);
        int next = Work(1, wait);
        (int second, int then) = Collective(3, next);
        Assert.Equal([first, start, wait, next, second, then, Work(1, then)], Find());
    }

    /// <summary>What would have to live longer than there is memory for stays where it is.</summary>
    [Theory]
    [InlineData(60, true)]
    [InlineData(59, false)]
    public void NoMoveTakesMoreMemoryThanThereWasUseFor(long largest, bool moves)
    {
        int first = Work(1), weights = Work(2, first), inputs = Work(2, first);
        (int start, int wait) = Collective(3, inputs);
        int next = Work(1, wait);
        Memory(60, first, weights);
        Memory(40, inputs, start, wait, next);
        Memory(largest, next);
        Assert.Equal(moves ? [first, inputs, start, weights, wait, next] : [first, weights, inputs, start, wait, next], Find());
    }

    /// <summary>A result that takes the place of an input that dies needs no memory of its own.</summary>
    [Fact]
    public void WorkInPlaceCountsOnce()
    {
        int first = Work(1), weights = Work(2, first), inputs = Work(2, first);
        (int start, int wait) = Collective(3, inputs);
        int next = Add(new OrderedStep(StepRole.Compute, 1, Sorted(wait)) { WorksInPlace = true });
        Memory(60, first, weights);
        Memory(50, inputs, start, wait, next);
        _blocks.Add(new OrderedBlock(50, Sorted(next), false, true));
        Assert.Equal([first, weights, inputs, start, wait, next], Find());
        _blocks.Add(new OrderedBlock(10, Sorted(next), false, true));
        Assert.Equal([first, weights, inputs, start, wait, next], Find());
        _blocks.Add(new OrderedBlock(50, Sorted(next), false, true));
        Assert.Equal([first, inputs, start, weights, wait, next], Find());
    }

    /// <summary>Two collectives of two lanes are under way together; those of one lane keep their order.</summary>
    [Fact]
    public void LanesKeepTheirOrder()
    {
        int first = Work(1);
        (int a, int aWait) = Collective(3, first);
        (int b, int bWait) = Collective(3, first);
        (int c, int cWait) = Collective(3, first, "tq");
        int next = Work(1, bWait), last = Work(1, aWait, next, cWait);
        int[] order = Find();
        Assert.True(Array.IndexOf(order, a) < Array.IndexOf(order, b) && Array.IndexOf(order, aWait) < Array.IndexOf(order, bWait));
        Assert.True(Array.IndexOf(order, c) < Array.IndexOf(order, aWait), "the other lane is under way meanwhile");
        Assert.Equal(last, order[^1]);
    }

    /// <summary>Of any program: what is needed stays before what needs it, the program takes no longer and no more memory, and collectives keep their order.</summary>
    [Fact]
    public void AnyProgramStaysRightAndGetsNoWorse()
    {
        var random = new Random(7);
        int shorter = 0;
        for (int round = 0; round < 300; round++)
        {
            _steps.Clear();
            _blocks.Clear();
            int count = 3 + random.Next(30);
            var ready = new List<int> { Work(1) };
            while (_steps.Count < count)
            {
                int[] needs = [.. Enumerable.Range(0, random.Next(3)).Select(_ => ready[random.Next(ready.Count)])];
                ready.Add(random.Next(3) == 0 ? Collective(random.Next(1, 9), ready[random.Next(ready.Count)], random.Next(2) == 0 ? "tp" : "tq").Wait : Work(random.Next(1, 9), needs));
            }

            for (int i = 0; i < count; i++)
            {
                int[] users = [i, .. Enumerable.Range(0, _steps.Count).Where(s => _steps[s].Needs.Contains(i))];
                _blocks.Add(new OrderedBlock(random.Next(1, 100), Sorted(users), false, random.Next(4) == 0));
            }

            int[] before = [.. Enumerable.Range(0, _steps.Count)], after = Find();
            Assert.Equal(before, after.Order());
            Assert.All(before, s => Assert.All(_steps[s].Needs, need => Assert.True(Array.IndexOf(after, need) < Array.IndexOf(after, s))));
            Assert.True(Live(after) <= Live(before), $"round {round}: {Live(after)} of {Live(before)} bytes");
            Assert.True(Seconds(after) <= Seconds(before), $"round {round}: {Seconds(after)} of {Seconds(before)} s");
            shorter += Seconds(after) < Seconds(before) ? 1 : 0;
        }

        Assert.InRange(shorter, 100, 300);
    }

    /// <summary>However large a program is, the search ends soon.</summary>
    [Fact]
    public void TheSearchIsBounded()
    {
        int last = Work(1);
        for (int i = 0; i < 2000; i++)
        {
            Work(1, last);
            last = Collective(3, last).Wait;
            Memory(8, last - 1, last);
        }

        var clock = System.Diagnostics.Stopwatch.StartNew();
        Assert.Equal(_steps.Count, OverlapOrder.Find(_steps, _blocks, default).Steps.Count);
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(10), $"{clock.Elapsed}");
    }

    private double Seconds(int[] order)
    {
        double clock = 0;
        var free = new Dictionary<string, double>();
        var ends = new Dictionary<int, double>();
        foreach (int i in order)
        {
            OrderedStep step = _steps[i];
            clock = step.Role == StepRole.Compute ? clock + step.Seconds : step.Role == StepRole.Wait ? Math.Max(clock, ends[step.Of]) : clock;
            if (step.Role == StepRole.Start)
            {
                free[step.Lane] = ends[i] = Math.Max(clock, free.GetValueOrDefault(step.Lane)) + step.Seconds;
            }
        }

        return clock;
    }

    private long Live(int[] order) => Enumerable.Range(0, order.Length).Max(at => _blocks.Sum(b =>
    {
        int[] places = [.. b.Steps.Select(s => Array.IndexOf(order, s))];
        return places.Min() <= at && (b.IsLiveAfter || places.Max() >= at) ? b.Bytes : 0;
    }));
}
