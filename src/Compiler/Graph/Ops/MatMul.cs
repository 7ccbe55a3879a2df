namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Matrix product over the last two dims: A [.., m, k] · B [k, n] shared by all leading dims of A, or B [.., k, n] with equal leading dims.
/// A transposed operand is stored with its last two dims swapped.</summary>
/// <param name="TransposeA">A is stored [.., k, m]; only with batched B or a two-dim A.</param>
/// <param name="TransposeB">B is stored [.., n, k].</param>
public sealed record MatMulOp(bool TransposeA = false, bool TransposeB = false) : Op
{
    /// <inheritdoc/>
    public override string Name => "MatMul";

    /// <inheritdoc/>
    public override bool IsHeavy => true;

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType a = inputs[0], b = inputs[1];
        if (a.Rank < 2 || b.Rank < 2)
        {
            throw new ShapeException($"MatMul of {a.ShapeText} and {b.ShapeText}: both need two dims or more");
        }

        if (b.Rank != 2 && b.Rank != a.Rank)
        {
            throw new ShapeException($"MatMul of {a.ShapeText} and {b.ShapeText}: the right operand must have 2 dims, or as many as the left ({a.Rank})");
        }

        if (TransposeA && b.Rank == 2 && a.Rank > 2)
        {
            throw new ShapeException($"MatMul of transposed {a.ShapeText} and {b.ShapeText}: where all leading dims share the right operand, the left cannot be stored transposed; permute it first");
        }

        long k = a.Dims[TransposeA ? a.Rank - 2 : a.Rank - 1];
        long kB = b.Dims[TransposeB ? b.Rank - 1 : b.Rank - 2];
        if (k != kB)
        {
            throw new ShapeException($"MatMul of {a.ShapeText} and {b.ShapeText}: dim {(TransposeA ? a.Rank - 2 : a.Rank - 1)} of the left is {k}, dim {(TransposeB ? b.Rank - 1 : b.Rank - 2)} of the right is {kB}; they must be equal");
        }

        for (int dim = 0; b.Rank > 2 && dim < a.Rank - 2; dim++)
        {
            if (a.Dims[dim] != b.Dims[dim])
            {
                throw new ShapeException($"MatMul of {a.ShapeText} and {b.ShapeText}: leading dim {dim} is {a.Dims[dim]} on the left and {b.Dims[dim]} on the right; they must be equal");
            }
        }

        long m = a.Dims[TransposeA ? a.Rank - 1 : a.Rank - 2];
        long n = b.Dims[TransposeB ? b.Rank - 2 : b.Rank - 1];
        return ImmutableArray.Create(a.With(a.Dims.Take(a.Rank - 2).Append(m).Append(n)));
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        TensorType a = types.Inputs[0], b = types.Inputs[1], c = types.Outputs[0];
        var rule = new FactorRuleBuilder();
        int[] lead = a.Dims.Take(a.Rank - 2).Select((size, dim) => rule.Factor("b" + dim, size)).ToArray();
        int m = rule.Factor("m", c.Dims[c.Rank - 2]);
        int n = rule.Factor("n", c.Dims[c.Rank - 1]);
        int k = rule.Factor("k", a.Dims[TransposeA ? a.Rank - 2 : a.Rank - 1]);
        rule.Input(lead.Concat(TransposeA ? new[] { k, m } : new[] { m, k }).ToArray());
        rule.Input((b.Rank == 2 ? Array.Empty<int>() : lead).Concat(TransposeB ? new[] { n, k } : new[] { k, n }).ToArray());
        rule.Output(lead.Append(m).Append(n).ToArray());
        return rule.LinearIn(0).LinearIn(1).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is not { } dy)
        {
            return;
        }

        Value a = context.Input(0), b = context.Input(1);
        bool shared = b.Type.Rank == 2 && a.Type.Rank > 2;
        if (context.Needs(0))
        {
            context.Add(0, TransposeA
                ? context.Graph.Add(new MatMulOp(TransposeB, true), b, dy)
                : context.Graph.Add(new MatMulOp(false, !TransposeB), dy, b));
        }

        if (context.Needs(1))
        {
            Value gradient = shared
                ? TransposeB ? context.Graph.Add(new WeightGradientOp(), dy, a) : context.Graph.Add(new WeightGradientOp(), a, dy)
                : TransposeB ? context.Graph.Add(new MatMulOp(true, TransposeA), dy, a) : context.Graph.Add(new MatMulOp(!TransposeA, false), a, dy);
            context.Add(1, gradient);
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) =>
        2 * types.Outputs[0].Count * types.Inputs[0].Dims[TransposeA ? types.Inputs[0].Rank - 2 : types.Inputs[0].Rank - 1];
}

/// <summary>Gradient of a matrix that all leading dims shared: x [.., m], dy [.., n] → Σ over the leading dims of xᵀ·dy [m, n].</summary>
public sealed record WeightGradientOp : Op
{
    /// <inheritdoc/>
    public override string Name => "WeightGradient";

    /// <inheritdoc/>
    public override bool IsHeavy => true;

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType x = inputs[0], dy = inputs[1];
        if (x.Rank != dy.Rank || !x.Dims.Take(x.Rank - 1).SequenceEqual(dy.Dims.Take(x.Rank - 1)))
        {
            throw new ShapeException($"WeightGradient of {x.ShapeText} and {dy.ShapeText}: leading dims must be equal");
        }

        return ImmutableArray.Create(x.With(new[] { x.Dims[x.Rank - 1], dy.Dims[dy.Rank - 1] }));
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        TensorType x = types.Inputs[0];
        var rule = new FactorRuleBuilder();
        int[] lead = x.Dims.Take(x.Rank - 1).Select((size, dim) => rule.Factor("b" + dim, size)).ToArray();
        int m = rule.Factor("m", types.Outputs[0].Dims[0]);
        int n = rule.Factor("n", types.Outputs[0].Dims[1]);
        return rule.Input(lead.Append(m).ToArray()).Input(lead.Append(n).ToArray()).Output(m, n).LinearIn(0).LinearIn(1).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context) => throw new InvalidOperationException("a gradient is not differentiated again");

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 2 * types.Inputs[0].Count * types.Outputs[0].Dims[1];
}
