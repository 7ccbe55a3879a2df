using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Sharding;

/// <summary>A signature, and why it does not hold.</summary>
/// <param name="Signature">Placements of inputs and outputs on one axis.</param>
/// <param name="Reason">Null where it holds and is offered.</param>
public sealed record JudgedSignature(Signature Signature, string? Reason)
{
    /// <summary>Whether the search may use it.</summary>
    public bool IsValid => Reason is null;
}

/// <summary>Every signature that one could think of for an op on one axis, with the reason where it is refused: for people who ask, never for the search.</summary>
public sealed class SignatureCandidates
{
    /// <summary>Where all combinations of placements are more than this, only those that differ from an offered one in a single operand are judged.</summary>
    public const int Most = 4096;

    private readonly Op _op;
    private readonly OperandTypes _types;
    private readonly OperandTypes _local;
    private readonly int _parts;
    private readonly IReadOnlyList<long>? _applied;
    private readonly FactorRule _rule;

    private SignatureCandidates(Op op, OperandTypes types, OperandTypes local, int parts, IReadOnlyList<long>? applied)
    {
        _op = op;
        _types = types;
        _local = local;
        _parts = parts;
        _applied = applied;
        _rule = op.Factors(types);
    }

    /// <summary>Those that hold in the order of <see cref="SignatureRules.Enumerate"/>, then those that do not.</summary>
    public static ImmutableArray<JudgedSignature> Judge(Op op, OperandTypes types, OperandTypes local, int parts, IReadOnlyList<long>? appliedParts = null)
    {
        var candidates = new SignatureCandidates(op, types, local, parts, appliedParts);
        ImmutableArray<Signature> offered = SignatureRules.Enumerate(op, types, local, parts, appliedParts);
        IEnumerable<JudgedSignature> refused = Others(types, offered).Select(s => new JudgedSignature(s, candidates.Reason(s, offered)));
        return offered.Select(s => new JudgedSignature(s, null)).Concat(refused).ToImmutableArray();
    }

    /// <summary>What one could think of beside signatures that hold.</summary>
    public static IEnumerable<Signature> Others(OperandTypes types, ImmutableArray<Signature> offered)
    {
        var seen = new HashSet<string>(offered.Select(s => s.ToString()));
        return All(types, offered).Where(s => seen.Add(s.ToString()));
    }

    private static IEnumerable<Signature> All(OperandTypes types, ImmutableArray<Signature> offered)
    {
        Signature Of(Placement[] placements) => new(placements.Take(types.Inputs.Count).ToEquatable(), placements.Skip(types.Inputs.Count).ToEquatable());
        Placement[][] options = types.Inputs.Concat(types.Outputs).Select(Options).ToArray();
        if (options.Aggregate(1.0, (product, own) => product * own.Length) <= Most)
        {
            IEnumerable<Placement[]> all = options.Aggregate((IEnumerable<Placement[]>)new[] { Array.Empty<Placement>() }, (heads, own) => heads.SelectMany(head => own.Select(p => head.Append(p).ToArray())));
            return all.Select(Of);
        }

        return offered.Select(s => s.Inputs.Concat(s.Outputs).ToArray())
            .SelectMany(s => Enumerable.Range(0, s.Length).SelectMany(i => options[i].Select(p => Of(s.Select((own, j) => j == i ? p : own).ToArray()))));
    }

    private static Placement[] Options(TensorType type) =>
        Enumerable.Range(0, type.Rank).Select(Placement.Split).Prepend(Placement.Partial).Prepend(Placement.Broadcast).ToArray();

    private string Reason(Signature s, ImmutableArray<Signature> offered)
    {
        return Element("input", s.Inputs, _types.Inputs)
            ?? Element("output", s.Outputs, _types.Outputs)
            ?? Outputs(s, offered)
            ?? Divides("input", s.Inputs, _local.Inputs)
            ?? Factors(s)
            ?? Linear(s)
            ?? Divides("output", s.Outputs, _local.Outputs)
            ?? $"no rule of {_op.Name} gives these placements";
    }

    private static string? Element(string side, EquatableArray<Placement> placements, EquatableArray<TensorType> types)
    {
        int wrong = First(placements, i => placements[i].IsPartial && !types[i].IsFloat);
        return wrong < 0 ? null : $"{side} {wrong} is {types[wrong]}: integers are never partial";
    }

    private static int First(EquatableArray<Placement> placements, Func<int, bool> wrong) => Enumerable.Range(0, placements.Count).Where(wrong).DefaultIfEmpty(-1).First();

    private string? Divides(string side, EquatableArray<Placement> placements, EquatableArray<TensorType> types)
    {
        int wrong = First(placements, i => placements[i].IsSplit && types[i].Dims[placements[i].Dim] % _parts != 0);
        return wrong < 0 ? null : $"dim {placements[wrong].Dim} of {side} {wrong} is {types[wrong].Dims[placements[wrong].Dim]}, which {_parts} does not divide";
    }

    /// <summary>The inputs are those of offered signatures: then the outputs are not.</summary>
    private static string? Outputs(Signature s, ImmutableArray<Signature> offered)
    {
        var same = offered.Where(o => o.Inputs == s.Inputs).Select(o => string.Join(", ", o.Outputs)).Distinct().ToList();
        return same.Count == 0 ? null : $"from these inputs comes {string.Join(" or ", same)}";
    }

    /// <summary>What the splits of the inputs ask for: one factor, that may be split, in every operand that carries it.</summary>
    private string? Factors(Signature s)
    {
        int first = -1, factor = -1;
        for (int i = 0; i < s.Inputs.Count; i++)
        {
            if (!s.Inputs[i].IsSplit)
            {
                continue;
            }

            int dim = s.Inputs[i].Dim, own = _rule.Inputs[i][dim];
            if (own < 0)
            {
                return $"dim {dim} of input {i} is never split: {(_types.Inputs[i].Dims[dim] == 1 ? "its one element serves all of the others' dim" : "the op needs all of it on every rank")}";
            }

            if (factor >= 0 && own != factor)
            {
                return $"input {first} is split along {_rule.Factors[factor].Name} and input {i} along {_rule.Factors[own].Name}: an axis splits one of them";
            }

            (first, factor) = factor < 0 ? (i, own) : (first, factor);
        }

        if (factor < 0)
        {
            return null;
        }

        if (SignatureRules.Refuse(_rule, factor, _local, _parts, _applied) is { } refused)
        {
            return refused;
        }

        string name = _rule.Factors[factor].Name;
        if (!_op.CanSplit(factor, _types, _local))
        {
            return $"{name} cannot be split in {_op.Name} as the operands lie";
        }

        for (int i = 0; i < s.Inputs.Count; i++)
        {
            int at = _rule.Inputs[i].Items.IndexOf(factor);
            if (at >= 0 && !s.Inputs[i].IsSplit)
            {
                return $"{name} is split in input {first} and must be in input {i} too, whose dim {at} it is";
            }

            if (s.Inputs[i].IsPartial)
            {
                return $"input {i} is partial while {name} is split: on one axis it must be whole there";
            }
        }

        return null;
    }

    /// <summary>Inputs that are partial together although the op is not linear in them.</summary>
    private string? Linear(Signature s)
    {
        if (!s.Inputs.Any(p => p.IsPartial))
        {
            return null;
        }

        string groups = string.Join(", or ", _rule.Linear.Select(g => g.Inputs.Count == 1 ? $"input {g.Inputs[0]} alone" : $"inputs {string.Join(" and ", g.Inputs)} together"));
        return groups.Length == 0 ? $"{_op.Name} takes no partial input: it is not linear, so a sum of results is not the result of the sum" : $"{_op.Name} is linear in {groups}: only these may be partial";
    }
}
