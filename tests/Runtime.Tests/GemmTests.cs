using Shardwright.Execution;
using Shardwright.Kernels;

namespace Shardwright.Tests;

/// <summary>Products of all forms and odd sizes against loops in double precision, bit for bit the same on all numbers of threads and all widths of tiles.</summary>
public sealed class GemmTests
{
    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(1, 2100, 530)]
    [InlineData(5, 7, 3)]
    [InlineData(6, 16, 8)]
    [InlineData(13, 33, 17)]
    [InlineData(131, 70, 600)]
    [InlineData(257, 515, 40)]
    [InlineData(300, 9, 1030)]
    [InlineData(3, 800, 513)]
    public void AnyFormFollowsTheTextbook(int m, int n, int k)
    {
        foreach ((bool ta, bool tb, bool accumulate) in new[] { (false, false, false), (false, false, true), (true, false, true), (false, true, false), (true, true, true) })
        {
            float[] a = Numbers.Random(m * k, 1), b = Numbers.Random(k * n, 2), before = Numbers.Random(m * n, 3);
            float[] c = Numbers.OnTeams(m * n, (team, y) =>
            {
                before.CopyTo(y, 0);
                Gemm.Run(team, m, n, k, ref a[0], ta ? m : k, ta, ref b[0], tb ? k : n, tb, ref y[0], n, accumulate);
            });
            for (int i = 0; i < m; i++)
            {
                for (int j = 0; j < n; j++)
                {
                    double sum = accumulate ? before[i * n + j] : 0;
                    for (int p = 0; p < k; p++)
                    {
                        sum += (double)a[ta ? p * m + i : i * k + p] * b[tb ? j * k + p : p * n + j];
                    }

                    Assert.InRange(Math.Abs(sum - c[i * n + j]), 0, 1e-6 * k + 1e-6);
                }
            }
        }
    }

    [Fact]
    public void TheOrderAlongTheDepthDoesNotDependOnTheOtherSizes()
    {
        const int K = 700;
        float[] a = Numbers.Random(40 * K, 4), b = Numbers.Random(K * 50, 5), whole = Numbers.Empty(40 * 50), row = Numbers.Empty(50), rows = Numbers.Empty(3 * 50);
        using ThreadTeam team = ThreadTeam.Owning(2);
        Gemm.Run(team, 40, 50, K, ref a[0], K, false, ref b[0], 50, false, ref whole[0], 50, false);
        Gemm.Run(team, 1, 50, K, ref a[17 * K], K, false, ref b[0], 50, false, ref row[0], 50, false);
        Gemm.Run(team, 3, 50, K, ref a[17 * K], K, false, ref b[0], 50, false, ref rows[0], 50, false);
        Assert.True(whole.AsSpan(17 * 50, 50).SequenceEqual(row));
        Assert.True(whole.AsSpan(17 * 50, 150).SequenceEqual(rows));
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(31, 90, 70)]
    [InlineData(150, 47, 1100)]
    public unsafe void TilesOfAllWidthsAgree(int m, int n, int k)
    {
        float[] a = Numbers.Random(m * k, 1), b = Numbers.Random(k * n, 2);
        foreach (bool ta in new[] { false, true })
        {
            foreach (bool tb in new[] { false, true })
            {
                float[] wide = Core<GemmTile512>(), middle = Core<GemmTile256>(), narrow = Core<GemmTile128>();
                Assert.True(wide.AsSpan().SequenceEqual(middle), $"12 x 32 and 6 x 16 differ at {ta}, {tb}");
                for (int i = 0; i < wide.Length; i++)
                {
                    // Without fused multiply-add the narrow tile rounds twice.
                    Assert.Equal(middle[i], narrow[i], 1e-6 * k);
                }

                float[] Core<TTile>()
                    where TTile : struct, IGemmTile
                {
                    float[] c = Numbers.Empty(m * n);
                    Array.Fill(c, float.NaN);
                    Gemm.None none = default;
                    fixed (float* pa = a, pb = b, pc = c)
                    {
                        Gemm.Core<TTile, Gemm.None>(m, n, k, pa, ta ? m : k, ta, pb, tb ? k : n, tb, pc, n, false, ThreadTeam.Single.Scratch(0), ref none, 0, 0);
                    }

                    return c;
                }
            }
        }
    }

    [Theory]
    [InlineData(1, 40, 20)]
    [InlineData(37, 300, 600)]
    public void TheEpilogueSeesEachElementOnceAndFinished(int m, int n, int k)
    {
        float[] a = Numbers.Random(m * k, 1), b = Numbers.Random(k * n, 2), plain = Numbers.Empty(m * n);
        Gemm.Run(ThreadTeam.Single, m, n, k, ref a[0], k, false, ref b[0], n, false, ref plain[0], n, false);
        float[] c = Numbers.OnTeams(m * n, (team, y) => Gemm.Run(team, m, n, k, ref a[0], k, false, ref b[0], n, false, ref y[0], n, false, new Twice { C = y, N = n }));
        for (int i = 0; i < c.Length; i++)
        {
            Assert.Equal((plain[i] * 2) + 1, c[i]);
        }
    }

    [Theory]
    [InlineData(1, 70, 40, 300)]
    [InlineData(5, 19, 23, 31)]
    public void ABatchIsItsProducts(int batch, int m, int n, int k)
    {
        float[] a = Numbers.Random(batch * m * k, 1), b = Numbers.Random(batch * k * n, 2), expected = Numbers.Empty(batch * m * n);
        for (int i = 0; i < batch; i++)
        {
            Gemm.Run(ThreadTeam.Single, m, n, k, ref a[i * m * k], k, false, ref b[i * k * n], k, true, ref expected[i * m * n], n, false);
        }

        float[] c = Numbers.OnTeams(batch * m * n, (team, y) => Gemm.RunBatched(team, batch, m, n, k, ref a[0], k, m * k, false, ref b[0], k, k * n, true, ref y[0], n, m * n, false));
        Assert.True(expected.AsSpan().SequenceEqual(c));
    }

    private readonly struct Twice : IEpilogue
    {
        public required float[] C { get; init; }

        public required int N { get; init; }

        public void Apply(int row, int column, int rows, int columns)
        {
            for (int i = row; i < row + rows; i++)
            {
                for (int j = column; j < column + columns; j++)
                {
                    C[i * N + j] = (C[i * N + j] * 2) + 1;
                }
            }
        }
    }
}
