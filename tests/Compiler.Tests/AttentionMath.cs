using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Compiler.Tests;

/// <summary>Attention and its gradient by the textbook, heads by their logical numbers.</summary>
internal static class AttentionMath
{
    private static long KeyHead(OperandTypes types, long[][] starts, long head)
    {
        long perKey = types.Inputs[0].Dims[1] / types.Inputs[1].Dims[1];
        return (starts[0][1] + head) / perKey - starts[1][1];
    }

    private static double[] Weights(bool causal, double scale, Dense q, Dense k, Dense? segments, long b, long h, long g, long i)
    {
        long s = q.Dims[2], t = k.Dims[2], d = q.Dims[3];
        var w = new double[t];
        for (long j = 0; j < t; j++)
        {
            bool visible = (!causal || j <= i + t - s) && (segments is null || segments[b, i] == segments[b, j]);
            w[j] = visible ? scale * Enumerable.Range(0, (int)d).Sum(c => q[b, h, i, c] * k[b, g, j, c]) : double.NegativeInfinity;
        }

        return w;
    }

    public static void Forward(AttentionOp op, OperandTypes types, Dense[] x, long[][] starts, Dense[] y)
    {
        Dense q = x[0], k = x[1], v = x[2];
        for (long b = 0; b < q.Dims[0]; b++)
        {
            for (long h = 0; h < q.Dims[1]; h++)
            {
                long g = KeyHead(types, starts, h);
                for (long i = 0; i < q.Dims[2]; i++)
                {
                    double[] w = Weights(op.Causal, op.Scale, q, k, op.HasSegments ? x[3] : null, b, h, g, i);
                    double max = w.Max(), lse = max + Math.Log(w.Sum(e => Math.Exp(e - max)));
                    y[1][b, h, i] = lse;
                    for (long j = 0; j < w.Length; j++)
                    {
                        for (long c = 0; c < q.Dims[3]; c++)
                        {
                            y[0][b, h, i, c] += Math.Exp(w[j] - lse) * v[b, g, j, c];
                        }
                    }
                }
            }
        }
    }

    public static void Backward(AttentionGradientOp op, OperandTypes types, Dense[] x, long[][] starts, Dense[] y)
    {
        Dense q = x[0], k = x[1], v = x[2], o = x[3], lse = x[4], dO = x[5];
        for (long b = 0; b < q.Dims[0]; b++)
        {
            for (long h = 0; h < q.Dims[1]; h++)
            {
                long g = KeyHead(types, starts, h);
                for (long i = 0; i < q.Dims[2]; i++)
                {
                    double[] w = Weights(op.Causal, op.Scale, q, k, op.HasSegments ? x[6] : null, b, h, g, i);
                    double delta = Enumerable.Range(0, (int)q.Dims[3]).Sum(c => o[b, h, i, c] * dO[b, h, i, c]);
                    for (long j = 0; j < w.Length; j++)
                    {
                        double p = Math.Exp(w[j] - lse[b, h, i]), dp = Enumerable.Range(0, (int)q.Dims[3]).Sum(c => dO[b, h, i, c] * v[b, g, j, c]), ds = p * (dp - delta) * op.Scale;
                        for (long c = 0; c < q.Dims[3]; c++)
                        {
                            y[0][b, h, i, c] += ds * k[b, g, j, c];
                            y[1][b, g, j, c] += ds * q[b, h, i, c];
                            y[2][b, g, j, c] += p * dO[b, h, i, c];
                        }
                    }
                }
            }
        }
    }
}
