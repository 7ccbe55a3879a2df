namespace Shardwright.Compiler.Tests.Ops;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

/// <summary>Ops that work on rows, and the lookups.</summary>
internal static partial class ReferenceInterpreter
{
    /// <summary>Local maximum of each row: the first part of the class-split cross-entropy.</summary>
    public static double[] RowMaximum(Dense logits) => Rows(logits).Select(r => r.Max()).ToArray();

    /// <summary>Σ exp(x − max) of each row, and the target's logit where it lies in this piece.</summary>
    public static (double[] Sum, double[] Picked) RowSums(Piece logits, Dense targets, double[] maximum)
    {
        double[][] rows = Rows(logits.Data);
        return (
            rows.Select((row, r) => row.Sum(v => Math.Exp(v - maximum[r]))).ToArray(),
            rows.Select((row, r) => Class(logits, targets.Data[r]) is var c && c >= 0 && c < row.Length ? row[c] : 0).ToArray());
    }

    /// <summary>Sum, weight and logSumExp from what <see cref="RowSums"/> found, summed over all pieces of the rows.</summary>
    public static Dense[] FinishCrossEntropy(CrossEntropyOp op, double[] maximum, double[] exponentials, double[] picked, Dense targets, Dense? weights)
    {
        Require(targets.Data.Length == maximum.Length && (weights is null || weights.Dims.SequenceEqual(targets.Dims)), "rows of CrossEntropy differ");
        double sum = 0, weight = 0;
        var logSumExp = new double[maximum.Length];
        for (int r = 0; r < maximum.Length; r++)
        {
            logSumExp[r] = maximum[r] + Math.Log(exponentials[r]);
            if (targets.Data[r] != op.IgnoreIndex)
            {
                double w = weights?.Data[r] ?? 1;
                sum += w * (logSumExp[r] - picked[r]);
                weight += w;
            }
        }

        return [new Dense([], [sum]), new Dense([], [weight]), new Dense(targets.Dims, logSumExp)];
    }

    private static double[][] Rows(Dense x) => x.Data.Chunk((int)x.Last).ToArray();

    private static int Class(Piece logits, double target) => (int)(target - logits.Start[^1]);

    private static Dense Softmax(SoftmaxOp op, Dense x) => new(x.Dims, Rows(x).SelectMany(row =>
    {
        double max = row.Max(), sum = row.Sum(v => Math.Exp(v - max));
        return row.Select(v => op.Logarithm ? v - max - Math.Log(sum) : Math.Exp(v - max) / sum);
    }).ToArray());

    private static Dense SoftmaxGradient(SoftmaxGradientOp op, Dense y, Dense dy)
    {
        Require(y.Dims.SequenceEqual(dy.Dims), "SoftmaxGradient");
        return new Dense(y.Dims, Rows(y).Zip(Rows(dy)).SelectMany(rows =>
        {
            (double[] p, double[] g) = rows;
            double total = op.Logarithm ? g.Sum() : p.Zip(g, (a, b) => a * b).Sum();
            return p.Select((v, i) => op.Logarithm ? g[i] - Math.Exp(v) * total : v * (g[i] - total));
        }).ToArray());
    }

    private static Dense[] LayerNorm(LayerNormOp op, Dense x, Dense scale, Dense shift)
    {
        Require(scale.Last == x.Last && shift.Last == x.Last, "LayerNorm");
        double[][] rows = Rows(x);
        double[] mean = rows.Select(r => r.Average()).ToArray();
        double[] reciprocal = rows.Select((r, i) => 1 / Math.Sqrt(r.Average(v => (v - mean[i]) * (v - mean[i])) + op.Epsilon)).ToArray();
        long[] lead = x.Dims[..^1];
        return [new Dense(x.Dims, rows.SelectMany((r, i) => r.Select((v, c) => (v - mean[i]) * reciprocal[i] * scale.Data[c] + shift.Data[c])).ToArray()), new Dense(lead, mean), new Dense(lead, reciprocal)];
    }

    private static Dense[] LayerNormGradient(Dense x, Dense scale, Dense mean, Dense reciprocal, Dense dy)
    {
        RequireRows(x, scale, dy, mean, reciprocal);
        Dense dx = new(x.Dims), dScale = new(scale.Dims), dShift = new(scale.Dims);
        int n = (int)x.Last;
        for (int r = 0; r < mean.Data.Length; r++)
        {
            double[] normal = Enumerable.Range(0, n).Select(c => (x.Data[r * n + c] - mean.Data[r]) * reciprocal.Data[r]).ToArray();
            double[] g = Enumerable.Range(0, n).Select(c => dy.Data[r * n + c] * scale.Data[c]).ToArray();
            double average = g.Average(), along = g.Zip(normal, (a, b) => a * b).Average();
            for (int c = 0; c < n; c++)
            {
                dx.Data[r * n + c] = reciprocal.Data[r] * (g[c] - average - normal[c] * along);
                dScale.Data[c] += dy.Data[r * n + c] * normal[c];
                dShift.Data[c] += dy.Data[r * n + c];
            }
        }

        return [dx, dScale, dShift];
    }

    private static Dense[] RmsNorm(RmsNormOp op, Dense x, Dense scale)
    {
        Require(scale.Last == x.Last, "RmsNorm");
        double[][] rows = Rows(x);
        double[] reciprocal = rows.Select(r => 1 / Math.Sqrt(r.Average(v => v * v) + op.Epsilon)).ToArray();
        return [new Dense(x.Dims, rows.SelectMany((r, i) => r.Select((v, c) => v * reciprocal[i] * scale.Data[c])).ToArray()), new Dense(x.Dims[..^1], reciprocal)];
    }

    private static Dense[] RmsNormGradient(Dense x, Dense scale, Dense reciprocal, Dense dy)
    {
        RequireRows(x, scale, dy, reciprocal);
        Dense dx = new(x.Dims), dScale = new(scale.Dims);
        int n = (int)x.Last;
        for (int r = 0; r < reciprocal.Data.Length; r++)
        {
            double[] normal = Enumerable.Range(0, n).Select(c => x.Data[r * n + c] * reciprocal.Data[r]).ToArray();
            double[] g = Enumerable.Range(0, n).Select(c => dy.Data[r * n + c] * scale.Data[c]).ToArray();
            double along = g.Zip(normal, (a, b) => a * b).Average();
            for (int c = 0; c < n; c++)
            {
                dx.Data[r * n + c] = reciprocal.Data[r] * (g[c] - normal[c] * along);
                dScale.Data[c] += dy.Data[r * n + c] * normal[c];
            }
        }

        return [dx, dScale];
    }

    private static void RequireRows(Dense x, Dense scale, Dense dy, params Dense[] saved) =>
        Require(scale.Last == x.Last && dy.Dims.SequenceEqual(x.Dims) && saved.All(s => s.Dims.SequenceEqual(x.Dims[..^1])), "rows of a norm's gradient differ");

    private static Dense Embedding(Dense ids, Piece table)
    {
        long n = table.Dims[1];
        return Dense.Make(ids.Dims.Append(n), index =>
        {
            long row = (long)ids[index[..^1]] - table.Start[0];
            return row >= 0 && row < table.Dims[0] ? table.Data[row, index[^1]] : 0;
        });
    }

    private static Dense EmbeddingGradient(Dense ids, Dense dy, Place table)
    {
        Require(dy.Dims[..^1].SequenceEqual(ids.Dims), "EmbeddingGradient");
        var result = new Dense([table.Dims[0], dy.Last]);
        for (int r = 0; r < ids.Data.Length; r++)
        {
            long row = (long)ids.Data[r] - table.Start[0];
            for (long c = 0; c < dy.Last && row >= 0 && row < table.Dims[0]; c++)
            {
                result[row, c] += dy.Data[r * dy.Last + c];
            }
        }

        return result;
    }

    private static Dense[] CrossEntropy(CrossEntropyOp op, IReadOnlyList<Piece> x)
    {
        Require(x[0].Dims[..^1].SequenceEqual(x[1].Dims), "rows of CrossEntropy differ");
        double[] maximum = RowMaximum(x[0].Data);
        (double[] sum, double[] picked) = RowSums(x[0], x[1].Data, maximum);
        return FinishCrossEntropy(op, maximum, sum, picked, x[1].Data, op.HasWeights ? x[2].Data : null);
    }

    private static Dense CrossEntropyGradient(CrossEntropyGradientOp op, IReadOnlyList<Piece> x)
    {
        (Piece logits, Dense targets, Dense logSumExp, Dense dSum) = (x[0], x[1].Data, x[2].Data, x[3].Data);
        Require(logits.Dims[..^1].SequenceEqual(targets.Dims) && targets.Dims.SequenceEqual(logSumExp.Dims) && (!op.HasWeights || x[4].Dims.SequenceEqual(targets.Dims)), "rows of CrossEntropyGradient differ");
        return new Dense(logits.Dims, Rows(logits.Data).SelectMany((row, r) => row.Select((v, c) =>
        {
            double weight = targets.Data[r] == op.IgnoreIndex ? 0 : op.HasWeights ? x[4].Data.Data[r] : 1;
            return weight * dSum.Data[0] * (Math.Exp(v - logSumExp.Data[r]) - (Class(logits, targets.Data[r]) == c ? 1 : 0));
        })).ToArray());
    }
}
