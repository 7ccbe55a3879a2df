using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Shardwright.Kernels;

namespace Shardwright.Tests;

/// <summary>Streaming attention against the formula in double precision, gradients included: odd sizes, keys that queries share, positions that see nothing, several blocks of keys.</summary>
public sealed class AttentionTests
{
    /// <summary>batch, heads, key heads, queries, keys, width, causal, segments.</summary>
    [Theory]
    [InlineData(1, 1, 1, 1, 1, 1, false, false)]
    [InlineData(2, 2, 2, 7, 7, 5, true, false)]
    [InlineData(1, 4, 2, 33, 40, 16, true, false)]
    [InlineData(2, 3, 1, 45, 45, 12, false, true)]
    [InlineData(1, 2, 2, 130, 130, 64, true, true)]
    [InlineData(1, 1, 1, 70, 61, 8, true, false)]
    [InlineData(1, 1, 1, 300, 500, 24, false, false)]
    [InlineData(1, 4, 1, 150, 201, 20, true, false)]
    [InlineData(1, 2, 1, 129, 129, 33, true, true)]
    [InlineData(1, 1, 1, 100, 100, 132, true, false)]
    [InlineData(2, 2, 2, 97, 31, 16, true, false)]
    public void FollowsItsFormula(int batch, int heads, int keyHeads, int queries, int keys, int width, bool causal, bool hasSegments)
    {
        var shape = new AttentionShape(batch, heads, keyHeads, heads / keyHeads, 0, queries, keys, width, causal, 0.3f, hasSegments);
        int qSize = batch * heads * queries * width, kSize = batch * keyHeads * keys * width, lseSize = batch * heads * queries;
        float[] q = Numbers.Random(qSize, 1), k = Numbers.Random(kSize, 2), v = Numbers.Random(kSize, 3), dO = Numbers.Random(qSize, 4);
        int[] segments = GC.AllocateArray<int>(batch * queries, pinned: true);
        for (int i = 0; i < segments.Length; i++)
        {
            segments[i] = i % queries * 3 / queries;
        }

        int lse = qSize, dq = lse + lseSize, dk = dq + qSize, dv = dk + kSize;
        float[] all = Numbers.OnTeams(dv + kSize, (team, y) =>
        {
            Attention.Forward(team, shape, ref q[0], ref k[0], ref v[0], ref segments[0], ref y[0], ref y[lse]);
            Attention.Backward(team, shape, ref q[0], ref k[0], ref v[0], ref segments[0], ref y[0], ref y[lse], ref dO[0], ref y[dq], ref y[dk], ref y[dv]);
        });

        double[] eo = new double[qSize], edq = new double[qSize], edk = new double[kSize], edv = new double[kSize];
        for (int b = 0; b < batch; b++)
        {
            for (int h = 0; h < heads; h++)
            {
                int kv = (b * keyHeads + h * keyHeads / heads) * keys;
                for (int i = 0; i < queries; i++)
                {
                    int row = (b * heads + h) * queries + i;
                    double[] p = new double[keys], dp = new double[keys];
                    double Score(int j) => (causal && j > i + keys - queries) || (hasSegments && segments[b * queries + i] != segments[b * queries + j])
                        ? double.NegativeInfinity : 0.3f * Enumerable.Range(0, width).Sum(x => (double)q[row * width + x] * k[(kv + j) * width + x]);
                    double[] scores = [.. Enumerable.Range(0, keys).Select(Score)];
                    double max = scores.Max(), sum = scores.Sum(s => double.IsNegativeInfinity(s) ? 0 : Math.Exp(s - max));
                    Assert.Equal(sum == 0 ? double.NegativeInfinity : max + Math.Log(sum), all[lse + row], 1e-5);
                    double delta = 0;
                    for (int j = 0; j < keys && sum > 0; j++)
                    {
                        p[j] = Math.Exp(scores[j] - max) / sum;
                        for (int x = 0; x < width; x++)
                        {
                            eo[row * width + x] += p[j] * v[(kv + j) * width + x];
                            dp[j] += (double)dO[row * width + x] * v[(kv + j) * width + x];
                            edv[(kv + j) * width + x] += p[j] * dO[row * width + x];
                        }

                        delta += p[j] * dp[j];
                    }

                    for (int j = 0; j < keys; j++)
                    {
                        double ds = 0.3f * p[j] * (dp[j] - delta);
                        for (int x = 0; x < width; x++)
                        {
                            edq[row * width + x] += ds * k[(kv + j) * width + x];
                            edk[(kv + j) * width + x] += ds * q[row * width + x];
                        }
                    }
                }
            }
        }

        Close("o", eo, 0, 2e-6);
        Close("dq", edq, dq, 4e-6);
        Close("dk", edk, dk, 1e-5);
        Close("dv", edv, dv, 1e-5);

        void Close(string name, double[] expected, int at, double tolerance)
        {
            for (int i = 0; i < expected.Length; i++)
            {
                Assert.True(Math.Abs(expected[i] - all[at + i]) <= tolerance, $"{name}[{i}] is {all[at + i]}, not {expected[i]}");
            }
        }
    }

    /// <summary>More keys and wider heads than scratch holds at once: the result is that of shorter pieces.</summary>
    [Fact]
    public void LongSequencesAreTakenInChunks()
    {
        const int Queries = 70, Keys = 2600, Width = 100;
        var shape = new AttentionShape(1, 1, 1, 1, 0, Queries, Keys, Width, true, 0.1f, false);
        float[] q = Numbers.Random(Queries * Width, 1), k = Numbers.Random(Keys * Width, 2), v = Numbers.Random(Keys * Width, 3), o = Numbers.Empty(Queries * Width), lse = Numbers.Empty(Queries), dq = Numbers.Empty(q.Length), dk = Numbers.Empty(k.Length), dv = Numbers.Empty(k.Length);
        int[] none = GC.AllocateArray<int>(1, pinned: true);
        Attention.Forward(Execution.ThreadTeam.Single, shape, ref q[0], ref k[0], ref v[0], ref none[0], ref o[0], ref lse[0]);
        Attention.Backward(Execution.ThreadTeam.Single, shape, ref q[0], ref k[0], ref v[0], ref none[0], ref o[0], ref lse[0], ref q[0], ref dq[0], ref dk[0], ref dv[0]);
        const int Row = 41, Visible = Row + Keys - Queries + 1;
        double[] p = [.. Enumerable.Range(0, Visible).Select(j => Math.Exp(0.1f * Enumerable.Range(0, Width).Sum(x => (double)q[Row * Width + x] * k[j * Width + x])))];
        double sum = p.Sum();
        double[] dp = [.. Enumerable.Range(0, Visible).Select(j => Enumerable.Range(0, Width).Sum(x => (double)q[Row * Width + x] * v[j * Width + x]))];
        double delta = Enumerable.Range(0, Visible).Sum(j => p[j] / sum * dp[j]);
        for (int x = 0; x < Width; x++)
        {
            Assert.Equal(Enumerable.Range(0, Visible).Sum(j => p[j] / sum * v[j * Width + x]), o[Row * Width + x], 2e-6);
            Assert.Equal(Enumerable.Range(0, Visible).Sum(j => 0.1f * p[j] / sum * (dp[j] - delta) * k[j * Width + x]), dq[Row * Width + x], 5e-6);
        }
    }

    /// <summary>The bits of a causal attention and its gradients; narrow heads, wide ones, and such as a tile does not divide.</summary>
    public static string Bits()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach ((int queries, int keys, int width) in new[] { (130, 130, 16), (70, 150, 64), (101, 101, 132), (65, 65, 7) })
        {
            var shape = new AttentionShape(1, 2, 1, 2, 0, queries, keys, width, true, 0.3f, false);
            int qSize = 2 * queries * width, kSize = keys * width;
            float[] q = Numbers.Random(qSize, 1), k = Numbers.Random(kSize, 2), v = Numbers.Random(kSize, 3), dO = Numbers.Random(qSize, 4), o = Numbers.Empty(qSize), lse = Numbers.Empty(2 * queries), dq = Numbers.Empty(qSize), dk = Numbers.Empty(kSize), dv = Numbers.Empty(kSize);
            int[] none = GC.AllocateArray<int>(1, pinned: true);
            Attention.Forward(Execution.ThreadTeam.Single, shape, ref q[0], ref k[0], ref v[0], ref none[0], ref o[0], ref lse[0]);
            Attention.Backward(Execution.ThreadTeam.Single, shape, ref q[0], ref k[0], ref v[0], ref none[0], ref o[0], ref lse[0], ref dO[0], ref dq[0], ref dk[0], ref dv[0]);
            foreach (float[] result in new[] { o, lse, dq, dk, dv })
            {
                hash.AppendData(MemoryMarshal.AsBytes(result.AsSpan()));
            }
        }

        return Convert.ToHexString(hash.GetHashAndReset());
    }
}
