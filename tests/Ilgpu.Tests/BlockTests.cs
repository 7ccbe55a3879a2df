using System.Runtime.CompilerServices;
using Shardwright.Execution;
using Shardwright.Gpu;
using Blocks = Shardwright.Gpu.Kernels;
using Host = Shardwright.Kernels;

namespace Shardwright.Tests;

/// <summary>Blocks of the accelerator against those of the processor: odd sizes, sizes that are read four at a time, starts that forbid it, all forms of groups.</summary>
public sealed class BlockTests
{
    private static readonly ThreadTeam s_team = ThreadTeam.Owning(1);

    public static TheoryData<GroupForm, int, int, int> Rows => new()
    {
        { GroupForm.Small, 7, 37, 0 }, { GroupForm.Small, 5, 32, 0 }, { GroupForm.Small, 5, 32, 1 }, { GroupForm.Small, 3, 3, 0 }, { GroupForm.Small, 70, 6, 0 },
        { GroupForm.Warps, 2, 300, 0 }, { GroupForm.Shared, 1, 1030, 0 },
    };

    [Theory]
    [MemberData(nameof(Rows))]
    public void LayerNorm(GroupForm form, int rows, int n, int shift)
    {
        using var b = new Bench(form);
        float[] x = b.Random(rows * n), scale = b.Random(n), shiftBy = b.Random(n), dy = b.Random(rows * n), y = new float[rows * n], mean = new float[rows], r = new float[rows], dx = new float[rows * n], dScale = new float[n], dShift = new float[n];
        Host.LayerNorm.Forward(s_team, rows, n, 1e-5f, ref x[0], ref scale[0], ref shiftBy[0], ref y[0], ref mean[0], ref r[0]);
        Host.LayerNorm.Backward(s_team, rows, n, ref x[0], ref scale[0], ref mean[0], ref r[0], ref dy[0], ref dx[0], ref dScale[0], ref dShift[0]);
        Slice<float> gx = b.Put(x, shift), gs = b.Put(scale), gy = b.Room<float>(rows * n), gm = b.Room<float>(rows), gr = b.Room<float>(rows), gdx = b.Room<float>(rows * n), gds = b.Room<float>(n), gdb = b.Room<float>(n);
        Blocks.LayerNorm.Forward(b.Arena, rows, n, 1e-5f, gx, gs, b.Put(shiftBy), gy, gm, gr);
        Blocks.LayerNorm.Backward(b.Arena, rows, n, gx, gs, gm, gr, b.Put(dy), gdx, gds, gdb);
        b.AssertClose(y, gy);
        b.AssertClose(mean, gm);
        b.AssertClose(r, gr);
        b.AssertClose(dx, gdx, 5e-6);
        b.AssertClose(dScale, gds);
        b.AssertClose(dShift, gdb);
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void RmsNorm(GroupForm form, int rows, int n, int shift)
    {
        using var b = new Bench(form);
        float[] x = b.Random(rows * n), scale = b.Random(n), dy = b.Random(rows * n), y = new float[rows * n], r = new float[rows], dx = new float[rows * n], dScale = new float[n];
        Host.RmsNorm.Forward(s_team, rows, n, 1e-5f, ref x[0], ref scale[0], ref y[0], ref r[0]);
        Host.RmsNorm.Backward(s_team, rows, n, ref x[0], ref scale[0], ref r[0], ref dy[0], ref dx[0], ref dScale[0]);
        Slice<float> gx = b.Put(x, shift), gs = b.Put(scale), gy = b.Room<float>(rows * n), gr = b.Room<float>(rows), gdx = b.Room<float>(rows * n), gds = b.Room<float>(n);
        Blocks.RmsNorm.Forward(b.Arena, rows, n, 1e-5f, gx, gs, gy, gr);
        Blocks.RmsNorm.Backward(b.Arena, rows, n, gx, gs, gr, b.Put(dy), gdx, gds);
        b.AssertClose(y, gy);
        b.AssertClose(r, gr);
        b.AssertClose(dx, gdx, 5e-6);
        b.AssertClose(dScale, gds);
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void Softmax(GroupForm form, int rows, int n, int shift)
    {
        using var b = new Bench(form);
        foreach (bool logarithm in new[] { false, true })
        {
            float[] x = b.Random(rows * n, 5), dy = b.Random(rows * n), y = new float[rows * n], dx = new float[rows * n];
            Host.Softmax.Forward(s_team, rows, n, logarithm, ref x[0], ref y[0]);
            Host.Softmax.Backward(s_team, rows, n, logarithm, ref y[0], ref dy[0], ref dx[0]);
            Slice<float> gy = b.Room<float>(rows * n), gdx = b.Room<float>(rows * n);
            Blocks.Softmax.Forward(b.Arena, rows, n, logarithm, b.Put(x, shift), gy);
            Blocks.Softmax.Backward(b.Arena, rows, n, logarithm, gy, b.Put(dy), gdx);
            b.AssertClose(y, gy);
            b.AssertClose(dx, gdx, 5e-6);
        }
    }

    [Theory]
    [MemberData(nameof(Rows))]
    public void CrossEntropyWhole(GroupForm form, int rows, int classes, int shift)
    {
        using var b = new Bench(form);
        float[] x = b.Random(rows * classes, 4), w = b.Random(rows), lse = new float[rows], dx = new float[rows * classes], dSum = [0.7f];
        int[] targets = b.Ids(rows, classes);
        targets[rows / 2] = -1;
        float sum = 0, weight = 0;
        Host.CrossEntropy.Forward(s_team, rows, classes, ref x[0], ref targets[0], ref w[0], true, -1, ref sum, ref weight, ref lse[0]);
        Host.CrossEntropy.Backward(s_team, rows, classes, ref x[0], ref targets[0], ref w[0], true, -1, 0, ref lse[0], ref dSum[0], ref dx[0]);
        Slice<float> gx = b.Put(x, shift), gw = b.Put(w), gSum = b.Room<float>(1), gWeight = b.Room<float>(1), gLse = b.Room<float>(rows), gdx = b.Room<float>(rows * classes);
        Slice<int> gt = b.Put(targets);
        Blocks.CrossEntropy.Forward(b.Arena, rows, classes, gx, gt, gw, -1, gSum, gWeight, gLse);
        Blocks.CrossEntropy.Backward(b.Arena, rows, classes, gx, gt, gw, -1, 0, gLse, b.Put(dSum), gdx);
        b.AssertClose([sum], gSum);
        b.AssertClose([weight], gWeight);
        b.AssertClose(lse, gLse);
        b.AssertClose(dx, gdx);
    }

    [Theory]
    [InlineData(GroupForm.Small)]
    [InlineData(GroupForm.Warps)]
    public void CrossEntropyOfSplitClasses(GroupForm form)
    {
        const int Rows = 9, Classes = 13, Offset = 5;
        using var b = new Bench(form);
        float[] x = b.Random(Rows * Classes, 4), max = new float[Rows], packed = new float[2 * Rows], lse = new float[Rows];
        int[] targets = b.Ids(Rows, 20);
        float sum = 0, weight = 0;
        Host.CrossEntropy.LocalMax(s_team, Rows, Classes, ref x[0], ref max[0]);
        Host.CrossEntropy.LocalSums(s_team, Rows, Classes, ref x[0], ref max[0], ref targets[0], Offset, ref packed[0]);
        Host.CrossEntropy.Finish(Rows, 20, ref packed[0], ref max[0], ref targets[0], ref Unsafe.NullRef<float>(), false, -1, ref sum, ref weight, ref lse[0]);
        Slice<float> gx = b.Put(x), gMax = b.Room<float>(Rows), gPacked = b.Room<float>(2 * Rows), gLse = b.Room<float>(Rows), gSum = b.Room<float>(1), gWeight = b.Room<float>(1);
        Slice<int> gt = b.Put(targets);
        Blocks.CrossEntropy.LocalMax(b.Arena, Rows, Classes, gx, gMax);
        Blocks.CrossEntropy.LocalSums(b.Arena, Rows, Classes, gx, gMax, gt, Offset, gPacked);
        Blocks.CrossEntropy.Finish<float>(b.Arena, Rows, 20, gPacked, gMax, gt, null, -1, gSum, gWeight, gLse);
        b.AssertClose(max, gMax);
        b.AssertClose(packed, gPacked);
        b.AssertClose(lse, gLse);
        b.AssertClose([sum], gSum);
        b.AssertClose([weight], gWeight);
    }

    [Fact]
    public void BadTargetsAndIdsAreNamed()
    {
        using var b = new Bench(GroupForm.Small);
        Blocks.CrossEntropy.Forward(b.Arena, 2, 3, b.Put(b.Random(6)), b.Put([1, 3]), null, -1, b.Room<float>(1), b.Room<float>(1), b.Room<float>(2));
        Assert.Contains("Target 3 of row 1 lies outside of the 3 classes", Assert.Throws<ArgumentOutOfRangeException>(() => b.Get(b.Room<float>(1))).Message, StringComparison.Ordinal);
        using var c = new Bench(GroupForm.Small);
        Blocks.Embedding.Forward(c.Arena, 3, 4, 0, 5, 5, c.Put([0, -2, 1]), c.Put(c.Random(20)), c.Room<float>(12));
        Assert.Contains("Id -2 at position 1 lies outside of the table's 5 rows", Assert.Throws<ArgumentOutOfRangeException>(() => c.Get(c.Room<float>(1))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(GroupForm.Small, 50, 6, 64 << 10)]
    [InlineData(GroupForm.Small, 50, 8, 128)]
    [InlineData(GroupForm.Warps, 300, 5, 64 << 10)]
    public void Embedding(GroupForm form, int rows, int n, int scratch)
    {
        const int Offset = 3, Count = 7, Total = 12;
        using var b = new Bench(form, scratch);
        float[] table = b.Random(Count * n), y = new float[rows * n], dy = b.Random(rows * n), dTable = new float[Count * n];
        int[] ids = b.Ids(rows, Total);
        Host.Embedding.Forward(s_team, rows, n, Offset, Count, Total, ref ids[0], ref table[0], ref y[0]);
        Host.Embedding.Backward(s_team, rows, n, Offset, Count, ref ids[0], ref dy[0], ref dTable[0]);
        Slice<float> gy = b.Room<float>(rows * n), gd = b.Put(b.Random(Count * n));
        Slice<int> gi = b.Put(ids);
        Blocks.Embedding.Forward(b.Arena, rows, n, Offset, Count, Total, gi, b.Put(table), gy);
        Blocks.Embedding.Backward(b.Arena, rows, n, Offset, Count, gi, b.Put(dy), gd);
        b.AssertClose(y, gy, 0);
        b.AssertClose(dTable, gd, 0);
    }

    [Theory]
    [InlineData(GroupForm.Small, 3, 70, 1)]
    [InlineData(GroupForm.Small, 1, 20000, 1)]
    [InlineData(GroupForm.Small, 3, 70, 5)]
    [InlineData(GroupForm.Small, 2, 1, 3)]
    [InlineData(GroupForm.Warps, 2, 700, 1)]
    public void Reductions(GroupForm form, int outer, int count, int inner)
    {
        using var b = new Bench(form);
        float[] x = b.Random(outer * count * inner), sum = new float[outer * inner], best = new float[outer * inner], dy = b.Random(outer * inner), dx = new float[x.Length];
        x[0] = x[^1] = 1.5f;
        Slice<float> gx = b.Put(x), gSum = b.Room<float>(sum.Length), gBest = b.Room<float>(sum.Length), gdx = b.Room<float>(x.Length);
        Host.Reduce.Sum(s_team, outer, count, inner, ref x[0], ref sum[0]);
        Blocks.Reduce.Sum(b.Arena, outer, count, inner, gx, gSum);
        b.AssertClose(sum, gSum, 1e-5);
        foreach (bool max in new[] { true, false })
        {
            Host.Reduce.Extreme(s_team, outer, count, inner, max, ref x[0], ref best[0]);
            Host.Reduce.ExtremeBackward(s_team, outer, count, inner, ref x[0], ref best[0], ref dy[0], ref dx[0]);
            Blocks.Reduce.Extreme(b.Arena, outer, count, inner, max, gx, gBest);
            Blocks.Reduce.ExtremeBackward(b.Arena, outer, count, inner, gx, gBest, b.Put(dy), gdx);
            b.AssertClose(best, gBest, 0);
            b.AssertClose(dx, gdx, 0);
        }

        double squares = Host.Reduce.SumOfSquares(ThreadTeam.Single, x.Length, ref x[0]).Value;
        Assert.Equal(squares, Blocks.Reduce.SumOfSquares(b.Arena, gx), squares * 1e-12);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Rope(bool inverse)
    {
        const int Outer = 3, Positions = 5, Width = 6;
        using var b = new Bench(GroupForm.Small);
        float[] x = b.Random(Outer * Positions * Width), y = new float[x.Length];
        Host.Rope.Apply(s_team, Outer, Positions, Width, 4000, 10000, inverse, ref x[0], ref y[0]);
        Slice<float> gy = b.Room<float>(x.Length);
        Blocks.Rope.Apply(b.Arena, Outer, Positions, Width, 4000, 10000, inverse, b.Put(x), gy);
        b.AssertClose(y, gy);
    }

    [Fact]
    public void Optimizers()
    {
        const int N = 160;
        using var b = new Bench(GroupForm.Small);
        float[] p = b.Random(N), g = b.Random(N), m = b.Random(N), v = [.. b.Random(N).Select(Math.Abs)];
        Slice<float> gp = b.Put(p), gg = b.Put(g), gm = b.Put(m), gv = b.Put(v);
        Host.Optimizers.AdamW(s_team, N, ref p[0], ref g[0], ref m[0], ref v[0], 0.5f, 0.01f, 0.9f, 0.99f, 1e-6f, 0.1f, 3);
        Blocks.Optimizers.AdamW(b.Arena, gp, gg, gm, gv, 0.5f, 0.01f, 0.9f, 0.99f, 1e-6f, 0.1f, 3);
        b.AssertClose(p, gp);
        b.AssertClose(m, gm);
        b.AssertClose(v, gv);
        foreach (bool nesterov in new[] { false, true })
        {
            Host.Optimizers.Momentum(s_team, N, ref p[0], ref g[0], ref m[0], 0.5f, 0.01f, 0.9f, nesterov, 0.1f);
            Blocks.Optimizers.Momentum(b.Arena, gp, gg, gm, 0.5f, 0.01f, 0.9f, nesterov, 0.1f);
            b.AssertClose(p, gp);
            b.AssertClose(m, gm);
        }

        Host.Optimizers.Sgd(s_team, N, ref p[0], ref g[0], 0.5f, 0.01f, 0.1f);
        Blocks.Optimizers.Sgd(b.Arena, gp, gg, 0.5f, 0.01f, 0.1f);
        b.AssertClose(p, gp);
    }

    [Fact]
    public void Fills()
    {
        using var b = new Bench(GroupForm.Small);
        float[] x = b.Random(37), y = b.Random(37);
        foreach (int shift in new[] { 0, 1 })
        {
            Slice<float> gx = b.Put(x, shift), gy = b.Put(y);
            Blocks.Fill.Accumulate(b.Arena, first: false, gx, gy);
            b.AssertClose([.. x.Zip(y, (a, c) => a + c)], gy, 0);
            Blocks.Fill.Accumulate(b.Arena, first: true, gx, gy);
            b.AssertClose(x, gy, 0);
            Blocks.Fill.Value(b.Arena, gy, 2.5f);
            b.AssertClose([.. Enumerable.Repeat(2.5f, 37)], gy, 0);
        }

        Slice<int> range = b.Room<int>(9);
        Blocks.Fill.Range(b.Arena, range, 4);
        Assert.Equal(Enumerable.Range(4, 9), b.Get(range));
        Slice<float> floats = b.Room<float>(9);
        Blocks.Fill.FromInt(b.Arena, range, floats);
        b.AssertClose([.. Enumerable.Range(4, 9).Select(i => (float)i)], floats, 0);
    }

    [Fact]
    public void PlannedBytesAreSlabBytes()
    {
        using var b = new Bench(GroupForm.Small);
        Assert.Equal(4 << 20, b.Arena.Bytes);
        Assert.Equal(b.Arena.Bytes, b.Arena.SlabBytes);
    }
}
