namespace Shardwright.Compiler.Graph;

/// <summary>One index of an op's index space, as in an einsum.</summary>
/// <param name="Name">Name for people.</param>
/// <param name="Size">Logical size; for the leading factor of a merged or split group, the size of that factor alone.</param>
/// <param name="Blocked">A blocked factor is never split.</param>
public sealed record Factor(string Name, long Size, bool Blocked);

/// <summary>Inputs in which the op is linear when all of them are partial at once and the others are broadcast.</summary>
/// <param name="Inputs">Positions of the inputs that are partial.</param>
/// <param name="PartialOutputs">Positions of the outputs that are then partial; the others are broadcast.</param>
public sealed record LinearGroup(EquatableArray<int> Inputs, EquatableArray<int> PartialOutputs);

/// <summary>A signature of an op on one axis.</summary>
/// <param name="Inputs">Placement of each input.</param>
/// <param name="Outputs">Placement of each output.</param>
/// <param name="Factor">The factor that is split, or −1.</param>
/// <param name="Communicates">Whether the op itself communicates along the axis (a declared communicating form).</param>
public sealed record Signature(EquatableArray<Placement> Inputs, EquatableArray<Placement> Outputs, int Factor = -1, bool Communicates = false)
{
    /// <inheritdoc/>
    public override string ToString() => string.Join(", ", Inputs) + " -> " + string.Join(", ", Outputs);
}

/// <summary>The index space of an op: which factor each dim of each operand carries. From this one line all signatures follow.</summary>
/// <param name="Factors">The factors.</param>
/// <param name="Inputs">For each input, for each dim, the factor that it carries (as its leading factor), or −1: a dim of size 1 that is broadcast, or one that may not be split.</param>
/// <param name="Outputs">The same for each output.</param>
/// <param name="Linear">Groups of inputs that may be partial.</param>
public sealed record FactorRule(
    EquatableArray<Factor> Factors,
    EquatableArray<EquatableArray<int>> Inputs,
    EquatableArray<EquatableArray<int>> Outputs,
    EquatableArray<LinearGroup> Linear);

/// <summary>Builds a <see cref="FactorRule"/> from named dims.</summary>
public sealed class FactorRuleBuilder
{
    private readonly List<Factor> _factors = new();
    private readonly List<EquatableArray<int>> _inputs = new();
    private readonly List<EquatableArray<int>> _outputs = new();
    private readonly List<LinearGroup> _linear = new();

    /// <summary>Declares a factor; returns its number. Names need not be unique.</summary>
    public int Factor(string name, long size, bool blocked = false)
    {
        _factors.Add(new Factor(name, size, blocked));
        return _factors.Count - 1;
    }

    /// <summary>The next input: the factor that each of its dims carries, −1 for none.</summary>
    public FactorRuleBuilder Input(params int[] factors)
    {
        _inputs.Add(EquatableArray.Of(factors));
        return this;
    }

    /// <summary>The next output.</summary>
    public FactorRuleBuilder Output(params int[] factors)
    {
        _outputs.Add(EquatableArray.Of(factors));
        return this;
    }

    /// <summary>The op is linear in these inputs together; all outputs are then partial.</summary>
    public FactorRuleBuilder LinearIn(params int[] inputs)
    {
        _linear.Add(new LinearGroup(EquatableArray.Of(inputs), default));
        return this;
    }

    /// <summary>The op is linear in these inputs together; only the outputs named are then partial.</summary>
    public FactorRuleBuilder LinearIn(int[] inputs, int[] partialOutputs)
    {
        _linear.Add(new LinearGroup(EquatableArray.Of(inputs), EquatableArray.Of(partialOutputs)));
        return this;
    }

    /// <summary>The rule.</summary>
    public FactorRule Build()
    {
        int outputs = _outputs.Count;
        return new FactorRule(
            _factors.ToEquatable(),
            _inputs.ToEquatable(),
            _outputs.ToEquatable(),
            _linear.Select(g => g.PartialOutputs.Count > 0 ? g : g with { PartialOutputs = Enumerable.Range(0, outputs).ToEquatable() }).ToEquatable());
    }
}
