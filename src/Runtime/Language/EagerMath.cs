namespace Shardwright;

/// <summary>Plain reference loops behind the eager ops: fp32 storage, double accumulation.</summary>
internal static class EagerMath
{
    public static Tensor Unary(Tensor x, Func<float, float> f)
    {
        float[] data = x.Data;
        var y = new float[data.Length];
        for (int i = 0; i < y.Length; i++)
        {
            y[i] = f(data[i]);
        }

        return new Tensor(x.Shape, y);
    }

    public static Tensor Binary(string name, Tensor a, Tensor b, Func<float, float, float> f)
    {
        Shape shape = Broadcast(name, a.Shape, b.Shape);
        float[] x = a.Data, y = b.Data, z = new float[shape.Count];
        int[] i = Index(a.Shape, shape), j = Index(b.Shape, shape);
        for (int n = 0; n < z.Length; n++)
        {
            z[n] = f(x[i[n]], y[j[n]]);
        }

        return new Tensor(shape, z);
    }

    public static Tensor Ternary(string name, Tensor a, Tensor b, Tensor c, Func<float, float, float, float> f)
    {
        Shape shape = Broadcast(name, Broadcast(name, a.Shape, b.Shape), c.Shape);
        float[] x = a.Data, y = b.Data, w = c.Data, z = new float[shape.Count];
        int[] i = Index(a.Shape, shape), j = Index(b.Shape, shape), k = Index(c.Shape, shape);
        for (int n = 0; n < z.Length; n++)
        {
            z[n] = f(x[i[n]], y[j[n]], w[k[n]]);
        }

        return new Tensor(shape, z);
    }

    private static Shape Broadcast(string name, Shape a, Shape b)
    {
        int rank = Math.Max(a.Rank, b.Rank);
        var dims = new int[rank];
        for (int dim = 0; dim < rank; dim++)
        {
            int x = dim - (rank - a.Rank) < 0 ? 1 : a[dim - (rank - a.Rank)], y = dim - (rank - b.Rank) < 0 ? 1 : b[dim - (rank - b.Rank)];
            if (x != y && x != 1 && y != 1)
            {
                throw new ArgumentException($"{name} of {a} and {b}: dim {dim} is {x} on one side and {y} on the other; sizes must be equal, or 1 on one side.");
            }

            dims[dim] = x == 1 ? y : x;
        }

        return new Shape(dims);
    }

    /// <summary>For each element of the result, the element of the operand.</summary>
    private static int[] Index(Shape operand, Shape result)
    {
        var index = new int[result.Count];
        int lead = result.Rank - operand.Rank;
        var strides = new int[result.Rank];
        for (int dim = operand.Rank - 1, stride = 1; dim >= 0; dim--)
        {
            strides[dim + lead] = operand[dim] == 1 ? 0 : stride;
            stride *= operand[dim];
        }

        var at = new int[result.Rank];
        for (int n = 0, offset = 0; n < index.Length; n++)
        {
            index[n] = offset;
            for (int dim = result.Rank - 1; dim >= 0; dim--)
            {
                offset += strides[dim];
                if (++at[dim] < result[dim])
                {
                    break;
                }

                offset -= strides[dim] * at[dim];
                at[dim] = 0;
            }
        }

        return index;
    }

    public static Tensor MatMul(Tensor a, Tensor b)
    {
        Shape s = a.Shape, t = b.Shape;
        if (s.Rank < 2 || t.Rank < 2 || (t.Rank != 2 && t.Rank != s.Rank))
        {
            throw new ArgumentException($"MatMul of {s} and {t}: both need two dims or more, the right operand two or as many as the left.");
        }

        int m = s[-2], k = s[-1], n = t[-1];
        if (k != t[-2])
        {
            throw new ArgumentException($"MatMul of {s} and {t}: dim {s.Rank - 1} of the left is {k}, dim {t.Rank - 2} of the right is {t[-2]}; they must be equal.");
        }

        for (int dim = 0; t.Rank > 2 && dim < s.Rank - 2; dim++)
        {
            if (s[dim] != t[dim])
            {
                throw new ArgumentException($"MatMul of {s} and {t}: leading dim {dim} is {s[dim]} on the left and {t[dim]} on the right; they must be equal.");
            }
        }

        int batch = (int)(s.Count / m / k);
        float[] x = a.Data, y = b.Data, z = new float[(long)batch * m * n];
        var row = new double[n];
        for (int i = 0; i < batch * m; i++)
        {
            Array.Clear(row);
            int offset = t.Rank == 2 ? 0 : i / m * k * n;
            for (int p = 0; p < k; p++)
            {
                double v = x[i * k + p];
                for (int j = 0; j < n; j++)
                {
                    row[j] += v * y[offset + p * n + j];
                }
            }

            for (int j = 0; j < n; j++)
            {
                z[i * n + j] = (float)row[j];
            }
        }

        return new Tensor(new Shape([.. s.Dims[..^1], n]), z);
    }

    /// <summary>Applies a function to each row of the last dim.</summary>
    public static Tensor Rows(Tensor x, Action<float[], int, float[]> row)
    {
        int n = x.Shape[-1];
        float[] data = x.Data, y = new float[data.Length];
        var result = new float[n];
        for (int start = 0; start < data.Length; start += n)
        {
            row(data, start, result);
            result.CopyTo(y, start);
        }

        return new Tensor(x.Shape, y);
    }

    public static Tensor Permute(Tensor x, int[] order)
    {
        if (order.Length != x.Shape.Rank || !order.Order().SequenceEqual(Enumerable.Range(0, x.Shape.Rank)))
        {
            throw new ArgumentException($"Permute of {x.Shape} by [{string.Join(", ", order)}]: every dim from 0 to {x.Shape.Rank - 1} must occur once.");
        }

        var shape = new Shape(order.Select(d => x.Shape[d]).ToArray());
        var strides = new int[order.Length];
        for (int dim = order.Length - 1, stride = 1; dim >= 0; dim--)
        {
            strides[dim] = stride;
            stride *= x.Shape[dim];
        }

        float[] data = x.Data, y = new float[data.Length];
        for (int n = 0; n < y.Length; n++)
        {
            int rest = n, from = 0;
            for (int dim = order.Length - 1; dim >= 0; dim--)
            {
                from += rest % shape[dim] * strides[order[dim]];
                rest /= shape[dim];
            }

            y[n] = data[from];
        }

        return new Tensor(shape, y);
    }

    public static int Dim(string name, Tensor x, int dim)
    {
        int normal = dim < 0 ? dim + x.Shape.Rank : dim;
        return normal >= 0 && normal < x.Shape.Rank ? normal : throw new ArgumentException($"{name} along dim {dim} of {x.Shape}: dims are 0 to {x.Shape.Rank - 1}.");
    }

    public static Tensor Slice(Tensor x, int dim, int start, int length)
    {
        dim = Dim("Slice", x, dim);
        if (start < 0 || length < 1 || start + length > x.Shape[dim])
        {
            throw new ArgumentException($"Slice of {x.Shape}: elements {start} to {start + length - 1} of dim {dim} do not lie within it.");
        }

        int[] dims = [.. x.Shape.Dims];
        int after = dims[(dim + 1)..].Aggregate(1, (a, b) => a * b), size = dims[dim], before = (int)(x.Shape.Count / after / size);
        dims[dim] = length;
        var y = new float[before * length * after];
        for (int i = 0; i < before; i++)
        {
            Array.Copy(x.Data, (i * size + start) * after, y, i * length * after, length * after);
        }

        return new Tensor(new Shape(dims), y);
    }

    public static Tensor Concat(int dim, Tensor[] parts)
    {
        dim = Dim("Concat", parts[0], dim);
        foreach (Tensor part in parts)
        {
            if (part.Shape.Rank != parts[0].Shape.Rank || part.Shape.Dims.Where((size, d) => d != dim && size != parts[0].Shape[d]).Any())
            {
                throw new ArgumentException($"Concat of {parts[0].Shape} and {part.Shape} along dim {dim}: all other dims must be equal.");
            }
        }

        int[] dims = [.. parts[0].Shape.Dims];
        dims[dim] = parts.Sum(p => p.Shape[dim]);
        int after = dims[(dim + 1)..].Aggregate(1, (a, b) => a * b), before = dims[..dim].Aggregate(1, (a, b) => a * b);
        var y = new float[before * dims[dim] * after];
        for (int i = 0, at = 0; i < before; i++)
        {
            foreach (Tensor part in parts)
            {
                int piece = part.Shape[dim] * after;
                Array.Copy(part.Data, i * piece, y, at, piece);
                at += piece;
            }
        }

        return new Tensor(new Shape(dims), y);
    }

    public static Tensor Reduce(Tensor x, int? dim, bool keep, double start, Func<double, double, double> combine, Func<double, long, double> finish)
    {
        int d = dim is { } given ? Dim("Reduce", x, given) : 0;
        int[] dims = x.Shape.Dims;
        int count = dim is null ? (int)x.Shape.Count : dims[d];
        int after = dim is null ? 1 : dims[(d + 1)..].Aggregate(1, (a, b) => a * b), before = dim is null ? 1 : dims[..d].Aggregate(1, (a, b) => a * b);
        var y = new float[before * after];
        for (int i = 0; i < before; i++)
        {
            for (int j = 0; j < after; j++)
            {
                double sum = start;
                for (int n = 0; n < count; n++)
                {
                    sum = combine(sum, x.Data[(i * count + n) * after + j]);
                }

                y[i * after + j] = (float)finish(sum, count);
            }
        }

        int[] shape = dim is null ? (keep ? [.. dims.Select(_ => 1)] : []) : keep ? [.. dims[..d], 1, .. dims[(d + 1)..]] : [.. dims[..d], .. dims[(d + 1)..]];
        return new Tensor(new Shape(shape), y);
    }

    public static Tensor Attention(Tensor q, Tensor k, Tensor v, bool causal, double scale, TokenTensor? segments)
    {
        Shape s = q.Shape, t = k.Shape;
        if (s.Rank != 4 || t.Rank != 4 || !t.Equals(v.Shape) || s[0] != t[0] || s[3] != t[3] || s[1] % t[1] != 0)
        {
            throw new ArgumentException($"Attention of queries {s}, keys {t} and values {v.Shape}: all are [batch, heads, positions, width]; batch and width must be equal, and the key heads must divide the query heads.");
        }

        int heads = s[1], group = heads / t[1], queries = s[2], keys = t[2], width = s[3];
        float[] o = new float[s.Count];
        var scores = new double[keys];
        var sum = new double[width];
        for (int b = 0; b < s[0]; b++)
        {
            for (int h = 0; h < heads; h++)
            {
                int q0 = (b * heads + h) * queries * width, k0 = (b * t[1] + h / group) * keys * width;
                for (int i = 0; i < queries; i++)
                {
                    double max = double.NegativeInfinity;
                    for (int j = 0; j < keys; j++)
                    {
                        bool visible = (!causal || j <= i + keys - queries) && (segments is null || segments.Data[b * queries + i] == segments.Data[b * keys + j]);
                        double dot = 0;
                        for (int d = 0; d < width && visible; d++)
                        {
                            dot += (double)q.Data[q0 + i * width + d] * k.Data[k0 + j * width + d];
                        }

                        scores[j] = visible ? dot * scale : double.NegativeInfinity;
                        max = Math.Max(max, scores[j]);
                    }

                    Array.Clear(sum);
                    double total = 0;
                    for (int j = 0; j < keys; j++)
                    {
                        double p = double.IsNegativeInfinity(scores[j]) ? 0 : Math.Exp(scores[j] - max);
                        total += p;
                        for (int d = 0; d < width && p != 0; d++)
                        {
                            sum[d] += p * v.Data[k0 + j * width + d];
                        }
                    }

                    for (int d = 0; d < width; d++)
                    {
                        o[q0 + i * width + d] = total == 0 ? 0 : (float)(sum[d] / total);
                    }
                }
            }
        }

        return new Tensor(s, o);
    }
}
