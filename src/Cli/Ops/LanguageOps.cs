using System.Globalization;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Cli.Ops;

/// <summary>A call of the language that becomes other ops of the graph.</summary>
/// <param name="Name">As in docs/ops.md.</param>
/// <param name="Description">One line with shapes.</param>
/// <param name="Example">Shapes of an example.</param>
/// <param name="Attributes">Its whole-number attributes with defaults.</param>
/// <param name="Make">The ops for given input types and attributes.</param>
internal sealed record LanguageOp(
    string Name, string Description, EquatableArray<TensorType> Example, EquatableArray<OpAttribute> Attributes,
    Func<EquatableArray<TensorType>, Func<string, int>, IReadOnlyList<(Op Op, int[] Inputs)>> Make)
{
    /// <summary>The program for given inputs.</summary>
    public OpProgram Program(EquatableArray<TensorType> inputs, IReadOnlyList<KeyValuePair<string, string>> given)
    {
        foreach ((string name, _) in given.Where(g => Attributes.All(a => !string.Equals(a.Name, g.Key, StringComparison.OrdinalIgnoreCase))))
        {
            throw CliException.Usage($"{Name} has no attribute '{name}': {Suggestions.For(name, Attributes.Select(a => a.Name), "its attributes")}");
        }

        return new OpProgram(Name, inputs, Make(inputs, name =>
        {
            string text = given.FirstOrDefault(g => string.Equals(g.Key, name, StringComparison.OrdinalIgnoreCase)).Value ?? Attributes.First(a => a.Name == name).Default;
            return int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int number)
                ? number
                : throw CliException.Usage($"attribute {name} of {Name} cannot be '{text}': it takes a whole number, such as {Attributes.First(a => a.Name == name).Default}");
        }));
    }
}

/// <summary>Calls of the language that have no op of their own in the graph: what the compiler makes of them.</summary>
internal static class LanguageOps
{
    private static readonly TensorType s_x = TensorType.Float(4, 6, 12);

    /// <summary>All of them.</summary>
    public static IReadOnlyList<LanguageOp> All { get; } =
    [
        new("Linear", "x [.., m, k], weight [k, n], (bias [n]) -> y [.., m, n]", EquatableArray.Of(TensorType.Float(4, 6, 8), TensorType.Float(8, 12), TensorType.Float(12)), default,
            (inputs, _) => inputs.Count > 2 ? [(new MatMulOp(), [0, 1]), (Functions.Find("Add")!, [3, 2])] : [(new MatMulOp(), [0, 1])]),
        new("Mean", "x [..] -> y [..], the mean over one dim; over all with Dim = -1", EquatableArray.Of(s_x), EquatableArray.Of(new OpAttribute("Dim", "-1"), new OpAttribute("KeepDim", "0")),
            (inputs, at) => [(new SumOp(at("Dim") < 0 ? Enumerable.Range(0, Rank(inputs)).ToEquatable() : EquatableArray.Of(at("Dim")), at("KeepDim") != 0), [0]), (Functions.Scale(0.5), [1])]),
        new("Transpose", "x [..] -> two dims swapped; the last two where none is named", EquatableArray.Of(s_x), EquatableArray.Of(new OpAttribute("First", "-2"), new OpAttribute("Second", "-1")),
            (inputs, at) =>
            {
                int rank = Rank(inputs), first = Normal(at("First"), rank), second = Normal(at("Second"), rank);
                return [(new PermuteOp(Enumerable.Range(0, rank).Select(d => d == first ? second : d == second ? first : d).ToEquatable()), [0])];
            }),
        new("Split", "x [.., n, ..] -> one of Parts equal parts along Dim", EquatableArray.Of(s_x), EquatableArray.Of(new OpAttribute("Parts", "2"), new OpAttribute("Dim", "-1")),
            (inputs, at) =>
            {
                int dim = Normal(at("Dim"), Rank(inputs)), parts = at("Parts");
                long size = inputs[0].Dims[dim];
                return parts >= 1 && size % parts == 0
                    ? [(new SliceOp(dim, 0, size / parts), [0])]
                    : throw CliException.Refused($"Split of {inputs[0].ShapeText} into {parts} along dim {dim}: {size} is not a multiple of {parts}");
            }),
        new("Stack", "x [..], y [..], .. -> joined along a new dim", EquatableArray.Of(s_x, s_x), EquatableArray.Of(new OpAttribute("Dim", "0")),
            (inputs, at) =>
            {
                int rank = Rank(inputs), dim = at("Dim") < 0 ? at("Dim") + rank + 1 : at("Dim");
                if (dim < 0 || dim > rank)
                {
                    throw CliException.Refused($"Stack along dim {at("Dim")} of {inputs[0].ShapeText}: dims are 0 to {rank}");
                }

                return [.. inputs.Select((t, i) => ((Op)new ReshapeOp(t.Dims.Take(dim).Append(1).Concat(t.Dims.Skip(dim)).ToEquatable()), new[] { i })), (new ConcatOp(dim), [.. Enumerable.Range(inputs.Count, inputs.Count)])];
            }),
        new("Map", "a [..], b [..], .. -> y [..] by your own function, as for one that is not linear", EquatableArray.Of(s_x), default,
            (inputs, _) => [(new ElementwiseOp("Map", Enumerable.Range(0, inputs.Count).Aggregate((ScalarExpression)1, (product, i) => product * new ScalarExpression.Unary(UnaryKind.Tanh, ScalarExpression.In(i)))), [.. Enumerable.Range(0, inputs.Count)])]),
        new("AddLoss", "value [..] -> its sum, times a weight, added to the loss", EquatableArray.Of(s_x), default,
            (inputs, _) => [(new SumOp(Enumerable.Range(0, Rank(inputs)).ToEquatable(), false), [0])]),
        new("Reshard", "x [..] -> x, placed as you say; what changes in between is a collective", EquatableArray.Of(s_x), default,
            (_, _) => [(new ElementwiseOp("Reshard", ScalarExpression.In(0)), [0])]),
    ];

    private static int Rank(EquatableArray<TensorType> inputs) => inputs.Count == 0 ? throw new ArgumentOutOfRangeException(nameof(inputs)) : inputs[0].Rank;

    private static int Normal(int dim, int rank) => (dim < 0 ? dim + rank : dim) is var normal && normal >= 0 && normal < rank
        ? normal
        : throw CliException.Refused($"dim {dim} does not exist: dims are 0 to {rank - 1}");
}
