using System.Reflection;

namespace Shardwright.Compiler.Tests.Ops;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

/// <summary>An op with input types, and random values that suit it.</summary>
internal sealed record OpCase(Op Op, ImmutableArray<TensorType> Inputs)
{
    public OperandTypes Types { get; } = new(Inputs, Op.Infer(Inputs));

    /// <summary>Unique name: the op with its attributes and shapes.</summary>
    public string Label => $"{Attributes} {string.Join(" ", Inputs)}";

    private string Attributes => Op is ElementwiseOp e
        ? e.Function
        : $"{Op.GetType().Name}({string.Join(", ", OpAttributes.Of(Op).Select(p => $"{p.Name} {p.GetValue(Op)}"))})";

    /// <summary>Random inputs within the op's domain.</summary>
    public Dense[] Values(Random random)
    {
        Dense[] values = Inputs.Select((type, i) => Dense.Make(type.Dims, index => Value(i, type, index, random))).ToArray();
        if (Op is ExtremeGradientOp e)
        {
            // Some ties, and the extreme that belongs to x.
            values[0] = values[0].Map(v => Math.Round(v * 2) / 2);
            var forward = new ExtremeOp(e.Dims, e.KeepDims, true);
            values[1] = ReferenceInterpreter.Run(forward, [values[0]], new OperandTypes(EquatableArray.Of(Inputs[0]), EquatableArray.Of(Inputs[1])))[0];
        }

        return values;
    }

    private double Value(int input, TensorType type, long[] index, Random random)
    {
        double gauss = Dense.Gauss(random);
        if (!type.IsFloat)
        {
            return Op switch
            {
                EmbeddingOp => random.NextInt64(Inputs[1].Dims[0]),
                EmbeddingGradientOp g => random.NextInt64(g.Vocabulary),
                CrossEntropyOp c => random.Next(5) == 0 ? c.IgnoreIndex : random.NextInt64(Inputs[0].Dims[^1]),
                CrossEntropyGradientOp c => random.Next(5) == 0 ? c.IgnoreIndex : random.NextInt64(Inputs[0].Dims[^1]),
                AttentionOp or AttentionGradientOp => index[1] / 2,
                _ => random.Next(-5, 6),
            };
        }

        return Op switch
        {
            ElementwiseOp { Function: "Where" } when input == 0 => random.Next(2),
            ElementwiseOp { Function: "Log" or "Sqrt" } => Math.Exp(gauss),
            ElementwiseOp { Function: "Divide" } when input == 1 => gauss < 0 ? gauss - 0.5 : gauss + 0.5,
            ElementwiseOp { Function: "Equal" } => random.Next(2),
            _ => gauss,
        };
    }
}

/// <summary>Attributes of an op by reflection.</summary>
internal static class OpAttributes
{
    /// <summary>Properties of the parameters of the record's constructor, in order.</summary>
    public static IEnumerable<PropertyInfo> Of(Op op)
    {
        Type type = op.GetType();
        return type.GetConstructors().OrderByDescending(c => c.GetParameters().Length).First().GetParameters().Select(p => type.GetProperty(p.Name!)!);
    }
}

/// <summary>The catalogue's samples and further shapes: broadcasting, grouped heads, merged and split dims.</summary>
internal static class OpCases
{
    public static ImmutableArray<OpCase> All { get; } = OpCatalogue.Entries.Select(e => new OpCase(e.Sample, e.SampleInputs.Items)).Concat(More()).ToImmutableArray();

    public static TheoryData<string> Labels { get; } = [.. All.Select(c => c.Label)];

    public static OpCase Find(string label) => All.Single(c => c.Label == label);

    private static OpCase Case(Op op, params TensorType[] inputs) => new(op, [.. inputs]);

    private static TensorType F(params long[] dims) => TensorType.Float(dims);

    private static TensorType I(params long[] dims) => TensorType.Int(dims);

    private static EquatableArray<long> Sizes(params long[] dims) => EquatableArray.Of(dims);

    private static EquatableArray<int> Dims(params int[] dims) => EquatableArray.Of(dims);

    private static IEnumerable<OpCase> More() => Elementwise().Concat(Products()).Concat(Reductions()).Concat(Reshapes()).Concat(Movement()).Concat(Rows()).Concat(Attention());

    private static IEnumerable<OpCase> Elementwise()
    {
        foreach (string name in new[] { "Add", "Multiply", "Divide" })
        {
            ElementwiseOp op = Functions.Find(name)!;
            yield return Case(op, F(4, 6), F(4, 6));
            yield return Case(op, F(4, 1, 12), F(6, 12));
            yield return Case(op, F(1, 6), F(4, 1));
            yield return Case(op, F(12, 12), F());
            yield return Case(op, F(1), F(1));
        }

        ScalarExpression a = ScalarExpression.In(0), b = ScalarExpression.In(1), c = ScalarExpression.In(2);
        yield return Case(Functions.Find("Where")!, F(4, 6), F(4, 6), F(4, 6));
        yield return Case(new ElementwiseOp("Lerp", a * (1 - c) + b * c), F(4, 6), F(4, 6), F(6));
        yield return Case(new ElementwiseOp("MultiplyAdd", a * b + c), F(4, 6), F(4, 6), F(6));
        yield return Case(new ElementwiseOp("SumOfThree", a + b * 2 - c), F(4, 6), F(4, 6), F(4, 6));
        yield return Case(new ElementwiseOp("TwoProducts", a * b + c * ScalarExpression.In(3)), F(4, 6), F(4, 6), F(4, 6), F(6));
        yield return Case(new ElementwiseOp("GeluGradient", ScalarAlgebra.Differentiate(Functions.GeluTanh.Body, 0) * b), F(4, 6), F(4, 6));
        yield return Case(new ElementwiseOp("Add", a + b), I(4, 6), I(6));
    }

    private static IEnumerable<OpCase> Products()
    {
        foreach ((bool left, bool right) in new[] { (false, false), (false, true), (true, false), (true, true) })
        {
            yield return Case(new MatMulOp(left, right), left ? F(6, 4) : F(4, 6), right ? F(12, 6) : F(6, 12));
            yield return Case(new MatMulOp(left, right), left ? F(4, 6, 4) : F(4, 4, 6), right ? F(4, 12, 6) : F(4, 6, 12));
        }

        yield return Case(new MatMulOp(false, true), F(4, 6, 4), F(12, 4));
        yield return Case(new MatMulOp(), F(2, 4, 6, 4), F(4, 12));
        yield return Case(new MatMulOp(), F(4, 4, 4), F(4, 4, 4));
        yield return Case(new WeightGradientOp(), F(2, 6, 4, 4), F(2, 6, 4, 12));
    }

    private static IEnumerable<OpCase> Reductions()
    {
        foreach (bool keep in new[] { false, true })
        {
            yield return Case(new SumOp(Dims(0, 1), keep), F(4, 6, 12));
            yield return Case(new SumOp(Dims(0, 1), keep), F(4, 12));
            yield return Case(new SumOp(Dims(0, 2), keep), F(4, 6, 12));
            yield return Case(new ExtremeOp(Dims(0), keep, false), F(4, 12));
            yield return Case(new ExtremeOp(Dims(0, 1), keep, true), F(4, 6));
            yield return Case(new ExtremeGradientOp(Dims(0), keep), F(4, 12), keep ? F(1, 12) : F(12), keep ? F(1, 12) : F(12));
        }

        yield return Case(new SumOp(Dims(1), false), F(4, 1, 6));
        yield return Case(new SumOp(Dims(1), true), F(4, 1, 6));
        yield return Case(new SumOp(Dims(1), false), I(4, 6));
    }

    private static IEnumerable<OpCase> Reshapes()
    {
        foreach ((long[] from, long[] to) in new (long[], long[])[]
        {
            ([24], [4, 6]), ([4, 6], [24]), ([12, 4], [8, 6]), ([4, 6, 12], [4, 12, 6]), ([4, 6, 8], [4, 6, 2, 4]), ([4, 6, 2, 4], [4, 6, 8]), ([1, 4, 6], [4, 1, 6]),
            ([12, 1, 4], [3, 4, 4]), ([6, 12], [4, 18]), ([6, 8], [48]), ([4, 6], [4, 6]), ([48], [4, 12]), ([12, 6], [1, 72]), ([4, 12], [4, 1, 12]), ([4, 12, 1], [4, 12]), ([1], []), ([], [1, 1]), ([16, 4], [4, 16]),
        })
        {
            yield return Case(new ReshapeOp(Sizes(to)), F(from));
        }

        yield return Case(new ReshapeOp(Sizes(24)), I(4, 6));
        yield return Case(new BroadcastOp(Sizes(4, 12)), F(1, 12));
        yield return Case(new BroadcastOp(Sizes(4, 6, 12)), F(12));
        yield return Case(new BroadcastOp(Sizes(4, 6)), F(4, 1));
        yield return Case(new BroadcastOp(Sizes(4, 6)), F());
        yield return Case(new BroadcastOp(Sizes(1, 6)), F(1, 6));
    }

    private static IEnumerable<OpCase> Movement()
    {
        yield return Case(new PermuteOp(Dims(2, 0, 1)), F(4, 6, 12));
        yield return Case(new PermuteOp(Dims(0, 2, 1, 3)), F(4, 6, 2, 4));
        yield return Case(new PermuteOp(Dims(1, 0)), I(4, 6));
        yield return Case(new SliceOp(0, 0, 4), F(8, 6));
        yield return Case(new SliceOp(1, 1, 3), F(4, 6));
        yield return Case(new PadOp(0, 0, 4), F(4, 6));
        yield return Case(new PadOp(1, 1, 1), F(4, 4));
        yield return Case(new ConcatOp(0), F(4, 6), F(4, 6), F(8, 6));
        yield return Case(new DropoutOp(0.5f, "3+2*{0}"), F(12, 12));
        yield return Case(new DropoutOp(0, "1"), F(4));
        yield return Case(new RopeOp(100, true), F(6, 4));
        yield return Case(new RopeOp(10000, false), F(2, 4, 12, 4));
        yield return Case(new CastOp(DType.Float32), F(4, 6));
        yield return Case(new CastOp(DType.BFloat16), F(4, 6));
        yield return Case(new CastOp(DType.Float32), new TensorType(DType.BFloat16, Sizes(4, 6)));
        yield return Case(new CastOp(DType.Float16), new TensorType(DType.BFloat16, Sizes(4, 6)));
        yield return Case(new CastOp(DType.Int32), F(4, 6));
        yield return Case(new FillOp(Sizes(4, 6), 0));
        yield return Case(new FillOp(Sizes(), 1));
    }

    private static IEnumerable<OpCase> Rows()
    {
        yield return Case(new SoftmaxOp(), F(12));
        yield return Case(new LayerNormOp(0.1f), F(12), F(12), F(12));
        yield return Case(new RmsNormOp(0.1f), F(4, 6), F(6));
        yield return Case(new RmsNormGradientOp(), F(12), F(12), F(), F(12));
        yield return Case(new EmbeddingOp(), I(12), F(6, 4));
        yield return Case(new EmbeddingOp(), I(), F(6, 4));
        yield return Case(new EmbeddingGradientOp(6), I(12), F(12, 4));
        yield return Case(new CrossEntropyOp(0, true), F(4, 6, 12), I(4, 6), F(4, 6));
        yield return Case(new CrossEntropyOp(-100, false), F(12), I());
        yield return Case(new CrossEntropyOp(-100, true), F(12, 4), I(12), F(12));
        yield return Case(new CrossEntropyGradientOp(0, true), F(4, 6, 12), I(4, 6), F(4, 6), F(), F(4, 6));
        yield return Case(new CrossEntropyGradientOp(-100, false), F(12), I(), F(), F());
    }

    private static IEnumerable<OpCase> Attention()
    {
        foreach ((long heads, long keys, long queries, long positions, bool causal, bool segments) in new[]
        {
            (4L, 4L, 4L, 4L, false, false), (4L, 1L, 3L, 4L, true, false), (8L, 2L, 4L, 4L, true, true), (12L, 3L, 2L, 2L, false, false), (6L, 3L, 2L, 3L, true, false), (12L, 6L, 2L, 2L, true, false), (12L, 2L, 3L, 3L, true, true),
        })
        {
            TensorType q = F(4, heads, queries, 2), k = F(4, keys, positions, 2), ids = I(4, queries);
            ImmutableArray<TensorType> forward = [q, k, k], backward = [q, k, k, q, F(4, heads, queries), q];
            yield return new OpCase(new AttentionOp(causal, 0.5f, segments), segments ? forward.Add(ids) : forward);
            yield return new OpCase(new AttentionGradientOp(causal, 0.5f, segments), segments ? backward.Add(ids) : backward);
        }
    }
}
