namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Layer normalisation of the last dim (Ba et al., arXiv 1607.06450): x, scale, shift → y, mean [lead], reciprocal deviation [lead].</summary>
public sealed record LayerNormOp(float Epsilon) : Op
{
    /// <inheritdoc/>
    public override string Name => "LayerNorm";

    /// <inheritdoc/>
    public override ImmutableArray<string> OutputNames => ImmutableArray.Create("", "Mean", "ReciprocalDeviation");

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        RowRule.CheckVector(Name, "scale", inputs[0], inputs[1]);
        RowRule.CheckVector(Name, "shift", inputs[0], inputs[2]);
        TensorType rows = inputs[0].With(inputs[0].Dims.Take(inputs[0].Rank - 1));
        return ImmutableArray.Create(inputs[0], rows, rows);
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] x = RowRule.Dims(rule, types.Inputs[0]), lead = RowRule.Lead(x);
        return rule.Input(x).Input(x[x.Length - 1]).Input(x[x.Length - 1]).Output(x).Output(lead).Output(lead).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy)
        {
            Node gradient = context.Graph.AddNode(new LayerNormGradientOp(), context.Input(0), context.Input(1), context.Output(1), context.Output(2), dy);
            context.Add(0, gradient.Outputs[0]);
            context.Add(1, gradient.Outputs[1]);
            context.Add(2, gradient.Outputs[2]);
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 8 * types.Inputs[0].Count;
}

/// <summary>Gradient of layer normalisation: x, scale, mean, reciprocal deviation, dy → dx, dScale, dShift.</summary>
public sealed record LayerNormGradientOp : Op
{
    /// <inheritdoc/>
    public override string Name => "LayerNormGradient";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs) => ImmutableArray.Create(inputs[0], inputs[1], inputs[1]);

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] x = RowRule.Dims(rule, types.Inputs[0]), lead = RowRule.Lead(x);
        int c = x[x.Length - 1];
        return rule.Input(x).Input(c).Input(lead).Input(lead).Input(x).Output(x).Output(c).Output(c).LinearIn(4).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context) => throw new InvalidOperationException("a gradient is not differentiated again");

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 12 * types.Inputs[0].Count;
}

/// <summary>Root-mean-square normalisation of the last dim (Zhang and Sennrich, arXiv 1910.07467): x, scale → y, reciprocal [lead].</summary>
public sealed record RmsNormOp(float Epsilon) : Op
{
    /// <inheritdoc/>
    public override string Name => "RmsNorm";

    /// <inheritdoc/>
    public override ImmutableArray<string> OutputNames => ImmutableArray.Create("", "Reciprocal");

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        RowRule.CheckVector(Name, "scale", inputs[0], inputs[1]);
        return ImmutableArray.Create(inputs[0], inputs[0].With(inputs[0].Dims.Take(inputs[0].Rank - 1)));
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] x = RowRule.Dims(rule, types.Inputs[0]);
        return rule.Input(x).Input(x[x.Length - 1]).Output(x).Output(RowRule.Lead(x)).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy)
        {
            Node gradient = context.Graph.AddNode(new RmsNormGradientOp(), context.Input(0), context.Input(1), context.Output(1), dy);
            context.Add(0, gradient.Outputs[0]);
            context.Add(1, gradient.Outputs[1]);
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 5 * types.Inputs[0].Count;
}

/// <summary>Gradient of root-mean-square normalisation: x, scale, reciprocal, dy → dx, dScale.</summary>
public sealed record RmsNormGradientOp : Op
{
    /// <inheritdoc/>
    public override string Name => "RmsNormGradient";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs) => ImmutableArray.Create(inputs[0], inputs[1]);

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] x = RowRule.Dims(rule, types.Inputs[0]);
        int c = x[x.Length - 1];
        return rule.Input(x).Input(c).Input(RowRule.Lead(x)).Input(x).Output(x).Output(c).LinearIn(3).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context) => throw new InvalidOperationException("a gradient is not differentiated again");

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 9 * types.Inputs[0].Count;
}
