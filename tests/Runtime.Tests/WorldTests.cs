using System.Diagnostics;
using Shardwright.Execution;
using Shardwright.Worlds;

namespace Shardwright.Tests;

[Collection(Alone.Name)]
public sealed class WorldTests
{
    private static Mesh Line(int ranks) => new("line", new MeshAxisInfo("dp", ranks));

    private static float Value(int rank, int i) => MathF.Sin(rank * 17.3f + i * 0.37f) * (1 + i % 5);

    [Theory]
    [InlineData(1, 5)]
    [InlineData(2, 1)]
    [InlineData(3, 37)]
    [InlineData(4, 100_003)]
    public void SumsGoInRankOrderAndAreTheSameOnEveryRank(int ranks, int length)
    {
        float[] expected = [.. Enumerable.Range(0, length).Select(i => Enumerable.Range(1, ranks - 1).Aggregate(Value(0, i), (sum, r) => sum + Value(r, i)))];
        using var world = World.InProcess(Line(ranks));
        world.Run(context =>
        {
            using var arena = new Arena(length * 4L, context.Rank);
            var buffer = new Slice<float>(0, length);
            ProcessGroup group = context.Group("dp");
            for (int round = 0; round < 3; round++)
            {
                for (int i = 0; i < length; i++)
                {
                    arena.Span(buffer)[i] = Value(context.Rank, i);
                }

                group.Wait(group.StartAllReduce(arena, buffer));
                Assert.True(arena.Span(buffer).SequenceEqual(expected));
            }
        });
    }

    [Fact]
    public void ARankWhoseArenaTheMachineRefusesSaysHowMuchItPlanned()
    {
        using var world = World.InProcess(Line(2));
        Exception thrown = Assert.ThrowsAny<Exception>(() => world.Run(context => new Arena(context.Rank == 1 ? 1L << 62 : 64, context.Rank).Dispose()));
        Assert.Contains("Rank 1 could not allocate its arena of 4,611,686,018,427,387,904 bytes, the figure of its plan", thrown.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void CollectivesMoveWhatTheyShould()
    {
        const int Ranks = 3, Part = 5;
        using var world = World.InProcess(Line(Ranks));
        world.Run(context =>
        {
            using var arena = new Arena(64 * 1024, context.Rank);
            ProcessGroup group = context.Group("dp");
            Slice<float> own = new(0, Part), all = new(1024, Part * Ranks), other = new(4096, Part * Ranks), part = new(8192, Part);
            for (int i = 0; i < Part * Ranks; i++)
            {
                arena.Span(all)[i] = 100 * context.Rank + i;
            }

            // Two operations under way at once.
            Ticket exchange = group.StartAllToAll(arena, all, other), scatter = group.StartReduceScatter(arena, all, part);
            group.Wait(exchange);
            group.Wait(scatter);
            for (int i = 0; i < Part; i++)
            {
                Assert.Equal(300 + 3 * (context.Rank * Part + i), arena.Span(part)[i]);
                for (int r = 0; r < Ranks; r++)
                {
                    Assert.Equal(100 * r + context.Rank * Part + i, arena.Span(other)[r * Part + i]);
                }

                arena.Span(own)[i] = context.Rank * 10 + i;
            }

            group.Wait(group.StartAllGather(arena, own, all));
            Assert.Equal(Enumerable.Range(0, Part * Ranks).Select(i => (float)(i / Part * 10 + i % Part)), arena.Span(all).ToArray());
            group.Wait(group.StartBroadcast(arena, own, 2));
            Assert.Equal(20, arena.Span(own)[0]);
            int next = (context.Rank + 1) % Ranks, previous = (context.Rank + Ranks - 1) % Ranks;
            arena.Span(own)[0] = context.Rank;
            Ticket send = group.StartSend(arena, own, next), receive = group.StartReceive(arena, part, previous);
            group.Wait(send);
            group.Wait(receive);
            Assert.Equal(previous, arena.Span(part)[0]);
        });
    }

    [Theory]
    [InlineData(200, 1)]
    [InlineData(65, 7)]
    [InlineData(1000, 3)]
    public void AsManyOperationsAsYouLikeAreUnderWayAtOnce(int count, int rounds)
    {
        using var world = World.InProcess(Line(2));
        world.Run(context =>
        {
            using var arena = new Arena(count * 64L, context.Rank);
            ProcessGroup group = context.Group("dp");
            var tickets = new Ticket[count];
            for (int round = 0; round < rounds; round++)
            {
                for (int i = 0; i < count; i++)
                {
                    var one = new Slice<float>(i * 64L, 1);
                    arena.Span(one)[0] = context.Rank == 0 ? round * 10_000 + i : -1;
                    tickets[i] = context.Rank == 0 ? group.StartSend(arena, one, 1) : group.StartReceive(arena, one, 0);
                }

                // Waited for in another order than they were started.
                for (int i = 0; i < count; i++)
                {
                    group.Wait(tickets[(i * 7 + round) % count]);
                }

                for (int i = 0; i < count; i++)
                {
                    Assert.Equal(round * 10_000 + i, arena.Span(new Slice<float>(i * 64L, 1))[0]);
                }
            }
        });
    }

    [Fact]
    public void GroupsFollowTheAxes()
    {
        var mesh = new Mesh("grid", new MeshAxisInfo("dp", 2), new MeshAxisInfo("tp", 3));
        Assert.Equal([1, 4], mesh.Group(4, ["dp"]));
        Assert.Equal([3, 4, 5], mesh.Group(4, ["tp"]));
        using var world = World.InProcess(mesh);
        world.Run(context =>
        {
            using var arena = new Arena(64, context.Rank);
            var one = new Slice<float>(0, 1);
            arena.Span(one)[0] = context.Rank;
            ProcessGroup dp = context.Group("dp"), all = context.Group("dp", "tp");
            dp.Wait(dp.StartAllReduce(arena, one));
            Assert.Equal(3 + 2 * context.Coordinate("tp"), arena.Span(one)[0]);
            all.Wait(all.StartAllReduce(arena, one, ReduceKind.Max));
            Assert.Equal(7, arena.Span(one)[0]);
        });
    }

    [Fact]
    public void ARankThatThrowsEndsTheWorldWithItsException()
    {
        var clock = Stopwatch.StartNew();
        using var world = World.InProcess(Line(4));
        var error = Assert.Throws<RankFailedException>(() => world.Run(context =>
        {
            using var arena = new Arena(64, context.Rank);
            if (context.Rank == 2)
            {
                Thread.Sleep(50);
                throw new InvalidOperationException("disk on fire");
            }

            ProcessGroup group = context.Group("dp");
            group.Wait(group.StartAllReduce(arena, new Slice<float>(0, 1)));
        }));
        Assert.Equal(2, error.Rank);
        Assert.IsType<InvalidOperationException>(error.InnerException);
        Assert.Contains("disk on fire", error.Message, StringComparison.Ordinal);
        Assert.InRange(clock.Elapsed.TotalSeconds, 0, 2);
    }

    /// <summary>A rank that fails gives its memory back on its way out, before the world hears of it; what it has started must not be worked on any more, and the cause is its own.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void MemoryOfARankThatFailsIsNotReadAnyMore(bool whileOthersWait)
    {
        using var world = World.InProcess(Line(3));
        using var gone = new ManualResetEventSlim();
        int passed = 0;
        RankFailedException error = Assert.Throws<RankFailedException>(() => world.Run(context =>
        {
            ProcessGroup group = context.Group("dp");
            using var own = new Arena(16 << 20, context.Rank);
            var buffer = new Slice<float>(0, 4 << 20);
            if (context.Rank == 1)
            {
                group.StartAllReduce(own, buffer);
                own.Dispose();
                gone.Set();
                Thread.Sleep(50);
                throw new InvalidDataException("rank 1 has had enough");
            }

            if (context.Rank == 0 || !whileOthersWait)
            {
                gone.Wait();
            }

            group.Wait(group.StartAllReduce(own, buffer));
            Interlocked.Increment(ref passed);
        }));
        Assert.Equal(1, error.Rank);
        Assert.IsType<InvalidDataException>(error.InnerException);
        Assert.Equal(0, passed);
    }

    [Fact]
    public void MemoryGivenBackTooEarlyIsNamed()
    {
        using var world = World.InProcess(Line(2));
        using var gone = new ManualResetEventSlim();
        RankFailedException error = Assert.Throws<RankFailedException>(() => world.Run(context =>
        {
            ProcessGroup group = context.Group("dp");
            using var arena = new Arena(64, context.Rank);
            if (context.Rank == 1)
            {
                group.StartAllReduce(arena, new Slice<float>(0, 4));
                arena.Dispose();
                gone.Set();
                return;
            }

            gone.Wait();
            group.Wait(group.StartAllReduce(arena, new Slice<float>(0, 4)));
        }));
        Assert.Equal(0, error.Rank);
        Assert.Contains("Rank 1 gave its memory back before operation 0 (AllReduce) of group 'dp' was done, for which rank 0 waits", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void DifferentOperationsAreNamed()
    {
        using var world = World.InProcess(Line(2));
        var error = Assert.Throws<RankFailedException>(() => world.Run(context =>
        {
            using var arena = new Arena(1024, context.Rank);
            ProcessGroup group = context.Group("dp");
            group.Wait(group.StartAllReduce(arena, new Slice<float>(0, 3 + context.Rank)));
        }));
        Assert.IsType<CollectiveMismatchException>(error.InnerException);
        Assert.Contains("rank 1: AllReduce of 4 elements", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AMissingRankIsNamed()
    {
        using var world = World.InProcess(Line(2));
        var error = Assert.Throws<RankFailedException>(() => world.Run(context =>
        {
            using var arena = new Arena(1024, context.Rank);
            if (context.Rank == 0)
            {
                ProcessGroup group = context.Group("dp");
                group.Wait(group.StartAllReduce(arena, new Slice<float>(0, 3)));
            }
        }));
        Assert.Contains("rank 1 has ended without it", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void CancellationEndsWaitingRanksAndTheWorldCanRunAgain()
    {
        using var world = World.InProcess(Line(2));
        using var stop = new CancellationTokenSource(100);
        Assert.ThrowsAny<OperationCanceledException>(() => world.Run(
            context =>
            {
                using var arena = new Arena(1024, context.Rank);
                ProcessGroup group = context.Group("dp");
                if (context.Rank == 0)
                {
                    group.Wait(group.StartAllReduce(arena, new Slice<float>(0, 3)));
                }

                while (true)
                {
                    Thread.Sleep(5);
                    context.ThrowIfStopping();
                }
            },
            stop.Token));
        int ran = 0;
        world.Run(_ => Interlocked.Increment(ref ran));
        Assert.Equal(2, ran);
    }

    [Fact]
    public void WaitingRanksUseNoProcessorAndSmallCollectivesAllocateNothing()
    {
        // The process does more than the test asks of it (code is compiled again, memory collected): the least of a few waits counts.
        double least = double.PositiveInfinity;
        using var world = World.InProcess(Line(2));
        world.Run(context =>
        {
            using var arena = new Arena(4096, context.Rank);
            ProcessGroup group = context.Group("dp");
            var buffer = new Slice<float>(0, 256);
            for (int i = 0; i < 2000; i++)
            {
                group.Wait(group.StartAllReduce(arena, buffer));
            }

            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 2000; i++)
            {
                group.Wait(group.StartAllReduce(arena, buffer));
            }

            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
            for (int run = 0; run < 3; run++)
            {
                TimeSpan used = Process.GetCurrentProcess().TotalProcessorTime;
                if (context.Rank == 0)
                {
                    Thread.Sleep(600);
                }

                group.Wait(group.StartAllReduce(arena, buffer));
                if (context.Rank == 1)
                {
                    least = Math.Min(least, (Process.GetCurrentProcess().TotalProcessorTime - used).TotalMilliseconds);
                }
            }
        });
        Assert.InRange(least, 0, 400);
    }

    [Fact]
    public void CorpusErrorsAreOneClearLine()
    {
        Assert.Contains("does not exist", Assert.Throws<CorpusException>(() => ByteCorpus.Load("/no/such/place", 8, 2)).Message, StringComparison.Ordinal);
        Assert.Contains("is empty", Assert.Throws<CorpusException>(() => new ByteCorpus([], "text", 8, 2)).Message, StringComparison.Ordinal);
        Assert.Contains("shorter than one batch", Assert.Throws<CorpusException>(() => new ByteCorpus(new byte[20], "text", 8, 2)).Message, StringComparison.Ordinal);
        var corpus = new ByteCorpus([.. Enumerable.Range(0, 1000).Select(i => (byte)i)], "text", 8, 4);
        int[] ids = new int[32], targets = new int[32], again = new int[32];
        corpus.Fill(1, 5, ids, targets);
        corpus.Fill(1, 5, again, targets);
        Assert.Equal(ids, again);
        Assert.Equal(ids[1], targets[0]);
    }

    [Fact]
    public void SchedulesFollowTheirFormulas()
    {
        LearningRateSchedule cosine = LearningRateSchedule.WarmupCosine(1, 10, 110, 0.1f), linear = LearningRateSchedule.WarmupLinear(1, 10, 110);
        Assert.Equal(0.1f, cosine.At(0), 1e-6f);
        Assert.Equal(1f, cosine.At(10), 1e-6f);
        Assert.Equal(0.55f, cosine.At(60), 1e-6f);
        Assert.Equal(0.1f, cosine.At(500), 1e-6f);
        Assert.Equal(0.5f, linear.At(60), 1e-6f);
        Assert.Throws<ArgumentException>(() => LearningRateSchedule.WarmupCosine(1, 20, 10));
    }
}
