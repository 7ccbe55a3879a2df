using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Cli.Ops;

/// <summary>One op or a few in a row, as the compiler makes them of one call.</summary>
/// <param name="Name">Name of the call.</param>
/// <param name="Inputs">Types of its inputs.</param>
/// <param name="Steps">The ops; values are numbered from the inputs on, each op adding its first output.</param>
internal sealed record OpProgram(string Name, EquatableArray<TensorType> Inputs, IReadOnlyList<(Op Op, int[] Inputs)> Steps)
{
    /// <summary>Types of all operands: the results are those of the last op.</summary>
    public OperandTypes Types()
    {
        OperandTypes last = new(Inputs, EquatableArray<TensorType>.Empty);
        foreach (OperandTypes types in StepTypes())
        {
            last = types;
        }

        return last with { Inputs = Inputs };
    }

    /// <summary>Every signature on one axis, refused ones with the reason.</summary>
    public IReadOnlyList<JudgedSignature> Judge(int parts)
    {
        OperandTypes types = Types();
        OperandTypes[] steps = [.. StepTypes()];
        if (Steps.Count == 1)
        {
            return SignatureCandidates.Judge(Steps[0].Op, types, types, parts);
        }

        // Each op takes its operands as the ops before it leave them: nothing moves in between.
        var found = new List<Signature>();
        Walk(0, new Placement?[Inputs.Count + Steps.Count], []);
        ImmutableArray<Signature> valid = [.. found.DistinctBy(s => s.ToString())];
        string names = string.Join(" then ", Steps.Select(s => s.Op.Name).Distinct());
        return [.. valid.Select(s => new JudgedSignature(s, null)), .. SignatureCandidates.Others(types, valid).Select(s => new JudgedSignature(s,
            valid.Where(v => v.Inputs == s.Inputs).Select(v => string.Join(", ", v.Outputs)).Distinct().ToList() is { Count: > 0 } outputs
                ? $"from these inputs comes {string.Join(" or ", outputs)}"
                : $"{Name} is {names}, and no signatures of these fit together on these inputs"))];

        void Walk(int step, Placement?[] placed, EquatableArray<Placement> results)
        {
            if (step == Steps.Count)
            {
                found.Add(new Signature(placed.Take(Inputs.Count).Select(p => p ?? Placement.Broadcast).ToEquatable(), results));
                return;
            }

            foreach (Signature signature in SignatureRules.Enumerate(Steps[step].Op, steps[step], steps[step], parts))
            {
                var next = (Placement?[])placed.Clone();
                bool fits = true;
                for (int i = 0; i < signature.Inputs.Count; i++)
                {
                    int value = Steps[step].Inputs[i];
                    fits &= next[value] is null || next[value] == signature.Inputs[i];
                    next[value] = signature.Inputs[i];
                }

                next[Inputs.Count + step] = signature.Outputs[0];
                if (fits)
                {
                    Walk(step + 1, next, signature.Outputs);
                }
            }
        }
    }

    private IEnumerable<OperandTypes> StepTypes()
    {
        List<TensorType> values = [.. Inputs];
        foreach ((Op op, int[] inputs) in Steps)
        {
            EquatableArray<TensorType> operands = inputs.Select(i => values[i]).ToEquatable();
            var types = new OperandTypes(operands, op.Infer(operands.Items));
            values.Add(types.Outputs[0]);
            yield return types;
        }
    }
}
