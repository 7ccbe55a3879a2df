extern alias runtime;

using System.Diagnostics;
using System.Globalization;
using runtime::Shardwright.Execution;
using runtime::Shardwright.Kernels;

namespace Shardwright.Cli.Machines;

/// <summary>A measured rate at a size.</summary>
/// <param name="Size">Edge of a cube of multiply-adds, or bytes.</param>
/// <param name="PerSecond">Operations or bytes per second, the best of all rounds.</param>
internal sealed record MeasuredRate(double Size, double PerSecond);

/// <summary>What this machine does: matrix products with the kernels that training uses, copies, the start of a kernel.</summary>
/// <param name="Threads">Threads that were used.</param>
/// <param name="MemoryBytes">Memory that the process may use.</param>
/// <param name="Products">Rates of products, small to large.</param>
/// <param name="Copies">Rates of copies, bytes read and written, small to large.</param>
/// <param name="LaunchSeconds">Time to start a kernel on all threads.</param>
internal sealed record Calibration(int Threads, long MemoryBytes, IReadOnlyList<MeasuredRate> Products, IReadOnlyList<MeasuredRate> Copies, double LaunchSeconds)
{
    private static readonly int[] s_edges = [32, 64, 128, 256, 512, 1024];
    private static readonly int[] s_bytes = [64 << 10, 1 << 20, 16 << 20, 128 << 20];

    /// <summary>Measures.</summary>
    /// <param name="threads">Threads of a rank.</param>
    /// <param name="seconds">Time for each size.</param>
    /// <param name="cancellation">Ends it.</param>
    public static Calibration Measure(int threads, double seconds, CancellationToken cancellation)
    {
        using ThreadTeam team = ThreadTeam.Owning(threads);
        int most = s_edges[^1];
        float[] a = Floats(most * most), b = Floats(most * most), c = Floats(most * most);
        var products = s_edges.Select(n => new MeasuredRate(n, 2.0 * n * n * n / Best(() => Gemm.Run(team, n, n, n, ref a[0], n, false, ref b[0], n, false, ref c[0], n, false), seconds, cancellation))).ToList();
        float[] from = Floats(s_bytes[^1] / 8), to = Floats(s_bytes[^1] / 8);
        var copies = s_bytes.Select(bytes => new MeasuredRate(bytes, bytes / Best(() => team.Run(threads, new CopyBody(from, to, bytes / 8, threads)), seconds, cancellation))).ToList();
        double launch = Best(() => team.Run(threads, default(EmptyBody)), seconds, cancellation);
        return new Calibration(threads, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes, products, copies, launch);
    }

    /// <summary>A class with [DeviceSpec] that says so.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="space">Its namespace; empty for none.</param>
    public string Source(string name, string space)
    {
        double peak = Products.Max(p => p.PerSecond), bandwidth = Copies.Max(p => p.PerSecond);
        string Number(double value) => value.ToString("G4", CultureInfo.InvariantCulture);
        string Share(double share) => Math.Clamp(share, 0.001, 1).ToString("0.###", CultureInfo.InvariantCulture);
        IEnumerable<string> points = Products.Select(p => $"[DeviceEfficiency(WorkKind.Product, {Number(p.Size)}, {Share(p.PerSecond / peak)})]")
            .Concat(Copies.Select(p => $"[DeviceEfficiency(WorkKind.Memory, {p.Size.ToString("0", CultureInfo.InvariantCulture)}, {Share(p.PerSecond / bandwidth)})]"));
        return $$"""
            // Measured by 'shardwright calibrate' with {{Threads}} thread{{(Threads == 1 ? "" : "s")}} for a rank. The peak is that of the fastest product, the bandwidth that of the fastest copy;
            // each line below gives the share of it at a size: the edge of a cube of multiply-adds, or bytes.
            using Shardwright;
            {{(space.Length > 0 ? $"\nnamespace {space};\n" : "")}}
            /// <summary>This machine.</summary>
            [DeviceSpec(MemoryBytes = {{MemoryBytes.ToString(CultureInfo.InvariantCulture)}}, ReserveBytes = 256L << 20, BandwidthGBs = {{Number(bandwidth / 1e9)}}, Fp32TFlops = {{Number(peak / 1e12)}}, LaunchMicroseconds = {{Number(LaunchSeconds * 1e6)}}, MaxThreads = {{Threads}}, StepMicroseconds = 100)]
            {{string.Join("\n", points)}}
            public sealed class {{name}};

            """.ReplaceLineEndings("\n");
    }

    /// <summary>Shortest time of a call in rounds of about a millisecond, after the code is compiled for good.</summary>
    private static double Best(Action call, double seconds, CancellationToken cancellation)
    {
        long begin = Stopwatch.GetTimestamp();
        int warm = 0;
        while (warm < 3 || (warm < 300 && Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds / 3))
        {
            call();
            warm++;
        }

        int calls = (int)Math.Clamp(1e-3 * warm / Math.Max(1e-9, Stopwatch.GetElapsedTime(begin).TotalSeconds), 1, 10_000);
        double best = double.PositiveInfinity;
        begin = Stopwatch.GetTimestamp();
        for (int round = 0; round < 3 || Stopwatch.GetElapsedTime(begin).TotalSeconds < seconds; round++)
        {
            cancellation.ThrowIfCancellationRequested();
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < calls; i++)
            {
                call();
            }

            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds / calls);
        }

        return best;
    }

    /// <summary>Numbers at a fixed place in memory, as kernels want them.</summary>
    private static float[] Floats(int count)
    {
        float[] values = GC.AllocateUninitializedArray<float>(count, pinned: true);
        for (int i = 0; i < count; i++)
        {
            values[i] = (i * 31 % 101 - 50) / 50f;
        }

        return values;
    }

    private readonly struct EmptyBody : IParallelBody
    {
        public void Run(int part, int thread)
        {
        }
    }

    /// <summary>Each part copies its own stretch.</summary>
    private readonly struct CopyBody(float[] from, float[] to, int count, int parts) : IParallelBody
    {
        public void Run(int part, int thread)
        {
            int start = (int)((long)count * part / parts), end = (int)((long)count * (part + 1) / parts);
            from.AsSpan(start, end - start).CopyTo(to.AsSpan(start));
        }
    }
}
