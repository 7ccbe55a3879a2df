using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Tests;

using Placement = Shardwright.Compiler.Graph.Placement;

/// <summary>Every op and every signature: inputs are placed, the op runs on each rank alone, outputs are put together and compared with the logical result.</summary>
public sealed class SbpSimulatorTests
{
    private static TensorType F(params long[] dims) => TensorType.Float(dims);

    private static TensorType I(params long[] dims) => TensorType.Int(dims);

    private static EquatableArray<int> Dims(params int[] dims) => EquatableArray.Of(dims);

    private static readonly (string Name, Op Op, TensorType[] Inputs)[] s_cases =
    [
        ("Add", Functions.Find("Add")!, [F(12, 6), F(12, 6)]),
        ("Subtract, broadcast", Functions.Find("Subtract")!, [F(12, 6), F(6)]),
        ("Multiply, size 1", Functions.Find("Multiply")!, [F(12, 1, 4), F(6, 4)]),
        ("Divide", Functions.Find("Divide")!, [F(12, 6), F(12, 6)]),
        ("Gelu", Functions.GeluTanh, [F(12, 6)]),
        ("Scale", Functions.Scale(2.5), [F(12, 6)]),
        ("Maximum", Functions.Find("Maximum")!, [F(12, 6), F(12, 6)]),
        ("Where", Functions.Find("Where")!, [F(12, 6), F(12, 6), F(6)]),
        ("MatMul", new MatMulOp(), [F(12, 6), F(6, 24)]),
        ("MatMul, shared", new MatMulOp(), [F(6, 4, 12), F(12, 6)]),
        ("MatMul, transposed", new MatMulOp(false, true), [F(6, 4, 12), F(6, 12)]),
        ("MatMul, batched", new MatMulOp(true, false), [F(6, 12, 4), F(6, 12, 8)]),
        ("WeightGradient", new WeightGradientOp(), [F(6, 4, 12), F(6, 4, 8)]),
        ("Reshape, merge", new ReshapeOp(EquatableArray.Of(72L, 4L)), [F(12, 6, 4)]),
        ("Reshape, split", new ReshapeOp(EquatableArray.Of(6L, 4L, 6L, 2L)), [F(6, 4, 12)]),
        ("Reshape, odd", new ReshapeOp(EquatableArray.Of(4L, 18L)), [F(6, 12)]),
        ("Broadcast", new BroadcastOp(EquatableArray.Of(12L, 6L, 4L)), [F(6, 1)]),
        ("Permute", new PermuteOp(Dims(2, 0, 1)), [F(12, 6, 4)]),
        ("Slice", new SliceOp(1, 2, 3), [F(12, 6)]),
        ("Pad", new PadOp(0, 2, 1), [F(3, 12)]),
        ("Concat", new ConcatOp(1), [F(12, 6), F(12, 2)]),
        ("Sum", new SumOp(Dims(1), false), [F(12, 6, 4)]),
        ("Sum, kept", new SumOp(Dims(0, 1), true), [F(12, 6, 4)]),
        ("Max", new ExtremeOp(Dims(1), false, true), [F(12, 6)]),
        ("ExtremeGradient", new ExtremeGradientOp(Dims(1), false), [F(12, 6), F(12), F(12)]),
        ("Softmax", new SoftmaxOp(), [F(12, 6)]),
        ("SoftmaxGradient", new SoftmaxGradientOp(), [F(12, 6), F(12, 6)]),
        ("LogSoftmax", new SoftmaxOp(true), [F(12, 6)]),
        ("LogSoftmaxGradient", new SoftmaxGradientOp(true), [F(12, 6), F(12, 6)]),
        ("LayerNorm", new LayerNormOp(1e-5f), [F(12, 4, 6), F(6), F(6)]),
        ("LayerNormGradient", new LayerNormGradientOp(), [F(12, 6), F(6), F(12), F(12), F(12, 6)]),
        ("RmsNorm", new RmsNormOp(1e-5f), [F(12, 6), F(6)]),
        ("RmsNormGradient", new RmsNormGradientOp(), [F(12, 6), F(6), F(12), F(12, 6)]),
        ("Embedding", new EmbeddingOp(), [I(6, 4), F(12, 6)]),
        ("EmbeddingGradient", new EmbeddingGradientOp(12), [I(6, 4), F(6, 4, 6)]),
        ("CrossEntropy", new CrossEntropyOp(3, false), [F(12, 6), I(12)]),
        ("CrossEntropy, weights", new CrossEntropyOp(-100, true), [F(12, 6), I(12), F(12)]),
        ("CrossEntropyGradient", new CrossEntropyGradientOp(3, true), [F(12, 6), I(12), F(12), F(), F(12)]),
        ("Attention", new AttentionOp(true, 0.5f, false), [F(6, 4, 3, 2), F(6, 4, 3, 2), F(6, 4, 3, 2)]),
        ("Attention, grouped", new AttentionOp(true, 0.5f, true), [F(2, 12, 3, 2), F(2, 2, 3, 2), F(2, 2, 3, 2), I(2, 3)]),
        ("AttentionGradient", new AttentionGradientOp(true, 0.5f, false), [F(6, 4, 3, 2), F(6, 4, 3, 2), F(6, 4, 3, 2), F(6, 4, 3, 2), F(6, 4, 3), F(6, 4, 3, 2)]),
        ("AttentionGradient, grouped", new AttentionGradientOp(false, 0.5f, false), [F(2, 12, 3, 2), F(2, 2, 3, 2), F(2, 2, 3, 2), F(2, 12, 3, 2), F(2, 12, 3), F(2, 12, 3, 2)]),
        ("Dropout", new DropoutOp(0.3f, "0"), [F(12, 6)]),
        ("Rope", new RopeOp(100, false), [F(6, 12, 4)]),
        ("Range", new RangeOp(12), []),
        ("Fill", new FillOp(EquatableArray.Of(12L, 6L), 0), []),
        ("Cast", new CastOp(DType.Float32), [I(12, 6)]),
    ];

    public static TheoryData<string> Names => new(s_cases.Select(c => c.Name));

    [Fact]
    public void EveryOpHasACase()
    {
        IEnumerable<Type> ops = typeof(Op).Assembly.GetTypes().Where(t => !t.IsAbstract && t.IsSubclassOf(typeof(Op)) && !t.IsSubclassOf(typeof(LocalOp)));
        Assert.Empty(ops.Except(s_cases.Select(c => c.Op.GetType())).Select(t => t.Name));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void EverySignatureThatIsOfferedHolds(string name)
    {
        (string _, Op op, TensorType[] inputs) = s_cases.Single(c => c.Name == name);
        OperandTypes types = new(inputs.ToEquatable(), op.Infer([.. inputs]).ToEquatable());
        int tried = 0;
        foreach (int parts in new[] { 2, 3, 4 })
        {
            foreach (Signature first in SignatureRules.Enumerate(op, types, types, parts))
            {
                tried++;
                Assert.True(Holds(op, types, [(first, parts)], out double error), $"{name}, {parts}-way: {first}: off by {error}");
                if (parts == 4)
                {
                    continue;
                }

                // A second axis on what the first has left: also on the same dim.
                OperandTypes local = Local(types, first, parts);
                FactorRule rule = op.Factors(types);
                long[] applied = [.. rule.Factors.Select((_, f) => f == first.Factor ? (long)parts : 1)];
                foreach (Signature second in SignatureRules.Enumerate(op, types, local, 2, applied))
                {
                    tried++;
                    Assert.True(Holds(op, types, [(first, parts), (second, 2)], out error), $"{name}, {parts} x 2: {first} then {second}: off by {error}");
                }
            }
        }

        Assert.True(tried >= 3);
    }

    /// <summary>What is refused must be wrong, or stand in the list of what is sound and not offered, with the reason.</summary>
    [Theory]
    [InlineData("Add")]
    [InlineData("Divide")]
    [InlineData("Gelu")]
    [InlineData("Scale")]
    [InlineData("Maximum")]
    [InlineData("MatMul")]
    [InlineData("Softmax")]
    [InlineData("Sum")]
    [InlineData("Max")]
    [InlineData("Permute")]
    [InlineData("Slice")]
    [InlineData("RmsNorm")]
    [InlineData("Embedding")]
    [InlineData("Concat")]
    public void EverySignatureThatIsRefusedFailsOrIsListed(string name)
    {
        (string _, Op op, TensorType[] inputs) = s_cases.Single(c => c.Name == name);
        OperandTypes types = new(inputs.ToEquatable(), op.Infer([.. inputs]).ToEquatable());
        var offered = SignatureRules.Enumerate(op, types, types, 2).Select(s => s.ToString()).ToHashSet();
        int refused = 0;
        foreach (Placement[] placements in Combinations([.. types.Inputs, .. types.Outputs]))
        {
            var signature = new Signature(placements.Take(types.Inputs.Count).ToEquatable(), placements.Skip(types.Inputs.Count).ToEquatable());
            if (offered.Contains(signature.ToString()))
            {
                continue;
            }

            refused++;
            bool holds;
            try
            {
                holds = Holds(op, types, [(signature, 2)], out double _);
            }
            catch (Exception error) when (error is IndexOutOfRangeException or ArgumentException or InvalidOperationException)
            {
                holds = false; // the pieces do not even fit together
            }

            if (holds)
            {
                Assert.True(IsSoundButNotOffered(op, signature), $"{name}: {signature} holds, is not offered, and is not listed");
            }
        }

        Assert.True(refused > 0);
    }

    /// <summary>Sound, not offered: signatures that waste what another gives for less.</summary>
    private static bool IsSoundButNotOffered(Op op, Signature s)
    {
        // A rank that holds only its slice or term of an output though all inputs are whole: the all-broadcast signature and a free slice say the same.
        bool slicesFree = s.Inputs.All(p => p.IsBroadcast);

        // A norm is linear in its scale; a parameter is never partial, so nobody would use it.
        bool partialScale = op is RmsNormOp && s.Inputs[1].IsPartial && s.Inputs[0].IsBroadcast && s.Outputs[0].IsPartial;
        return partialScale || (slicesFree && op is not RangeOp and not FillOp);
    }

    private static IEnumerable<Placement[]> Combinations(TensorType[] types)
    {
        IEnumerable<Placement> Of(TensorType t) => Enumerable.Range(0, t.Rank).Where(d => t.Dims[d] % 2 == 0).Select(Placement.Split)
            .Concat(t.IsFloat ? new[] { Placement.Broadcast, Placement.Partial } : new[] { Placement.Broadcast });
        IEnumerable<Placement[]> all = [[]];
        foreach (TensorType type in types)
        {
            all = all.SelectMany(head => Of(type).Select(p => (Placement[])[.. head, p]));
        }

        return all;
    }

    private static OperandTypes Local(OperandTypes types, Signature signature, int parts)
    {
        TensorType Cut(TensorType t, Placement p) => p.IsSplit ? t.With(t.Dims.Select((s, d) => d == p.Dim ? s / parts : s)) : t;
        return new OperandTypes(types.Inputs.Select((t, i) => Cut(t, signature.Inputs[i])).ToEquatable(), types.Outputs.Select((t, o) => Cut(t, signature.Outputs[o])).ToEquatable());
    }

    private static Dense[] Inputs(Op op, OperandTypes types)
    {
        var random = new Random(5);
        Dense[] x = [.. types.Inputs.Select(t => t.IsFloat ? Dense.Random(t.Dims, random) : Dense.Indices(t.Dims, op is AttentionOp ? 2 : 6, random))];
        switch (op)
        {
            // Gradients take what the forward op has saved: these operands hang together.
            case AttentionGradientOp a:
                Dense[] forward = Whole(new AttentionOp(a.Causal, a.Scale, a.HasSegments), [x[0], x[1], x[2]], [types.Inputs[0], types.Inputs[1], types.Inputs[2]]);
                (x[3], x[4]) = (forward[0], forward[1]);
                break;
            case ExtremeGradientOp e:
                x[1] = Whole(new ExtremeOp(e.Dims, e.KeepDims, true), [x[0]], [types.Inputs[0]])[0];
                break;
        }

        return x;
    }

    private static Dense[] Whole(Op op, Dense[] inputs, TensorType[] inputTypes)
    {
        OperandTypes types = new(inputTypes.ToEquatable(), op.Infer([.. inputTypes]).ToEquatable());
        return Interpreter.Run(op, types, inputs, [.. types.Outputs.Select(t => t.Dims.ToArray())], Starts(types.Inputs), Starts(types.Outputs));
    }

    private static long[][] Starts(IEnumerable<TensorType> types) => [.. types.Select(t => new long[t.Rank])];

    /// <summary>Places inputs on axes in order, runs every rank alone, puts outputs together from the last axis to the first.</summary>
    private static bool Holds(Op op, OperandTypes types, (Signature Signature, int Parts)[] axes, out double error)
    {
        Dense[] logical = Inputs(op, types), expected = Interpreter.Run(op, types, logical, [.. types.Outputs.Select(t => t.Dims.ToArray())], Starts(types.Inputs), Starts(types.Outputs));
        var random = new Random(9);
        var ranks = new List<(Dense[] Inputs, long[][] InputStarts, long[][] OutputSizes, long[][] OutputStarts, int[] At)> { (logical, Starts(types.Inputs), [.. types.Outputs.Select(t => t.Dims.ToArray())], Starts(types.Outputs), []) };
        foreach ((Signature signature, int parts) in axes)
        {
            ranks = [.. ranks.SelectMany(r => Split(r, signature, parts, random))];
        }

        Dense[][] results = RunAll(op, types, [.. ranks.Select(r => (r.Inputs, r.InputStarts, r.OutputSizes, r.OutputStarts, r.At))], axes);
        for (int a = axes.Length - 1; a >= 0; a--)
        {
            (Signature signature, int parts) = axes[a];
            results = [.. results.Chunk(parts).Select(group => Join(group, signature))];
        }

        error = 0;
        for (int o = 0; o < expected.Length; o++)
        {
            error = Math.Max(error, results[0][o].Distance(expected[o]));
        }

        return error < 1e-9;
    }

    private static IEnumerable<(Dense[], long[][], long[][], long[][], int[])> Split((Dense[] Inputs, long[][] InputStarts, long[][] OutputSizes, long[][] OutputStarts, int[] At) rank, Signature signature, int parts, Random random)
    {
        Dense[][] pieces = [.. rank.Inputs.Select((x, i) => Pieces(x, signature.Inputs[i], parts, random))];
        for (int part = 0; part < parts; part++)
        {
            long[][] inputStarts = [.. rank.InputStarts.Select((s, i) => Move(s, signature.Inputs[i], part, pieces[i][part].Dims))];
            long[][] sizes = [.. rank.OutputSizes.Select((s, o) => signature.Outputs[o].IsSplit ? s.Select((v, d) => d == signature.Outputs[o].Dim ? v / parts : v).ToArray() : s)];
            long[][] outputStarts = [.. rank.OutputStarts.Select((s, o) => Move(s, signature.Outputs[o], part, sizes[o]))];
            yield return ([.. pieces.Select(p => p[part])], inputStarts, sizes, outputStarts, [.. rank.At, part]);
        }
    }

    private static long[] Move(long[] start, Placement placement, int part, long[] size) =>
        placement.IsSplit ? [.. start.Select((v, d) => d == placement.Dim ? v + part * size[d] : v)] : start;

    private static Dense[] Pieces(Dense x, Placement placement, int parts, Random random)
    {
        if (placement.IsSplit)
        {
            return [.. Enumerable.Range(0, parts).Select(p => x.Slice(placement.Dim, p, parts))];
        }

        if (placement.IsBroadcast)
        {
            return [.. Enumerable.Repeat(x, parts)];
        }

        Dense[] terms = [.. Enumerable.Range(0, parts - 1).Select(_ => Dense.Random(x.Dims, random))];
        Dense rest = terms.Aggregate(x, (sum, t) => new Dense(sum.Dims, [.. sum.Data.Zip(t.Data, (a, b) => a - b)]));
        return [.. terms, rest];
    }

    private static Dense[] Join(Dense[][] group, Signature signature) =>
        [.. Enumerable.Range(0, group[0].Length).Select(o =>
        {
            Dense[] parts = [.. group.Select(g => g[o])];
            return signature.Outputs[o] switch
            {
                { IsSplit: true } p => Dense.Join(p.Dim, parts),
                { IsPartial: true } => parts.Aggregate(Dense.Add),
                _ => parts.All(p => p.Distance(parts[0]) < 1e-9) ? parts[0] : new Dense(parts[0].Dims, [.. parts[0].Data.Select(_ => double.NaN)]),
            };
        })];

    /// <summary>Runs all ranks; a communicating form meets the others of its group at its two all-reduces.</summary>
    private static Dense[][] RunAll(Op op, OperandTypes types, (Dense[] Inputs, long[][] InputStarts, long[][] OutputSizes, long[][] OutputStarts, int[] At)[] ranks, (Signature Signature, int Parts)[] axes)
    {
        int[] communicating = [.. Enumerable.Range(0, axes.Length).Where(a => axes[a].Signature.Communicates)];
        if (communicating.Length == 0)
        {
            return [.. ranks.Select(r => Interpreter.Run(op, types, r.Inputs, r.OutputSizes, r.InputStarts, r.OutputStarts))];
        }

        string Group(int[] at) => string.Join(",", at.Where((_, a) => !communicating.Contains(a)));
        Dense[] Stage(string stage, Func<int, string, Dense, Dense> earlier)
        {
            var values = new Dense[ranks.Length];
            for (int i = 0; i < ranks.Length; i++)
            {
                int rank = i;
                Interpreter.Run(op, types, ranks[i].Inputs, ranks[i].OutputSizes, ranks[i].InputStarts, ranks[i].OutputStarts, (name, v) =>
                {
                    if (name == stage)
                    {
                        values[rank] = v;
                        return v;
                    }

                    return earlier(rank, name, v);
                });
            }

            return [.. Enumerable.Range(0, ranks.Length).Select(i => Enumerable.Range(0, ranks.Length).Where(j => Group(ranks[j].At) == Group(ranks[i].At)).Select(j => values[j])
                .Aggregate((a, b) => stage == "max" ? new Dense(a.Dims, [.. a.Data.Zip(b.Data, Math.Max)]) : Dense.Add(a, b)))];
        }

        Dense[] max = Stage("max", (_, _, v) => v), sums = Stage("sum", (rank, _, _) => max[rank]);
        return [.. ranks.Select((r, i) => Interpreter.Run(op, types, r.Inputs, r.OutputSizes, r.InputStarts, r.OutputStarts, (name, _) => name == "max" ? max[i] : sums[i]))];
    }
}
