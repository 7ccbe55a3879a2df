using System.Runtime.Intrinsics;
using Shardwright.Benchmarks;

// usage: Kernels [gemm|epilogues|attention|rows] [--threads N] [--seconds S] [--only TEXT] [--processor-time]
string Option(string name, string otherwise) => Array.IndexOf(args, name) is int at and >= 0 && at + 1 < args.Length ? args[at + 1] : otherwise;
var invariant = System.Globalization.CultureInfo.InvariantCulture;
string only = Option("--only", "");
int threads = int.Parse(Option("--threads", "1"), invariant);
Measure.Seconds = double.Parse(Option("--seconds", "0.5"), invariant);
Measure.ProcessorTime = args.Contains("--processor-time");
string what = args.Length > 0 && !args[0].StartsWith('-') ? args[0] : "all";

Console.WriteLine($"vectors of {(Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128)} bits, {Environment.ProcessorCount} cores");
double peak = Limits.FmaPeak();
Console.WriteLine($"multiply-adds in registers: {peak:F1} GFLOP/s a core");
if (what is "gemm" or "all")
{
    GemmBenchmark.Run(peak, threads, only);
}

if (what is "epilogues" or "all")
{
    GemmBenchmark.Epilogues(threads);
}

if (what is "attention" or "all")
{
    AttentionBenchmark.Run(peak, threads, only);
}

if (what is "rows" or "all")
{
    RowBenchmark.Run(threads);
}
