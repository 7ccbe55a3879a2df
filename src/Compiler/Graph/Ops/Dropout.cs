namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Zeroes elements with a probability and scales the rest by 1/(1 − p). The mask is a function of key, step and global index,
/// never of a rank or a micro-batch; that is also why it may pass a partial value.</summary>
/// <param name="Probability">Probability of a zero, in [0, 1).</param>
/// <param name="Key">Ordinal of the call in one execution of the model: "3", or "3+2*{0}" in a stack, {0} being the layer.</param>
public sealed record DropoutOp(float Probability, string Key) : Op
{
    /// <inheritdoc/>
    public override string Name => "Dropout";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs) =>
        Probability is >= 0 and < 1 ? ImmutableArray.Create(inputs[0]) : throw new ShapeException($"Dropout with probability {Probability}: it must be 0 or more and less than 1");

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] factors = types.Inputs[0].Dims.Select((size, dim) => rule.Factor("d" + dim, size)).ToArray();
        return rule.Input(factors).Output(factors).LinearIn(0).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy)
        {
            context.Add(0, context.Graph.Add(this, dy));
        }
    }
}
