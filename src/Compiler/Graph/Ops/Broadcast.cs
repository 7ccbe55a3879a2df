namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Repeats dims of size 1 to the sizes given; missing leading dims count as 1.</summary>
/// <param name="Dims">Sizes of the result.</param>
public sealed record BroadcastOp(EquatableArray<long> Dims) : Op
{
    /// <inheritdoc/>
    public override string Name => "Broadcast";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType x = inputs[0];
        int lead = Dims.Count - x.Rank;
        if (lead < 0 || x.Dims.Where((size, dim) => size != 1 && size != Dims[dim + lead]).Any())
        {
            throw new ShapeException($"Broadcast of {x.ShapeText} to {x.With(Dims).ShapeText}: only dims of size 1 can be repeated");
        }

        return ImmutableArray.Create(x.With(Dims));
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        TensorType x = types.Inputs[0], y = types.Outputs[0];
        int[] factors = y.Dims.Select((size, dim) => rule.Factor("d" + dim, size)).ToArray();
        int lead = y.Rank - x.Rank;
        return rule.Input(x.Dims.Select((size, dim) => size == 1 && y.Dims[dim + lead] != 1 ? -1 : factors[dim + lead]).ToArray()).Output(factors).LinearIn(0).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy)
        {
            context.Add(0, SumOp.To(context.Graph, dy, context.Input(0).Type));
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 0;
}
