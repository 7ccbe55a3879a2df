namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Scaled dot-product attention (Vaswani et al., arXiv 1706.03762) with streaming softmax: q [b, h, s, d], k and v [b, g, t, d] with g dividing h
/// (grouped heads), (segments int [b, s]) → o [b, h, s, d], logSumExp [b, h, s].</summary>
/// <param name="Causal">A query sees keys up to its own position.</param>
/// <param name="Scale">Factor on the scores.</param>
/// <param name="HasSegments">A query sees keys of its own segment only.</param>
public sealed record AttentionOp(bool Causal, float Scale, bool HasSegments) : Op
{
    /// <inheritdoc/>
    public override string Name => "Attention";

    /// <inheritdoc/>
    public override bool IsHeavy => true;

    /// <inheritdoc/>
    public override WorkKind Work => WorkKind.Attention;

    /// <inheritdoc/>
    public override ImmutableArray<string> OutputNames => ImmutableArray.Create("", "LogSumExp");

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType q = inputs[0], k = inputs[1], v = inputs[2];
        if (q.Rank != 4 || k.Rank != 4 || k.Dims != v.Dims || q.Dims[0] != k.Dims[0] || q.Dims[3] != k.Dims[3] || q.Dims[1] % k.Dims[1] != 0)
        {
            throw new ShapeException($"Attention of queries {q.ShapeText}, keys {k.ShapeText} and values {v.ShapeText}: all are [batch, heads, positions, width]; batch and width must be equal, and the key heads must divide the query heads");
        }

        if (Causal && q.Dims[2] > k.Dims[2])
        {
            throw new ShapeException($"Attention of queries {q.ShapeText} and keys {k.ShapeText}: causal attention needs as many keys as queries, or more");
        }

        if (HasSegments && (inputs[3].IsFloat || q.Dims[2] != k.Dims[2] || !inputs[3].Dims.SequenceEqual(new[] { q.Dims[0], q.Dims[2] })))
        {
            throw new ShapeException($"Attention with segments {inputs[3]} over queries {q.ShapeText}: segments are integers [batch, positions], with as many keys as queries");
        }

        return ImmutableArray.Create(q, q.With(q.Dims.Take(3)));
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        (int[] q, int[] k, int[] segments) = Dims(rule, types.Inputs[0], types.Inputs[1]);
        rule.Input(q).Input(k).Input(k);
        if (HasSegments)
        {
            rule.Input(segments);
        }

        return rule.Output(q).Output(q.Take(3).ToArray()).LinearIn(new[] { 2 }, new[] { 0 }).Build();
    }

    /// <inheritdoc/>
    public override IEnumerable<Signature> ExtraSignatures(OperandTypes types, OperandTypes local, int parts)
    {
        if (CanSplitQueriesOnly(types, local, parts))
        {
            yield return new Signature(
                types.Inputs.Select((_, i) => i == 0 ? Placement.Split(1) : Placement.Broadcast).ToEquatable(),
                EquatableArray.Of(Placement.Split(1), Placement.Split(1)));
        }
    }

    /// <inheritdoc/>
    public override bool CanSplit(int factor, OperandTypes types, OperandTypes local) => HeadsTogether(factor, types, local);

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dO)
        {
            var inputs = new List<Value> { context.Input(0), context.Input(1), context.Input(2), context.Output(0), context.Output(1), dO };
            if (HasSegments)
            {
                inputs.Add(context.Input(3));
            }

            Node gradient = context.Graph.AddNode(new AttentionGradientOp(Causal, Scale, HasSegments), inputs.ToArray());
            context.Add(0, gradient.Outputs[0]);
            context.Add(1, gradient.Outputs[1]);
            context.Add(2, gradient.Outputs[2]);
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => Scores(types, Causal) * 4 * types.Inputs[0].Dims[3];

    internal static (int[] Q, int[] K, int[] Segments) Dims(FactorRuleBuilder rule, TensorType q, TensorType k)
    {
        int b = rule.Factor("b", q.Dims[0]), g = rule.Factor("g", k.Dims[1]);
        int s = rule.Factor("s", q.Dims[2], blocked: true), t = rule.Factor("t", k.Dims[2], blocked: true), d = rule.Factor("d", q.Dims[3], blocked: true);
        return (new[] { b, g, s, d }, new[] { b, g, t, d }, new[] { b, s });
    }

    /// <summary>Query heads are split although key heads do not divide: keys and values are whole, and a rank's heads start at an offset. Only while nothing
    /// else has split the heads.</summary>
    internal static bool CanSplitQueriesOnly(OperandTypes types, OperandTypes local, int parts) =>
        types.Inputs[1].Dims[1] % parts != 0 && local.Inputs[0].Dims[1] % parts == 0 && local.Inputs[1].Dims[1] == types.Inputs[1].Dims[1];

    /// <summary>Once query heads were cut alone, they and the key heads no longer split together.</summary>
    internal static bool HeadsTogether(int factor, OperandTypes types, OperandTypes local) =>
        factor != HeadFactor || local.Inputs[0].Dims[1] * types.Inputs[1].Dims[1] == local.Inputs[1].Dims[1] * types.Inputs[0].Dims[1];

    /// <summary>Number of the factor of the heads, as <see cref="Dims"/> declares it.</summary>
    private const int HeadFactor = 1;

    internal static long Scores(OperandTypes types, bool causal)
    {
        TensorType q = types.Inputs[0];
        long s = q.Dims[2], t = types.Inputs[1].Dims[2];
        return q.Dims[0] * q.Dims[1] * (causal ? s * t - s * (s - 1) / 2 : s * t);
    }
}

/// <summary>Gradient of attention; scores are computed again: q, k, v, o, logSumExp, dO, (segments) → dq, dk, dv.</summary>
public sealed record AttentionGradientOp(bool Causal, float Scale, bool HasSegments) : Op
{
    /// <inheritdoc/>
    public override string Name => "AttentionGradient";

    /// <inheritdoc/>
    public override bool IsHeavy => true;

    /// <inheritdoc/>
    public override WorkKind Work => WorkKind.Attention;

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs) => ImmutableArray.Create(inputs[0], inputs[1], inputs[2]);

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        (int[] q, int[] k, int[] segments) = AttentionOp.Dims(rule, types.Inputs[0], types.Inputs[1]);
        rule.Input(q).Input(k).Input(k).Input(q).Input(q.Take(3).ToArray()).Input(q);
        if (HasSegments)
        {
            rule.Input(segments);
        }

        return rule.Output(q).Output(k).Output(k).LinearIn(5).Build();
    }

    /// <inheritdoc/>
    public override IEnumerable<Signature> ExtraSignatures(OperandTypes types, OperandTypes local, int parts)
    {
        if (AttentionOp.CanSplitQueriesOnly(types, local, parts))
        {
            yield return new Signature(
                types.Inputs.Select((_, i) => i is 0 or 3 or 4 or 5 ? Placement.Split(1) : Placement.Broadcast).ToEquatable(),
                EquatableArray.Of(Placement.Split(1), Placement.Partial, Placement.Partial));
        }
    }

    /// <inheritdoc/>
    public override bool CanSplit(int factor, OperandTypes types, OperandTypes local) => AttentionOp.HeadsTogether(factor, types, local);

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context) => throw new InvalidOperationException("a gradient is not differentiated again");

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => AttentionOp.Scores(types, Causal) * 10 * types.Inputs[0].Dims[3];

    /// <inheritdoc/>
    public override long ModelFlops(OperandTypes types) => AttentionOp.Scores(types, Causal) * 8 * types.Inputs[0].Dims[3];
}
