using System.CommandLine;
using System.Globalization;
using Shardwright.Cli.Ops;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Cli.Commands;

/// <summary><c>sbp OP --shapes 4x8,8x6</c>: every signature of an op on one axis, or on two; refused ones with the reason.</summary>
internal static class SbpCommand
{
    private static readonly Argument<string> s_op = new("OP") { Description = "Name of the op; --list names them all.", Arity = ArgumentArity.ZeroOrOne };
    private static readonly Option<string> s_shapes = new("--shapes") { HelpName = "4x8,8x6", Description = "Shapes of the inputs; 'scalar' for one number, ':int' and the like for another element type. The catalogue's example where there is none." };
    private static readonly Option<string[]> s_attributes = CommonOptions.Pairs("--attr", "name=value", "Attributes of the op; lists of numbers are joined by x.");
    private static readonly Option<string> s_parts = new("--parts") { HelpName = "2[,2]", Description = "Sizes of one axis or two, outermost first.", DefaultValueFactory = _ => "2" };
    private static readonly Option<bool> s_list = new("--list") { Description = "Names the ops, their attributes and defaults." };
    private static readonly Option<bool> s_markdown = new("--markdown") { Description = "With --list: the table of docs/ops.md, every signature of each example." };
    private static readonly Option<bool> s_json = CommonOptions.Json();

    public static Command Create() =>
        new Command("sbp", "How an op may be sharded: every signature on one axis or two, refused ones with the reason.") { s_op, s_shapes, s_attributes, s_parts, s_list, s_markdown, s_json }.Runs(Run);

    private static int Run(CommandContext context)
    {
        if (context.Get(s_list))
        {
            List(context);
            return ExitCodes.Success;
        }

        string name = context.Get(s_op) ?? throw CliException.Usage("sbp needs the name of an op; 'shardwright sbp --list' names them");
        int[] parts = Parts(context.Get(s_parts)!);
        var attributes = CommonOptions.Split("--attr", context.Get(s_attributes), StringComparer.OrdinalIgnoreCase);
        if (LanguageOps.All.FirstOrDefault(o => string.Equals(o.Name, name, StringComparison.OrdinalIgnoreCase)) is { } call)
        {
            OpProgram program = Checked(call.Name, call.Description, call.Example, Inputs(context, call.Example, DType.Float32), inputs => call.Program(inputs, attributes), out OperandTypes operands);
            Print(context, call.Name, operands, program.Steps.Count == 1
                ? Judge(program.Steps[0].Op, operands, parts)
                : parts.Length == 1 ? [.. program.Judge(parts[0]).Select(Row)]
                : throw CliException.Usage($"{call.Name} is {string.Join(" then ", program.Steps.Select(p => p.Op.Name).Distinct())}: ask for these on two axes, or for {call.Name} on one"));
            return ExitCodes.Success;
        }

        OpEntry entry = OpCatalogue.Find(name)
            ?? OpCatalogue.Entries.FirstOrDefault(e => string.Equals(e.Name, name, StringComparison.OrdinalIgnoreCase))
            ?? throw CliException.Usage($"there is no op '{name}': {Suggestions.For(name, OpCatalogue.Entries.Select(e => e.Name).Concat(LanguageOps.All.Select(o => o.Name)), "ops")}");
        bool example = attributes.Count == 0 && context.Get(s_shapes) is null;
        OpProgram single = Checked(
            entry.Name, entry.Description, entry.SampleInputs, Inputs(context, entry.SampleInputs, entry.Attributes.Any(a => a.Name == "HasSegments") ? DType.Int32 : DType.Float32),
            inputs => new OpProgram(entry.Name, inputs, [(example ? entry.Sample : OpFactory.Create(entry, attributes, inputs), [.. Enumerable.Range(0, inputs.Count)])]), out OperandTypes types);
        Print(context, single.Steps[0].Op.Name, types, Judge(single.Steps[0].Op, types, parts));
        return ExitCodes.Success;
    }

    /// <summary>Shapes as given, or the example's; where no element type is said, that of the example, beyond it another.</summary>
    private static EquatableArray<TensorType> Inputs(CommandContext context, EquatableArray<TensorType> example, DType beyond) =>
        context.Get(s_shapes) is { } shapes ? ShapeList.Read(shapes, i => i < example.Count ? example[i].Element : beyond) : example;

    private static OpProgram Checked(string name, string description, EquatableArray<TensorType> example, EquatableArray<TensorType> inputs, Func<EquatableArray<TensorType>, OpProgram> make, out OperandTypes types)
    {
        try
        {
            OpProgram program = make(inputs);
            types = program.Types();
            return program;
        }
        catch (ShapeException refusal)
        {
            throw CliException.Refused(refusal.Message);
        }
        catch (Exception error) when (error is IndexOutOfRangeException or ArgumentException or OverflowException or InvalidOperationException)
        {
            throw CliException.Usage($"{name} does not take {inputs.Count} input(s) of these shapes: {description}; for example --shapes {string.Join(",", example.Select(ShapeList.Write))}");
        }
    }

    private static int[] Parts(string text)
    {
        const int Most = 1 << 20;
        int[] parts = [.. text.Split(',').Select(p =>
            int.TryParse(p, NumberStyles.None, CultureInfo.InvariantCulture, out int size) && size is >= 2 and <= Most
                ? size
                : throw CliException.Usage($"'{p}' in --parts is no size of an axis: sizes are whole numbers from 2 to {Most}"))];
        return parts.Length <= 2 ? parts : throw CliException.Usage($"--parts names {parts.Length} axes, and this command answers for one or two");
    }

    /// <summary>On two axes: what holds on the first, with every candidate on the second.</summary>
    private static IReadOnlyList<SbpRow> Judge(Op op, OperandTypes types, int[] parts)
    {
        ImmutableArray<JudgedSignature> first = SignatureCandidates.Judge(op, types, types, parts[0]);
        if (parts.Length == 1)
        {
            return [.. first.Select(Row)];
        }

        int factors = op.Factors(types).Factors.Count;
        var rows = new List<SbpRow>();
        foreach (Signature outer in first.Where(j => j.IsValid).Select(j => j.Signature))
        {
            var local = new OperandTypes(Local(types.Inputs, outer.Inputs, parts[0]), Local(types.Outputs, outer.Outputs, parts[0]));
            long[] applied = [.. Enumerable.Range(0, factors).Select(f => f == outer.Factor ? (long)parts[0] : 1)];
            rows.AddRange(SignatureCandidates.Judge(op, types, local, parts[1], applied).Select(j => new SbpRow(
                outer.Inputs.Zip(j.Signature.Inputs, (a, b) => $"({a}, {b})"), outer.Outputs.Zip(j.Signature.Outputs, (a, b) => $"({a}, {b})"), j.Reason)));
        }

        return [.. rows.OrderBy(r => r.Valid ? 0 : 1)];
    }

    private static SbpRow Row(JudgedSignature judged) => new(judged.Signature.Inputs.Select(p => p.ToString()), judged.Signature.Outputs.Select(p => p.ToString()), judged.Reason);

    private static EquatableArray<TensorType> Local(EquatableArray<TensorType> types, EquatableArray<Placement> placements, int parts) =>
        types.Select((t, i) => placements[i].IsSplit ? t.With(t.Dims.Select((size, dim) => dim == placements[i].Dim ? size / parts : size)) : t).ToEquatable();

    private static void Print(CommandContext context, string op, OperandTypes types, IReadOnlyList<SbpRow> rows)
    {
        if (context.Get(s_json))
        {
            Json.WriteRows(context.Output, $"\"op\":{Json.Text(op)},\"signatures\":", rows);
            return;
        }

        context.Output.WriteLine($"{op}: {string.Join(", ", types.Inputs)} -> {string.Join(", ", types.Outputs)}");
        foreach (SbpRow row in rows.Where(r => r.Valid))
        {
            context.Output.WriteLine("  " + row);
        }

        int width = rows.Where(r => !r.Valid).Select(r => r.ToString().Length).DefaultIfEmpty().Max();
        context.Output.WriteLine(rows.Any(r => !r.Valid) ? "refused" : "nothing is refused");
        foreach (SbpRow row in rows.Where(r => !r.Valid))
        {
            context.Output.WriteLine($"  {row.ToString().PadRight(width)}  {row.Reason}");
        }
    }

    private static void List(CommandContext context)
    {
        var ops = OpCatalogue.Entries.Select(e => (e.Name, e.Description, Inputs: e.SampleInputs, Attributes: e.Attributes.Select(a => (a.Name, a.Default, Example: OpFactory.Example(e, a))).ToList()))
            .Concat(LanguageOps.All.Select(o => (o.Name, o.Description, Inputs: o.Example, Attributes: o.Attributes.Select(a => (a.Name, a.Default, Example: a.Default)).ToList()))).ToList();
        if (context.Get(s_json))
        {
            Json.WriteRows(context.Output, "\"ops\":", ops.Select(o => new
            {
                o.Name, o.Description, Inputs = o.Inputs.Select(ShapeList.Write), Attributes = o.Attributes.Select(a => new { a.Name, Default = a.Default.Length == 0 ? null : a.Default, a.Example }),
            }));
            return;
        }

        if (context.Get(s_markdown))
        {
            SignatureTable.Write(context.Output);
            return;
        }

        int width = ops.Max(o => o.Name.Length);
        foreach (var op in ops)
        {
            context.Output.WriteLine($"{op.Name.PadRight(width)}  {op.Description}{string.Concat(op.Attributes.Select(a => $"; {a.Name}{(a.Default.Length > 0 ? " = " + a.Default : " must be given")}"))}");
        }
    }

    /// <summary>One row of the answer; its properties are the JSON.</summary>
    private sealed record SbpRow(IEnumerable<string> Inputs, IEnumerable<string> Outputs, bool Valid, string? Reason)
    {
        public SbpRow(IEnumerable<string> inputs, IEnumerable<string> outputs, string? reason)
            : this([.. inputs], [.. outputs], reason is null, reason)
        {
        }

        public override string ToString() => string.Join(", ", Inputs) + " -> " + string.Join(", ", Outputs);
    }
}
