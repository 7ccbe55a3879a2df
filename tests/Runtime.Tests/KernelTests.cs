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
