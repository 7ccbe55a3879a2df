using Shardwright.Execution;
using Shardwright.Worlds;

namespace Shardwright.Benchmarks.Steps;

/// <summary>All-reduce of 64 MiB on two ranks, beside Gloo through PyTorch and beside what the bandwidth of a copy allows.</summary>
internal static class AllReduceBenchmark
{
    private const int Megabytes = 64;

    public static void Run(string python, int rounds)
    {
        const long Count = Megabytes * 1024L * 1024 / 4;
        using Peer? peer = Peer.Start(python, "gloo.py", 1, Megabytes, 29500 + Environment.ProcessId % 1000);
        var own = new List<double>();
        var gloo = new List<double>();
        var copies = new List<double>();
        using World world = World.InProcess(new Mesh("Pair", new MeshAxisInfo("dp", 2)), new WorldOptions { ThreadsPerRank = 1 });
        using Floats from = new(Count), to = new(Count);
        world.Run(context =>
        {
            ProcessGroup group = context.Group("dp");
            using Arena arena = context.Backend.Allocate(Count * 4 + 64, default, context.Rank);
            var buffer = new Slice<float>(0, Count);
            var token = new Slice<float>(Count * 4, 1);
            for (int round = -1; round < rounds; round++)
            {
                group.Wait(group.StartAllReduce(arena, token));
                double start = Measure.Now();
                Copy(from, to, context.Rank);
                group.Wait(group.StartAllReduce(arena, token));
                double copy = Measure.Now() - start;
                start = Measure.Now();
                group.Wait(group.StartAllReduce(arena, buffer));
                double reduce = Measure.Now() - start;
                if (context.Rank == 0 && round >= 0)
                {
                    copies.Add(copy);
                    own.Add(reduce);
                    if (peer is not null)
                    {
                        gloo.Add(peer.Step(1));
                    }
                }
            }
        });

        // Both ranks copied half of 64 MiB: read once and written once. An all-reduce reads two buffers and writes two.
        double limit = 2 * Measure.Median(copies);
        Console.WriteLine($"all-reduce of {Megabytes} MiB on two ranks: {Measure.Median(own) * 1e3:F1} ms (best {own.Min() * 1e3:F1}); {Measure.Ratio([.. own], [.. copies]) * 2:P0} of what copies of both ranks allow ({limit * 1e3:F1} ms), best of best {2 * copies.Min() / own.Min():P0}");
        Console.WriteLine(peer is null ? $"no PyTorch at '{python}'" : $"Gloo, PyTorch {peer.Version}: {Measure.Median(gloo) * 1e3:F1} ms (best {gloo.Min() * 1e3:F1}): {Measure.Ratio([.. own], [.. gloo]):F2} x, best of best {gloo.Min() / own.Min():F2} x");
    }

    private static unsafe void Copy(Floats from, Floats to, int rank) => Limits.Copy(from.Start + rank * (from.Count / 2), to.Start + rank * (from.Count / 2), from.Count / 2);
}
