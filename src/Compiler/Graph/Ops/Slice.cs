namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Elements Start … Start + Length − 1 of one dim. The sliced dim is never split.</summary>
public sealed record SliceOp(int Dim, long Start, long Length) : Op
{
    /// <inheritdoc/>
    public override string Name => "Slice";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType x = inputs[0];
        if (Dim < 0 || Dim >= x.Rank || Start < 0 || Length < 1 || Start + Length > x.Dims[Dim])
        {
            throw new ShapeException($"Slice of {x.ShapeText}: elements {Start} to {Start + Length - 1} of dim {Dim} do not lie within it");
        }

        return ImmutableArray.Create(x.With(x.Dims.Select((size, dim) => dim == Dim ? Length : size)));
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types) => CutRule.Of(types, Dim);

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy)
        {
            context.Add(0, context.Graph.Add(new PadOp(Dim, Start, context.Input(0).Type.Dims[Dim] - Start - Length), dy));
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 0;
}

/// <summary>Adds zeros before and after one dim: the gradient of a slice.</summary>
public sealed record PadOp(int Dim, long Before, long After) : Op
{
    /// <inheritdoc/>
    public override string Name => "Pad";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType x = inputs[0];
        if (Dim < 0 || Dim >= x.Rank || Before < 0 || After < 0)
        {
            throw new ShapeException($"Pad of {x.ShapeText} on dim {Dim} by {Before} and {After}: the dim must exist and the counts must not be negative");
        }

        return ImmutableArray.Create(x.With(x.Dims.Select((size, dim) => dim == Dim ? Before + size + After : size)));
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types) => CutRule.Of(types, Dim);

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy)
        {
            context.Add(0, context.Graph.Add(new SliceOp(Dim, Before, context.Input(0).Type.Dims[Dim]), dy));
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 0;
}

/// <summary>Joins tensors along one dim, which is never split.</summary>
public sealed record ConcatOp(int Dim) : Op
{
    /// <inheritdoc/>
    public override string Name => "Concat";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType first = inputs[0];
        foreach (TensorType x in inputs)
        {
            if (x.Element != first.Element)
            {
                throw new ShapeException($"Concat of {first} and {x}: all parts need one element type; use Cast first");
            }

            if (Dim < 0 || Dim >= first.Rank || x.Rank != first.Rank || x.Dims.Where((size, dim) => dim != Dim && size != first.Dims[dim]).Any())
            {
                throw new ShapeException($"Concat of {string.Join(" and ", inputs.Select(i => i.ShapeText))} along dim {Dim}: all other dims must be equal");
            }
        }

        return ImmutableArray.Create(first.With(first.Dims.Select((size, dim) => dim == Dim ? inputs.Sum(i => i.Dims[dim]) : size)));
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types) => CutRule.Of(types, Dim);

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is not { } dy)
        {
            return;
        }

        long start = 0;
        for (int i = 0; i < context.Node.Inputs.Length; i++)
        {
            long length = context.Input(i).Type.Dims[Dim];
            if (context.Needs(i))
            {
                context.Add(i, context.Graph.Add(new SliceOp(Dim, start, length), dy));
            }

            start += length;
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 0;
}

/// <summary>Factors of the ops that cut or join along one dim: all other dims pass; linear in all inputs together.</summary>
internal static class CutRule
{
    public static FactorRule Of(OperandTypes types, int dim)
    {
        var rule = new FactorRuleBuilder();
        int[] factors = types.Outputs[0].Dims.Select((size, d) => d == dim ? -1 : rule.Factor("d" + d, size)).ToArray();
        foreach (TensorType _ in types.Inputs)
        {
            rule.Input(factors);
        }

        return rule.Output(factors).LinearIn(Enumerable.Range(0, types.Inputs.Count).ToArray()).Build();
    }
}
