namespace Shardwright.Compiler.Tests.Ops;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

/// <summary>Attention with all scores written out.</summary>
internal static partial class ReferenceInterpreter
{
    private static Dense[] Attention(AttentionOp op, IReadOnlyList<Piece> x)
    {
        (Piece q, Piece k, Dense v) = (x[0], x[1], x[2].Data);
        Dense? segments = op.HasSegments ? x[3].Data : null;
        RequireAttention(q, k, v, segments);
        (long b, long h, long s, long d) = (q.Dims[0], q.Dims[1], q.Dims[2], q.Dims[3]);
        Dense o = new(q.Dims), logSumExp = new([b, h, s]);
        foreach (long[] row in Dense.Indices(logSumExp.Dims))
        {
            long head = KeyHead(q, k, row[1]);
            double?[] scores = Scores(op.Causal, op.Scale, q, k, segments, row, head);
            double max = scores.Max() ?? double.NaN, sum = scores.Sum(score => score is { } value ? Math.Exp(value - max) : 0);
            logSumExp[row] = max + Math.Log(sum);
            for (long j = 0; j < scores.Length; j++)
            {
                for (long c = 0; c < d && scores[j] is { } score; c++)
                {
                    o[row[0], row[1], row[2], c] += Math.Exp(score - max) / sum * v[row[0], head, j, c];
                }
            }
        }

        return [o, logSumExp];
    }

    private static Dense[] AttentionGradient(AttentionGradientOp op, IReadOnlyList<Piece> x)
    {
        (Piece q, Piece k, Dense v, Dense o, Dense logSumExp, Dense gradient) = (x[0], x[1], x[2].Data, x[3].Data, x[4].Data, x[5].Data);
        Dense? segments = op.HasSegments ? x[6].Data : null;
        RequireAttention(q, k, v, segments);
        Require(o.Dims.SequenceEqual(q.Dims) && gradient.Dims.SequenceEqual(q.Dims) && logSumExp.Dims.SequenceEqual(q.Dims[..^1]), "AttentionGradient");
        Dense dq = new(q.Dims), dk = new(k.Dims), dv = new(v.Dims);
        long d = q.Dims[3];
        foreach (long[] row in Dense.Indices(logSumExp.Dims))
        {
            (long b, long h, long i, long head) = (row[0], row[1], row[2], KeyHead(q, k, row[1]));
            double?[] scores = Scores(op.Causal, op.Scale, q, k, segments, row, head);
            double delta = Along(c => gradient[b, h, i, c] * o[b, h, i, c]);
            for (long j = 0; j < scores.Length; j++)
            {
                if (scores[j] is not { } score)
                {
                    continue;
                }

                double p = Math.Exp(score - logSumExp[row]);
                double dScore = p * (Along(c => gradient[b, h, i, c] * v[b, head, j, c]) - delta) * op.Scale;
                for (long c = 0; c < d; c++)
                {
                    dv[b, head, j, c] += p * gradient[b, h, i, c];
                    dq[b, h, i, c] += dScore * k.Data[b, head, j, c];
                    dk[b, head, j, c] += dScore * q.Data[b, h, i, c];
                }
            }
        }

        return [dq, dk, dv];

        double Along(Func<long, double> term)
        {
            double sum = 0;
            for (long c = 0; c < d; c++)
            {
                sum += term(c);
            }

            return sum;
        }
    }

    private static void RequireAttention(Piece q, Piece k, Dense v, Dense? segments) => Require(
        k.Dims.SequenceEqual(v.Dims) && q.Dims[0] == k.Dims[0] && q.Dims[3] == k.Dims[3]
            && (segments is null || (segments.Dims[0] == q.Dims[0] && segments.Dims[1] == q.Dims[2] && q.Dims[2] == k.Dims[2])),
        "operands of Attention differ");

    /// <summary>Local key head of a local query head: heads are counted over the whole, then from the first that is here.</summary>
    private static long KeyHead(Piece q, Piece k, long head)
    {
        long key = (q.Start[1] + head) / (q.Logical.Dims[1] / k.Logical.Dims[1]) - k.Start[1];
        Require(key >= 0 && key < k.Dims[1], $"query head {q.Start[1] + head} needs a key head that is not here");
        return key;
    }

    /// <summary>Scores of one query; null where it may not see the key.</summary>
    private static double?[] Scores(bool causal, float scale, Piece q, Piece k, Dense? segments, long[] row, long head)
    {
        long s = q.Dims[2], t = k.Dims[2], d = q.Dims[3];
        var scores = new double?[t];
        for (long j = 0; j < t; j++)
        {
            bool hidden = (causal && j > row[2] + t - s) || (segments is not null && segments[row[0], row[2]] != segments[row[0], j]);
            if (hidden)
            {
                continue;
            }

            double sum = 0;
            for (long c = 0; c < d; c++)
            {
                sum += q.Data[row[0], row[1], row[2], c] * k.Data[row[0], head, j, c];
            }

            scores[j] = sum * scale;
        }

        return scores;
    }
}
