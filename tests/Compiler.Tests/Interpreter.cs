using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Compiler.Tests;

/// <summary>Evaluates any op in double precision on one rank's pieces: local inputs, logical types, and where the pieces begin.</summary>
public static class Interpreter
{
    /// <param name="op">The op.</param>
    /// <param name="types">Logical types.</param>
    /// <param name="inputs">Local inputs.</param>
    /// <param name="outputs">Local sizes of the outputs.</param>
    /// <param name="inputStarts">Logical position of the first element of each input.</param>
    /// <param name="outputStarts">The same of each output.</param>
    /// <param name="sumOverRanks">Stands for the all-reduces of a communicating form: (stage, values) → reduced.</param>
    public static Dense[] Run(Op op, OperandTypes types, Dense[] inputs, long[][] outputs, long[][] inputStarts, long[][] outputStarts, Func<string, Dense, Dense>? sumOverRanks = null)
    {
        Dense[] y = [.. outputs.Select(o => Dense.Zeros(o))];
        Dense x = inputs.Length > 0 ? inputs[0] : y[0];
        int last = x.Dims.Length - 1;
        long n = last >= 0 ? x.Dims[last] : 1, rows = x.Data.Length / n;
        switch (op)
        {
            case ElementwiseOp e:
                for (long i = 0; i < y[0].Data.Length; i++)
                {
                    long[] at = y[0].Index(i);
                    y[0].Data[i] = ScalarAlgebra.Evaluate(e.Body, inputs.Select((v, k) => v.Data[Broadcast(v, types.Inputs[k], at, types.Outputs[0])]).ToArray());
                }

                break;
            case BroadcastOp:
                for (long i = 0; i < y[0].Data.Length; i++)
                {
                    y[0].Data[i] = x.Data[Broadcast(x, types.Inputs[0], y[0].Index(i), types.Outputs[0])];
                }

                break;
            case MatMulOp m:
                MatMul(m, inputs[0], inputs[1], y[0]);
                break;
            case WeightGradientOp:
                for (long r = 0; r < rows; r++)
                {
                    for (long i = 0; i < n; i++)
                    {
                        for (long j = 0; j < y[0].Dims[1]; j++)
                        {
                            y[0][i, j] += x.Data[r * n + i] * inputs[1].Data[r * y[0].Dims[1] + j];
                        }
                    }
                }

                break;
            case ReshapeOp:
                x.Data.CopyTo(y[0].Data, 0);
                break;
            case PermuteOp p:
                for (long i = 0; i < y[0].Data.Length; i++)
                {
                    long[] at = y[0].Index(i), from = new long[at.Length];
                    for (int d = 0; d < at.Length; d++)
                    {
                        from[p.Order[d]] = at[d];
                    }

                    y[0].Data[i] = x.Data[x.Flat(from)];
                }

                break;
            case SliceOp s:
                Move(y[0], at => { at[s.Dim] += s.Start; return x.Data[x.Flat(at)]; });
                break;
            case PadOp p:
                Move(y[0], at => { at[p.Dim] -= p.Before; return at[p.Dim] < 0 || at[p.Dim] >= x.Dims[p.Dim] ? 0 : x.Data[x.Flat(at)]; });
                break;
            case ConcatOp c:
                Move(y[0], at =>
                {
                    int k = 0;
                    for (; at[c.Dim] >= inputs[k].Dims[c.Dim]; k++)
                    {
                        at[c.Dim] -= inputs[k].Dims[c.Dim];
                    }

                    return inputs[k].Data[inputs[k].Flat(at)];
                });
                break;
            case SumOp s:
                Reduce(x, y[0], s.Dims, s.KeepDims, 0, (a, b) => a + b);
                break;
            case ExtremeOp e:
                Array.Fill(y[0].Data, e.IsMax ? double.NegativeInfinity : double.PositiveInfinity);
                Reduce(x, y[0], e.Dims, e.KeepDims, null, e.IsMax ? Math.Max : Math.Min);
                break;
            case ExtremeGradientOp e:
                Dense ties = Dense.Zeros(inputs[1].Dims);
                for (long i = 0; i < x.Data.Length; i++)
                {
                    long to = Kept(x, inputs[1], x.Index(i), e.Dims, e.KeepDims);
                    ties.Data[to] += x.Data[i] == inputs[1].Data[to] ? 1 : 0;
                }

                for (long i = 0; i < x.Data.Length; i++)
                {
                    long to = Kept(x, inputs[1], x.Index(i), e.Dims, e.KeepDims);
                    y[0].Data[i] = x.Data[i] == inputs[1].Data[to] ? inputs[2].Data[to] / ties.Data[to] : 0;
                }

                break;
            case SoftmaxOp s:
                Rows(rows, n, (r, at) =>
                {
                    double lse = LogSumExp(x, r, n);
                    for (long i = 0; i < n; i++)
                    {
                        y[0].Data[at + i] = s.Logarithm ? x.Data[at + i] - lse : Math.Exp(x.Data[at + i] - lse);
                    }
                });
                break;
            case SoftmaxGradientOp s:
                Rows(rows, n, (r, at) =>
                {
                    double sum = 0;
                    for (long i = 0; i < n; i++)
                    {
                        sum += s.Logarithm ? inputs[1].Data[at + i] : x.Data[at + i] * inputs[1].Data[at + i];
                    }

                    for (long i = 0; i < n; i++)
                    {
                        y[0].Data[at + i] = s.Logarithm ? inputs[1].Data[at + i] - Math.Exp(x.Data[at + i]) * sum : x.Data[at + i] * (inputs[1].Data[at + i] - sum);
                    }
                });
                break;
            case LayerNormOp l:
                Rows(rows, n, (r, at) =>
                {
                    double mean = Enumerable.Range(0, (int)n).Average(i => x.Data[at + i]), variance = Enumerable.Range(0, (int)n).Average(i => Math.Pow(x.Data[at + i] - mean, 2)), k = 1 / Math.Sqrt(variance + l.Epsilon);
                    for (long i = 0; i < n; i++)
                    {
                        y[0].Data[at + i] = (x.Data[at + i] - mean) * k * inputs[1].Data[i] + inputs[2].Data[i];
                    }

                    (y[1].Data[r], y[2].Data[r]) = (mean, k);
                });
                break;
            case LayerNormGradientOp:
                Rows(rows, n, (r, at) => NormGradient(x, inputs[1], inputs[4], inputs[2].Data[r], inputs[3].Data[r], true, at, n, y));
                break;
            case RmsNormOp l:
                Rows(rows, n, (r, at) =>
                {
                    double k = 1 / Math.Sqrt(Enumerable.Range(0, (int)n).Average(i => x.Data[at + i] * x.Data[at + i]) + l.Epsilon);
                    for (long i = 0; i < n; i++)
                    {
                        y[0].Data[at + i] = x.Data[at + i] * k * inputs[1].Data[i];
                    }

                    y[1].Data[r] = k;
                });
                break;
            case RmsNormGradientOp:
                Rows(rows, n, (r, at) => NormGradient(x, inputs[1], inputs[3], 0, inputs[2].Data[r], false, at, n, y));
                break;
            case EmbeddingOp:
                long width = inputs[1].Dims[1];
                for (long i = 0; i < x.Data.Length; i++)
                {
                    long id = (long)x.Data[i] - inputStarts[1][0];
                    for (long j = 0; j < width && id >= 0 && id < inputs[1].Dims[0]; j++)
                    {
                        y[0].Data[i * width + j] = inputs[1].Data[id * width + j];
                    }
                }

                break;
            case EmbeddingGradientOp:
                width = y[0].Dims[1];
                for (long i = 0; i < x.Data.Length; i++)
                {
                    long id = (long)x.Data[i] - outputStarts[0][0];
                    for (long j = 0; j < width && id >= 0 && id < y[0].Dims[0]; j++)
                    {
                        y[0].Data[id * width + j] += inputs[1].Data[i * width + j];
                    }
                }

                break;
            case CrossEntropyOp c:
                CrossEntropy(c, inputs, inputStarts[0], rows, n, y, sumOverRanks);
                break;
            case CrossEntropyGradientOp c:
                Rows(rows, n, (r, at) =>
                {
                    double w = (int)inputs[1].Data[r] == c.IgnoreIndex ? 0 : inputs[3].Data[0] * (c.HasWeights ? inputs[4].Data[r] : 1);
                    for (long i = 0; i < n; i++)
                    {
                        y[0].Data[at + i] = w * (Math.Exp(x.Data[at + i] - inputs[2].Data[r]) - ((long)inputs[1].Data[r] == i + inputStarts[0][last] ? 1 : 0));
                    }
                });
                break;
            case AttentionOp a:
                AttentionMath.Forward(a, types, inputs, inputStarts, y);
                break;
            case AttentionGradientOp a:
                AttentionMath.Backward(a, types, inputs, inputStarts, y);
                break;
            case DropoutOp:
                for (long i = 0; i < x.Data.Length; i++)
                {
                    long[] at = x.Index(i);
                    long global = 0;
                    for (int d = 0; d < at.Length; d++)
                    {
                        global = global * types.Inputs[0].Dims[d] + at[d] + inputStarts[0][d];
                    }

                    y[0].Data[i] = (global * 2654435761L >> 7) % 3 == 0 ? 0 : x.Data[i] * 1.5;
                }

                break;
            case RopeOp rope:
                long half = n / 2;
                Rows(rows, n, (r, at) =>
                {
                    long position = r % x.Dims[last - 1] + inputStarts[0][last - 1];
                    for (long i = 0; i < half; i++)
                    {
                        double angle = position * Math.Pow(rope.Theta, -2.0 * i / n) * (rope.Inverse ? -1 : 1), p = x.Data[at + i], q = x.Data[at + i + half];
                        y[0].Data[at + i] = p * Math.Cos(angle) - q * Math.Sin(angle);
                        y[0].Data[at + i + half] = q * Math.Cos(angle) + p * Math.Sin(angle);
                    }
                });
                break;
            case RangeOp:
                for (long i = 0; i < y[0].Data.Length; i++)
                {
                    y[0].Data[i] = i + outputStarts[0][0];
                }

                break;
            case FillOp f:
                Array.Fill(y[0].Data, f.Value);
                break;
            case CastOp:
                x.Data.CopyTo(y[0].Data, 0);
                break;
            default:
                throw new InvalidOperationException($"no reference for {op.Name}");
        }

        return y;
    }

    private static void Rows(long rows, long n, Action<long, long> row)
    {
        for (long r = 0; r < rows; r++)
        {
            row(r, r * n);
        }
    }

    private static void Move(Dense y, Func<long[], double> value)
    {
        for (long i = 0; i < y.Data.Length; i++)
        {
            y.Data[i] = value(y.Index(i));
        }
    }

    private static long Broadcast(Dense v, TensorType logical, long[] at, TensorType output)
    {
        int lead = at.Length - v.Dims.Length;
        long flat = 0;
        for (int d = 0; d < v.Dims.Length; d++)
        {
            // What broadcasts is decided on logical sizes: a dim that is 1 only on this rank does not.
            bool repeat = logical.Dims[d] == 1 && output.Dims[d + lead] != 1;
            flat = flat * v.Dims[d] + (repeat ? 0 : at[d + lead]);
        }

        return flat;
    }

    private static void MatMul(MatMulOp op, Dense a, Dense b, Dense c)
    {
        int r = a.Dims.Length;
        long m = c.Dims[r - 2], n = c.Dims[r - 1], k = a.Dims[op.TransposeA ? r - 2 : r - 1], batch = c.Data.Length / m / n;
        for (long g = 0; g < batch; g++)
        {
            for (long i = 0; i < m; i++)
            {
                for (long j = 0; j < n; j++)
                {
                    for (long p = 0; p < k; p++)
                    {
                        double u = a.Data[g * m * k + (op.TransposeA ? p * m + i : i * k + p)], v = b.Data[(b.Dims.Length == 2 ? 0 : g * k * n) + (op.TransposeB ? j * k + p : p * n + j)];
                        c.Data[(g * m + i) * n + j] += u * v;
                    }
                }
            }
        }
    }

    private static long Kept(Dense x, Dense y, long[] at, EquatableArray<int> dims, bool keep)
    {
        long[] to = keep ? [.. at.Select((v, d) => dims.Contains(d) ? 0 : v)] : [.. at.Where((_, d) => !dims.Contains(d))];
        return y.Flat(to);
    }

    private static void Reduce(Dense x, Dense y, EquatableArray<int> dims, bool keep, double? start, Func<double, double, double> combine)
    {
        for (long i = 0; i < x.Data.Length; i++)
        {
            long to = Kept(x, y, x.Index(i), dims, keep);
            y.Data[to] = combine(y.Data[to], x.Data[i]);
        }
    }

    private static double LogSumExp(Dense x, long row, long n)
    {
        double max = Enumerable.Range(0, (int)n).Max(i => x.Data[row * n + i]);
        return max + Math.Log(Enumerable.Range(0, (int)n).Sum(i => Math.Exp(x.Data[row * n + i] - max)));
    }

    private static void NormGradient(Dense x, Dense scale, Dense dy, double mean, double k, bool centred, long at, long n, Dense[] y)
    {
        double sum = 0, dot = 0;
        for (long i = 0; i < n; i++)
        {
            double hat = (x.Data[at + i] - mean) * k, g = dy.Data[at + i] * scale.Data[i];
            sum += g;
            dot += g * hat;
            y[1].Data[i] += dy.Data[at + i] * hat;
            if (centred)
            {
                y[2].Data[i] += dy.Data[at + i];
            }
        }

        for (long i = 0; i < n; i++)
        {
            double hat = (x.Data[at + i] - mean) * k;
            y[0].Data[at + i] = k * (dy.Data[at + i] * scale.Data[i] - (centred ? sum / n : 0) - hat * dot / n);
        }
    }

    private static void CrossEntropy(CrossEntropyOp op, Dense[] inputs, long[] start, long rows, long n, Dense[] y, Func<string, Dense, Dense>? sumOverRanks)
    {
        Dense x = inputs[0], max = Dense.Zeros([rows]), sums = Dense.Zeros([2, rows]);
        for (long r = 0; r < rows; r++)
        {
            max.Data[r] = Enumerable.Range(0, (int)n).Max(i => x.Data[r * n + i]);
        }

        max = sumOverRanks?.Invoke("max", max) ?? max;
        for (long r = 0; r < rows; r++)
        {
            long target = (long)inputs[1].Data[r] - start[^1];
            sums.Data[r] = Enumerable.Range(0, (int)n).Sum(i => Math.Exp(x.Data[r * n + i] - max.Data[r]));
            sums.Data[rows + r] = target >= 0 && target < n ? x.Data[r * n + target] : 0;
        }

        sums = sumOverRanks?.Invoke("sum", sums) ?? sums;
        for (long r = 0; r < rows; r++)
        {
            double lse = max.Data[r] + Math.Log(sums.Data[r]);
            y[2].Data[r] = lse;
            if ((int)inputs[1].Data[r] != op.IgnoreIndex)
            {
                double w = op.HasWeights ? inputs[2].Data[r] : 1;
                y[0].Data[0] += w * (lse - sums.Data[rows + r]);
                y[1].Data[0] += w;
            }
        }
    }
}
