using System.Diagnostics;

namespace Shardwright.Tests;

/// <summary>A thousand steps of eight ranks on a pipeline with data and tensor axes: no hang, no growth of memory, no processor for those that wait. Minutes long, so only with SHARDWRIGHT_SOAK=1
/// (or a number of steps in its place).</summary>
public sealed class SoakTests(Xunit.Abstractions.ITestOutputHelper output)
{
    private const int WarmUp = 20;

    [Fact]
    public void AThousandStepsNeitherHangNorGrow()
    {
        if (!int.TryParse(Environment.GetEnvironmentVariable("SHARDWRIGHT_SOAK"), out int steps))
        {
            return;
        }

        steps = steps == 1 ? 1000 : steps;
        using var stop = new CancellationTokenSource(TimeSpan.FromMinutes(20));
        using var world = World.InProcess(PipelineGpt.Pp2Dp2Tp2M4.Mesh, new WorldOptions { ThreadsPerRank = 1 });
        (TokenTensor Ids, TokenTensor Targets)[] data = [.. Enumerable.Range(0, 8).Select(PipelineTests.Data)];
        Process process = Process.GetCurrentProcess();
        using var together = new Barrier(8);
        long managed = 0, resident = 0, allocated = 0;
        var clock = new Stopwatch();
        double first = 0, last = 0;
        world.Run(
            r =>
            {
                using var gpt = new PipelineGpt.Pp2Dp2Tp2M4.Rank(r, 3);
                for (int step = 0; step < WarmUp + steps; step++)
                {
                    if (step == WarmUp)
                    {
                        together.SignalAndWait(stop.Token);
                        if (r.Rank == 0)
                        {
                            (managed, resident) = Memory(process);
                            clock.Start();
                        }

                        together.SignalAndWait(stop.Token);
                        allocated = r.Rank == 0 ? -GC.GetAllocatedBytesForCurrentThread() : allocated;
                    }

                    StepResult result = gpt.TrainStep(data[step % 8].Ids, data[step % 8].Targets, new AdamWSettings(3e-4f));
                    (first, last) = r.Rank == 0 ? (step == 0 ? result.Loss : first, result.Loss) : (first, last);
                }

                allocated += r.Rank == 0 ? GC.GetAllocatedBytesForCurrentThread() : 0;
                together.SignalAndWait(stop.Token);
                clock.Stop();
                together.SignalAndWait(stop.Token);

                // One rank is late by three seconds: the others wait inside of the step.
                if (r.Rank == 0)
                {
                    (long managedAfter, long residentAfter) = Memory(process);
                    output.WriteLine($"{steps} steps of 8 ranks in {clock.Elapsed.TotalSeconds:0.0} s, {clock.Elapsed.TotalMilliseconds / steps:0.0} ms a step; loss {first:0.000} to {last:0.000}; managed {managed:N0} to {managedAfter:N0} bytes, resident {resident:N0} to {residentAfter:N0}; a rank's thread allocated {allocated:N0} bytes");
                    Assert.InRange(managedAfter - managed, long.MinValue, 1 << 20);
                    Assert.InRange(residentAfter - resident, long.MinValue, 16 << 20);
                    Thread.Sleep(500);
                    process.Refresh();
                    TimeSpan used = process.TotalProcessorTime;
                    var waited = Stopwatch.StartNew();
                    Thread.Sleep(3000);
                    process.Refresh();
                    double share = (process.TotalProcessorTime - used) / waited.Elapsed;
                    output.WriteLine($"seven ranks wait for one: {100 * share:0.00} % of a processor");
                    Assert.InRange(share, 0, 0.05);
                }

                gpt.TrainStep(data[0].Ids, data[0].Targets, new AdamWSettings(3e-4f));
            },
            stop.Token);
        Assert.True(last < first);
    }

    private static (long Managed, long Resident) Memory(Process process)
    {
        long managed = GC.GetTotalMemory(forceFullCollection: true);
        process.Refresh();
        return (managed, process.WorkingSet64);
    }
}
