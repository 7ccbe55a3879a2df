using System.Diagnostics;
using Shardwright.Execution;
using Shardwright.Worlds;

namespace Shardwright.Tests;

/// <summary>Messages over a link take its time: latency on the way, bytes one behind the other. Times are measured from below exactly, from above loosely: a busy machine is late, never early.</summary>
[Collection(Alone.Name)]
public sealed class LinkTests
{
    private const int Bytes = 40_000;

    private static readonly TimeSpan s_latency = TimeSpan.FromMilliseconds(40);

    /// <summary>Milliseconds that an action takes on each rank, after all have met.</summary>
    private static double[] Time(Mesh mesh, Dictionary<string, LinkModel> links, Action<ProcessGroup, Arena> action)
    {
        var times = new double[mesh.Ranks];
        using var start = new Barrier(mesh.Ranks);
        using var world = World.InProcess(mesh, new WorldOptions { Links = links });
        world.Run(context =>
        {
            using var arena = new Arena(16 * Bytes, context.Rank);
            ProcessGroup group = context.Group([.. mesh.Axes.Select(a => a.Name)]);
            start.SignalAndWait();
            var clock = Stopwatch.StartNew();
            action(group, arena);
            times[context.Rank] = clock.Elapsed.TotalMilliseconds;
        });
        return times;
    }

    private static Mesh Line(int ranks) => new("line", new MeshAxisInfo("dp", ranks));

    /// <summary>A byte of the buffers takes a microsecond: 40 ms for all.</summary>
    private static Dictionary<string, LinkModel> Slow(LinkSharing sharing = LinkSharing.PerPair) => new() { ["dp"] = new LinkModel(s_latency, 1e6, sharing) };

    private static Slice<byte> Buffer(int number) => new(number * Bytes, Bytes);

    [Fact]
    public void MessagesQueueOnTheirLinkAndTheSenderIsFreeWhenTheyHaveLeft()
    {
        double[] times = Time(Line(2), Slow(), (group, arena) =>
        {
            Ticket[] tickets = [.. Enumerable.Range(0, 3).Select(i => group.Rank == 0 ? group.StartSend(arena, Buffer(i), 1) : group.StartReceive(arena, Buffer(i), 0))];
            foreach (Ticket ticket in tickets)
            {
                group.Wait(ticket);
            }
        });
        Assert.InRange(times[0], 119, 158);
        Assert.InRange(times[1], 159, 300);
    }

    [Theory]
    [InlineData(LinkSharing.PerPair, 79, 119)]
    [InlineData(LinkSharing.Shared, 119, 300)]
    public void BothDirectionsAreOneLinkOnlyWhereItIsShared(LinkSharing sharing, double least, double most)
    {
        double[] times = Time(Line(2), Slow(sharing), (group, arena) =>
        {
            Ticket send = group.StartSend(arena, Buffer(0), 1 - group.Rank), receive = group.StartReceive(arena, Buffer(1), 1 - group.Rank);
            group.Wait(send);
            group.Wait(receive);
        });
        Assert.InRange(times.Max(), least, most);
    }

    public static TheoryData<string, int, double> Collectives => new()
    {
        // Three ranks, 40 ms of latency, 40 ms for the bytes of a buffer: hops and bytes of a ring.
        { "AllReduce", 4, 4.0 / 3 },
        { "ReduceScatter", 2, 2.0 / 3 },
        { "AllGather", 2, 2.0 / 3 },
        { "AllToAll", 2, 2.0 / 3 },
        { "Broadcast", 2, 1 },
    };

    [Theory]
    [MemberData(nameof(Collectives))]
    public void CollectivesGoRoundTheRing(string kind, int hops, double buffers)
    {
        double[] times = Time(Line(3), Slow(), (group, arena) =>
        {
            Slice<float> whole = new(0, Bytes / 4 / 3 * 3), part = new(2 * Bytes, Bytes / 4 / 3), other = new(4 * Bytes, whole.Length);
            group.Wait(kind switch
            {
                "AllReduce" => group.StartAllReduce(arena, whole),
                "ReduceScatter" => group.StartReduceScatter(arena, whole, part),
                "AllGather" => group.StartAllGather(arena, part, whole),
                "AllToAll" => group.StartAllToAll(arena, whole, other),
                _ => group.StartBroadcast(arena, whole, 1),
            });
        });
        double expected = hops * s_latency.TotalMilliseconds + buffers * 40;
        Assert.InRange(times.Min(), expected - 1, expected + 60);
        Assert.InRange(times.Max(), expected - 1, expected + 60);
    }

    [Fact]
    public void WhatIsStartedTravelsWhileItsRankWorks()
    {
        double[] times = Time(Line(2), Slow(), (group, arena) =>
        {
            Ticket sum = group.StartAllReduce(arena, new Slice<float>(0, Bytes / 4));
            Thread.Sleep(115);
            group.Wait(sum);
        });
        Assert.InRange(times.Max(), 119, 200);
    }

    /// <summary>A timer counts milliseconds, and would end a wait of 2.6 of them 0.4 late: beside one, in the same run, waits end less than half as late. The median counts, for a busy machine is late in both.</summary>
    [Fact]
    public void AWaitEndsCloserToItsTimeThanATimerOfMilliseconds()
    {
        var links = new Dictionary<string, LinkModel> { ["dp"] = new LinkModel(TimeSpan.FromMilliseconds(1.3)) };
        var trace = new Observability.TraceRecorder();
        var timer = new List<double>();
        using var world = World.InProcess(Line(2), new WorldOptions { Links = links, Trace = trace });
        world.Run(context =>
        {
            using var arena = new Arena(Bytes, context.Rank);
            ProcessGroup group = context.Group("dp");
            object gate = new();
            for (int i = 0; i < 60; i++)
            {
                group.Wait(group.StartAllReduce(arena, new Slice<float>(0, 100)));
                long until = Stopwatch.GetTimestamp() + Stopwatch.Frequency * 26 / 10_000;
                lock (gate)
                {
                    Monitor.Wait(gate, 3);
                }

                lock (timer)
                {
                    timer.Add((Stopwatch.GetTimestamp() - until) * 1000.0 / Stopwatch.Frequency);
                }
            }
        });

        // A wait is recorded right before what it waited for.
        List<double> waits = [.. trace.Ranks.SelectMany(r => r.Entries.Zip(r.Entries.Skip(1)).Where(p => p is { First.Kind: Observability.SpanKind.Wait, Second.Kind: Observability.SpanKind.Communication }))
            .Select(p => (p.First.End - p.Second.End) * 1000.0 / Stopwatch.Frequency)];
        Assert.Equal(120, waits.Count);
        double Median(List<double> times) => times.Order().ElementAt(times.Count / 2);
        Assert.True(Median(waits) < 0.5 * Median(timer), $"waits end {Median(waits):0.000} ms late, a timer {Median(timer):0.000}");
    }

    [Fact]
    public void AxesHaveTheirOwnLinksAndThoseWithoutAModelTakeNoTime()
    {
        var mesh = new Mesh("grid", new MeshAxisInfo("pp", 2), new MeshAxisInfo("dp", 2));
        var links = new Dictionary<string, LinkModel> { ["pp"] = new LinkModel(s_latency) };
        var times = new double[4];
        using var world = World.InProcess(mesh, new WorldOptions { Links = links });
        world.Run(context =>
        {
            using var arena = new Arena(Bytes, context.Rank);
            var buffer = new Slice<float>(0, 100);
            ProcessGroup dp = context.Group("dp"), pp = context.Group("pp"), all = context.Group("pp", "dp");
            all.Wait(all.StartAllReduce(arena, buffer));
            var clock = Stopwatch.StartNew();
            dp.Wait(dp.StartAllReduce(arena, buffer));
            double inner = clock.Elapsed.TotalMilliseconds;
            pp.Wait(pp.StartAllReduce(arena, buffer));
            times[context.Rank] = clock.Elapsed.TotalMilliseconds;
            Assert.InRange(inner, 0, 35);
        });
        Assert.All(times, t => Assert.InRange(t, 79, 160));
    }

    [Fact]
    public void DelaysUseNoProcessorAndEndWithTheWorld()
    {
        // Other tests of the process work meanwhile: the least of a few runs counts.
        double least = double.PositiveInfinity;
        for (int run = 0; run < 5 && least > 400; run++)
        {
            var links = new Dictionary<string, LinkModel> { ["dp"] = new LinkModel(TimeSpan.FromSeconds(30)) };
            using var world = World.InProcess(Line(2), new WorldOptions { Links = links });
            var clock = Stopwatch.StartNew();
            TimeSpan used = Process.GetCurrentProcess().TotalProcessorTime;
            Assert.Throws<RankFailedException>(() => world.Run(context =>
            {
                using var arena = new Arena(Bytes, context.Rank);
                ProcessGroup group = context.Group("dp");
                Ticket sum = group.StartAllReduce(arena, new Slice<float>(0, 8));
                if (context.Rank == 1)
                {
                    Thread.Sleep(600);
                    throw new InvalidOperationException("the cause");
                }

                group.Wait(sum);
            }));
            Assert.InRange(clock.Elapsed.TotalSeconds, 0.6, 2.6);
            least = Math.Min(least, (Process.GetCurrentProcess().TotalProcessorTime - used).TotalMilliseconds);
        }

        Assert.InRange(least, 0, 400);
    }

    [Fact]
    public void AModelThatCannotBeIsRefused()
    {
        static string Refused(string axis, LinkModel model) => Assert.Throws<ArgumentException>(() => World.InProcess(Line(2), new WorldOptions { Links = new Dictionary<string, LinkModel> { [axis] = model } })).Message;
        Assert.Contains("axis 'pp', and mesh 'line' has the axes dp", Refused("pp", new LinkModel(s_latency)), StringComparison.Ordinal);
        Assert.Contains("a rate of 0 bytes per second: it must be more than 0", Refused("dp", new LinkModel(s_latency, 0)), StringComparison.Ordinal);
        Assert.Contains("between 0 and 60 s", Refused("dp", new LinkModel(TimeSpan.FromSeconds(-1))), StringComparison.Ordinal);
        Assert.Contains("'String' has no [LinkSpec]", Assert.Throws<ArgumentException>(() => LinkModel.Of(typeof(string))).Message, StringComparison.Ordinal);
        Assert.Equal(new LinkModel(TimeSpan.FromMicroseconds(50), 1.25e9, LinkSharing.Shared), LinkModel.Of(typeof(Links.Ethernet10G), LinkSharing.Shared));
    }
}
