using Shardwright.Execution;
using Shardwright.Kernels;

namespace Shardwright.Benchmarks.Steps;

/// <summary>Measures one thread of this machine and prints it as a device class, for Machine.cs: the plan predicts the time of each kernel from it.</summary>
internal static unsafe class Calibration
{
    public static void Print(double peak)
    {
        using ThreadTeam team = ThreadTeam.Owning(1);
        (long Bytes, double GBs)[] copies = [.. new[] { 256L << 10, 2L << 20, 8L << 20, 64L << 20 }.Select(bytes =>
        {
            long count = bytes / 8;
            using Floats from = new(count), to = new(count);
            return (bytes, bytes / Measure.Median(Measure.InTurn(() => Limits.Copy(from.Start, to.Start, count))[0]) / 1e9);
        })];
        double bandwidth = copies.Max(c => c.GBs);
        Console.WriteLine(FormattableString.Invariant($"[DeviceSpec(MemoryBytes = 16L << 30, ReserveBytes = 256L << 20, BandwidthGBs = {bandwidth:F1}, Fp32TFlops = {peak / 1e3:F4}, LaunchMicroseconds = 1, MaxThreads = 16, StepMicroseconds = 50)]"));
        foreach (int edge in new[] { 128, 256, 512, 1024 })
        {
            using Floats a = new(edge * edge), b = new(edge * edge), c = new(edge * edge);
            double seconds = Measure.Median(Measure.InTurn(() => Gemm.Run(team, edge, edge, edge, ref *a.Start, edge, false, ref *b.Start, edge, true, ref *c.Start, edge, false))[0]);
            Point(WorkKind.Product, edge, 2.0 * edge * edge * edge / seconds / 1e9 / peak);
        }

        foreach ((int heads, int tokens, int width) in new[] { (128, 128, 16), (32, 256, 64), (8, 1024, 64) })
        {
            long size = (long)heads * tokens * width;
            using Floats q = new(size), k = new(size), v = new(size), o = new(size), dO = new(size), dq = new(size), dk = new(size), dv = new(size), lse = new((long)heads * tokens);
            var shape = new AttentionShape(1, heads, heads, 1, 0, tokens, tokens, width, true, 1 / MathF.Sqrt(width), false);
            int none = 0;
            double flops = 4.0 * heads * tokens * (tokens + 1) / 2 * width;
            double[][] times = Measure.InTurn(
                () => Attention.Forward(team, shape, ref *q.Start, ref *k.Start, ref *v.Start, ref none, ref *o.Start, ref *lse.Start),
                () => Attention.Backward(team, shape, ref *q.Start, ref *k.Start, ref *v.Start, ref none, ref *o.Start, ref *lse.Start, ref *dO.Start, ref *dq.Start, ref *dk.Start, ref *dv.Start));
            Point(WorkKind.Attention, Edge(flops), flops / Measure.Median(times[0]) / 1e9 / peak);
            Point(WorkKind.Attention, Edge(2.5 * flops), 2.5 * flops / Measure.Median(times[1]) / 1e9 / peak);
        }

        foreach ((long bytes, double speed) in copies)
        {
            Point(WorkKind.Memory, bytes, speed / bandwidth);
        }
    }

    private static double Edge(double flops) => Math.Round(Math.Pow(flops / 2, 1.0 / 3));

    private static void Point(WorkKind kind, double size, double share) =>
        Console.WriteLine(FormattableString.Invariant($"[DeviceEfficiency(WorkKind.{kind}, {size:F0}, {Math.Min(1, share):F3})]"));
}
