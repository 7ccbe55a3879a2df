using static Shardwright.Compiler.Graph.ScalarExpression;

namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Any scalar function applied element by element, with broadcasting from the right: the arithmetic operators,
/// Gelu and its kin, Where, and a user's own [Elementwise] functions are all of this one op.</summary>
/// <param name="Function">Name for people.</param>
/// <param name="Body">The function of as many arguments as the op has inputs.</param>
public sealed record ElementwiseOp(string Function, ScalarExpression Body) : Op
{
    /// <summary>a + b.</summary>
    public static ElementwiseOp Sum { get; } = new("Add", In(0) + In(1));

    /// <inheritdoc/>
    public override string Name => Function;

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        int rank = inputs.Max(t => t.Rank);
        var dims = new long[rank];
        for (int dim = 0; dim < rank; dim++)
        {
            dims[dim] = 1;
            foreach (TensorType t in inputs)
            {
                int own = dim - (rank - t.Rank);
                long size = own < 0 ? 1 : t.Dims[own];
                if (size != 1 && dims[dim] != 1 && size != dims[dim])
                {
                    throw new ShapeException($"{Name} of {string.Join(" and ", inputs.Select(i => i.ShapeText))}: dim {dim} is {dims[dim]} on one side and {size} on the other; sizes must be equal, or 1 on one side");
                }

                dims[dim] = Math.Max(dims[dim], size);
            }
        }

        return ImmutableArray.Create(new TensorType(inputs[0].Element, EquatableArray.Of(dims)));
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        TensorType output = types.Outputs[0];
        int[] factors = output.Dims.Select((size, dim) => rule.Factor("d" + dim, size)).ToArray();
        foreach (TensorType input in types.Inputs)
        {
            rule.Input(input.Dims.Select((size, dim) => size == 1 && output.Dims[dim + output.Rank - input.Rank] != 1 ? -1 : factors[dim + output.Rank - input.Rank]).ToArray());
        }

        rule.Output(factors);
        foreach (ImmutableArray<int> set in Linear(types))
        {
            rule.LinearIn(set.ToArray());
        }

        return rule.Build();
    }

    /// <summary>In which operands its body is linear; what else it computes, and with which numbers, does not matter.</summary>
    internal override object Placing(OperandTypes types) => Linear(types).Select(set => new EquatableArray<int>(set)).ToEquatable();

    private IEnumerable<ImmutableArray<int>> Linear(OperandTypes types) => Sets(types.Inputs.Count).Where(set => ScalarAlgebra.IsLinear(Body, set));

    /// <summary>Sets of operands that may be partial together, small ones first: where(c, P, P), P · B + P. Of ops with many operands only single ones, pairs and all
    /// are tried: their number must not grow with 2 to the power of the operands.</summary>
    private static IEnumerable<ImmutableArray<int>> Sets(int count)
    {
        const int Few = 5;
        ImmutableArray<int> all = Enumerable.Range(0, count).ToImmutableArray();
        if (count <= Few)
        {
            return Enumerable.Range(1, (1 << count) - 1).Select(bits => all.Where(i => (bits >> i & 1) != 0).ToImmutableArray()).OrderBy(set => set.Length);
        }

        return all.Select(i => ImmutableArray.Create(i))
            .Concat(all.SelectMany(i => all.Skip(i + 1).Select(j => ImmutableArray.Create(i, j))))
            .Append(all);
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is not { } dy)
        {
            return;
        }

        int count = context.Node.Inputs.Length;
        for (int i = 0; i < count; i++)
        {
            if (!context.Needs(i))
            {
                continue;
            }

            ScalarExpression derivative = ScalarAlgebra.Differentiate(Body, i);
            if (derivative is Constant { Value: 0 })
            {
                continue;
            }

            // Keep only the operands that the derivative mentions; the incoming gradient is the last.
            var used = Enumerable.Range(0, count).Where(j => ScalarAlgebra.Uses(derivative, j)).ToList();
            ScalarExpression body = ScalarAlgebra.Substitute(derivative, j => In(used.IndexOf(j))) * In(used.Count);
            Value gradient = body == In(0) && used.Count == 0
                ? dy
                : context.Graph.Add(new ElementwiseOp(Function + "Gradient", body), used.Select(context.Input).Append(dy).ToArray());
            context.Add(i, SumOp.To(context.Graph, gradient, context.Input(i).Type));
        }
    }
}
