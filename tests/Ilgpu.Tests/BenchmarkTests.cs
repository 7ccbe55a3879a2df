using System.Globalization;
using System.Text.RegularExpressions;
using Shardwright.Benchmarks.Accelerators;
using Shardwright.Observability;

namespace Shardwright.Tests;

/// <summary>The benchmark of accelerators runs as it would on a GPU, at sizes that mean nothing; so its numbers are not looked at, but for those that hold anywhere.</summary>
public sealed class BenchmarkTests
{
    [Fact]
    public void EveryPartRuns()
    {
        var output = new StringWriter();
        Assert.Equal(0, Benchmarks.Accelerators.Program.Run(["--device", "ilgpu-cpu", "--tiny", "--steps", "2"], output, TextWriter.Null));
        string text = output.ToString();
        Assert.Matches(@"copy [\d.]+ GB/s read and written; product [\d.]+ TFLOP/s \(tiled kernel\); launch and wait [\d.]+ us", text);

        // Every planned kernel that a step runs, as the host runs it, has a row.
        var trace = new TraceRecorder();
        Subject.Tiny.Run(Execution.Backend.Host, trace, (_, step) => step(0));
        string[] ran = [.. trace.Ranks[0].Entries.Where(e => e.Kind == SpanKind.Kernel).Select(e => e.Name).Distinct().Intersect(Tiny.OnOneRank.Plan.Kernels.Select(k => k.Name))];
        Assert.True(ran.Length > 20, $"{ran.Length} kernels");
        string[] rows = [.. Regex.Matches(text, @"^(\w+) +[\d.]+ +[\d.]+ +[\d.]+ +\d+ ?%", RegexOptions.Multiline).Select(m => m.Groups[1].Value)];
        Assert.Equal(ran.Order(), rows.Order());
        Assert.Matches(@"bound by memory: \d+ ?% of a copy's bandwidth", text);
        string bytes = Tiny.OnOneRank.Plan.TotalBytes.ToString("N0", CultureInfo.InvariantCulture);
        Assert.Contains($"slab {bytes} bytes, planned {bytes}", text, StringComparison.Ordinal);
        Match worst = Regex.Match(text, @"largest relative difference (\S+)");
        Assert.InRange(double.Parse(worst.Groups[1].Value, CultureInfo.InvariantCulture), 0, 1e-5);
    }

    [Fact]
    public void WrongCommandLinesAndMissingDevicesAreNamed()
    {
        var error = new StringWriter();
        Assert.Equal(2, Benchmarks.Accelerators.Program.Run(["--device", "tpu"], TextWriter.Null, error));
        Assert.Contains("'--device tpu' is not understood; usage: Gpu", error.ToString(), StringComparison.Ordinal);
        Assert.Equal(2, Benchmarks.Accelerators.Program.Run(["--steps", "0"], TextWriter.Null, error));
        if (Gpu.GpuBackend.Find(Gpu.GpuKind.OpenCL).Count == 0)
        {
            Assert.Equal(1, Benchmarks.Accelerators.Program.Run(["--device", "opencl", "--tiny"], TextWriter.Null, error));
            Assert.Contains("--device opencl: No OpenCL device was found", error.ToString(), StringComparison.Ordinal);
        }
    }
}
