using Shardwright.Execution;
using Shardwright.Gpu;
using Shardwright.Worlds;
using Blocks = Shardwright.Gpu.Kernels;
using Host = Shardwright.Kernels;

namespace Shardwright.Tests;

/// <summary>Blocks on bf16.</summary>
public sealed class HalfBlockTests() : NarrowBlockTests<BFloat16>(1.0 / 256, 128);

/// <summary>Blocks on fp16.</summary>
public sealed class Fp16BlockTests() : NarrowBlockTests<Float16>(1.0 / 2048, 16);

/// <summary>Blocks on numbers of two bytes against those of the processor on the same numbers as floats: what is stored is their result, rounded once.</summary>
/// <param name="unit">Most that rounding changes a number by, as a share of it.</param>
/// <param name="largestExponent">The least power of two that is stored as infinity.</param>
public abstract class NarrowBlockTests<T>(double unit, int largestExponent)
    where T : unmanaged, INarrowNumber<T>
{
    private static readonly ThreadTeam s_team = ThreadTeam.Owning(1);

    private static readonly T[] s_all = [.. Enumerable.Range(0, 1 << 16).Select(i => Of((ushort)i))];
    private readonly double[] _magnitudes = [.. s_all.Take(1 << 15).Select(v => (double)(float)v).Where(double.IsFinite), Math.Pow(2, largestExponent)];

    private static T Of(ushort bits) => System.Runtime.CompilerServices.Unsafe.BitCast<ushort, T>(bits);

    private static ushort Bits(T value) => System.Runtime.CompilerServices.Unsafe.BitCast<T, ushort>(value);

    [Fact]
    public void EveryNumberIsReadAndStoredAsItIs()
    {
        using var b = new Bench(GroupForm.Small);
        Slice<T> source = b.Put(s_all), back = b.Room<T>(s_all.Length), quads = b.Room<T>(s_all.Length);
        Slice<float> wide = b.Room<float>(s_all.Length), summed = b.Room<float>(s_all.Length);
        Blocks.Fill.Convert(b.Arena, source, wide);
        Blocks.Fill.Convert(b.Arena, wide, back);
        Blocks.Fill.Accumulate(b.Arena, first: false, source, summed);
        Blocks.Fill.Value(b.Arena, quads, 0);
        Blocks.Fill.Accumulate(b.Arena, first: false, summed, quads);
        float[] floats = b.Get(wide), sums = b.Get(summed);
        T[] stored = b.Get(back), added = b.Get(quads);
        for (int i = 0; i < s_all.Length; i++)
        {
            if (float.IsNaN(s_all[i]))
            {
                Assert.True(float.IsNaN(floats[i]) && float.IsNaN(stored[i]) && float.IsNaN(sums[i]) && float.IsNaN(added[i]), $"{i:x4} became {floats[i]} and {stored[i]}");
                continue;
            }

            Assert.Equal(BitConverter.SingleToUInt32Bits(s_all[i]), BitConverter.SingleToUInt32Bits(floats[i]));
            Assert.True(Bits(stored[i]) == i, $"{i:x4} came back as {Bits(stored[i]):x4}");
            Assert.True(sums[i] == s_all[i] && added[i] == (float)s_all[i], $"{i:x4} in fours became {sums[i]} and {added[i]}");
        }
    }

    /// <summary>The nearest of the neighbours, found in double precision; the even one of two alike. What is stored four at a time is the same.</summary>
    [Fact]
    public void FloatsAreRoundedToTheNearest()
    {
        using var b = new Bench(GroupForm.Small);
        var random = new Random(3);
        float[] x =
        [
            0, -0f, 1, 1 + 1f / 256, 1 + 3f / 256, 1 + 1f / 256 + 1e-6f, 1 + 1f / 256 - 1e-6f, 1 + 1f / 2048, 1 + 3f / 2048, 1 + 1f / 2048 + 1e-6f, 1 + 1f / 2048 - 1e-6f,
            65504, 65519.996f, 65520, -65520, 65536, 1e6f, float.MaxValue, float.MinValue, float.PositiveInfinity, float.NegativeInfinity, float.Epsilon, -float.Epsilon, 1e-40f,
            MathF.Pow(2, -14), MathF.BitDecrement(MathF.Pow(2, -14)), MathF.Pow(2, -24), MathF.Pow(2, -25), MathF.BitIncrement(MathF.Pow(2, -25)), 3 * MathF.Pow(2, -25), -3 * MathF.Pow(2, -25), MathF.Pow(2, -26),
            BitConverter.UInt32BitsToSingle(0x7F800001), BitConverter.UInt32BitsToSingle(0xFFFFFFFF),
            .. Enumerable.Range(0, 4000).Select(_ => BitConverter.UInt32BitsToSingle((uint)random.NextInt64(1L << 32))),
            .. Enumerable.Range(0, 4000).Select(_ => (float)(Math.Pow(2, random.NextDouble() * 44 - 27) * (random.Next(2) == 0 ? 1 : -1))),

            // Half way between two neighbours.
            .. Enumerable.Range(0, 2000).Select(_ => random.Next(_magnitudes.Length - 1)).Select(i => (float)((_magnitudes[i] + _magnitudes[i + 1]) / 2)),
        ];
        Slice<float> source = b.Put(x);
        Slice<T> target = b.Room<T>(x.Length), quads = b.Room<T>(x.Length);
        Blocks.Fill.Convert(b.Arena, source, target);
        Blocks.Fill.Value(b.Arena, quads, 0);
        Blocks.Fill.Accumulate(b.Arena, first: false, source, quads);
        T[] stored = b.Get(target), added = b.Get(quads);
        for (int i = 0; i < x.Length; i++)
        {
            if (float.IsNaN(x[i]))
            {
                Assert.True(float.IsNaN(stored[i]) && float.IsNaN(added[i]) && float.IsNaN((T)x[i]), $"{x[i]} became {stored[i]}");
                continue;
            }

            T expected = Nearest(x[i]);
            Assert.True(Bits(expected) == Bits(stored[i]) && Bits(expected) == Bits((T)x[i]), $"{x[i]:R} became {stored[i]} and {(T)x[i]}, not {expected}");
            Assert.Equal((float)expected, (float)added[i]);
        }
    }

    private T Nearest(float x)
    {
        // Beyond the largest lies a power of two, which is stored as infinity.
        double at = Math.Min(Math.Abs((double)x), _magnitudes[^1]);
        int found = Array.BinarySearch(_magnitudes, at), low = found >= 0 ? found : ~found - 1, high = found >= 0 ? found : ~found;
        double near = at - _magnitudes[low], far = _magnitudes[high] - at;
        int best = near < far || (near == far && (low & 1) == 0) ? low : high;
        return Of((ushort)(best | (float.IsNegative(x) ? 0x8000 : 0)));
    }

    [Theory]
    [MemberData(nameof(BlockTests.Rows), MemberType = typeof(BlockTests))]
    public void Norms(GroupForm form, int rows, int n, int shift)
    {
        using var b = new Bench(form);
        float[] x = Random(b, rows * n), scale = Random(b, n), shiftBy = Random(b, n), dy = Random(b, rows * n), y = new float[rows * n], mean = new float[rows], r = new float[rows], dx = new float[rows * n], dScale = new float[n], dShift = new float[n];
        Slice<T> gx = Put(b, x, shift), gs = Put(b, scale), gb = Put(b, shiftBy), gdy = Put(b, dy), gy = b.Room<T>(rows * n), gdx = b.Room<T>(rows * n), gds = b.Room<T>(n), gdb = b.Room<T>(n);
        Slice<float> gm = b.Room<float>(rows), gr = b.Room<float>(rows);
        Host.LayerNorm.Forward(s_team, rows, n, 1e-5f, ref x[0], ref scale[0], ref shiftBy[0], ref y[0], ref mean[0], ref r[0]);
        Host.LayerNorm.Backward(s_team, rows, n, ref x[0], ref scale[0], ref mean[0], ref r[0], ref dy[0], ref dx[0], ref dScale[0], ref dShift[0]);
        Blocks.LayerNorm.Forward(b.Arena, rows, n, 1e-5f, gx, gs, gb, gy, gm, gr);
        Blocks.LayerNorm.Backward(b.Arena, rows, n, gx, gs, gm, gr, gdy, gdx, gds, gdb);
        b.AssertClose(mean, gm);
        b.AssertClose(r, gr);
        Rounded(b, y, gy);
        Rounded(b, dx, gdx);
        Rounded(b, dScale, gds);
        Rounded(b, dShift, gdb);
        Host.RmsNorm.Forward(s_team, rows, n, 1e-5f, ref x[0], ref scale[0], ref y[0], ref r[0]);
        Host.RmsNorm.Backward(s_team, rows, n, ref x[0], ref scale[0], ref r[0], ref dy[0], ref dx[0], ref dScale[0]);
        Blocks.RmsNorm.Forward(b.Arena, rows, n, 1e-5f, gx, gs, gy, gr);
        Blocks.RmsNorm.Backward(b.Arena, rows, n, gx, gs, gr, gdy, gdx, gds);
        b.AssertClose(r, gr);
        Rounded(b, y, gy);
        Rounded(b, dx, gdx);
        Rounded(b, dScale, gds);
    }

    [Fact]
    public void ANormWithoutRoomForItsSumsSaysSo()
    {
        using var b = new Bench(GroupForm.Small, 128);
        Slice<T> x = Put(b, Random(b, 64)), s = b.Room<T>(16);
        Slice<float> r = b.Room<float>(4);
        Assert.Contains("The backward pass of a norm needs 128 bytes of scratch; the plan has 64", Assert.Throws<GpuException>(() => Blocks.LayerNorm.Backward(b.Arena, 4, 16, x, s, r, r, x, x, s, s)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(BlockTests.Rows), MemberType = typeof(BlockTests))]
    public void SoftmaxAndCrossEntropy(GroupForm form, int rows, int n, int shift)
    {
        using var b = new Bench(form);
        float[] x = Random(b, rows * n, 4), dy = Random(b, rows * n), y = new float[rows * n], dx = new float[rows * n], w = Random(b, rows), lse = new float[rows], dSum = [0.7f];
        Slice<T> gx = Put(b, x, shift), gy = b.Room<T>(rows * n), gdy = Put(b, dy), gdx = b.Room<T>(rows * n), gw = Put(b, w);
        foreach (bool logarithm in new[] { false, true })
        {
            Host.Softmax.Forward(s_team, rows, n, logarithm, ref x[0], ref y[0]);
            Blocks.Softmax.Forward(b.Arena, rows, n, logarithm, gx, gy);
            Rounded(b, y, gy);
            y = Floats(b, gy);
            Host.Softmax.Backward(s_team, rows, n, logarithm, ref y[0], ref dy[0], ref dx[0]);
            Blocks.Softmax.Backward(b.Arena, rows, n, logarithm, gy, gdy, gdx);
            Rounded(b, dx, gdx);
        }

        int[] targets = b.Ids(rows, n);
        targets[rows / 2] = -1;
        float sum = 0, weight = 0;
        Host.CrossEntropy.Forward(s_team, rows, n, ref x[0], ref targets[0], ref w[0], true, -1, ref sum, ref weight, ref lse[0]);
        Host.CrossEntropy.Backward(s_team, rows, n, ref x[0], ref targets[0], ref w[0], true, -1, 0, ref lse[0], ref dSum[0], ref dx[0]);
        Slice<float> gSum = b.Room<float>(1), gWeight = b.Room<float>(1), gLse = b.Room<float>(rows);
        Slice<int> gt = b.Put(targets);
        Blocks.CrossEntropy.Forward(b.Arena, rows, n, gx, gt, gw, -1, gSum, gWeight, gLse);
        Blocks.CrossEntropy.Backward(b.Arena, rows, n, gx, gt, gw, -1, 0, gLse, b.Put(dSum), gdx);
        b.AssertClose([sum], gSum);
        b.AssertClose([weight], gWeight);
        b.AssertClose(lse, gLse);
        Rounded(b, dx, gdx);
    }

    [Fact]
    public void CrossEntropyOfSplitClasses()
    {
        const int Rows = 9, Classes = 13, Offset = 5;
        using var b = new Bench(GroupForm.Small);
        float[] x = Random(b, Rows * Classes, 4), w = Random(b, Rows), max = new float[Rows], packed = new float[2 * Rows], lse = new float[Rows];
        int[] targets = b.Ids(Rows, 20);
        float sum = 0, weight = 0;
        Host.CrossEntropy.LocalMax(s_team, Rows, Classes, ref x[0], ref max[0]);
        Host.CrossEntropy.LocalSums(s_team, Rows, Classes, ref x[0], ref max[0], ref targets[0], Offset, ref packed[0]);
        Host.CrossEntropy.Finish(Rows, 20, ref packed[0], ref max[0], ref targets[0], ref w[0], true, -1, ref sum, ref weight, ref lse[0]);
        Slice<T> gx = Put(b, x);
        Slice<float> gMax = b.Room<float>(Rows), gPacked = b.Room<float>(2 * Rows), gLse = b.Room<float>(Rows), gSum = b.Room<float>(1), gWeight = b.Room<float>(1);
        Slice<int> gt = b.Put(targets);
        Blocks.CrossEntropy.LocalMax(b.Arena, Rows, Classes, gx, gMax);
        Blocks.CrossEntropy.LocalSums(b.Arena, Rows, Classes, gx, gMax, gt, Offset, gPacked);
        Blocks.CrossEntropy.Finish<T>(b.Arena, Rows, 20, gPacked, gMax, gt, Put(b, w), -1, gSum, gWeight, gLse);
        b.AssertClose(max, gMax);
        b.AssertClose(packed, gPacked);
        b.AssertClose(lse, gLse);
        b.AssertClose([sum], gSum);
        b.AssertClose([weight], gWeight);
    }

    [Theory]
    [InlineData(6, 64 << 10)]
    [InlineData(8, 512)]
    public void Embedding(int n, int scratch)
    {
        const int Rows = 50, Offset = 3, Count = 7, Total = 12;
        using var b = new Bench(GroupForm.Small, scratch);
        float[] table = Random(b, Count * n), y = new float[Rows * n], dy = Random(b, Rows * n), dTable = new float[Count * n];
        int[] ids = b.Ids(Rows, Total);
        Host.Embedding.Forward(s_team, Rows, n, Offset, Count, Total, ref ids[0], ref table[0], ref y[0]);
        Host.Embedding.Backward(s_team, Rows, n, Offset, Count, ref ids[0], ref dy[0], ref dTable[0]);
        Slice<T> gy = b.Room<T>(Rows * n), gd = b.Room<T>(Count * n);
        Slice<int> gi = b.Put(ids);
        Blocks.Embedding.Forward(b.Arena, Rows, n, Offset, Count, Total, gi, Put(b, table), gy);
        Blocks.Embedding.Backward(b.Arena, Rows, n, Offset, Count, gi, Put(b, dy), gd);
        Assert.Equal(y, Floats(b, gy));
        Rounded(b, dTable, gd);
    }

    [Theory]
    [InlineData(GroupForm.Small, 3, 70, 1)]
    [InlineData(GroupForm.Small, 1, 20000, 1)]
    [InlineData(GroupForm.Small, 3, 70, 5)]
    [InlineData(GroupForm.Warps, 2, 700, 1)]
    public void Reductions(GroupForm form, int outer, int count, int inner)
    {
        using var b = new Bench(form);
        float[] x = Random(b, outer * count * inner), sum = new float[outer * inner], best = new float[outer * inner], dy = Random(b, outer * inner), dx = new float[x.Length];
        x[0] = x[^1] = 1.5f;
        Slice<T> gx = Put(b, x), gSum = b.Room<T>(sum.Length), gBest = b.Room<T>(sum.Length), gdx = b.Room<T>(x.Length);
        Slice<float> wide = b.Room<float>(sum.Length);
        Host.Reduce.Sum(s_team, outer, count, inner, ref x[0], ref sum[0]);
        Blocks.Reduce.Sum(b.Arena, outer, count, inner, gx, gSum);
        Rounded(b, sum, gSum, 1e-5);
        Blocks.Reduce.Sum(b.Arena, outer, count, inner, gx, wide);
        b.AssertClose(sum, wide, 1e-5);
        Host.Reduce.Extreme(s_team, outer, count, inner, true, ref x[0], ref best[0]);
        Host.Reduce.ExtremeBackward(s_team, outer, count, inner, ref x[0], ref best[0], ref dy[0], ref dx[0]);
        Blocks.Reduce.Extreme(b.Arena, outer, count, inner, true, gx, gBest);
        Blocks.Reduce.ExtremeBackward(b.Arena, outer, count, inner, gx, gBest, Put(b, dy), gdx);
        Assert.Equal(best, Floats(b, gBest));
        Rounded(b, dx, gdx);
        double squares = Host.Reduce.SumOfSquares(ThreadTeam.Single, x.Length, ref x[0]).Value;
        Assert.Equal(squares, Blocks.Reduce.SumOfSquares(b.Arena, gx), squares * 1e-12);
    }

    [Fact]
    public void Rope()
    {
        const int Outer = 3, Positions = 5, Width = 6;
        using var b = new Bench(GroupForm.Small);
        float[] x = Random(b, Outer * Positions * Width), y = new float[x.Length];
        Host.Rope.Apply(s_team, Outer, Positions, Width, 40, 10000, false, ref x[0], ref y[0]);
        Slice<T> gy = b.Room<T>(x.Length);
        Blocks.Rope.Apply(b.Arena, Outer, Positions, Width, 40, 10000, false, Put(b, x), gy);
        Rounded(b, y, gy);
    }

    [Theory]
    [InlineData(GroupForm.Small, 5, 7, 9, false, false, 1)]
    [InlineData(GroupForm.Small, 20, 24, 12, true, false, 1)]
    [InlineData(GroupForm.Small, 17, 20, 8, false, true, 2)]
    [InlineData(GroupForm.Warps, 66, 70, 20, true, true, 1)]
    public void ProductsAreSummedInFloatsAndRoundedOnce(GroupForm form, int m, int n, int k, bool transposeA, bool transposeB, int batch)
    {
        using var b = new Bench(form);
        float[] x = Random(b, batch * m * k), y = Random(b, batch * k * n), z = Random(b, batch * m * n), exact = new float[batch * m * n], more = new float[batch * m * n];
        for (int i = 0; i < batch; i++)
        {
            for (int row = 0; row < m; row++)
            {
                for (int column = 0; column < n; column++)
                {
                    double sum = 0;
                    for (int d = 0; d < k; d++)
                    {
                        sum += (double)x[i * m * k + (transposeA ? d * m + row : row * k + d)] * y[i * k * n + (transposeB ? column * k + d : d * n + column)];
                    }

                    exact[(i * m + row) * n + column] = (float)sum;
                    more[(i * m + row) * n + column] = (float)(sum + z[(i * m + row) * n + column]);
                }
            }
        }

        Slice<T> gx = Put(b, x), gy = Put(b, y), gz = Put(b, z), gc = b.Room<T>(exact.Length);
        Blocks.Product.Run(b.Arena, batch, m, n, k, transposeA, transposeB, false, gx, gy, gc);
        Rounded(b, exact, gc, 1e-6);
        Blocks.Product.Run(b.Arena, batch, m, n, k, transposeA, transposeB, true, gx, gy, gz);
        Rounded(b, more, gz, 1e-6);
    }

    /// <summary>The fp32 parameter is that of floats, bit by bit; its rounding is written beside it.</summary>
    [Fact]
    public void OptimizersUpdateFloatsAndLeaveTheirRounding()
    {
        const int N = 160;
        using var b = new Bench(GroupForm.Small);
        float[] p = b.Random(N), g = Random(b, N), m = b.Random(N), v = [.. b.Random(N).Select(Math.Abs)];
        Slice<float> gp = b.Put(p), gm = b.Put(m), gv = b.Put(v), wp = b.Put(p), wm = b.Put(m), wv = b.Put(v), wg = b.Put(g);
        Slice<T> gg = Put(b, g), copy = b.Room<T>(N), other = b.Room<T>(N);
        void Same()
        {
            float[] updated = b.Get(gp);
            Assert.Equal(b.Get(wp), updated);
            Assert.Equal(updated.Select(x => (T)x), b.Get(copy));
            Assert.Equal(updated.Select(x => (T)x), b.Get(other));
        }

        Blocks.Optimizers.AdamW(b.Arena, wp, wg, wm, wv, 0.5f, 0.01f, 0.9f, 0.99f, 1e-6f, 0.1f, 3, other);
        Blocks.Optimizers.AdamW(b.Arena, gp, gg, gm, gv, 0.5f, 0.01f, 0.9f, 0.99f, 1e-6f, 0.1f, 3, copy);
        Same();
        Blocks.Optimizers.Momentum(b.Arena, wp, wg, wm, 0.5f, 0.01f, 0.9f, true, 0.1f, other);
        Blocks.Optimizers.Momentum(b.Arena, gp, gg, gm, 0.5f, 0.01f, 0.9f, true, 0.1f, copy);
        Same();
        Blocks.Optimizers.Sgd(b.Arena, wp, wg, 0.5f, 0.01f, 0.1f, other);
        Blocks.Optimizers.Sgd(b.Arena, gp, gg, 0.5f, 0.01f, 0.1f, copy);
        Same();
    }

    [Fact]
    public void GradientsAreAddedInTheElementsThatTheyHave()
    {
        using var b = new Bench(GroupForm.Small);
        float[] x = Random(b, 37), y = Random(b, 37), sums = [.. x.Zip(y, (a, c) => a + c)];
        foreach (int shift in new[] { 0, 1 })
        {
            Slice<T> gx = Put(b, x, shift), gy = Put(b, y);
            Slice<float> wide = b.Put(y);
            Blocks.Fill.Accumulate(b.Arena, first: false, gx, wide);
            b.AssertClose(sums, wide, 0);
            Blocks.Fill.Accumulate(b.Arena, first: false, gx, gy);
            Assert.Equal(sums.Select(s => (float)(T)s), Floats(b, gy));
            Blocks.Fill.Accumulate(b.Arena, first: true, gx, wide);
            b.AssertClose(x, wide, 0);
            Blocks.Fill.Accumulate(b.Arena, first: true, gx, gy);
            Assert.Equal(x, Floats(b, gy));
            b.Arena.Add(gx, gy);
            Assert.Equal(x.Select(v => 2 * v), Floats(b, gy));
        }
    }

    [Fact]
    public void TheHostAddsThemToo()
    {
        using var arena = new Arena(4096, 0);
        Slice<T> x = new(0, 37), y = new(1024, 37);
        for (int i = 0; i < 37; i++)
        {
            arena.Span(x)[i] = (T)MathF.Sin(i);
            arena.Span(y)[i] = (T)MathF.Cos(3 * i);
        }

        T[] sums = [.. arena.Span(x).ToArray().Zip(arena.Span(y).ToArray(), (a, b) => (T)((float)a + b))];
        arena.Add(x, y);
        Assert.Equal(sums, arena.Span(y).ToArray());
        Assert.Contains("Elements of type Int32 are not added", Assert.Throws<ArgumentException>(() => arena.Add(new Slice<int>(0, 4), new Slice<int>(64, 4))).Message, StringComparison.Ordinal);
    }

    /// <summary>Terms of all ranks in rank order, summed in floats and rounded once: up to 32 in one pass on the devices, more of them in host memory.</summary>
    [Theory]
    [InlineData(2, 2, false)]
    [InlineData(8, 1, false)]
    [InlineData(10, 1, false)]
    [InlineData(25, 2, false)]
    [InlineData(33, 1, false)]
    [InlineData(10, 2, true)]
    public void CollectivesRoundOnce(int ranks, int devices, bool staged)
    {
        const int Part = 37;
        using GpuBackend backend = GpuBackend.Create(new GpuOptions { Kind = GpuKind.Cpu, CpuShape = (4, 4, devices), StageTransfers = staged });
        foreach (Backend where in new[] { backend, Backend.Host })
        {
            float Value(int rank, int i) => (T)(MathF.Sin(rank * 71 + i * 1.3f) * (1 + (rank * i) % 5));
            using var world = World.InProcess(new Mesh("line", new MeshAxisInfo("dp", ranks)), new WorldOptions { ThreadsPerRank = 1, Backend = where });
            world.Run(context =>
            {
                using Arena arena = where.Allocate(1 << 20, new Slice<byte>(1 << 19, 1 << 16), context.Rank);
                ProcessGroup group = context.Group("dp");
                Slice<T> all = new(0, Part * ranks), part = new(1 << 17, Part);
                void Fill()
                {
                    Span<T> target = arena.BeginWrite(all);
                    for (int i = 0; i < target.Length; i++)
                    {
                        target[i] = (T)Value(context.Rank, i);
                    }

                    arena.EndWrite(all);
                }

                T[] sums = [.. Enumerable.Range(0, Part * ranks).Select(i => (T)Enumerable.Range(1, ranks - 1).Aggregate(Value(0, i), (sum, r) => sum + Value(r, i)))];
                T[] largest = [.. Enumerable.Range(0, Part * ranks).Select(i => (T)Enumerable.Range(0, ranks).Max(r => Value(r, i)))];
                Fill();
                group.Wait(group.StartReduceScatter(arena, all, part));
                Assert.Equal(sums[(context.Rank * Part)..((context.Rank + 1) * Part)], arena.Read(part).ToArray());
                group.Wait(group.StartAllReduce(arena, all));
                Assert.Equal(sums, arena.Read(all).ToArray());
                Fill();
                group.Wait(group.StartAllReduce(arena, all, ReduceKind.Max));
                Assert.Equal(largest, arena.Read(all).ToArray());
                Assert.Contains("Elements of type Int32 are not added", Assert.Throws<ArgumentException>(() => { group.StartAllReduce(arena, new Slice<int>(0, 4)); }).Message, StringComparison.Ordinal);
            });
        }

        // What becomes of more than eight terms is made by a kernel, where devices reach each other.
        Assert.Equal(ranks is > 8 and <= 32 && !staged, backend.Devices[0].Kernels.Contains("RunMany"));
        Assert.Equal(ranks <= 8, backend.Devices[0].Kernels.Contains("Run"));
    }

    private static float[] Random(Bench b, int count, float scale = 1) => [.. b.Random(count, scale).Select(v => (float)(T)v)];

    private static Slice<T> Put(Bench b, float[] values, int shift = 0) => b.Put([.. values.Select(v => (T)v)], shift);

    private static float[] Floats(Bench b, Slice<T> slice) => [.. b.Get(slice).Select(v => (float)v)];

    /// <summary>A number and its rounding are a unit of it apart at most; sums of floats differ by their order.</summary>
    private void Rounded(Bench b, float[] expected, Slice<T> actual, double sums = 5e-6)
    {
        float[] values = Floats(b, actual);
        double scale = expected.Max(v => Math.Abs((double)v));
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.True(Math.Abs((double)expected[i] - values[i]) <= Math.Abs((double)expected[i]) * unit + sums * scale, $"element {i} is {values[i]:R}, not {expected[i]:R}");
        }
    }
}
