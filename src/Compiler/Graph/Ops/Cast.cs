namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Changes the element type.</summary>
public sealed record CastOp(DType Element) : Op
{
    /// <inheritdoc/>
    public override string Name => "Cast";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs) => ImmutableArray.Create(inputs[0] with { Element = Element });

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        TensorType x = types.Inputs[0];
        int[] factors = x.Dims.Select((size, dim) => rule.Factor("d" + dim, size)).ToArray();
        rule.Input(factors).Output(factors);

        // A sum of terms survives only a cast that loses no bits before the reduction.
        bool keeps = x.IsFloat && types.Outputs[0].IsFloat && types.Outputs[0].ElementBytes >= x.ElementBytes && (x.Element == Element || types.Outputs[0].ElementBytes > x.ElementBytes);
        return (keeps ? rule.LinearIn(0) : rule).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy && context.Input(0).Type.IsFloat)
        {
            context.Add(0, context.Graph.Add(new CastOp(context.Input(0).Type.Element), dy));
        }
    }
}
