using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Sharding;

/// <summary>An op that exists only on a rank, after placements are chosen: movement of local data around collectives, and the parts of communicating forms.
/// It is made by lowering; it has no factors and no gradient.</summary>
public abstract record LocalOp : Op
{
    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs) => throw new InvalidOperationException($"{Name} is made by lowering, with its types");

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types) => throw new InvalidOperationException($"{Name} is local: it has no factors");

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context) => throw new InvalidOperationException($"{Name} is local: gradients are placed, not derived from it");
}

/// <summary>Takes this rank's piece of a dim: x [.., n, ..] → [.., n/p, ..] from position Start.</summary>
public sealed record LocalSliceOp(int Dim, Offset Start) : LocalOp
{
    /// <inheritdoc/>
    public override string Name => "LocalSlice";
}

/// <summary>S → P: this rank's piece of a dim at its place, zeros around it: x [.., n/p, ..] → [.., n, ..] from position Start.</summary>
public sealed record LocalPadOp(int Dim, Offset Start) : LocalOp
{
    /// <inheritdoc/>
    public override string Name => "LocalPad";
}

/// <summary>B → P: the first rank of the axis (or the first micro-batch, where the name is empty) keeps the value, the others hold zeros.</summary>
public sealed record KeepFirstOp(string Axis) : LocalOp
{
    /// <inheritdoc/>
    public override string Name => "KeepFirst";
}

/// <summary>Copies a tensor as it is.</summary>
public sealed record CopyOp : LocalOp
{
    /// <inheritdoc/>
    public override string Name => "Copy";
}

/// <summary>First part of the class-split cross-entropy: logits [.., c] → maximum of each row [..], to be reduced by maximum over the axes that split c.</summary>
public sealed record CrossEntropyMaxOp : LocalOp
{
    /// <inheritdoc/>
    public override string Name => "CrossEntropyMax";
}

/// <summary>Second part: logits [.., c], maximum [..], targets [..] → packed [2, ..]: Σ exp(x − max), and the target's logit where it lies here, to be summed.</summary>
public sealed record CrossEntropySumsOp : LocalOp
{
    /// <inheritdoc/>
    public override string Name => "CrossEntropySums";
}

/// <summary>Last part: packed [2, ..], maximum [..], targets [..], (weights [..]) → sum [], weight [], logSumExp [..].</summary>
/// <param name="Classes">Number of classes in all, for the check of targets.</param>
public sealed record CrossEntropyFinishOp(int IgnoreIndex, bool HasWeights, long Classes) : LocalOp
{
    /// <inheritdoc/>
    public override string Name => "CrossEntropyFinish";
}
