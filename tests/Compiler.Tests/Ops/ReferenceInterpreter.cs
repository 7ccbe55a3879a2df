namespace Shardwright.Compiler.Tests.Ops;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

/// <summary>What a rank holds of a tensor.</summary>
/// <param name="Data">Local elements.</param>
/// <param name="Start">Logical position of the first local element in each dim.</param>
/// <param name="Logical">Logical type.</param>
internal sealed record Piece(Dense Data, long[] Start, TensorType Logical)
{
    public static Piece Whole(Dense data, TensorType type) => new(data, new long[type.Rank], type);

    public long[] Dims => Data.Dims;
}

/// <summary>Where an output of a rank lies.</summary>
internal sealed record Place(long[] Dims, long[] Start, TensorType Logical)
{
    public static Place Whole(TensorType type) => new(type.Dims.ToArray(), new long[type.Rank], type);
}

/// <summary>Local shapes with which an op cannot run.</summary>
internal sealed class LocalShapeException(string message) : Exception(message);

/// <summary>Runs any op of the logical graph on local pieces in double precision, as plainly as it can be written. Shares no code with the kernels;
/// of the op it knows the attributes only.</summary>
internal static partial class ReferenceInterpreter
{
    /// <summary>Runs an op on whole tensors.</summary>
    public static Dense[] Run(Op op, IReadOnlyList<Dense> inputs, OperandTypes types) =>
        Run(op, inputs.Select((x, i) => Piece.Whole(x, types.Inputs[i])).ToArray(), types.Outputs.Select(Place.Whole).ToArray());

    /// <summary>Runs an op on pieces, without any communication.</summary>
    /// <exception cref="LocalShapeException">The local shapes do not fit each other.</exception>
    public static Dense[] Run(Op op, IReadOnlyList<Piece> x, IReadOnlyList<Place> y)
    {
        Dense[] result = Compute(op, x, y);
        for (int o = 0; o < y.Count; o++)
        {
            Require(result[o].Dims.SequenceEqual(y[o].Dims), $"output {o} of {op.Name} is [{string.Join(", ", result[o].Dims)}], not [{string.Join(", ", y[o].Dims)}]");
        }

        return result;
    }

    private static Dense[] Compute(Op op, IReadOnlyList<Piece> x, IReadOnlyList<Place> y) => op switch
    {
        ElementwiseOp e => [Elementwise(e, x, y[0])],
        MatMulOp m => [MatMul(m, x[0].Data, x[1].Data)],
        WeightGradientOp => [WeightGradient(x[0].Data, x[1].Data)],
        SumOp s => [Reduce(x[0].Data, s.Dims, s.KeepDims, 0, (a, b) => a + b)],
        ExtremeOp e => [Reduce(x[0].Data, e.Dims, e.KeepDims, double.NaN, (a, b) => double.IsNaN(a) ? b : e.IsMax ? Math.Max(a, b) : Math.Min(a, b))],
        ExtremeGradientOp e => [ExtremeGradient(e, x[0].Data, x[1].Data, x[2].Data)],
        ReshapeOp => [Reshape(x[0].Data, y[0].Dims)],
        BroadcastOp => [Broadcast(x[0], y[0])],
        PermuteOp p => [Permute(x[0].Data, p.Order)],
        SliceOp s => [Slice(s, x[0].Data)],
        PadOp p => [Pad(p, x[0].Data)],
        ConcatOp c => [Concat(c, x)],
        CastOp c => [x[0].Data.Map(v => Round(c.Element, v))],
        DropoutOp d => [Dropout(d, x[0])],
        RopeOp r => [Rope(r, x[0])],
        RangeOp => [Dense.Make(y[0].Dims, i => i[0] + y[0].Start[0])],
        FillOp f => [Dense.Make(y[0].Dims, _ => f.Value)],
        SoftmaxOp s => [Softmax(s, x[0].Data)],
        SoftmaxGradientOp s => [SoftmaxGradient(s, x[0].Data, x[1].Data)],
        LayerNormOp n => LayerNorm(n, x[0].Data, x[1].Data, x[2].Data),
        LayerNormGradientOp => LayerNormGradient(x[0].Data, x[1].Data, x[2].Data, x[3].Data, x[4].Data),
        RmsNormOp n => RmsNorm(n, x[0].Data, x[1].Data),
        RmsNormGradientOp => RmsNormGradient(x[0].Data, x[1].Data, x[2].Data, x[3].Data),
        EmbeddingOp => [Embedding(x[0].Data, x[1])],
        EmbeddingGradientOp => [EmbeddingGradient(x[0].Data, x[1].Data, y[0])],
        CrossEntropyOp c => CrossEntropy(c, x),
        CrossEntropyGradientOp c => [CrossEntropyGradient(c, x)],
        AttentionOp a => Attention(a, x),
        AttentionGradientOp a => AttentionGradient(a, x),
        _ => throw new NotSupportedException($"the reference interpreter does not know {op.Name}: add it"),
    };

    private static void Require(bool condition, string message)
    {
        if (!condition)
        {
            throw new LocalShapeException(message);
        }
    }

    /// <summary>Which elements are repeated is decided on logical sizes: a dim of size 4 that is split 4 ways is not broadcast.</summary>
    private static Dense Elementwise(ElementwiseOp op, IReadOnlyList<Piece> x, Place y)
    {
        foreach (Piece input in x)
        {
            for (int dim = 0; dim < input.Dims.Length; dim++)
            {
                int at = dim + y.Dims.Length - input.Dims.Length;
                bool repeated = input.Logical.Dims[dim] == 1 && y.Logical.Dims[at] != 1;
                Require(input.Dims[dim] == (repeated ? 1 : y.Dims[at]), $"dim {dim} of an input of {op.Name} is {input.Dims[dim]} where the output is {y.Dims[at]}");
            }
        }

        var arguments = new double[x.Count];
        return Dense.Make(y.Dims, index =>
        {
            for (int i = 0; i < x.Count; i++)
            {
                arguments[i] = x[i].Data[Own(index, x[i].Dims)];
            }

            return ScalarAlgebra.Evaluate(op.Body, arguments);
        });
    }

    /// <summary>Index into an operand that is aligned from the right and repeats its dims of size 1.</summary>
    private static long[] Own(long[] index, long[] dims)
    {
        int lead = index.Length - dims.Length;
        return dims.Select((size, dim) => size == 1 ? 0 : index[dim + lead]).ToArray();
    }

    private static Dense MatMul(MatMulOp op, Dense a, Dense b)
    {
        int r = a.Rank, rb = b.Rank;
        long m = a.Dims[op.TransposeA ? r - 1 : r - 2], k = a.Dims[op.TransposeA ? r - 2 : r - 1], n = b.Dims[op.TransposeB ? rb - 2 : rb - 1];
        Require(k == b.Dims[op.TransposeB ? rb - 1 : rb - 2], $"MatMul of [{string.Join(", ", a.Dims)}] and [{string.Join(", ", b.Dims)}]");
        Require(rb == 2 || a.Dims.Take(r - 2).SequenceEqual(b.Dims.Take(rb - 2)), "leading dims of MatMul differ");
        return Dense.Make(a.Dims.Take(r - 2).Append(m).Append(n), index =>
        {
            var ia = (long[])index.Clone();
            long[] ib = rb == 2 ? new long[2] : (long[])index.Clone();
            double sum = 0;
            for (long j = 0; j < k; j++)
            {
                (ia[r - 2], ia[r - 1]) = op.TransposeA ? (j, index[r - 2]) : (index[r - 2], j);
                (ib[rb - 2], ib[rb - 1]) = op.TransposeB ? (index[r - 1], j) : (j, index[r - 1]);
                sum += a[ia] * b[ib];
            }

            return sum;
        });
    }

    private static Dense WeightGradient(Dense x, Dense dy)
    {
        Require(x.Dims.Take(x.Rank - 1).SequenceEqual(dy.Dims.Take(dy.Rank - 1)), "leading dims of WeightGradient differ");
        long m = x.Last, n = dy.Last, rows = x.Data.Length / m;
        return Dense.Make([m, n], index => Enumerable.Range(0, (int)rows).Sum(r => x.Data[r * m + index[0]] * dy.Data[r * n + index[1]]));
    }

    private static Dense Reduce(Dense x, EquatableArray<int> dims, bool keep, double start, Func<double, double, double> combine)
    {
        var kept = new Dense(x.Dims.Select((size, dim) => dims.Contains(dim) ? 1 : size)).Map(_ => start);
        foreach (long[] index in Dense.Indices(x.Dims))
        {
            long[] target = index.Select((i, dim) => dims.Contains(dim) ? 0 : i).ToArray();
            kept[target] = combine(kept[target], x[index]);
        }

        return keep ? kept : new Dense(x.Dims.Where((_, dim) => !dims.Contains(dim)), kept.Data);
    }

    private static Dense ExtremeGradient(ExtremeGradientOp op, Dense x, Dense y, Dense dy)
    {
        long[] kept = x.Dims.Select((size, dim) => op.Dims.Contains(dim) ? 1 : size).ToArray();
        Require(kept.Aggregate(1L, (a, b) => a * b) == y.Data.Length && y.Dims.SequenceEqual(dy.Dims), "ExtremeGradient");
        Dense extreme = Reshape(y, kept), gradient = Reshape(dy, kept), ties = new(kept);
        foreach (long[] index in Dense.Indices(x.Dims))
        {
            ties[Own(index, kept)] += x[index] == extreme[Own(index, kept)] ? 1 : 0;
        }

        return Dense.Make(x.Dims, index => x[index] == extreme[Own(index, kept)] ? gradient[Own(index, kept)] / ties[Own(index, kept)] : 0);
    }

    private static Dense Reshape(Dense x, long[] dims)
    {
        Require(dims.Aggregate(1L, (a, b) => a * b) == x.Data.Length, $"Reshape of {x.Data.Length} elements");
        return new Dense(dims, x.Data);
    }

    private static Dense Broadcast(Piece x, Place y)
    {
        int lead = y.Dims.Length - x.Dims.Length;
        Require(x.Dims.Select((size, dim) => size == y.Dims[dim + lead] || (x.Logical.Dims[dim] == 1 && size == 1)).All(fits => fits), "Broadcast");
        return Dense.Make(y.Dims, index => x.Data[Own(index, x.Dims)]);
    }

    private static Dense Permute(Dense x, EquatableArray<int> order) => Dense.Make(order.Select(d => x.Dims[d]), index =>
    {
        var from = new long[index.Length];
        for (int dim = 0; dim < index.Length; dim++)
        {
            from[order[dim]] = index[dim];
        }

        return x[from];
    });

    private static Dense Slice(SliceOp op, Dense x)
    {
        Require(op.Start + op.Length <= x.Dims[op.Dim], "Slice beyond the piece");
        return x.Slice(op.Dim, op.Start, op.Length);
    }

    private static Dense Pad(PadOp op, Dense x) => Dense.Make(x.Dims.Select((s, d) => d == op.Dim ? op.Before + s + op.After : s), index =>
    {
        var from = (long[])index.Clone();
        from[op.Dim] -= op.Before;
        return from[op.Dim] >= 0 && from[op.Dim] < x.Dims[op.Dim] ? x[from] : 0;
    });

    private static Dense Concat(ConcatOp op, IReadOnlyList<Piece> x)
    {
        Require(x.All(p => p.Dims.Where((_, d) => d != op.Dim).SequenceEqual(x[0].Dims.Where((_, d) => d != op.Dim))), "Concat");
        return Dense.Concat(x.Select(p => p.Data).ToList(), op.Dim);
    }

    /// <summary>16-bit formats round: that is why a sum of terms does not pass them.</summary>
    private static double Round(DType element, double value) => element switch
    {
        DType.Int32 => Math.Truncate(value),
        DType.BFloat16 => BitConverter.UInt32BitsToSingle((BitConverter.SingleToUInt32Bits((float)value) + 0x8000) & 0xFFFF0000),
        DType.Float16 => (double)(Half)value,
        _ => value,
    };

    /// <summary>A mask by global index. Any function of key and index will do here; the kernels' own is Philox.</summary>
    private static Dense Dropout(DropoutOp op, Piece x) => Dense.Make(x.Dims, index =>
    {
        ulong state = 14695981039346656037;
        foreach (char c in op.Key)
        {
            state = (state ^ c) * 1099511628211;
        }

        ulong global = 0;
        for (int dim = 0; dim < index.Length; dim++)
        {
            global = global * (ulong)x.Logical.Dims[dim] + (ulong)(index[dim] + x.Start[dim]);
        }

        // splitmix64
        ulong z = state + (global + 1) * 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        double uniform = ((z ^ (z >> 31)) >> 11) / (double)(1UL << 53);
        return uniform < op.Probability ? 0 : x.Data[index] / (1 - op.Probability);
    });

    private static Dense Rope(RopeOp op, Piece x)
    {
        int rank = x.Dims.Length;
        long width = x.Dims[rank - 1], half = width / 2;
        Require(width % 2 == 0, "Rope of an odd width");
        return Dense.Make(x.Dims, index =>
        {
            long pair = index[rank - 1] % half, position = index[rank - 2] + x.Start[rank - 2];
            double angle = position * Math.Pow(op.Theta, -2.0 * pair / width) * (op.Inverse ? -1 : 1);
            var first = (long[])index.Clone();
            var second = (long[])index.Clone();
            (first[rank - 1], second[rank - 1]) = (pair, pair + half);
            double a = x.Data[first], b = x.Data[second];
            return index[rank - 1] < half ? a * Math.Cos(angle) - b * Math.Sin(angle) : a * Math.Sin(angle) + b * Math.Cos(angle);
        });
    }
}
