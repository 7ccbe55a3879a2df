using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;

namespace Shardwright.Generators.Printing;

/// <summary>Prints what a user touches: Mesh, Plan and Rank.</summary>
internal static class RankPrinter
{
    public static string PrintPlan(RankProgram program, TypeShell shell)
    {
        var w = new IndentedWriter();
        Text.Header(w, program, "mesh and plan");
        shell.Open(w);
        w.Summary($"{program.Model} on {program.MeshName}: {Text.Mesh(program)}.");
        w.Open($"public static partial class {program.NestedName}");
        w.Line("private static global::Shardwright.Plan? plan;");
        w.Line();
        w.Summary("The mesh.");
        string axes = string.Concat(program.Axes.Select(a => $", new global::Shardwright.MeshAxisInfo({Text.String(a.Name)}, {a.Size})"));
        w.Line($"public static global::Shardwright.Mesh Mesh {{ get; }} = new({Text.String(program.MeshName)}{axes});");
        w.Line();
        w.Summary("What the compiler decided: memory, collectives, placements, kernels.");
        w.Line("public static global::Shardwright.Plan Plan => plan ??= global::Shardwright.Plan.Parse(Document);");
        w.Line();
        w.Line("private const string Document =");
        w.Line("    \"\"\"");
        foreach (string line in PlanDocument.Write(program).Split('\n'))
        {
            w.Line("    " + line);
        }

        w.Line("    \"\"\";");
        w.Close();
        shell.Close(w);
        return w.ToString();
    }

    public static string PrintRank(RankProgram program, TypeShell shell)
    {
        var w = new IndentedWriter();
        EntryPlan train = program.Entries[0];
        Text.Header(w, program, "the rank that a user holds");
        w.Line("using System;");
        w.Line("using Shardwright;");
        w.Line("using Shardwright.Execution;");
        w.Line("using Shardwright.Worlds;");
        w.Line();
        shell.Open(w);
        w.Open($"public static partial class {program.NestedName}");
        w.Summary($"One rank of {program.Model} on {program.MeshName}: parameters, gradients, optimizer state and activations in one allocation of {program.ArenaBytes:N0} bytes.".Replace("\u00a0", ","));
        w.Open("public sealed class Rank : RankBase");
        w.Line("private readonly CpuKernels kernels;");
        w.Line("private readonly Program<CpuKernels> program;");
        foreach ((string name, int _) in program.Axes)
        {
            w.Line($"private readonly int {Text.Index(name)};");
        }

        foreach (string[] set in GroupSets(program))
        {
            w.Line($"private readonly ProcessGroup {Text.Group(set)};");
        }

        w.Line();
        w.Summary("Allocates the rank's memory and fills its parameters.");
        w.Line("/// <param name=\"rank\">The rank in its world.</param>");
        w.Line("/// <param name=\"seed\">Seed of parameters and dropout: the same on every rank.</param>");
        w.Line("public Rank(RankContext rank, ulong seed)");
        w.Line($"    : base(rank, seed, {program.ArenaBytes}, {program.ScratchOffset}, {program.MaxThreads}, {program.Buffers[program.ScalarBuffer].Name}, Slots(rank), {program.Entries.Max(e => ProgramPrinter.LossSets(e).Count)})");
        w.Open();
        foreach ((string name, int _) in program.Axes)
        {
            w.Line($"{Text.Index(name)} = rank.Coordinate({Text.String(name)});");
        }

        foreach (string[] set in GroupSets(program))
        {
            w.Line($"{Text.Group(set)} = rank.Group({string.Join(", ", set.Select(Text.String))});");
        }

        w.Line($"kernels = new CpuKernels(Arena, Team, Random{string.Concat(program.Axes.Select(a => ", " + Text.Index(a.Name)))});");
        w.Line("program = new Program<CpuKernels>(this, Arena, kernels);");
        w.Close();
        w.Line();
        Slots(w, program);
        TrainStep(w, program, train);
        foreach (EntryPlan entry in program.Entries.Skip(1))
        {
            if (entry.Name == "Evaluate")
            {
                Evaluate(w, program, entry);
            }
            else
            {
                Forward(w, program, entry);
            }
        }

        Update(w, program);
        w.Close();
        w.Close();
        shell.Close(w);
        return w.ToString();
    }

    /// <summary>Sets of axes that scalars are summed over.</summary>
    private static IEnumerable<string[]> GroupSets(RankProgram program) =>
        program.Entries.SelectMany(ProgramPrinter.LossSets).Concat(program.Groups.Select(g => g.NormAxes)).Where(s => s.Count > 0).Distinct().Select(s => s.ToArray());

    public static string Parameters(EntryPlan entry) => string.Join(", ", entry.Inputs.Select(i => $"{(i.Element == DType.Int32 ? "TokenTensor" : "Tensor")} {Name(i)}"));

    private static string Name(InputPlan input) => "@" + input.Name;

    private static void Slots(IndentedWriter w, RankProgram program)
    {
        w.Open("private static ParameterSlot[] Slots(RankContext rank)");
        foreach ((string name, int _) in program.Axes)
        {
            w.Line($"int {Text.Index(name)} = rank.Coordinate({Text.String(name)});");
        }

        w.Line("return new ParameterSlot[]");
        w.Line("{");
        foreach (ParameterPlan p in program.Parameters)
        {
            string Stack(int id)
            {
                BufferPlan b = program.Buffers[id];
                return b.IsStack ? b.Name : $"new({b.Offset}, {b.Length}, {b.Stride}, 1)";
            }

            string Longs(IEnumerable<string> items) => "new long[] { " + string.Join(", ", items) + " }";
            w.Line($"    new({Text.String(p.Path)}, {Stack(p.Value)}, {Stack(p.Gradient)}, {Longs(p.Logical.Select(Text.Number))}, {Longs(p.Local.Select(Text.Number))}, {Longs(p.Start.Select(Text.Offset))}, \"{p.Init.Kind}\", {Text.Float(p.Init.A)}, {Text.Float(p.Init.B)}),");
        }

        w.Line("};");
        w.Close();
        w.Line();
    }

    private static void Loop(IndentedWriter w, RankProgram program, EntryPlan entry)
    {
        w.Open($"for (int microBatch = 0; microBatch < {entry.MicroBatches}; microBatch++)");
        foreach (ProgramStatement.Load load in entry.Main.OfType<ProgramStatement.Load>())
        {
            InputPlan input = entry.Inputs[load.Input];
            string Longs(IEnumerable<string> items) => string.Join(", ", items);
            w.Line($"Load({Name(input)}, {Text.String(input.Name)}, {Shape(entry, input)}, [{Longs(input.Local.Select(Text.Number))}], [{Longs(input.Start.Select(Text.Offset))}], {ProgramPrinter.Operand(program, load.Operand)});");
        }

        w.Line($"program.{entry.Name}(microBatch);");
        w.Close();
    }

    /// <summary>Name of the constant with the logical shape of an input, such as trainIdsShape.</summary>
    private static string Shape(EntryPlan entry, InputPlan input) =>
        char.ToLowerInvariant(entry.Name[0]) + entry.Name.Substring(1) + char.ToUpperInvariant(input.Name[0]) + input.Name.Substring(1) + "Shape";

    private static void Shapes(IndentedWriter w, EntryPlan entry)
    {
        foreach (ProgramStatement.Load load in entry.Main.OfType<ProgramStatement.Load>())
        {
            InputPlan input = entry.Inputs[load.Input];
            w.Line($"private static readonly long[] {Shape(entry, input)} = {{ {string.Join(", ", input.Logical)} }};");
        }

        w.Line();
    }

    private static void Docs(IndentedWriter w, EntryPlan entry)
    {
        foreach (InputPlan input in entry.Inputs)
        {
            w.Line($"/// <param name=\"{input.Name}\">[{string.Join(", ", input.Logical)}], the whole batch on every rank; each reads its own rows.</param>");
        }
    }

    private static void Losses(IndentedWriter w, EntryPlan entry)
    {
        List<EquatableArray<string>> sets = ProgramPrinter.LossSets(entry);
        bool weighted = entry.Methods.SelectMany(m => m.Statements).OfType<ProgramStatement.AddLoss>().Any(l => l.IntoWeight);
        w.Line("double lossSum = 0, weight = 0;");
        for (int i = 0; i < sets.Count; i++)
        {
            w.Line($"(double sum{i}, double weight{i}) = Loss({i}, {(sets[i].Count == 0 ? "null" : Text.Group(sets[i]))});");
            w.Line($"lossSum += sum{i};");
            w.Line($"weight += weight{i};");
        }

        if (!weighted)
        {
            w.Line("weight = 1;");
        }
    }

    private static void TrainStep(IndentedWriter w, RankProgram program, EntryPlan train)
    {
        Shapes(w, train);
        w.Summary("One optimizer step on a batch: forward and backward for each micro-batch, gradients reduced once, one update. Allocates nothing.");
        Docs(w, train);
        w.Line("/// <param name=\"settings\">Learning rate and its kin.</param>");
        w.Line("/// <returns>Loss, weight and gradient norm: the same on every rank.</returns>");
        w.Open($"public StepResult TrainStep({Parameters(train)}{(train.Inputs.Count > 0 ? ", " : "")}{program.Optimizer}Settings settings)");
        w.Line("Begin(training: true);");
        Loop(w, program, train);
        w.Line("program.ReduceGradients();");
        Losses(w, train);
        w.Line("(double norm, bool skipped) = Update(weight, settings);");
        w.Line("return End(lossSum, weight, norm, skipped);");
        w.Close();
        w.Line();
    }

    private static void Evaluate(IndentedWriter w, RankProgram program, EntryPlan entry)
    {
        Shapes(w, entry);
        w.Summary("The loss of a batch, dropout off; nothing is trained.");
        Docs(w, entry);
        w.Open($"public StepResult Evaluate({Parameters(entry)})");
        w.Line("Begin(training: false);");
        Loop(w, program, entry);
        Losses(w, entry);
        w.Line("return new StepResult(lossSum, weight, 0, false);");
        w.Close();
        w.Line();
    }

    private static void Forward(IndentedWriter w, RankProgram program, EntryPlan entry)
    {
        Shapes(w, entry);
        w.Summary($"The inference entry: [{string.Join(", ", entry.ResultDims)}], whole on every rank.");
        Docs(w, entry);
        w.Open($"public Tensor Forward({Parameters(entry)})");
        w.Line("Begin(training: false);");
        Loop(w, program, entry);
        w.Line($"return Read({ProgramPrinter.Operand(program, entry.Result!)}{string.Concat(entry.ResultDims.Select(d => ", " + d))});");
        w.Close();
        w.Line();
    }

    private static void Update(IndentedWriter w, RankProgram program)
    {
        w.Summary("Global norm, clipping and the optimizer, one pass over each group of parameters.");
        w.Open($"private (double Norm, bool Skipped) Update(double weight, {program.Optimizer}Settings settings)");
        w.Line("double squares = 0;");
        w.Line("Span<double> part = stackalloc double[1];");
        foreach (IGrouping<EquatableArray<string>, ParameterGroup> same in program.Groups.GroupBy(g => g.NormAxes))
        {
            w.Line($"part[0] = {string.Join(" + ", same.Select(g => $"kernels.SumOfSquares({ProgramPrinter.Operand(program, g.Gradients)})"))};");
            if (same.Key.Count > 0)
            {
                w.Line($"SumOver({Text.Group(same.Key)}, part); // each rank along {string.Join(", ", same.Key)} holds a slice");
            }

            w.Line("squares += part[0];");
        }

        w.Line("float scale = GradientScale(squares, weight, settings.ClipNorm, out double norm);");
        w.Open("if (!double.IsFinite(norm) || !(weight > 0))");
        w.Line("return (norm, true);");
        w.Close();
        w.Line();
        foreach (ParameterGroup group in program.Groups)
        {
            string decay = group.NoDecay ? "0" : "settings.WeightDecay", p = ProgramPrinter.Operand(program, group.Parameters), g = ProgramPrinter.Operand(program, group.Gradients);
            string[] s = group.States.Select(x => ProgramPrinter.Operand(program, x)).ToArray();
            w.Line(program.Optimizer switch
            {
                "AdamW" => $"kernels.AdamW({p}, {g}, {s[0]}, {s[1]}, scale, settings, {decay}, Step + 1); // {group.Name}",
                "Momentum" => $"kernels.Momentum({p}, {g}, {s[0]}, scale, settings, {decay}); // {group.Name}",
                _ => $"kernels.Sgd({p}, {g}, scale, settings, {decay}); // {group.Name}",
            });
        }

        w.Line("return (norm, false);");
        w.Close();
    }
}
