using System.Diagnostics;
using Shardwright.Gpu;
using Shardwright.Observability;

namespace Shardwright.Benchmarks.Accelerators;

/// <summary>A kernel of the model, as it ran.</summary>
/// <param name="Kernel">What was planned of it.</param>
/// <param name="Calls">Calls of a step.</param>
/// <param name="Seconds">Median of a call.</param>
internal sealed record KernelRow(PlanKernel Kernel, double Calls, double Seconds)
{
    /// <summary>Whether products bound it, rather than memory.</summary>
    public bool IsProduct => Kernel.Ops.Contains("MatMul", StringComparison.Ordinal) || Kernel.Ops.Contains("WeightGradient", StringComparison.Ordinal) || Kernel.Ops.Contains("Attention", StringComparison.Ordinal);

    /// <summary>Share of a copy's bandwidth.</summary>
    public double OfCopy(DeviceLimits limits) => Kernel.Bytes / Seconds / limits.CopyBytesPerSecond;

    /// <summary>Share of a large product's rate.</summary>
    public double OfProduct(DeviceLimits limits) => Kernel.Flops / Seconds / limits.ProductFlops;
}

/// <summary>Times every kernel of a training step: each is waited for where it is launched, and the trace has its span.</summary>
internal static class KernelTable
{
    /// <summary>Runs steps; gives all planned kernels that ran, the longest in a step first.</summary>
    /// <param name="subject">The model.</param>
    /// <param name="options">The device.</param>
    /// <param name="steps">Steps that count.</param>
    public static IReadOnlyList<KernelRow> Measure(Subject subject, GpuOptions options, int steps)
    {
        using GpuBackend backend = GpuBackend.Create(options with { WaitsForKernels = true });
        var recorder = new TraceRecorder();
        int warm = 0;
        subject.Run(backend, recorder, (rank, step) =>
        {
            step(0);
            warm = recorder.Ranks[0].Entries.Count;
            for (int i = 1; i <= steps; i++)
            {
                step(i);
            }
        });
        ILookup<string, double> seconds = recorder.Ranks[0].Entries.Skip(warm).Where(e => e.Kind == SpanKind.Kernel).ToLookup(e => e.Name, e => (e.End - e.Start) / (double)Stopwatch.Frequency);
        return [.. subject.Plan.Kernels.Where(k => seconds.Contains(k.Name)).Select(k => new KernelRow(k, seconds[k.Name].Count() / (double)steps, Median(seconds[k.Name]))).OrderByDescending(r => r.Calls * r.Seconds)];
    }

    /// <summary>The middle of some numbers.</summary>
    public static double Median(IEnumerable<double> numbers)
    {
        double[] sorted = [.. numbers.Order()];
        return sorted[sorted.Length / 2];
    }
}
