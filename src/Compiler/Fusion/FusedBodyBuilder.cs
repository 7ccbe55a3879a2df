using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Fusion;

/// <summary>Composes the elementwise ops of a cluster into one body: what is used twice is computed once.</summary>
internal static class FusedBodyBuilder
{
    /// <summary>Builds the body.</summary>
    /// <param name="ops">Elementwise ops in order, over one index space.</param>
    /// <param name="tile">The product whose epilogue they are; null for none.</param>
    /// <param name="tensorOf">Position of a tensor among the kernel's; −1 for the tile.</param>
    /// <param name="results">Tensors that are needed outside.</param>
    public static FusedBody Build(IReadOnlyList<LocalStep.Compute> ops, LocalTensor? tile, Func<LocalTensor, int> tensorOf, IReadOnlyList<LocalTensor> results)
    {
        LocalTensor space = ops[0].Outputs[0];
        var made = new Dictionary<LocalTensor, ScalarExpression>();
        var inputs = new List<LocalTensor>();
        foreach (LocalStep.Compute op in ops)
        {
            ScalarExpression body = ScalarAlgebra.Substitute(((ElementwiseOp)op.Op).Body, i => made.TryGetValue(op.Inputs[i], out ScalarExpression? known) ? known : new ScalarExpression.Input(InputOf(op.Inputs[i])));
            made[op.Outputs[0]] = body;
        }

        long[] dims = space.Local.Dims.ToArray();
        List<long[]> strides = inputs.Select(t => Strides(t, space)).ToList();
        Collapse(ref dims, strides);

        // Common subexpressions, and every result, become steps.
        var counts = new Dictionary<ScalarExpression, int>();
        foreach (LocalTensor result in results.Where(made.ContainsKey))
        {
            Count(made[result], counts);
        }

        var steps = new List<ScalarExpression>();
        var names = new List<string>();
        var known2 = new Dictionary<ScalarExpression, int>();
        var outputs = new List<(int, int)>();
        foreach (LocalTensor result in results.Where(made.ContainsKey))
        {
            int value = Emit(made[result], result.Name);
            outputs.Add((tensorOf(result), value));
        }

        return new FusedBody(EquatableArray.Of(dims), inputs.Select((t, i) => new FusedInput(ReferenceEquals(t, tile) ? -1 : tensorOf(t), EquatableArray.Of(strides[i]))).ToEquatable(), steps.ToEquatable(), names.ToEquatable(), outputs.ToEquatable());

        int InputOf(LocalTensor tensor)
        {
            int at = inputs.IndexOf(tensor);
            if (at < 0)
            {
                inputs.Add(tensor);
                at = inputs.Count - 1;
            }

            return at;
        }

        int Emit(ScalarExpression expression, string name)
        {
            if (expression is ScalarExpression.Input input)
            {
                return input.Index;
            }

            if (known2.TryGetValue(expression, out int known))
            {
                return known;
            }

            ScalarExpression flat = Flatten(expression, name);
            steps.Add(flat);
            names.Add(name);
            return known2[expression] = inputs.Count + steps.Count - 1;
        }

        ScalarExpression Flatten(ScalarExpression expression, string name) => expression switch
        {
            ScalarExpression.Unary u => u with { Operand = Part(u.Operand, name) },
            ScalarExpression.Binary b => b with { Left = Part(b.Left, name), Right = Part(b.Right, name) },
            ScalarExpression.Select s => new ScalarExpression.Select(Part(s.Condition, name), Part(s.IfTrue, name), Part(s.IfFalse, name)),
            _ => expression,
        };

        ScalarExpression Part(ScalarExpression expression, string name) =>
            expression is ScalarExpression.Constant or ScalarExpression.Input ? expression
            : counts[expression] > 1 || known2.ContainsKey(expression) ? new ScalarExpression.Input(Emit(expression, name))
            : Flatten(expression, name);
    }

    private static void Count(ScalarExpression expression, Dictionary<ScalarExpression, int> counts)
    {
        if (expression is ScalarExpression.Constant or ScalarExpression.Input)
        {
            return;
        }

        counts[expression] = counts.TryGetValue(expression, out int count) ? count + 1 : 1;
        if (counts[expression] > 1)
        {
            return;
        }

        switch (expression)
        {
            case ScalarExpression.Unary u:
                Count(u.Operand, counts);
                break;
            case ScalarExpression.Binary b:
                Count(b.Left, counts);
                Count(b.Right, counts);
                break;
            case ScalarExpression.Select s:
                Count(s.Condition, counts);
                Count(s.IfTrue, counts);
                Count(s.IfFalse, counts);
                break;
        }
    }

    /// <summary>Elements to step in each dim of the output; 0 where the argument is broadcast, which is decided on logical sizes.</summary>
    private static long[] Strides(LocalTensor tensor, LocalTensor space)
    {
        int rank = space.Local.Rank, lead = rank - tensor.Local.Rank;
        var strides = new long[rank];
        long stride = 1;
        for (int dim = rank - 1; dim >= lead; dim--)
        {
            bool broadcast = tensor.Logical.Dims[dim - lead] == 1 && space.Logical.Dims[dim] != 1;
            strides[dim] = broadcast ? 0 : stride;
            stride *= tensor.Local.Dims[dim - lead];
        }

        return strides;
    }

    /// <summary>Merges neighbouring dims along which every argument is contiguous (or broadcast).</summary>
    private static void Collapse(ref long[] dims, List<long[]> strides)
    {
        var kept = dims.ToList();
        List<List<long>> rows = strides.Select(s => s.ToList()).ToList();
        for (int dim = kept.Count - 2; dim >= 0; dim--)
        {
            int inner = dim + 1;
            bool merge = kept[dim] == 1 || kept[inner] == 1 || rows.All(r => r[dim] == r[inner] * kept[inner]);
            if (!merge)
            {
                continue;
            }

            foreach (List<long> row in rows)
            {
                if (kept[inner] == 1)
                {
                    row[inner] = row[dim];
                }

                row.RemoveAt(dim);
            }

            kept[inner] *= kept[dim];
            kept.RemoveAt(dim);
        }

        if (kept.Count == 0)
        {
            kept.Add(1);
            rows.ForEach(r => r.Add(0));
        }

        dims = kept.ToArray();
        for (int i = 0; i < strides.Count; i++)
        {
            strides[i] = rows[i].ToArray();
        }
    }
}
