namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Rotary position embedding (Su et al., arXiv 2104.09864): x [.., positions, width]; pairs (i, i + width/2) turn by position · theta^(−2i/width). Positions are global.</summary>
/// <param name="Theta">Base of the angles.</param>
/// <param name="Inverse">Turns back: the gradient.</param>
public sealed record RopeOp(float Theta, bool Inverse) : Op
{
    /// <inheritdoc/>
    public override string Name => "Rope";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType x = inputs[0];
        if (x.Rank < 2 || x.Dims[x.Rank - 1] % 2 != 0)
        {
            throw new ShapeException($"Rope of {x.ShapeText}: it takes [.., positions, width] with an even width");
        }

        return ImmutableArray.Create(x);
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] x = RowRule.Dims(rule, types.Inputs[0]);
        return rule.Input(x).Output(x).LinearIn(0).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy)
        {
            context.Add(0, context.Graph.Add(this with { Inverse = !Inverse }, dy));
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 3 * types.Outputs[0].Count;
}

/// <summary>0, 1, 2, … Count − 1 as int [count]; a rank that holds a slice starts at its offset.</summary>
public sealed record RangeOp(long Count) : Op
{
    /// <inheritdoc/>
    public override string Name => "Range";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs) =>
        Count < 1 ? throw new ShapeException($"Range of {Count}: the count must be 1 or more") : ImmutableArray.Create(TensorType.Int(Count));

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        return rule.Output(rule.Factor("n", Count)).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 0;
}

/// <summary>A tensor of one number.</summary>
public sealed record FillOp(EquatableArray<long> Dims, double Value) : Op
{
    /// <summary>Whether the number is multiplied by the scale of the loss, which is known at run time.</summary>
    public bool TimesLossScale { get; init; }

    /// <inheritdoc/>
    public override string Name => "Fill";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs) =>
        Dims.Any(size => size < 1) ? throw new ShapeException($"Fill of {Dims}: sizes must be 1 or more") : ImmutableArray.Create(new TensorType(DType.Float32, Dims));

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        return rule.Output(Dims.Select((size, dim) => rule.Factor("d" + dim, size)).ToArray()).Build();
    }

    /// <summary>Zeros are zeros in any placement, also as terms of a sum.</summary>
    public override IEnumerable<Signature> ExtraSignatures(OperandTypes types, OperandTypes local, int parts)
    {
        if (Value == 0)
        {
            yield return new Signature(EquatableArray<Placement>.Empty, EquatableArray.Of(Placement.Partial));
        }
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 0;
}
