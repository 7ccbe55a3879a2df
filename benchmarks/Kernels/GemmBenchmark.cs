using System.Runtime.Intrinsics;
using Shardwright.Execution;
using Shardwright.Kernels;

namespace Shardwright.Benchmarks;

/// <summary>Matrix products against OpenBLAS, shape by shape, and what an epilogue adds.</summary>
internal static unsafe class GemmBenchmark
{
    /// <summary>Squares, then products of the three models of the step benchmark: forward, gradient of the input (B transposed), gradient of the weight (A transposed).</summary>
    private static readonly (int M, int N, int K, bool TransposeA, bool TransposeB, string What)[] s_shapes =
    [
        (256, 256, 256, false, false, "square"), (512, 512, 512, false, false, "square"), (1024, 1024, 1024, false, false, "square"), (2048, 2048, 2048, false, false, "square"),
        (2048, 128, 128, false, false, "4x128 projection"), (2048, 512, 128, false, false, "4x128 up"), (2048, 128, 512, false, false, "4x128 down"), (128, 512, 2048, true, false, "4x128 weight of up"),
        (2048, 384, 384, false, false, "6x384 projection"), (2048, 1536, 384, false, false, "6x384 up"), (2048, 384, 1536, false, false, "6x384 down"), (2048, 384, 1536, false, true, "6x384 input of up"),
        (384, 1536, 2048, true, false, "6x384 weight of up"), (384, 384, 2048, true, false, "6x384 weight of projection"),
        (512, 768, 768, false, false, "12x768 projection"), (512, 3072, 768, false, false, "12x768 up"), (512, 768, 3072, false, false, "12x768 down"), (512, 8192, 768, false, true, "12x768 logits"), (768, 3072, 512, true, false, "12x768 weight of up"),
        (1000, 50257, 64, false, true, "odd"), (7, 1024, 1024, false, false, "few rows"), (1, 4096, 1024, false, false, "one row"), (2048, 10, 768, false, false, "few columns"),
    ];

    public static void Run(double peak, int threads, string filter)
    {
        Console.WriteLine($"GEMM, {threads} thread(s): GFLOP/s, share of the peak of {threads} x {peak:F0}, speed against OpenBLAS {OpenBlas.Version}");
        using ThreadTeam team = ThreadTeam.Owning(threads);
        OpenBlas.Threads(threads);
        foreach ((int m, int n, int k, bool transposeA, bool transposeB, string what) in s_shapes)
        {
            if (!$"{what} {(transposeA ? (char)84 : (char)78)}{(transposeB ? (char)84 : (char)78)}".Contains(filter, StringComparison.Ordinal))
            {
                continue;
            }

            using var a = new Floats((long)m * k);
            using var b = new Floats((long)k * n);
            using var c = new Floats((long)m * n);
            int lda = transposeA ? m : k, ldb = transposeB ? k : n;
            double flops = 2.0 * m * n * k / 1e9;
            Action ours = () => Gemm.Run(team, m, n, k, ref *a.Start, lda, transposeA, ref *b.Start, ldb, transposeB, ref *c.Start, n, false);
            string line = $"{what,-28} {m,5} x {n,5} x {k,5} {(transposeA ? 'T' : 'N')}{(transposeB ? 'T' : 'N')}";
            if (OpenBlas.Found)
            {
                double[][] t = Measure.InTurn(ours, () => OpenBlas.Gemm(transposeA, transposeB, m, n, k, a.Start, lda, b.Start, ldb, 0, c.Start, n));
                Console.WriteLine($"{line} {flops / Measure.Median(t[0]),7:F1} (best {flops / t[0].Min(),6:F1}, {flops / t[0].Min() / peak / threads,4:P0}) OpenBLAS {flops / Measure.Median(t[1]),7:F1} (best {flops / t[1].Min(),6:F1})  ratio {Measure.Ratio(t[0], t[1]):F2} (of the best {t[1].Min() / t[0].Min():F2})");
            }
            else
            {
                double[] t = Measure.InTurn(ours)[0];
                Console.WriteLine($"{line} {flops / Measure.Median(t),7:F1} (best {flops / t.Min(),6:F1}, {flops / t.Min() / peak / threads,4:P0})  OpenBLAS is not installed");
            }
        }
    }

    /// <summary>What a bias and GELU add to a product: in place, and in the form of training, which keeps what goes into the activation.</summary>
    public static void Epilogues(int threads)
    {
        Console.WriteLine($"bias + GELU in the epilogue, {threads} thread(s): time added to the product (median of pairs)");
        using ThreadTeam team = ThreadTeam.Owning(threads);
        foreach ((int m, int n, int k) in new[] { (2048, 512, 128), (2048, 1536, 384), (512, 3072, 768), (1024, 1024, 1024) })
        {
            using Floats a = new((long)m * k), b = new((long)k * n), c = new((long)m * n), y = new((long)m * n), bias = new(n);
            double[][] t = Measure.InTurn(
                () => Gemm.Run(team, m, n, k, ref *a.Start, k, false, ref *b.Start, n, false, ref *c.Start, n, false),
                () => Gemm.Run(team, m, n, k, ref *a.Start, k, false, ref *b.Start, n, false, ref *c.Start, n, false, new BiasGelu { C = c.Start, Bias = bias.Start, Y = c.Start, N = n }),
                () => Gemm.Run(team, m, n, k, ref *a.Start, k, false, ref *b.Start, n, false, ref *c.Start, n, false, new BiasGelu { C = c.Start, Bias = bias.Start, Y = y.Start, N = n }));
            Console.WriteLine($"{m,5} x {n,5} x {k,5}: in place {1 / Measure.Ratio(t[1], t[0]) - 1,6:P1} (best of best {t[1].Min() / t[0].Min() - 1,6:P1}), kept {1 / Measure.Ratio(t[2], t[0]) - 1,6:P1} (best of best {t[2].Min() / t[0].Min() - 1,6:P1})");
        }
    }

    /// <summary>As the generator prints it.</summary>
    private struct BiasGelu : IEpilogue
    {
        public float* C, Bias, Y;
        public int N;

        public readonly void Apply(int row, int column, int rows, int columns)
        {
            for (int r = row; r < row + rows; r++)
            {
                float* c = C + (long)r * N + column, bias = Bias + column, y = Y + (long)r * N + column;
                int i = 0;
                if (Y != C)
                {
                    Gemm.Ask(ref *y, N, columns);
                }

                if (Vector512.IsHardwareAccelerated)
                {
                    for (; i <= columns - 16; i += 16)
                    {
                        Vector512<float> x = Vector512.Load(c + i) + Vector512.Load(bias + i);
                        Vector512.Store(x, c + i);
                        Vector512.Store(x * VectorMath.Sigmoid(x * (Vector512.Create(1.5957692f) + x * x * Vector512.Create(0.071354814f))), y + i);
                    }
                }

                for (; i <= columns - 8; i += 8)
                {
                    Vector256<float> x = Vector256.Load(c + i) + Vector256.Load(bias + i);
                    Vector256.Store(x, c + i);
                    Vector256.Store(x * VectorMath.Sigmoid(x * (Vector256.Create(1.5957692f) + x * x * Vector256.Create(0.071354814f))), y + i);
                }
            }
        }
    }
}
