using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Sharding;

/// <summary>Derives the signatures of an op on one axis from its factor rule.</summary>
public static class SignatureRules
{
    /// <summary>All signatures that hold on an axis of a given size, in a fixed order: all broadcast first, then factors, then linear groups, then the op's own.</summary>
    /// <param name="op">The op.</param>
    /// <param name="types">Logical types of its operands: what broadcasts is decided on these.</param>
    /// <param name="local">Types as the axes already applied have left them: what divides is decided on these.</param>
    /// <param name="parts">Size of the axis.</param>
    /// <param name="appliedParts">For each factor, the product of the axes that already split it; null for none.</param>
    public static ImmutableArray<Signature> Enumerate(Op op, OperandTypes types, OperandTypes local, int parts, IReadOnlyList<long>? appliedParts = null)
    {
        FactorRule rule = op.Factors(types);
        var signatures = ImmutableArray.CreateBuilder<Signature>();
        signatures.Add(new Signature(All(rule.Inputs.Count, Placement.Broadcast), All(rule.Outputs.Count, Placement.Broadcast)));
        for (int f = 0; f < rule.Factors.Count; f++)
        {
            if (Refuse(rule, f, local, parts, appliedParts) is null && op.CanSplit(f, types, local))
            {
                signatures.Add(Split(rule, f));
            }
        }

        foreach (LinearGroup group in rule.Linear)
        {
            signatures.Add(new Signature(
                Enumerable.Range(0, rule.Inputs.Count).Select(i => group.Inputs.Contains(i) ? Placement.Partial : Placement.Broadcast).ToEquatable(),
                Enumerable.Range(0, rule.Outputs.Count).Select(o => group.PartialOutputs.Contains(o) ? Placement.Partial : Placement.Broadcast).ToEquatable()));
        }

        foreach (Signature extra in op.ExtraSignatures(types, local, parts))
        {
            if (!signatures.Contains(extra))
            {
                signatures.Add(extra);
            }
        }

        return signatures.Where(s => PartialsAreFloats(s, types)).ToImmutableArray();
    }

    /// <summary>The signature that splits one factor: operands that carry it are split at their dim, outputs that lack it are partial.</summary>
    public static Signature Split(FactorRule rule, int factor) => new(
        rule.Inputs.Select(dims => At(dims, factor) is var dim and >= 0 ? Placement.Split(dim) : Placement.Broadcast).ToEquatable(),
        rule.Outputs.Select(dims => At(dims, factor) is var dim and >= 0 ? Placement.Split(dim) : Placement.Partial).ToEquatable(),
        factor);

    /// <summary>Why a factor cannot be split, or null where it can.</summary>
    public static string? Refuse(FactorRule rule, int factor, OperandTypes local, int parts, IReadOnlyList<long>? appliedParts = null)
    {
        Factor f = rule.Factors[factor];
        if (f.Blocked)
        {
            return $"factor {f.Name} is blocked: every result along it needs all of it";
        }

        long left = f.Size / (appliedParts?[factor] ?? 1);
        if (left % parts != 0)
        {
            return $"factor {f.Name} has {left} left, which {parts} does not divide";
        }

        for (int i = 0; i < rule.Inputs.Count; i++)
        {
            int dim = At(rule.Inputs[i], factor);
            if (dim >= 0 && local.Inputs[i].Dims[dim] % parts != 0)
            {
                return $"dim {dim} of input {i} is {local.Inputs[i].Dims[dim]}, which {parts} does not divide";
            }
        }

        for (int o = 0; o < rule.Outputs.Count; o++)
        {
            int dim = At(rule.Outputs[o], factor);
            if (dim >= 0 && local.Outputs[o].Dims[dim] % parts != 0)
            {
                return $"dim {dim} of output {o} is {local.Outputs[o].Dims[dim]}, which {parts} does not divide";
            }
        }

        return null;
    }

    /// <summary>A sum of integers that is not yet summed has no use and no collective.</summary>
    private static bool PartialsAreFloats(Signature signature, OperandTypes types) =>
        !signature.Inputs.Zip(types.Inputs, (p, t) => p.IsPartial && !t.IsFloat).Concat(signature.Outputs.Zip(types.Outputs, (p, t) => p.IsPartial && !t.IsFloat)).Any(wrong => wrong);

    private static int At(EquatableArray<int> dims, int factor) => dims.Items.IndexOf(factor);

    private static EquatableArray<Placement> All(int count, Placement placement) => Enumerable.Repeat(placement, count).ToEquatable();
}
