using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Shardwright.Benchmarks;

/// <summary>Times of things that take turns in one run, so that what else the machine does falls on all of them alike.</summary>
internal static unsafe partial class Measure
{
    private const int ThreadTime = 3;

    /// <summary>Counts the processor time of the calling thread (Linux) instead of the time of day: for one thread on a machine that others use.</summary>
    public static bool ProcessorTime { get; set; }

    /// <summary>Seconds that one candidate is measured for; short on a busy machine, where more repetitions beat longer ones.</summary>
    public static double Seconds { get; set; } = 0.5;

    /// <summary>Runs the candidates in turn and returns their times, seconds for one call, in the order of the rounds.</summary>
    public static double[][] InTurn(params Action[] candidates)
    {
        var calls = new int[candidates.Length];
        for (int i = 0; i < candidates.Length; i++)
        {
            // Warm-up until the code is compiled for good, then as many calls as fill some milliseconds.
            long start = Stopwatch.GetTimestamp();
            int warm = 0;
            while (warm < 3 || (Stopwatch.GetElapsedTime(start).TotalSeconds < Seconds / 5 && warm < 200))
            {
                candidates[i]();
                warm++;
            }

            double from = Now();
            candidates[i]();
            calls[i] = (int)Math.Clamp(0.003 / Math.Max(1e-7, Now() - from), 1, 10_000);
        }

        var times = candidates.Select(_ => new List<double>()).ToArray();
        long begin = Stopwatch.GetTimestamp();
        for (int round = 0; round < 7 || Stopwatch.GetElapsedTime(begin).TotalSeconds < Seconds * candidates.Length; round++)
        {
            for (int i = 0; i < candidates.Length; i++)
            {
                double start = Now();
                for (int n = 0; n < calls[i]; n++)
                {
                    candidates[i]();
                }

                times[i].Add((Now() - start) / calls[i]);
            }
        }

        return [.. times.Select(t => t.ToArray())];
    }

    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[sorted.Length / 2 - 1] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>Median over the rounds of how much faster the first is than the second.</summary>
    public static double Ratio(double[] first, double[] second) => Median(first.Zip(second, (f, s) => s / f));

    public static double Now()
    {
        if (!ProcessorTime)
        {
            return Stopwatch.GetTimestamp() / (double)Stopwatch.Frequency;
        }

        long* time = stackalloc long[2];
        _ = ClockGetTime(ThreadTime, time);
        return time[0] + time[1] * 1e-9;
    }

    [LibraryImport("libc", EntryPoint = "clock_gettime")]
    private static partial int ClockGetTime(int clock, long* time);
}
