namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Cross-entropy over the last dim: logits [.., c], targets int [..], (weights [..]) → sum [], weight [], logSumExp [..].
/// Sum and weight are not divided: the loss is sum / weight over the whole step, once.</summary>
/// <param name="IgnoreIndex">Targets with this number count nothing.</param>
/// <param name="HasWeights">Whether each row has a weight of its own.</param>
public sealed record CrossEntropyOp(int IgnoreIndex, bool HasWeights) : Op
{
    /// <inheritdoc/>
    public override string Name => "CrossEntropy";

    /// <inheritdoc/>
    public override ImmutableArray<string> OutputNames => ImmutableArray.Create("Sum", "Weight", "LogSumExp");

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType logits = inputs[0], targets = inputs[1];
        if (logits.Rank == 0 || targets.IsFloat || !logits.Dims.Take(logits.Rank - 1).SequenceEqual(targets.Dims))
        {
            throw new ShapeException($"CrossEntropy of logits {logits} and targets {targets}: targets must be integers, of the shape of the logits without the last dim");
        }

        if (HasWeights && (!inputs[2].IsFloat || inputs[2].Dims != targets.Dims))
        {
            throw new ShapeException($"CrossEntropy with weights {inputs[2]} and targets {targets}: weights must be floats of the shape of the targets");
        }

        TensorType scalar = logits.With(Array.Empty<long>());
        return ImmutableArray.Create(scalar, scalar, logits.With(targets.Dims));
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] x = RowRule.Dims(rule, types.Inputs[0]), lead = RowRule.Lead(x);
        rule.Input(x).Input(lead);
        if (HasWeights)
        {
            rule.Input(lead);
        }

        return rule.Output().Output().Output(lead).Build();
    }

    /// <inheritdoc/>
    public override IEnumerable<Signature> ExtraSignatures(OperandTypes types, OperandTypes local, int parts)
    {
        int last = types.Inputs[0].Rank - 1;
        if (local.Inputs[0].Dims[last] % parts == 0)
        {
            yield return new Signature(
                types.Inputs.Select((_, i) => i == 0 ? Placement.Split(last) : Placement.Broadcast).ToEquatable(),
                types.Outputs.Select(_ => Placement.Broadcast).ToEquatable(),
                Communicates: true);
        }
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dSum)
        {
            var inputs = new List<Value> { context.Input(0), context.Input(1), context.Output(2), dSum };
            if (HasWeights)
            {
                inputs.Add(context.Input(2));
            }

            context.Add(0, context.Graph.Add(new CrossEntropyGradientOp(IgnoreIndex, HasWeights), inputs.ToArray()));
            if (HasWeights && context.Needs(2))
            {
                context.Refuse(2, "the weights of CrossEntropy are counts, by which the loss is divided: they cannot depend on parameters");
            }
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 5 * types.Inputs[0].Count;
}

/// <summary>Gradient of the cross-entropy sum: logits, targets, logSumExp, dSum [], (weights) → dLogits. Each class is on its own once logSumExp is known.</summary>
public sealed record CrossEntropyGradientOp(int IgnoreIndex, bool HasWeights) : Op
{
    /// <inheritdoc/>
    public override string Name => "CrossEntropyGradient";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs) => ImmutableArray.Create(inputs[0]);

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] x = types.Inputs[0].Dims.Select((size, dim) => rule.Factor(dim == types.Inputs[0].Rank - 1 ? "c" : "r" + dim, size)).ToArray();
        int[] lead = RowRule.Lead(x);
        rule.Input(x).Input(lead).Input(lead).Input();
        if (HasWeights)
        {
            rule.Input(lead);
        }

        return rule.Output(x).LinearIn(3).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context) => throw new InvalidOperationException("a gradient is not differentiated again");

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 4 * types.Inputs[0].Count;
}
