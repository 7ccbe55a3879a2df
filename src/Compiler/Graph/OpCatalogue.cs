using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Compiler.Graph;

/// <summary>An attribute of an op.</summary>
/// <param name="Name">Name of the record's parameter.</param>
/// <param name="Default">Value that Ops uses where the caller gives none, as C# writes it; empty where it must be given.</param>
public sealed record OpAttribute(string Name, string Default);

/// <summary>An op with an example, for tests and for people who ask how it may be sharded.</summary>
/// <param name="Name">Name, unique in the catalogue; that of the op.</param>
/// <param name="Description">One line with shapes.</param>
/// <param name="Sample">The op with attributes that fit the example.</param>
/// <param name="SampleInputs">Types of the example's inputs; sizes that 2 and 4 divide where they may.</param>
/// <param name="Attributes">Its attributes in order.</param>
public sealed record OpEntry(string Name, string Description, Op Sample, EquatableArray<TensorType> SampleInputs, EquatableArray<OpAttribute> Attributes)
{
    /// <summary>Operands of the example.</summary>
    public OperandTypes Types => new(SampleInputs, Sample.Infer(SampleInputs.Items));
}

/// <summary>Every op that the logical graph may hold, gradients included, with an example of each. A test holds that none is missing.</summary>
public static class OpCatalogue
{
    /// <summary>All entries: elementwise functions first, then products, reductions, rows, attention, movement, sources.</summary>
    public static ImmutableArray<OpEntry> Entries { get; } = Elementwise()
        .Concat(Products())
        .Concat(Reductions())
        .Concat(Rows())
        .Concat(Losses())
        .Concat(Attention())
        .Concat(Movement())
        .Concat(Sources())
        .ToImmutableArray();

    /// <summary>An entry by name, or null.</summary>
    public static OpEntry? Find(string name) => Entries.FirstOrDefault(e => e.Name == name);

    private static IEnumerable<OpEntry> Elementwise()
    {
        TensorType x = Float(4, 6, 12), row = Float(12);
        foreach (string name in Functions.Names)
        {
            ElementwiseOp op = Functions.Find(name)!;
            int inputs = Enumerable.Range(0, 3).Count(i => ScalarAlgebra.Uses(op.Body, i));
            yield return inputs switch
            {
                1 => Entry(op, "x [..] -> y [..], element by element", new[] { x }),
                2 => Entry(op, "a [..], b [..] -> y [..], broadcasting from the right", new[] { x, row }),
                _ => Entry(op, "condition [..], a [..], b [..] -> y [..]: a where the condition is not 0, else b", new[] { x, x, row }),
            };
        }

        yield return Entry(Functions.GeluTanh, "x [..] -> y [..], tanh form", new[] { x });
        yield return Entry(Functions.GeluErf, "x [..] -> y [..], exact form", new[] { x });
        yield return Entry(Functions.Scale(0.5), "x [..] -> y [..], times a number", new[] { x });
        yield return Entry(Functions.Offset(0.5), "x [..] -> y [..], plus a number", new[] { x });
    }

    private static IEnumerable<OpEntry> Products()
    {
        yield return Entry(new MatMulOp(), "a [.., m, k], b [k, n] or [.., k, n] -> y [.., m, n]", new[] { Float(4, 6, 8), Float(8, 12) }, ("TransposeA", "false"), ("TransposeB", "false"));
        yield return Entry(new WeightGradientOp(), "x [.., m], dy [.., n] -> [m, n], summed over the leading dims", new[] { Float(4, 6, 8), Float(4, 6, 12) });
    }

    private static IEnumerable<OpEntry> Reductions()
    {
        EquatableArray<int> last = EquatableArray.Of(1);
        yield return Entry(new SumOp(last, false), "x [..] -> y [..] without (or with 1 for) the dims that are summed", new[] { Float(4, 6, 12) }, ("Dims", ""), ("KeepDims", "false"));
        yield return Entry(new ExtremeOp(last, false, true), "x [..] -> largest over the dims", new[] { Float(4, 6, 12) }, ("Dims", ""), ("KeepDims", "false"), ("IsMax", "true"));
        yield return Entry(new ExtremeOp(last, false, false), "x [..] -> smallest over the dims", new[] { Float(4, 6, 12) }, ("Dims", ""), ("KeepDims", "false"), ("IsMax", "false"));
        yield return Entry(new ExtremeGradientOp(last, false), "x [..], y [..], dy [..] -> dx [..], ties share equally", new[] { Float(4, 6, 12), Float(4, 12), Float(4, 12) }, ("Dims", ""), ("KeepDims", "false"));
    }

    private static IEnumerable<OpEntry> Rows()
    {
        TensorType x = Float(4, 6, 12), rows = Float(4, 6), vector = Float(12);
        foreach (bool logarithm in new[] { false, true })
        {
            yield return Entry(new SoftmaxOp(logarithm), "x [.., c] -> y [.., c]", new[] { x }, ("Logarithm", logarithm ? "true" : "false"));
            yield return Entry(new SoftmaxGradientOp(logarithm), "y [.., c], dy [.., c] -> dx [.., c]", new[] { x, x }, ("Logarithm", logarithm ? "true" : "false"));
        }

        yield return Entry(new LayerNormOp(1e-5f), "x [.., c], scale [c], shift [c] -> y [.., c], mean [..], reciprocal deviation [..]", new[] { x, vector, vector }, ("Epsilon", "1e-5f"));
        yield return Entry(new LayerNormGradientOp(), "x [.., c], scale [c], mean [..], reciprocal deviation [..], dy [.., c] -> dx [.., c], dScale [c], dShift [c]", new[] { x, vector, rows, rows, x });
        yield return Entry(new RmsNormOp(1e-6f), "x [.., c], scale [c] -> y [.., c], reciprocal [..]", new[] { x, vector }, ("Epsilon", "1e-6f"));
        yield return Entry(new RmsNormGradientOp(), "x [.., c], scale [c], reciprocal [..], dy [.., c] -> dx [.., c], dScale [c]", new[] { x, vector, rows, x });
    }

    private static IEnumerable<OpEntry> Losses()
    {
        TensorType logits = Float(4, 6, 12), targets = TensorType.Int(4, 6), rows = Float(4, 6);
        yield return Entry(new EmbeddingOp(), "ids int [..], table [v, n] -> [.., n]", new[] { targets, Float(12, 8) });
        yield return Entry(new EmbeddingGradientOp(12), "ids int [..], dy [.., n] -> dTable [v, n]", new[] { targets, Float(4, 6, 8) }, ("Vocabulary", ""));
        yield return Entry(new CrossEntropyOp(-100, false), "logits [.., c], targets int [..], (weights [..]) -> sum [], weight [], logSumExp [..]", new[] { logits, targets }, ("IgnoreIndex", "-100"), ("HasWeights", "false"));
        yield return Entry(new CrossEntropyGradientOp(-100, false), "logits [.., c], targets int [..], logSumExp [..], dSum [], (weights [..]) -> dLogits [.., c]", new[] { logits, targets, rows, Float() }, ("IgnoreIndex", "-100"), ("HasWeights", "false"));
    }

    private static IEnumerable<OpEntry> Attention()
    {
        TensorType q = Float(4, 8, 6, 4), k = Float(4, 4, 6, 4);
        yield return Entry(
            new AttentionOp(true, 0.5f, false),
            "q [b, h, s, d], k [b, g, t, d], v [b, g, t, d], (segments int [b, s]) -> o [b, h, s, d], logSumExp [b, h, s]",
            new[] { q, k, k },
            ("Causal", "false"), ("Scale", "1 / sqrt(d)"), ("HasSegments", "false"));
        yield return Entry(
            new AttentionGradientOp(true, 0.5f, false),
            "q, k, v, o, logSumExp, dO, (segments) -> dq, dk, dv",
            new[] { q, k, k, q, Float(4, 8, 6), q },
            ("Causal", "false"), ("Scale", "1 / sqrt(d)"), ("HasSegments", "false"));
    }

    private static IEnumerable<OpEntry> Movement()
    {
        TensorType x = Float(4, 6, 12);
        yield return Entry(new ReshapeOp(EquatableArray.Of(24L, 4L, 3L)), "x [..] -> the same elements under other dims", new[] { x }, ("Dims", ""));
        yield return Entry(new BroadcastOp(EquatableArray.Of(4L, 6L, 12L)), "x [.., 1, ..] -> dims of size 1 repeated", new[] { Float(6, 1) }, ("Dims", ""));
        yield return Entry(new PermuteOp(EquatableArray.Of(1, 0, 2)), "x [..] -> dim i is dim Order[i] of x", new[] { x }, ("Order", ""));
        yield return Entry(new SliceOp(2, 4, 4), "x [.., n, ..] -> [.., Length, ..] from Start", new[] { x }, ("Dim", ""), ("Start", ""), ("Length", ""));
        yield return Entry(new PadOp(2, 4, 4), "x [.., n, ..] -> [.., Before + n + After, ..], zeros around", new[] { x }, ("Dim", ""), ("Before", ""), ("After", ""));
        yield return Entry(new ConcatOp(2), "x [.., m, ..], y [.., n, ..], .. -> [.., m + n + .., ..]", new[] { x, Float(4, 6, 4) }, ("Dim", "0"));
        yield return Entry(new DropoutOp(0.25f, "0"), "x [..] -> y [..]", new[] { x }, ("Probability", ""), ("Key", ""));
        yield return Entry(new RopeOp(10000, false), "x [.., positions, width] -> y of that shape", new[] { x }, ("Theta", "10000"), ("Inverse", "false"));
        yield return Entry(new CastOp(DType.Float32), "x [..] -> y [..] of another element type", new[] { TensorType.Int(4, 6) }, ("Element", ""));
    }

    private static IEnumerable<OpEntry> Sources()
    {
        yield return Entry(new RangeOp(12), "-> int [count]: 0, 1, 2, ..", Array.Empty<TensorType>(), ("Count", ""));
        yield return Entry(new FillOp(EquatableArray.Of(4L, 6L), 1), "-> [..], all of one number", Array.Empty<TensorType>(), ("Dims", ""), ("Value", ""));
    }

    private static TensorType Float(params long[] dims) => TensorType.Float(dims);

    private static OpEntry Entry(Op op, string description, TensorType[] inputs, params (string Name, string Default)[] attributes) =>
        new(op.Name, description, op, inputs.ToEquatable(), attributes.Select(a => new OpAttribute(a.Name, a.Default)).ToEquatable());
}
