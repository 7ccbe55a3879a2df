namespace Shardwright;

/// <summary>Forms of Gelu.</summary>
public enum GeluForm
{
    /// <summary>0.5x(1 + tanh(√(2/π)(x + 0.044715x³))).</summary>
    Tanh,

    /// <summary>0.5x(1 + erf(x/√2)).</summary>
    Erf,
}

/// <summary>The ops that Forward may use; import them with <c>using static Shardwright.Ops;</c>. Here they run eagerly; the compiler turns the calls into kernels.</summary>
public static class Ops
{
    /// <summary>A parameter of one dim, filled on first read.</summary>
    public static Tensor Parameter(int size, Init? init = null) => Parameter([size], init);

    /// <summary>A parameter of two dims, filled on first read.</summary>
    public static Tensor Parameter(int rows, int columns, Init? init = null) => Parameter([rows, columns], init);

    /// <summary>A parameter of three dims, filled on first read.</summary>
    public static Tensor Parameter(int first, int second, int third, Init? init = null) => Parameter([first, second, third], init);

    /// <summary>A parameter of any shape, filled on first read; <see cref="Init.Normal"/>(0.02) by default.</summary>
    public static Tensor Parameter(int[] shape, Init? init = null) => new(new Shape(shape), init ?? Init.Normal(0.02f));

    /// <summary>Matrix product over the last two dims: a [.., m, k] · b [k, n], or b [.., k, n] with equal leading dims.</summary>
    /// <exception cref="ArgumentException">Shapes do not match; both are named.</exception>
    public static Tensor MatMul(Tensor a, Tensor b) => EagerMath.MatMul(a, b);

    /// <summary>x [.., in] · weight [in, out] + bias [out].</summary>
    public static Tensor Linear(Tensor x, Tensor weight, Tensor? bias = null) => bias is null ? MatMul(x, weight) : MatMul(x, weight) + bias;

    /// <summary>Gaussian error linear unit (Hendrycks and Gimpel, arXiv 1606.08415).</summary>
    public static Tensor Gelu(Tensor x, GeluForm form = GeluForm.Tanh) => form == GeluForm.Tanh
        ? EagerMath.Unary(x, v => (float)(0.5 * v * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (v + 0.044715 * v * v * v)))))
        : EagerMath.Unary(x, v => (float)(0.5 * v * (1 + ErrorFunction(v / Math.Sqrt(2)))));

    /// <summary>max(x, 0).</summary>
    public static Tensor Relu(Tensor x) => EagerMath.Unary(x, v => v > 0 ? v : 0);

    /// <summary>x · sigmoid(x).</summary>
    public static Tensor Silu(Tensor x) => EagerMath.Unary(x, v => (float)(v / (1 + Math.Exp(-v))));

    /// <summary>1 / (1 + e⁻ˣ).</summary>
    public static Tensor Sigmoid(Tensor x) => EagerMath.Unary(x, v => (float)(1 / (1 + Math.Exp(-v))));

    /// <summary>Hyperbolic tangent.</summary>
    public static Tensor Tanh(Tensor x) => EagerMath.Unary(x, v => (float)Math.Tanh(v));

    /// <summary>eˣ.</summary>
    public static Tensor Exp(Tensor x) => EagerMath.Unary(x, v => (float)Math.Exp(v));

    /// <summary>Natural logarithm.</summary>
    public static Tensor Log(Tensor x) => EagerMath.Unary(x, v => (float)Math.Log(v));

    /// <summary>Square root.</summary>
    public static Tensor Sqrt(Tensor x) => EagerMath.Unary(x, MathF.Sqrt);

    /// <summary>x².</summary>
    public static Tensor Square(Tensor x) => EagerMath.Unary(x, v => v * v);

    /// <summary>Softmax over the last dim.</summary>
    public static Tensor Softmax(Tensor x) => EagerMath.Rows(x, (data, start, y) =>
    {
        double lse = LogSumExp(data, start, y.Length);
        for (int i = 0; i < y.Length; i++)
        {
            y[i] = (float)Math.Exp(data[start + i] - lse);
        }
    });

    /// <summary>Logarithm of softmax over the last dim.</summary>
    public static Tensor LogSoftmax(Tensor x) => EagerMath.Rows(x, (data, start, y) =>
    {
        double lse = LogSumExp(data, start, y.Length);
        for (int i = 0; i < y.Length; i++)
        {
            y[i] = (float)(data[start + i] - lse);
        }
    });

    /// <summary>Layer normalisation of the last dim; scale and shift [n].</summary>
    public static Tensor LayerNorm(Tensor x, Tensor scale, Tensor shift, float epsilon = 1e-5f)
    {
        CheckVector("LayerNorm", "scale", x, scale);
        CheckVector("LayerNorm", "shift", x, shift);
        return EagerMath.Rows(x, (data, start, y) =>
        {
            int n = y.Length;
            double mean = 0, variance = 0;
            for (int i = 0; i < n; i++)
            {
                mean += data[start + i];
            }

            mean /= n;
            for (int i = 0; i < n; i++)
            {
                variance += (data[start + i] - mean) * (data[start + i] - mean);
            }

            double reciprocal = 1 / Math.Sqrt(variance / n + epsilon);
            for (int i = 0; i < n; i++)
            {
                y[i] = (float)((data[start + i] - mean) * reciprocal * scale.Data[i] + shift.Data[i]);
            }
        });
    }

    /// <summary>Root-mean-square normalisation of the last dim; scale [n].</summary>
    public static Tensor RmsNorm(Tensor x, Tensor scale, float epsilon = 1e-6f)
    {
        CheckVector("RmsNorm", "scale", x, scale);
        return EagerMath.Rows(x, (data, start, y) =>
        {
            double square = 0;
            for (int i = 0; i < y.Length; i++)
            {
                square += (double)data[start + i] * data[start + i];
            }

            double reciprocal = 1 / Math.Sqrt(square / y.Length + epsilon);
            for (int i = 0; i < y.Length; i++)
            {
                y[i] = (float)(data[start + i] * reciprocal * scale.Data[i]);
            }
        });
    }

    /// <summary>Rows of table [v, n] by ids [..] → [.., n].</summary>
    public static Tensor Embedding(TokenTensor ids, Tensor table)
    {
        if (table.Shape.Rank != 2)
        {
            throw new ArgumentException($"Embedding of {ids.Shape} in {table.Shape}: the table has two dims.");
        }

        int n = table.Shape[1];
        var y = new float[ids.Shape.Count * n];
        for (int i = 0; i < ids.Data.Length; i++)
        {
            int id = ids.Data[i];
            if ((uint)id >= (uint)table.Shape[0])
            {
                throw new ArgumentOutOfRangeException(nameof(ids), $"id {id} at position {i} lies outside of the table's {table.Shape[0]} rows.");
            }

            Array.Copy(table.Data, id * n, y, i * n, n);
        }

        return new Tensor(new Shape([.. ids.Shape.Dims, n]), y);
    }

    /// <summary>Cross-entropy over the last dim, a scalar: Σ w·(logΣexp − logit of the target) / Σ w over the rows whose target is not ignored.
    /// In a training step sum and weight are kept apart until the end, so that uneven counts on ranks and micro-batches weigh as they should.</summary>
    /// <param name="logits">[.., classes].</param>
    /// <param name="targets">[..].</param>
    /// <param name="ignoreIndex">Targets with this number count nothing.</param>
    /// <param name="weights">Weight of each row [..]; 1 where absent.</param>
    public static Tensor CrossEntropy(Tensor logits, TokenTensor targets, int ignoreIndex = -100, Tensor? weights = null)
    {
        int classes = logits.Shape[-1];
        if (!targets.Shape.Dims.AsSpan().SequenceEqual(logits.Shape.Dims.AsSpan(..^1)))
        {
            throw new ArgumentException($"CrossEntropy of logits {logits.Shape} and targets {targets.Shape}: targets have the shape of the logits without the last dim.");
        }

        double sum = 0, weight = 0;
        for (int row = 0; row < targets.Data.Length; row++)
        {
            int target = targets.Data[row];
            if (target == ignoreIndex)
            {
                continue;
            }

            if ((uint)target >= (uint)classes)
            {
                throw new ArgumentOutOfRangeException(nameof(targets), $"target {target} of row {row} lies outside of the {classes} classes, and is not the ignored {ignoreIndex}.");
            }

            double w = weights?.Data[row] ?? 1;
            sum += w * (LogSumExp(logits.Data, row * classes, classes) - logits.Data[row * classes + target]);
            weight += w;
        }

        return new Tensor(new Shape(), [(float)(sum / weight)]) { Pair = (sum, weight) };
    }

    /// <summary>Scaled dot-product attention (Vaswani et al., arXiv 1706.03762): q [batch, heads, s, width], k and v [batch, keyHeads, t, width].</summary>
    /// <param name="q">Queries.</param>
    /// <param name="k">Keys; their heads divide those of the queries (grouped heads).</param>
    /// <param name="v">Values.</param>
    /// <param name="causal">A query sees keys up to its own position.</param>
    /// <param name="scale">Factor on the scores; 0 stands for 1/√width.</param>
    /// <param name="segments">[batch, s]: a query sees keys of its own segment only.</param>
    public static Tensor Attention(Tensor q, Tensor k, Tensor v, bool causal = false, float scale = 0f, TokenTensor? segments = null) =>
        EagerMath.Attention(q, k, v, causal, scale == 0 ? (float)(1 / Math.Sqrt(q.Shape[-1])) : scale, segments);

    /// <summary>Zeroes elements with a probability and scales the rest by 1/(1 − p); off outside of training.</summary>
    public static Tensor Dropout(Tensor x, float probability) => Eager.Current?.Dropout(x, probability) ?? x;

    /// <summary>The same elements under another shape; one −1 is filled in.</summary>
    public static Tensor Reshape(Tensor x, params int[] shape)
    {
        int[] dims = [.. shape];
        int open = Array.IndexOf(dims, -1);
        if (open >= 0)
        {
            long known = dims.Where((_, i) => i != open).Aggregate(1L, (a, b) => a * b);
            dims[open] = known > 0 && x.Shape.Count % known == 0 ? (int)(x.Shape.Count / known) : throw new ArgumentException($"Reshape of {x.Shape} to [{string.Join(", ", shape)}]: {x.Shape.Count} elements are not a multiple of {known}.");
        }

        var to = new Shape(dims);
        return to.Count == x.Shape.Count ? new Tensor(to, x.Data) : throw new ArgumentException($"Reshape of {x.Shape} to {to}: {x.Shape.Count} elements do not make {to.Count}.");
    }

    /// <summary>Swaps the last two dims.</summary>
    public static Tensor Transpose(Tensor x) => Transpose(x, x.Shape.Rank - 2, x.Shape.Rank - 1);

    /// <summary>Swaps two dims.</summary>
    public static Tensor Transpose(Tensor x, int first, int second)
    {
        int a = EagerMath.Dim("Transpose", x, first), b = EagerMath.Dim("Transpose", x, second);
        return EagerMath.Permute(x, Enumerable.Range(0, x.Shape.Rank).Select(d => d == a ? b : d == b ? a : d).ToArray());
    }

    /// <summary>Reorders dims: dim i of the result is dim dims[i] of x.</summary>
    public static Tensor Permute(Tensor x, params int[] dims) => EagerMath.Permute(x, [.. dims.Select(d => EagerMath.Dim("Permute", x, d))]);

    /// <summary>Cuts a dim into equal parts.</summary>
    public static TensorList Split(Tensor x, int parts, int dim)
    {
        int d = EagerMath.Dim("Split", x, dim);
        int size = parts > 0 && x.Shape[d] % parts == 0 ? x.Shape[d] / parts : throw new ArgumentException($"Split of {x.Shape} into {parts} along dim {dim}: {x.Shape[d]} is not a multiple of {parts}.");
        return new TensorList([.. Enumerable.Range(0, parts).Select(i => EagerMath.Slice(x, d, i * size, size))]);
    }

    /// <summary>Joins tensors along a dim.</summary>
    public static Tensor Concat(int dim, params Tensor[] parts) => EagerMath.Concat(dim, parts);

    /// <summary>Joins tensors along a new dim.</summary>
    public static Tensor Stack(int dim, params Tensor[] parts)
    {
        int at = dim < 0 ? dim + parts[0].Shape.Rank + 1 : dim;
        return EagerMath.Concat(at, [.. parts.Select(p => Reshape(p, [.. p.Shape.Dims[..at], 1, .. p.Shape.Dims[at..]]))]);
    }

    /// <summary>Elements start … start + length − 1 of a dim.</summary>
    public static Tensor Slice(Tensor x, int dim, int start, int length) => EagerMath.Slice(x, dim, start, length);

    /// <summary>Sum of all elements.</summary>
    public static Tensor Sum(Tensor x) => EagerMath.Reduce(x, null, false, 0, (a, b) => a + b, (s, _) => s);

    /// <summary>Sum over a dim.</summary>
    public static Tensor Sum(Tensor x, int dim, bool keepDim = false) => EagerMath.Reduce(x, dim, keepDim, 0, (a, b) => a + b, (s, _) => s);

    /// <summary>Mean of all elements.</summary>
    public static Tensor Mean(Tensor x) => EagerMath.Reduce(x, null, false, 0, (a, b) => a + b, (s, n) => s / n);

    /// <summary>Mean over a dim.</summary>
    public static Tensor Mean(Tensor x, int dim, bool keepDim = false) => EagerMath.Reduce(x, dim, keepDim, 0, (a, b) => a + b, (s, n) => s / n);

    /// <summary>Largest of all elements.</summary>
    public static Tensor Max(Tensor x) => EagerMath.Reduce(x, null, false, double.NegativeInfinity, Math.Max, (s, _) => s);

    /// <summary>Largest over a dim; elements that tie share the gradient.</summary>
    public static Tensor Max(Tensor x, int dim, bool keepDim = false) => EagerMath.Reduce(x, dim, keepDim, double.NegativeInfinity, Math.Max, (s, _) => s);

    /// <summary>Smallest of all elements.</summary>
    public static Tensor Min(Tensor x) => EagerMath.Reduce(x, null, false, double.PositiveInfinity, Math.Min, (s, _) => s);

    /// <summary>Smallest over a dim; elements that tie share the gradient.</summary>
    public static Tensor Min(Tensor x, int dim, bool keepDim = false) => EagerMath.Reduce(x, dim, keepDim, double.PositiveInfinity, Math.Min, (s, _) => s);

    /// <summary>The larger of two, element by element.</summary>
    public static Tensor Maximum(Tensor a, Tensor b) => EagerMath.Binary("Maximum", a, b, MathF.Max);

    /// <summary>The smaller of two, element by element.</summary>
    public static Tensor Minimum(Tensor a, Tensor b) => EagerMath.Binary("Minimum", a, b, MathF.Min);

    /// <summary>1 where a &gt; b, else 0.</summary>
    public static Tensor Greater(Tensor a, Tensor b) => EagerMath.Binary("Greater", a, b, (x, y) => x > y ? 1 : 0);

    /// <summary>1 where a &lt; b, else 0.</summary>
    public static Tensor Less(Tensor a, Tensor b) => EagerMath.Binary("Less", a, b, (x, y) => x < y ? 1 : 0);

    /// <summary>1 where a = b, else 0.</summary>
    public static Tensor Equal(Tensor a, Tensor b) => EagerMath.Binary("Equal", a, b, (x, y) => x == y ? 1 : 0);

    /// <summary>a where the condition is not 0, else b.</summary>
    public static Tensor Where(Tensor condition, Tensor a, Tensor b) => EagerMath.Ternary("Where", condition, a, b, (c, x, y) => c != 0 ? x : y);

    /// <summary>0, 1, … count − 1.</summary>
    public static TokenTensor Range(int count) => TokenTensor.Of([.. Enumerable.Range(0, count)], count);

    /// <summary>Rotary position embedding (Su et al., arXiv 2104.09864) of x [.., positions, width]: pairs (i, i + width/2) turn by position · theta^(−2i/width).</summary>
    public static Tensor Rope(Tensor x, float theta = 10000f)
    {
        int positions = x.Shape[-2], width = x.Shape[-1], half = width / 2;
        float[] y = [.. x.Data];
        for (int row = 0; row < y.Length / width; row++)
        {
            for (int i = 0; i < half; i++)
            {
                double angle = row % positions * Math.Pow(theta, -2.0 * i / width), a = x.Data[row * width + i], b = x.Data[row * width + i + half];
                y[row * width + i] = (float)(a * Math.Cos(angle) - b * Math.Sin(angle));
                y[row * width + i + half] = (float)(b * Math.Cos(angle) + a * Math.Sin(angle));
            }
        }

        return new Tensor(x.Shape, y);
    }

    /// <summary>Integers as floats.</summary>
    public static Tensor Cast(TokenTensor tokens) => new(tokens.Shape, [.. tokens.Data.Select(t => (float)t)]);

    /// <summary>A user's own scalar function, element by element; marked [Elementwise] it is compiled, differentiated and fused.</summary>
    public static Tensor Map(Tensor x, Func<float, float> function) => EagerMath.Unary(x, function);

    /// <summary>A user's own scalar function of two tensors.</summary>
    public static Tensor Map(Tensor a, Tensor b, Func<float, float, float> function) => EagerMath.Binary(function.Method.Name, a, b, function);

    /// <summary>A user's own scalar function of three tensors.</summary>
    public static Tensor Map(Tensor a, Tensor b, Tensor c, Func<float, float, float, float> function) => EagerMath.Ternary(function.Method.Name, a, b, c, function);

    /// <summary>Adds weight × the sum of the elements of a value to the sum of the loss. The whole is divided by the loss's own weight (its number of tokens), once:
    /// loss = (Σ cross-entropy + Σ weight · value) / tokens. A value per token keeps its meaning whatever the batch is.</summary>
    public static void AddLoss(Tensor value, float weight = 1f)
    {
        if (Eager.Current is null)
        {
            throw new InvalidOperationException("AddLoss needs an open session to add to: write 'using var session = Eager.Session(model, seed: 42);' around the call, and read session.Objective(loss).");
        }

        Eager.Current.AddLoss(value, weight);
    }

    /// <summary>Places a value in the middle of a method; the value itself does not change.</summary>
    public static Tensor Reshard(Tensor x, params Placement[] placements) => x;

    private static double LogSumExp(float[] x, int start, int count)
    {
        double max = double.NegativeInfinity, sum = 0;
        for (int i = 0; i < count; i++)
        {
            max = Math.Max(max, x[start + i]);
        }

        for (int i = 0; i < count; i++)
        {
            sum += Math.Exp(x[start + i] - max);
        }

        return max + Math.Log(sum);
    }

    private static void CheckVector(string op, string name, Tensor x, Tensor vector)
    {
        if (vector.Shape.Rank != 1 || vector.Shape[0] != x.Shape[-1])
        {
            throw new ArgumentException($"{op} of {x.Shape} with {name} {vector.Shape}: {name} has one dim, as large as the last of the input.");
        }
    }

    /// <summary>erf by its series and continued fraction (Abramowitz and Stegun 7.1.5, 7.1.14).</summary>
    private static double ErrorFunction(double x)
    {
        double a = Math.Abs(x);
        if (a > 6)
        {
            return Math.Sign(x);
        }

        if (a < 2.5)
        {
            double term = x, sum = x;
            for (int n = 1; n < 100; n++)
            {
                term *= -x * x / n;
                sum += term / (2 * n + 1);
            }

            return 2 / Math.Sqrt(Math.PI) * sum;
        }

        double fraction = a;
        for (int k = 80; k >= 1; k--)
        {
            fraction = a + k / 2.0 / fraction;
        }

        return Math.Sign(x) * (1 - Math.Exp(-a * a) / (Math.Sqrt(Math.PI) * fraction));
    }
}
