namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Reorders dims: dim i of the result is dim Order[i] of the input.</summary>
public sealed record PermuteOp(EquatableArray<int> Order) : Op
{
    /// <inheritdoc/>
    public override string Name => "Permute";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType x = inputs[0];
        if (Order.Count != x.Rank || !Order.OrderBy(d => d).SequenceEqual(Enumerable.Range(0, x.Rank)))
        {
            throw new ShapeException($"Permute of {x.ShapeText} by {Order}: every dim from 0 to {x.Rank - 1} must occur once");
        }

        return ImmutableArray.Create(x.With(Order.Select(d => x.Dims[d])));
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] factors = types.Inputs[0].Dims.Select((size, dim) => rule.Factor("d" + dim, size)).ToArray();
        return rule.Input(factors).Output(Order.Select(d => factors[d]).ToArray()).LinearIn(0).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy)
        {
            context.Add(0, context.Graph.Add(new PermuteOp(Enumerable.Range(0, Order.Count).Select(d => Order.Items.IndexOf(d)).ToEquatable()), dy));
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 0;
}
