using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Generators.Printing;

/// <summary>Prints the program of a rank: its memory, and one method for each region.</summary>
internal static class ProgramPrinter
{
    public static string Print(RankProgram program, TypeShell shell)
    {
        var w = new IndentedWriter();
        Text.Header(w, program, "the program of a rank, stage 0");
        w.Line("using Shardwright.Execution;");
        w.Line("using Shardwright.Worlds;");
        w.Line();
        shell.Open(w);
        w.Open($"public static partial class {program.NestedName}");
        Memory(w, program);
        w.Summary("The program of a rank: straight calls of kernels and collectives. It names memory by slice and does not know which backend runs it.");
        w.Line("/// <typeparam name=\"TKernels\">The kernels of a backend; a struct, so that calls cost nothing.</typeparam>");
        w.Open("internal sealed class Program<TKernels> where TKernels : struct, IKernels");
        Fields(w, program);
        foreach (EntryPlan entry in program.Entries)
        {
            Entry(w, program, entry);
        }

        Reductions(w, program);
        w.Close();
        w.Close();
        shell.Close(w);
        return w.ToString();
    }

    private static void Memory(IndentedWriter w, RankProgram program)
    {
        foreach (IGrouping<MemoryCategory, BufferPlan> category in program.Buffers.Where(b => b.Name != "scratch").GroupBy(b => b.Category).OrderBy(g => g.Key))
        {
            w.Line($"// {category.Key}");
            foreach (BufferPlan b in category)
            {
                string type = b.Name == "stepScalars" ? "double" : Text.Element(b.Element);
                long length = b.Name == "stepScalars" ? b.Length / 2 : b.Length;
                w.Line(b.IsStack
                    ? $"private static readonly SliceStack<{type}> {b.Name} = new({b.Offset}, {length}, {b.Stride}, {b.Slots}); // {b.Comment}"
                    : $"private static readonly Slice<{type}> {b.Name} = new({b.Offset}, {length}); // {b.Comment}");
            }

            w.Line();
        }
    }

    private static void Fields(IndentedWriter w, RankProgram program)
    {
        w.Line("private readonly Arena arena;");
        w.Line("private readonly RankBase rank;");
        w.Line("private readonly TKernels kernels;");
        foreach ((string name, int _) in program.Axes)
        {
            w.Line($"private readonly int {Text.Index(name)};");
            w.Line($"private readonly ProcessGroup {Text.Group(new[] { name })};");
        }

        w.Line();
        w.Summary("Binds the program to a rank.");
        w.Open("public Program(RankBase rank, Arena arena, TKernels kernels)");
        w.Line("this.rank = rank;");
        w.Line("this.arena = arena;");
        w.Line("this.kernels = kernels;");
        foreach ((string name, int _) in program.Axes)
        {
            w.Line($"{Text.Index(name)} = rank.Context.Coordinate({Text.String(name)});");
            w.Line($"{Text.Group(new[] { name })} = rank.Context.Group({Text.String(name)});");
        }

        w.Close();
        w.Line();
    }

    private static void Entry(IndentedWriter w, RankProgram program, EntryPlan entry)
    {
        w.Summary($"{entry.Name}: one micro-batch, of {entry.MicroBatches}. Its inputs have been loaded.");
        w.Open($"public void {entry.Name}(int microBatch)");
        foreach (ProgramStatement.Call call in entry.Main.OfType<ProgramStatement.Call>())
        {
            MethodPlan method = entry.Methods[call.Method];
            if (!method.TakesLayer)
            {
                w.Line($"{method.Name}(microBatch);");
                continue;
            }

            w.Open(call.Reversed ? $"for (int layer = {call.Layers - 1}; layer >= 0; layer--)" : $"for (int layer = 0; layer < {call.Layers}; layer++)");
            w.Line($"{method.Name}(layer, microBatch);");
            w.Close();
        }

        w.Close();
        w.Line();
        foreach (MethodPlan method in entry.Methods)
        {
            w.Summary(method.Summary);
            w.Open($"private void {method.Name}({(method.TakesLayer ? "int layer, " : "")}int microBatch)");
            foreach (ProgramStatement statement in method.Statements)
            {
                Statement(w, program, entry, statement);
            }

            w.Close();
            w.Line();
        }
    }

    private static void Statement(IndentedWriter w, RankProgram program, EntryPlan entry, ProgramStatement statement)
    {
        switch (statement)
        {
            case ProgramStatement.Run run:
                KernelPlan kernel = program.Kernels[run.Kernel];
                IEnumerable<string> arguments = run.Operands.Select(o => Operand(program, o));
                if (kernel.UsesLayer)
                {
                    arguments = arguments.Append("layer");
                }

                if (kernel.UsesMicroBatch)
                {
                    arguments = arguments.Append("microBatch");
                }

                w.Line($"kernels.{kernel.Name}({string.Join(", ", arguments)}); // {run.Comment}");
                break;
            case ProgramStatement.Start start:
                w.Line($"// {start.Kind} over {string.Join("+", start.Axes)}: {start.Reason}; {Text.Size(start.Bytes)} per rank");
                w.Line($"Ticket {start.Ticket} = {Collective(program, start)};");
                break;
            case ProgramStatement.Wait wait:
                w.Line($"{Text.Group(wait.Axes)}.Wait({wait.Ticket});");
                break;
            case ProgramStatement.AddLoss loss:
                int set = LossSets(entry).IndexOf(loss.ReduceAxes);
                string guard = loss.UnlessFirstOf.Count > 0 ? "if (microBatch == 0) " : "";
                string value = $"arena.Ref({Operand(program, loss.Operand)})";
                w.Line(loss.IntoWeight ? $"{guard}rank.AddWeight({set}, {value});" : $"{guard}rank.AddLoss({set}, {value}, {loss.Factor.ToString("R", System.Globalization.CultureInfo.InvariantCulture)});");
                break;
            case ProgramStatement.Accumulate accumulate:
                string once = accumulate.OnlyFirstMicroBatch ? "if (microBatch == 0) " : "";
                w.Line($"{once}kernels.Accumulate({Operand(program, accumulate.Contribution)}, {Operand(program, accumulate.Gradient)}, microBatch); // {accumulate.Comment}");
                break;
        }
    }

    private static string Collective(RankProgram program, ProgramStatement.Start start)
    {
        string group = Text.Group(start.Axes), source = Operand(program, start.Source);
        return start.Kind switch
        {
            CollectiveKind.AllReduce => $"{group}.StartAllReduce(arena, {source})",
            CollectiveKind.AllReduceMax => $"{group}.StartAllReduce(arena, {source}, ReduceKind.Max)",
            CollectiveKind.AllGather => $"{group}.StartAllGather(arena, {source}, {Operand(program, start.Target!)})",
            CollectiveKind.ReduceScatter => $"{group}.StartReduceScatter(arena, {source}, {Operand(program, start.Target!)})",
            _ => $"{group}.StartAllToAll(arena, {source}, {Operand(program, start.Target!)})",
        };
    }

    /// <summary>Distinct sets of axes that losses of an entry are summed over; never empty.</summary>
    public static List<EquatableArray<string>> LossSets(EntryPlan entry)
    {
        var sets = entry.Methods.SelectMany(m => m.Statements).OfType<ProgramStatement.AddLoss>().Select(l => l.ReduceAxes).Distinct().ToList();
        return sets.Count == 0 ? new List<EquatableArray<string>> { EquatableArray<string>.Empty } : sets;
    }

    public static string Operand(RankProgram program, OperandPlan operand)
    {
        BufferPlan buffer = program.Buffers[operand.Buffer];
        string text = buffer.Name;
        if (buffer.IsStack)
        {
            text += operand.Slot switch
            {
                SlotIndex.Layer => "[layer]",
                SlotIndex.NextLayer => "[layer + 1]",
                SlotIndex.Last => $"[{operand.Layers}]",
                SlotIndex.Iteration => $"[{operand.Layers - 1} - layer]",
                SlotIndex.NextIteration => $"[{operand.Layers} - layer]",
                _ => "[0]",
            };
        }

        return operand.Start is { } start ? $"{text}.Part({Text.Offset(start)}, {operand.Length})"
            : operand.Length != buffer.Length ? $"{text}.Part(0, {operand.Length})" : text;
    }

    private static void Reductions(IndentedWriter w, RankProgram program)
    {
        w.Summary("Sums gradients over the axes that split the batch, once per step: one collective for each group of parameters that lie side by side.");
        w.Open("public void ReduceGradients()");
        for (int g = 0; g < program.Groups.Count; g++)
        {
            ParameterGroup group = program.Groups[g];
            foreach (string axis in group.ReduceAxes)
            {
                string field = Text.Group(new[] { axis });
                w.Line($"// AllReduce over {axis}: gradients, {group.Name}; {Text.Size(group.Bytes / group.ReduceAxes.Count)} per rank");
                w.Line($"{field}.Wait({field}.StartAllReduce(arena, {Operand(program, group.Gradients)}));");
            }
        }

        w.Close();
    }
}
