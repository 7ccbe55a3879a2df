namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Rows of a table by index: ids int [..], table [v, n] → [.., n]. A rank that holds a slice of the rows yields zeros for ids outside it.</summary>
public sealed record EmbeddingOp : Op
{
    /// <inheritdoc/>
    public override string Name => "Embedding";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType ids = inputs[0], table = inputs[1];
        if (ids.IsFloat || table.Rank != 2)
        {
            throw new ShapeException($"Embedding of {ids} in {table}: it takes integer ids and a table of two dims");
        }

        return ImmutableArray.Create(table.With(ids.Dims.Append(table.Dims[1])));
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] rows = types.Inputs[0].Dims.Select((size, dim) => rule.Factor("i" + dim, size)).ToArray();
        int v = rule.Factor("v", types.Inputs[1].Dims[0]), n = rule.Factor("n", types.Inputs[1].Dims[1]);
        return rule.Input(rows).Input(v, n).Output(rows.Append(n).ToArray()).LinearIn(1).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy)
        {
            context.Add(1, context.Graph.Add(new EmbeddingGradientOp(context.Input(1).Type.Dims[0]), context.Input(0), dy));
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 0;
}

/// <summary>Gradient of a table: ids int [..], dy [.., n] → dTable [v, n].</summary>
/// <param name="Vocabulary">Logical rows of the table.</param>
public sealed record EmbeddingGradientOp(long Vocabulary) : Op
{
    /// <inheritdoc/>
    public override string Name => "EmbeddingGradient";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs) =>
        ImmutableArray.Create(inputs[1].With(new[] { Vocabulary, inputs[1].Dims[inputs[1].Rank - 1] }));

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] rows = types.Inputs[0].Dims.Select((size, dim) => rule.Factor("i" + dim, size)).ToArray();
        int v = rule.Factor("v", types.Outputs[0].Dims[0]), n = rule.Factor("n", types.Outputs[0].Dims[1]);
        return rule.Input(rows).Input(rows.Append(n).ToArray()).Output(v, n).LinearIn(1).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context) => throw new InvalidOperationException("a gradient is not differentiated again");

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => types.Inputs[1].Count;
}
