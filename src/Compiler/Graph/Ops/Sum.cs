namespace Shardwright.Compiler.Graph.Ops;

/// <summary>Sum over dims, which are kept with size 1 or dropped.</summary>
/// <param name="Dims">Dims that are summed, rising.</param>
/// <param name="KeepDims">Whether they stay as size 1.</param>
public sealed record SumOp(EquatableArray<int> Dims, bool KeepDims) : Op
{
    /// <inheritdoc/>
    public override string Name => "Sum";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType x = inputs[0];
        foreach (int dim in Dims)
        {
            if (dim < 0 || dim >= x.Rank)
            {
                throw new ShapeException($"{Name} over dim {dim} of {x.ShapeText}: dims are 0 to {x.Rank - 1}");
            }
        }

        return ImmutableArray.Create(x.With(x.Dims.Select((size, dim) => (size, dim)).Where(d => KeepDims || !Dims.Contains(d.dim)).Select(d => Dims.Contains(d.dim) ? 1 : d.size)));
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        var rule = new FactorRuleBuilder();
        int[] factors = types.Inputs[0].Dims.Select((size, dim) => rule.Factor("d" + dim, size)).ToArray();
        rule.Input(factors);
        rule.Output(factors.Where((_, dim) => KeepDims || !Dims.Contains(dim)).Select(f => Dims.Contains(f) ? -1 : f).ToArray());
        return rule.LinearIn(0).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy)
        {
            TensorType type = context.Input(0).Type;
            TensorType kept = type.With(type.Dims.Select((size, dim) => Dims.Contains(dim) ? 1 : size));
            context.Add(0, context.Graph.Add(new BroadcastOp(type.Dims), KeepDims ? dy : context.Graph.Add(new ReshapeOp(kept.Dims), dy)));
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => types.Inputs[0].Count;

    /// <summary>Sums a gradient over the dims along which an operand was broadcast.</summary>
    public static Value To(GraphBuilder graph, Value gradient, TensorType type)
    {
        if (gradient.Type.Dims == type.Dims)
        {
            return gradient;
        }

        int lead = gradient.Type.Rank - type.Rank;
        EquatableArray<int> dims = Enumerable.Range(0, gradient.Type.Rank)
            .Where(dim => dim < lead || (type.Dims[dim - lead] == 1 && gradient.Type.Dims[dim] != 1)).ToEquatable();
        Value sum = Over(graph, gradient, dims);
        return sum.Type.Dims == type.Dims ? sum : graph.Add(new ReshapeOp(type.Dims), sum);
    }

    /// <summary>Sums over any dims and drops them, one run of neighbouring dims at a time: a kernel reduces one run.</summary>
    public static Value Over(GraphBuilder graph, Value x, EquatableArray<int> dims)
    {
        for (int last = dims.Count - 1; last >= 0;)
        {
            int first = last;
            while (first > 0 && dims[first - 1] == dims[first] - 1)
            {
                first--;
            }

            x = graph.Add(new SumOp(Enumerable.Range(dims[first], last - first + 1).ToEquatable(), KeepDims: false), x);
            last = first - 1;
        }

        return x;
    }
}
