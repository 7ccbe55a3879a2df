namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Softmax over the last dim, or its logarithm.</summary>
public sealed record SoftmaxOp(bool Logarithm = false) : Op
{
    /// <inheritdoc/>
    public override string Name => Logarithm ? "LogSoftmax" : "Softmax";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs) =>
        inputs[0].Rank == 0 ? throw new ShapeException($"{Name} of a scalar: it needs one dim or more") : ImmutableArray.Create(inputs[0]);

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] factors = RowRule.Dims(rule, types.Inputs[0]);
        return rule.Input(factors).Output(factors).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy)
        {
            context.Add(0, context.Graph.Add(new SoftmaxGradientOp(Logarithm), context.Output(), dy));
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 5 * types.Inputs[0].Count;
}

/// <summary>Gradient of softmax or log-softmax: y, dy → dx.</summary>
public sealed record SoftmaxGradientOp(bool Logarithm = false) : Op
{
    /// <inheritdoc/>
    public override string Name => Logarithm ? "LogSoftmaxGradient" : "SoftmaxGradient";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs) => ImmutableArray.Create(inputs[0]);

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] factors = RowRule.Dims(rule, types.Inputs[0]);
        return rule.Input(factors).Input(factors).Output(factors).LinearIn(1).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context) => throw new InvalidOperationException("a gradient is not differentiated again");

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 4 * types.Inputs[0].Count;
}

/// <summary>Factors of the ops that work on rows: the last dim is blocked.</summary>
internal static class RowRule
{
    public static int[] Dims(FactorRuleBuilder rule, TensorType type) =>
        type.Dims.Select((size, dim) => rule.Factor(dim == type.Rank - 1 ? "c" : "r" + dim, size, blocked: dim == type.Rank - 1)).ToArray();

    /// <summary>The row factors without the last dim.</summary>
    public static int[] Lead(int[] factors) => factors.Take(factors.Length - 1).ToArray();

    /// <summary>Checks a vector that is applied along the last dim.</summary>
    public static void CheckVector(string op, string name, TensorType x, TensorType vector)
    {
        if (x.Rank == 0 || vector.Rank != 1 || vector.Dims[0] != x.Dims[x.Rank - 1])
        {
            throw new ShapeException($"{op} of {x.ShapeText} with {name} {vector.ShapeText}: {name} must have one dim, as large as the last of the input");
        }
    }
}
