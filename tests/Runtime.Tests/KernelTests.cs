using System.Runtime.Intrinsics;
using Shardwright.Execution;
using Shardwright.Kernels;

namespace Shardwright.Tests;

/// <summary>Kernels against plain loops in double precision, on odd sizes, and bit for bit the same on one, two and three threads.</summary>
public sealed class KernelTests
{
    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 19)]
    [InlineData(200, 130)]
    public void LayerNormFollowsItsFormula(int rows, int n)
    {
        float[] x = Numbers.Random(rows * n, 1), scale = Numbers.Random(n, 2), shift = Numbers.Random(n, 3), dy = Numbers.Random(rows * n, 4);
        float[] all = Numbers.OnTeams(rows * n * 2 + 2 * rows + 2 * n, (team, y) =>
        {
            int mean = rows * n, r = mean + rows, dx = r + rows, ds = dx + rows * n, db = ds + n;
            Kernels.LayerNorm.Forward(team, rows, n, 1e-5f, ref x[0], ref scale[0], ref shift[0], ref y[0], ref y[mean], ref y[r]);
            Kernels.LayerNorm.Backward(team, rows, n, ref x[0], ref scale[0], ref y[mean], ref y[r], ref dy[0], ref y[dx], ref y[ds], ref y[db]);
        });
        var dScale = new double[n];
        for (int row = 0; row < rows; row++)
        {
            double mean = Enumerable.Range(0, n).Average(i => (double)x[row * n + i]), r = 1 / Math.Sqrt(Enumerable.Range(0, n).Average(i => Math.Pow(x[row * n + i] - mean, 2)) + 1e-5f);
            for (int i = 0; i < n; i++)
            {
                double hat = (x[row * n + i] - mean) * r;
                Assert.Equal(hat * scale[i] + shift[i], all[row * n + i], 5e-5);
                dScale[i] += dy[row * n + i] * hat;
            }
        }

        for (int i = 0; i < n; i++)
        {
            Assert.Equal(dScale[i], all[2 * rows * n + 2 * rows + i], 1e-3);
        }
    }

    [Fact]
    public void VectorFunctionsStayWithinTheirError()
    {
        (string Name, Func<Vector512<float>, Vector512<float>> Vector, Func<Vector256<float>, Vector256<float>> Narrow, Func<double, double> Reference, double Low, double High)[] functions =
        [
            ("exp", VectorMath.Exp, VectorMath.Exp, Math.Exp, -80, 80), ("log", VectorMath.Log, VectorMath.Log, Math.Log, 1e-6, 1e6), ("tanh", VectorMath.Tanh, VectorMath.Tanh, Math.Tanh, -12, 12), ("sigmoid", VectorMath.Sigmoid, VectorMath.Sigmoid, x => 1 / (1 + Math.Exp(-x)), -80, 80),
            ("sin", VectorMath.Sin, VectorMath.Sin, Math.Sin, -100, 100), ("cos", VectorMath.Cos, VectorMath.Cos, Math.Cos, -100, 100),
        ];
        var random = new Random(1);
        foreach (var f in functions)
        {
            for (int n = 0; n < 20_000; n++)
            {
                float x = (float)(f.Low + (f.High - f.Low) * random.NextDouble());
                double expected = f.Reference(x), actual = f.Vector(Vector512.Create(x)).GetElement(3);
                Assert.Equal(BitConverter.SingleToUInt32Bits((float)actual), BitConverter.SingleToUInt32Bits(f.Narrow(Vector256.Create(x)).GetElement(5)));
                Assert.True(Math.Abs(actual - expected) <= 3e-7 * Math.Max(Math.Abs(expected), f.Name is "sin" or "cos" or "log" ? 1 : 1e-30), $"{f.Name}({x:R}) = {actual:R}, not {expected:R}");
            }
        }
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(5, 37)]
    [InlineData(70, 2600)]
    public void NormsWithoutMeanAndSoftmaxFollowTheirFormulas(int rows, int n)
    {
        float[] x = Numbers.Random(rows * n, 1), scale = Numbers.Random(n, 2), dy = Numbers.Random(rows * n, 3);
        int size = rows * n;
        float[] all = Numbers.OnTeams(5 * size + n + 2 * rows, (team, y) =>
        {
            int r = 5 * size + n;
            Kernels.RmsNorm.Forward(team, rows, n, 1e-5f, ref x[0], ref scale[0], ref y[0], ref y[r]);
            Kernels.RmsNorm.Backward(team, rows, n, ref x[0], ref scale[0], ref y[r], ref dy[0], ref y[size], ref y[5 * size]);
            Softmax.Forward(team, rows, n, false, ref x[0], ref y[2 * size]);
            Softmax.Backward(team, rows, n, false, ref y[2 * size], ref dy[0], ref y[3 * size]);
            Softmax.Forward(team, rows, n, true, ref x[0], ref y[4 * size]);
            y[r + rows] = (float)Reduce.SumOfSquares(team, size, ref x[0]).Value;
        });
        var dScale = new double[n];
        for (int row = 0; row < rows; row++)
        {
            double[] own = [.. Enumerable.Range(row * n, n).Select(i => (double)x[i])], g = [.. Enumerable.Range(row * n, n).Select(i => (double)dy[i])];
            double r = 1 / Math.Sqrt(own.Average(v => v * v) + 1e-5f), dot = own.Select((v, i) => v * r * g[i] * scale[i]).Average(), sum = own.Sum(Math.Exp);
            double mean = own.Select((v, i) => Math.Exp(v) / sum * g[i]).Sum();
            for (int i = 0; i < n; i++)
            {
                double p = Math.Exp(own[i]) / sum;
                Assert.Equal(own[i] * r * scale[i], all[row * n + i], 5e-5);
                Assert.Equal(r * (g[i] * scale[i] - own[i] * r * dot), all[size + row * n + i], 5e-4);
                Assert.Equal(p, all[2 * size + row * n + i], 1e-6 * (p + 1e-3));
                Assert.Equal(p * (g[i] - mean), all[3 * size + row * n + i], 1e-6);
                Assert.Equal(own[i] - Math.Log(sum), all[4 * size + row * n + i], 1e-5);
                dScale[i] += g[i] * own[i] * r;
            }
        }

        for (int i = 0; i < n; i++)
        {
            Assert.Equal(dScale[i], all[5 * size + i], 1e-3);
        }

        Assert.Equal(x.Take(size).Sum(v => (double)v * v), all[5 * size + n + rows], 1e-5 * size);
    }

    [Theory]
    [InlineData(3, 10)]
    [InlineData(2, 5000)]
    public void CrossEntropyAndItsGradientFollowTheFormula(int rows, int classes)
    {
        float[] x = Numbers.Random(rows * classes, 5);
        for (int i = 0; i < x.Length; i++)
        {
            x[i] *= 30;
        }

        int[] targets = GC.AllocateArray<int>(rows, pinned: true);
        for (int i = 0; i < rows; i++)
        {
            targets[i] = i * 7 % classes;
        }

        targets[rows - 1] = -100;
        int size = rows * classes;
        float[] all = Numbers.OnTeams(size + rows + 2, (team, y) =>
        {
            float one = 1, none = 0;
            CrossEntropy.Forward(team, rows, classes, ref x[0], ref targets[0], ref none, false, -100, ref y[size + rows], ref y[size + rows + 1], ref y[size]);
            CrossEntropy.Backward(team, rows, classes, ref x[0], ref targets[0], ref none, false, -100, 0, ref y[size], ref one, ref y[0]);
        });
        double loss = 0;
        for (int row = 0; row < rows; row++)
        {
            double max = Enumerable.Range(0, classes).Max(i => x[row * classes + i]), lse = max + Math.Log(Enumerable.Range(0, classes).Sum(i => Math.Exp(x[row * classes + i] - max)));
            Assert.Equal(lse, all[size + row], 1e-6 * Math.Abs(lse) + 1e-6);
            bool counts = targets[row] >= 0;
            loss += counts ? lse - x[row * classes + targets[row]] : 0;
            for (int i = 0; i < classes; i++)
            {
                Assert.Equal(counts ? Math.Exp(x[row * classes + i] - lse) - (i == targets[row] ? 1 : 0) : 0, all[row * classes + i], 2e-6);
            }
        }

        Assert.Equal(loss, all[size + rows], 1e-5 * loss);
        Assert.Equal(rows - 1, all[size + rows + 1]);
    }

    /// <summary>Rows of several pieces whose largest logit comes early, late, a little or far above what came before, or after nothing at all.</summary>
    [Fact]
    public void LogSumExpFollowsALargestThatMoves()
    {
        const int Classes = 4700, Rows = 6;
        float[][] shifts = [[0, 3, 6, 5, 7], [0, 12, 50, 300, 301], [400, 100, -50, 0, 399], [float.NegativeInfinity, float.NegativeInfinity, 4, 90, 2], [-3e4f, 0, 3e4f, 0, 1], [0, 7.5f, 15, 22.5f, 30]];
        float[] x = Numbers.Random(Rows * Classes, 6);
        for (int i = 0; i < x.Length; i++)
        {
            x[i] += shifts[i / Classes][i % Classes / 1024];
        }

        int[] targets = GC.AllocateArray<int>(Rows, pinned: true);
        Array.Fill(targets, Classes - 1);
        float[] lse = Numbers.OnTeams(Rows + 2, (team, y) =>
        {
            float none = 0;
            CrossEntropy.Forward(team, Rows, Classes, ref x[0], ref targets[0], ref none, false, -100, ref y[Rows], ref y[Rows + 1], ref y[0]);
        });
        for (int row = 0; row < Rows; row++)
        {
            double max = Enumerable.Range(0, Classes).Max(i => x[row * Classes + i]), expected = max + Math.Log(Enumerable.Range(0, Classes).Sum(i => Math.Exp(x[row * Classes + i] - max)));
            Assert.Equal(expected, lse[row], 3e-7 * Math.Abs(expected) + 1e-6);
        }
    }

    /// <summary>The bits of kernels whose vectors are as wide as the machine's.</summary>
    public static string Bits()
    {
        const int Rows = 3, Classes = 2500;
        float[] x = Numbers.Random(Rows * Classes, 7), y = Numbers.Empty(2 * Rows * Classes + Rows + 2);
        int[] targets = GC.AllocateArray<int>(Rows, pinned: true);
        float one = 1, none = 0;
        CrossEntropy.Forward(ThreadTeam.Single, Rows, Classes, ref x[0], ref targets[0], ref none, false, -100, ref y[Rows], ref y[Rows + 1], ref y[0]);
        CrossEntropy.Backward(ThreadTeam.Single, Rows, Classes, ref x[0], ref targets[0], ref none, false, -100, 0, ref y[0], ref one, ref y[Rows + 2]);
        Softmax.Forward(ThreadTeam.Single, Rows, Classes, false, ref x[0], ref y[Rows + 2 + Rows * Classes]);
        return Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(y.AsSpan())));
    }

    [Theory]
    [InlineData(new long[] { 3, 5, 4, 7 }, new[] { 0, 2, 1, 3 })]
    [InlineData(new long[] { 2, 6, 9 }, new[] { 1, 0, 2 })]
    [InlineData(new long[] { 4, 3, 5 }, new[] { 2, 0, 1 })]
    [InlineData(new long[] { 11 }, new[] { 0 })]
    public void CopiesPermute(long[] sizes, int[] order)
    {
        int count = (int)sizes.Aggregate(1L, (a, b) => a * b);
        float[] x = Numbers.Random(count, 3);
        long[] Strides(long[] dims) => [.. Enumerable.Range(0, dims.Length).Select(d => dims.Skip(d + 1).Aggregate(1L, (a, b) => a * b))];
        long[] target = [.. order.Select(d => sizes[d])], from = Strides(sizes), to = Strides(target), permuted = [.. order.Select(d => from[d])];
        float[] all = Numbers.OnTeams(count, (team, y) => StridedCopy.Run(team, target, permuted, to, ref x[0], ref y[0]));
        for (int i = 0; i < count; i++)
        {
            Assert.Equal(x[Enumerable.Range(0, target.Length).Sum(d => i / to[d] % target[d] * permuted[d])], all[i]);
        }
    }

    [Fact]
    public void VectorFunctionsLetNaNThrough()
    {
        Func<Vector512<float>, Vector512<float>>[] wide = [VectorMath.Exp, VectorMath.Exp2OfScore, VectorMath.Tanh, VectorMath.Erf, VectorMath.Sigmoid];
        Func<Vector256<float>, Vector256<float>>[] narrow = [VectorMath.Exp, VectorMath.Exp2OfScore, VectorMath.Tanh, VectorMath.Erf, VectorMath.Sigmoid];
        Assert.All(wide, f => Assert.True(float.IsNaN(f(Vector512.Create(float.NaN)).GetElement(7))));
        Assert.All(narrow, f => Assert.True(float.IsNaN(f(Vector256.Create(float.NaN)).GetElement(7))));
    }

    [Fact]
    public void PhiloxGivesTheKnownNumbers()
    {
        Assert.Equal((0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u), Philox.Draw(0, 0, 0, 0, 0, 0));
        Assert.Equal((0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu), Philox.Draw(uint.MaxValue, uint.MaxValue, uint.MaxValue, uint.MaxValue, uint.MaxValue, uint.MaxValue));
        Assert.Equal((0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u), Philox.Draw(0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0));
    }

    [Fact]
    public void RandomNumbersBelongToTheGlobalIndex()
    {
        float[] ones = Numbers.Of([.. Enumerable.Repeat(1f, 6 * 10)]), whole = Numbers.Empty(60), piece = Numbers.Empty(3 * 5), normal = Numbers.Empty(60), part = Numbers.Empty(15);
        var all = new IndexMap([6, 10], [6, 10], [0, 0]);
        var slice = new IndexMap([3, 5], [6, 10], [3, 5]);
        var key = new RandomKey(1, 2, RandomKey.Hash("dropout#3"));
        Assert.Equal(RandomKey.Hash("dropout#1203"), RandomKey.HashOrdinal("dropout#", 1203));
        Dropout.Apply(ThreadTeam.Single, ref ones[0], ref whole[0], all, key, 0.4f);
        Dropout.Apply(ThreadTeam.Single, ref ones[0], ref piece[0], slice, key, 0.4f);
        Initialize.Fill(ref normal[0], all, 7, "blocks.0.query", "Normal", 0, 1);
        Initialize.Fill(ref part[0], slice, 7, "blocks.0.query", "Normal", 0, 1);
        for (int i = 0; i < 15; i++)
        {
            int at = (3 + i / 5) * 10 + 5 + i % 5;
            Assert.Equal(whole[at], piece[i]);
            Assert.Equal(normal[at], part[i]);
        }

        float[] many = Numbers.Empty(40_000);
        Initialize.Fill(ref many[0], new IndexMap([40_000], [40_000], [0]), 7, "x", "Normal", 0, 1);
        Assert.Equal(0, many.Average(v => (double)v), 0.02);
        Assert.Equal(1, Math.Sqrt(many.Average(v => (double)v * v)), 0.02);
    }

    [Fact]
    public void ExpAndSoftmaxMeetExtremeNumbers()
    {
        float[] x = Numbers.Of(-1e30f, 0, 88, 1000, -1000, 5, 5, 5), y = Numbers.Empty(8);
        Softmax.Forward(ThreadTeam.Single, 1, 8, false, ref x[0], ref y[0]);
        Assert.Equal(1, y[3], 1e-6f);
        Assert.All(y, v => Assert.True(float.IsFinite(v)));
    }

    [Fact]
    public void AFaultInOneThreadReachesTheCaller()
    {
        int[] ids = GC.AllocateArray<int>(100_000, pinned: true);
        Array.Fill(ids, 1);
        ids[^1] = 9;
        float[] table = Numbers.Empty(4 * 3), y = Numbers.Empty(ids.Length * 3);
        using ThreadTeam team = ThreadTeam.Owning(2);
        var error = Assert.Throws<ArgumentOutOfRangeException>(() => Kernels.Embedding.Forward(team, ids.Length, 3, 0, 4, 4, ref ids[0], ref table[0], ref y[0]));
        Assert.Contains("Id 9 at position 99999", error.Message, StringComparison.Ordinal);
    }
}
