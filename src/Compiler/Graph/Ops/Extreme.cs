namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Largest (or smallest) element over dims, which are never split.</summary>
public sealed record ExtremeOp(EquatableArray<int> Dims, bool KeepDims, bool IsMax) : Op
{
    /// <inheritdoc/>
    public override string Name => IsMax ? "Max" : "Min";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType x = inputs[0];
        if (Dims.Any(d => d < 0 || d >= x.Rank))
        {
            throw new ShapeException($"{Name} over dims {Dims} of {x.ShapeText}: dims are 0 to {x.Rank - 1}");
        }

        return new SumOp(Dims, KeepDims).Infer(inputs);
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] factors = types.Inputs[0].Dims.Select((size, dim) => rule.Factor("d" + dim, size, Dims.Contains(dim))).ToArray();
        return rule.Input(factors).Output(Kept(factors, Dims, KeepDims)).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy)
        {
            context.Add(0, context.Graph.Add(new ExtremeGradientOp(Dims, KeepDims), context.Input(0), context.Output(), dy));
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => types.Inputs[0].Count;

    internal static int[] Kept(int[] factors, EquatableArray<int> dims, bool keep) =>
        factors.Where((_, dim) => keep || !dims.Contains(dim)).Select(f => keep && dims.Contains(f) ? -1 : f).ToArray();
}

/// <summary>Gradient of Max and Min: x, y, dy → dx; elements that tie share it equally (as torch.amax).</summary>
public sealed record ExtremeGradientOp(EquatableArray<int> Dims, bool KeepDims) : Op
{
    /// <inheritdoc/>
    public override string Name => "ExtremeGradient";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs) => ImmutableArray.Create(inputs[0]);

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] factors = types.Inputs[0].Dims.Select((size, dim) => rule.Factor("d" + dim, size, Dims.Contains(dim))).ToArray();
        int[] kept = ExtremeOp.Kept(factors, Dims, KeepDims);
        return rule.Input(factors).Input(kept).Input(kept).Output(factors).LinearIn(2).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context) => throw new InvalidOperationException("a gradient is not differentiated again");
}
