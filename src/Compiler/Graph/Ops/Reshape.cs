namespace Shardwright.Compiler.Graph.Ops;

/// <summary>The same elements in row-major order under other dims. Dims that are equal on both sides pass; of a merged or split group only
/// the leading factor can be split.</summary>
/// <param name="Dims">Sizes of the result (logical; a local node takes the sizes of its output).</param>
public sealed record ReshapeOp(EquatableArray<long> Dims) : Op
{
    /// <inheritdoc/>
    public override string Name => "Reshape";

    /// <inheritdoc/>
    public override ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs)
    {
        TensorType x = inputs[0], y = x.With(Dims);
        if (Dims.Any(size => size < 1))
        {
            throw new ShapeException($"Reshape of {x.ShapeText} to {y.ShapeText}: sizes must be 1 or more");
        }

        if (y.Count != x.Count)
        {
            throw new ShapeException($"Reshape of {x.ShapeText} to {y.ShapeText}: {x.Count} elements do not make {y.Count}");
        }

        return ImmutableArray.Create(y);
    }

    /// <inheritdoc/>
    public override FactorRule Factors(OperandTypes types)
    {
        IReadOnlyList<long> from = types.Inputs[0].Dims, to = types.Outputs[0].Dims;
        var rule = new FactorRuleBuilder();
        int[] input = Enumerable.Repeat(-1, from.Count).ToArray(), output = Enumerable.Repeat(-1, to.Count).ToArray();
        int i = 0, o = 0;
        while (i < from.Count && o < to.Count)
        {
            // One group: the shortest runs of dims on both sides with equal products.
            int firstIn = i, firstOut = o;
            long left = from[i++], right = to[o++];
            while (left != right)
            {
                if (left < right)
                {
                    left *= from[i++];
                }
                else
                {
                    right *= to[o++];
                }
            }

            // Dims of size 1 in front of the group's first real dim carry nothing.
            int leadIn = firstIn, leadOut = firstOut;
            while (leadIn < i - 1 && from[leadIn] == 1)
            {
                leadIn++;
            }

            while (leadOut < o - 1 && to[leadOut] == 1)
            {
                leadOut++;
            }

            long size = Gcd(from[leadIn], to[leadOut]);
            int factor = rule.Factor("g" + firstIn, size);
            input[leadIn] = factor;
            output[leadOut] = factor;
        }

        return rule.Input(input).Output(output).LinearIn(0).Build();
    }

    /// <inheritdoc/>
    public override void Differentiate(GradientContext context)
    {
        if (context.OutputGradient() is { } dy)
        {
            context.Add(0, context.Graph.Add(new ReshapeOp(context.Input(0).Type.Dims), dy));
        }
    }

    /// <inheritdoc/>
    public override long Flops(OperandTypes types) => 0;

    private static long Gcd(long a, long b) => b == 0 ? a : Gcd(b, a % b);
}
