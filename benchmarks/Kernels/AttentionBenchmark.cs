using Shardwright.Execution;
using Shardwright.Kernels;

namespace Shardwright.Benchmarks;

/// <summary>Causal attention: FLOPs of the half that counts, over the peak of multiply-adds.</summary>
internal static unsafe class AttentionBenchmark
{
    public static void Run(double peak, int threads, string filter)
    {
        Console.WriteLine($"causal attention, {threads} thread(s): GFLOP/s on the causal half, share of the peak of {threads} x {peak:F0}");
        using ThreadTeam team = ThreadTeam.Owning(threads);
        foreach ((int batch, int heads, int tokens, int width) in new[] { (1, 8, 1024, 64), (8, 6, 256, 64), (16, 8, 128, 16), (1, 2, 4096, 64), (1, 4, 1000, 80), (4, 8, 256, 32), (1, 4, 512, 128) })
        {
            if (!$"{heads} heads of {width}, {tokens} tokens".Contains(filter, StringComparison.Ordinal))
            {
                continue;
            }

            long size = (long)batch * heads * tokens * width;
            using Floats q = new(size), k = new(size), v = new(size), o = new(size), dO = new(size), dq = new(size), dk = new(size), dv = new(size), lse = new((long)batch * heads * tokens);
            var shape = new AttentionShape(batch, heads, heads, 1, 0, tokens, tokens, width, true, 1 / MathF.Sqrt(width), false);
            int none = 0;
            double flops = 4.0 * batch * heads * tokens * (tokens + 1) / 2 * width / 1e9;
            double[][] t = Measure.InTurn(
                () => Attention.Forward(team, shape, ref *q.Start, ref *k.Start, ref *v.Start, ref none, ref *o.Start, ref *lse.Start),
                () => Attention.Backward(team, shape, ref *q.Start, ref *k.Start, ref *v.Start, ref none, ref *o.Start, ref *lse.Start, ref *dO.Start, ref *dq.Start, ref *dk.Start, ref *dv.Start));
            double forward = Measure.Median(t[0]), backward = Measure.Median(t[1]), both = 3.5 * flops / (t[0].Min() + t[1].Min());
            Console.WriteLine($"{batch,3} x {heads} heads of {width,2}, {tokens,4} tokens: forward {flops / forward,6:F1}, backward {2.5 * flops / backward,6:F1}, both {3.5 * flops / (forward + backward),6:F1} (best {both,6:F1}, {both / peak / threads:P0}); {(forward + backward) * 1e3:F2} ms");
        }
    }
}
