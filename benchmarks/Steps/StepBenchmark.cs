using Shardwright.Execution;

namespace Shardwright.Benchmarks.Steps;

/// <summary>Training steps: beside PyTorch, by kernel, on two ranks, and how even they are.</summary>
internal static class StepBenchmark
{
    private static readonly AdamWSettings s_settings = new(3e-4f, ClipNorm: 1);

    /// <summary>Longer than idle threads of OpenBLAS spin.</summary>
    private static readonly TimeSpan s_rest = TimeSpan.FromMilliseconds(200);

    /// <summary>Both take turns; the ratio is the median over the rounds.</summary>
    public static void AgainstPeer(Subject subject, string python, int threads, int rounds, double peak)
    {
        using Peer? peer = Peer.Start(python, "peer.py", threads, subject.Layers, subject.Hidden, subject.Heads, subject.Vocabulary, subject.Context, subject.Batch, threads, Measure.ProcessorTime ? "processor" : "wall");
        var own = new List<double>();
        var others = new List<double>();
        OnRank(subject, threads, (rank, step) =>
        {
            int calls = Math.Clamp((int)(0.5 / Warm(step)), 1, 20);
            for (int round = 0; round < rounds; round++)
            {
                // Each takes its turn alone and warm: threads of the other that still look for work have gone to sleep, and an untimed step has fetched the model.
                if (peer is not null)
                {
                    Thread.Sleep(s_rest);
                    peer.Step(1);
                    others.Add(peer.Step(calls));
                }

                Thread.Sleep(s_rest);
                Time(step, 1);
                own.Add(Time(step, calls));
            }
        });
        double seconds = Measure.Median(own), best = own.Min();
        string beside = peer is null ? $"no PyTorch at '{python}'" : $"PyTorch {peer.Version} {Measure.Median(others) * 1e3:F1} ms ({subject.ModelFlops / Measure.Median(others) / 1e9:F0} GFLOP/s): {Measure.Ratio([.. own], [.. others]):F2} x, best of best {others.Min() / best:F2} x";
        Console.WriteLine($"{subject.Name,-8} {threads} thread(s): {seconds * 1e3:F1} ms ({subject.ModelFlops / seconds / 1e9:F0} GFLOP/s, {subject.ModelFlops / seconds / 1e9 / peak / threads:P0} of peak; best {best * 1e3:F1} ms, {subject.ModelFlops / best / 1e9 / peak / threads:P0}); {beside}");
    }

    /// <summary>Where a step spends its time.</summary>
    public static void Profile(Subject subject, int threads, int steps, double peak) => OnRank(subject, threads, (rank, step) =>
    {
        Warm(step);
        double whole = Measure.Median(Enumerable.Range(0, steps).Select(_ => Time(step, 1)));
        (TokenTensor ids, TokenTensor targets) = subject.Data();
        Profile.Row[] rows = Steps.Profile.Run(rank, ids, targets, s_settings, steps);
        double total = rows.Sum(r => r.Seconds), predicted = subject.Plan.StepSeconds;
        Console.WriteLine($"{subject.Name}: predicted {predicted * 1e3:F1} ms, measured {whole * 1e3:F1} ms: {predicted / whole - 1:+0.0 %;-0.0 %}");
        Console.WriteLine($"{subject.Name}, {threads} thread(s): {whole * 1e3:F2} ms a step, {subject.ModelFlops / whole / 1e9 / peak / threads:P0} of peak; kernels {total * 1e3:F2} ms");
        foreach (Profile.Row row in rows)
        {
            PlanKernel? kernel = subject.Plan.Kernels.FirstOrDefault(k => k.Name == row.Kernel);
            double flops = (kernel?.Flops ?? 0) * row.Calls, bytes = (kernel?.Bytes ?? (row.Kernel == "AdamW" ? 28.0 * subject.Plan.ParameterCount : row.Kernel == "SumOfSquares" ? 4.0 * subject.Plan.ParameterCount : 0) / row.Calls) * row.Calls;
            Console.WriteLine($"  {row.Kernel,-38} {row.Calls,4:F0} x  {row.Seconds * 1e3,8:F3} ms {row.Seconds / total,6:P1}  {flops / row.Seconds / 1e9,7:F1} GFLOP/s {bytes / row.Seconds / 1e9,6:F1} GB/s{(kernel is null ? "" : $"  predicted {kernel.Seconds * row.Calls * 1e3,8:F3} ms ({kernel.Seconds * row.Calls / row.Seconds - 1:+0 %;-0 %})")}");
        }
    });

    /// <summary>One rank with two threads beside two ranks of one.</summary>
    public static void Ranks(IReadOnlyList<Subject> subjects, int rounds)
    {
        var times = subjects.Select(_ => new List<double>()).ToArray();
        for (int round = 0; round < rounds; round++)
        {
            for (int i = 0; i < subjects.Count; i++)
            {
                OnRank(subjects[i], 2 / subjects[i].Mesh.Ranks, (rank, step) =>
                {
                    Time(step, 2);
                    double seconds = Enumerable.Range(0, 5).Min(_ => Time(step, 1));
                    if (rank.Context.Rank == 0)
                    {
                        times[i].Add(seconds);
                    }
                });
            }
        }

        for (int i = 0; i < subjects.Count; i++)
        {
            Console.WriteLine($"{subjects[i].Name,-10} {Measure.Median(times[i]) * 1e3,8:F1} ms; {Measure.Ratio([.. times[i]], [.. times[0]]):F2} x the speed of one rank with two threads, best of best {times[0].Min() / times[i].Min():F2} x");
        }
    }

    /// <summary>How even the steps are, and what they allocate; in turn with them a loop in registers as long as a step, on as many threads, which shows how even the machine is.</summary>
    public static void Latency(Subject subject, int threads, int steps) => OnRank(subject, threads, (_, step) =>
    {
        Time(step, 10);
        long rounds = 1 << 20;
        void Loop() => Parallel.For(0, threads, new ParallelOptions { MaxDegreeOfParallelism = threads }, _ => Limits.Fma(rounds));
        rounds = (long)(rounds * Enumerable.Range(0, 10).Min(_ => Time(step, 1)) / Enumerable.Range(0, 20).Min(_ => Time(Loop, 1)));
        double[] times = new double[steps], loops = new double[steps];
        var causes = new Counters[steps];
        long allocated = 0;
        for (int i = 0; i < steps; i++)
        {
            Counters start = Counters.Now();
            long before = GC.GetAllocatedBytesForCurrentThread();
            times[i] = Time(step, 1);
            allocated += GC.GetAllocatedBytesForCurrentThread() - before;
            causes[i] = Counters.Now() - start;
            loops[i] = Time(Loop, 1);
        }

        Console.WriteLine($"{subject.Name}, {threads} thread(s), {steps} steps: {Spread(times)}; {allocated} bytes allocated. A loop in registers: {Spread(loops)}");
        foreach (int i in Enumerable.Range(0, steps).OrderByDescending(i => times[i]).Take(Math.Max(3, steps / 50)))
        {
            Console.WriteLine($"  step {i,4}: {times[i] * 1e3,8:F2} ms, the loop after it {loops[i] * 1e3,8:F2} ms; {causes[i]}");
        }
    });

    private static string Spread(double[] times)
    {
        double[] sorted = [.. times.Order()];
        double median = Measure.Median(times), late = sorted[(int)Math.Ceiling(times.Length * 0.99) - 1];
        return $"least {sorted[0] * 1e3:F2}, median {median * 1e3:F2}, 99th percentile {late * 1e3:F2} ms ({late / median:F2} x)";
    }

    private static void OnRank(Subject subject, int threads, Action<RankBase, Action> body)
    {
        (TokenTensor ids, TokenTensor targets) = subject.Data();
        using World world = World.InProcess(subject.Mesh, new WorldOptions { ThreadsPerRank = threads });
        world.Run(context =>
        {
            using RankBase rank = subject.Make(context);
            body(rank, () => subject.Step(rank, ids, targets, s_settings));
        });
    }

    /// <summary>Runs steps until their code is compiled for good, two seconds at least; the seconds of the fastest.</summary>
    private static double Warm(Action step)
    {
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        double best = Time(step, 1);
        for (int steps = 1; steps < 3 || System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalSeconds < 2; steps++)
        {
            best = Math.Min(best, Time(step, 1));
        }

        return best;
    }

    private static double Time(Action step, int count)
    {
        double start = Measure.Now();
        for (int i = 0; i < count; i++)
        {
            step();
        }

        return (Measure.Now() - start) / count;
    }
}
