using Shardwright.Execution;
using Shardwright.Kernels;

namespace Shardwright.Benchmarks;

/// <summary>Kernels that memory limits: bytes that must move, over the bandwidth of a plain copy loop in the same run. Arrays are far larger than the caches.</summary>
internal static unsafe class RowBenchmark
{
    public static void Run(int threads)
    {
        const int Rows = 16384, Width = 768, Vocabulary = 8192, Logits = 1536;
        const long Count = (long)Rows * Width;
        using ThreadTeam team = ThreadTeam.Owning(threads);
        using Floats x = new(Count), y = new(Count), g = new(Count), z = new(Count), scale = new(Width), shift = new(Width), mean = new(Rows), r = new(Rows), dScale = new(Width), dShift = new(Width), weights = new(Rows);
        for (long i = 0; i < Count; i++)
        {
            z.Start[i] = Math.Abs(z.Start[i]);
        }

        int* ids = (int*)weights.Start;
        for (int i = 0; i < Rows; i++)
        {
            ids[i] = i * 7 % Vocabulary;
        }

        float sum = 0, weight = 0, one = 1;
        Kernels.LayerNorm.Forward(team, Rows, Width, 1e-5f, ref *x.Start, ref *scale.Start, ref *shift.Start, ref *y.Start, ref *mean.Start, ref *r.Start);
        (string Name, double Bytes, Action Body)[] kernels =
        [
            ("plain copy loop, one thread", 8.0 * Count, () => Limits.Copy(x.Start, y.Start, Count)),
            ("memcpy, one thread", 8.0 * Count, () => Buffer.MemoryCopy(x.Start, y.Start, Count * 4, Count * 4)),
            ("triad, one thread", 12.0 * Count, () => Limits.Triad(x.Start, g.Start, y.Start, Count)),
            ("layer norm", 8.0 * Count, () => Kernels.LayerNorm.Forward(team, Rows, Width, 1e-5f, ref *x.Start, ref *scale.Start, ref *shift.Start, ref *y.Start, ref *mean.Start, ref *r.Start)),
            ("layer norm, gradient", 12.0 * Count, () => Kernels.LayerNorm.Backward(team, Rows, Width, ref *x.Start, ref *scale.Start, ref *mean.Start, ref *r.Start, ref *g.Start, ref *y.Start, ref *dScale.Start, ref *dShift.Start)),
            ("rms norm", 8.0 * Count, () => Kernels.RmsNorm.Forward(team, Rows, Width, 1e-5f, ref *x.Start, ref *scale.Start, ref *y.Start, ref *r.Start)),
            ("rms norm, gradient", 12.0 * Count, () => Kernels.RmsNorm.Backward(team, Rows, Width, ref *x.Start, ref *scale.Start, ref *mean.Start, ref *g.Start, ref *y.Start, ref *dScale.Start)),
            ("softmax", 8.0 * Count, () => Softmax.Forward(team, Rows, Width, false, ref *x.Start, ref *y.Start)),
            ("softmax, gradient", 12.0 * Count, () => Softmax.Backward(team, Rows, Width, false, ref *x.Start, ref *g.Start, ref *y.Start)),
            ("cross-entropy", 4.0 * Logits * Vocabulary, () => CrossEntropy.Forward(team, Logits, Vocabulary, ref *x.Start, ref *ids, ref one, false, -100, ref sum, ref weight, ref *mean.Start)),
            ("cross-entropy, gradient", 8.0 * Logits * Vocabulary, () => CrossEntropy.Backward(team, Logits, Vocabulary, ref *x.Start, ref *ids, ref one, false, -100, 0, ref *mean.Start, ref one, ref *y.Start)),
            ("column sums", 4.0 * Count, () => Reduce.Sum(team, 1, Rows, Width, ref *x.Start, ref *dScale.Start)),
            ("accumulate", 12.0 * Count, () => Fill.Accumulate(team, Count, false, ref *x.Start, ref *y.Start)),
            ("embedding", 8.0 * Count, () => Kernels.Embedding.Forward(team, Rows, Width, 0, Vocabulary, Vocabulary, ref *ids, ref *x.Start, ref *y.Start)),
            ("embedding, gradient", 4.0 * Count + 8.0 * Vocabulary * Width, () => Kernels.Embedding.Backward(team, Rows, Width, 0, Vocabulary, ref *ids, ref *g.Start, ref *y.Start)),
            ("transpose of heads", 8.0 * Count, () => StridedCopy.Run(team, [64, 12, 256, 64], [256 * 768, 64, 768, 1], [12 * 256 * 64, 256 * 64, 64, 1], ref *x.Start, ref *y.Start)),
            ("sum of squares", 4.0 * Count, () => Reduce.SumOfSquares(team, Count, ref *x.Start)),
            ("AdamW", 28.0 * Count, () => Optimizers.AdamW(team, Count, ref *x.Start, ref *g.Start, ref *y.Start, ref *z.Start, 0.1f, 1e-6f, 0.9f, 0.95f, 1e-8f, 0.01f, 10)),
        ];
        double[][] times = Measure.InTurn([.. kernels.Select(k => k.Body)]);
        double[] copy = times[0];
        Console.WriteLine($"memory, {threads} thread(s): GB/s that must move, share of the plain copy loop of one thread (median of pairs)");
        for (int i = 0; i < kernels.Length; i++)
        {
            double bandwidth = kernels[i].Bytes / Measure.Median(times[i]) / 1e9;
            Console.WriteLine($"{kernels[i].Name,-28} {bandwidth,6:F1}  {Measure.Ratio(times[i], copy) * kernels[i].Bytes / kernels[0].Bytes,5:P0}  (best of best {copy.Min() / times[i].Min() * kernels[i].Bytes / kernels[0].Bytes,5:P0})");
        }
    }
}
