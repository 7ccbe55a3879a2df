using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Generators.Printing;

/// <summary>Prints the program of a stage: its memory, and one method for each region.</summary>
internal static class StagePrinter
{
    public static string Print(RankProgram program, StageProgram stage, TypeShell shell)
    {
        var w = new IndentedWriter();
        Text.Header(w, program, "the program of a stage, " + stage.Name);
        w.Line("using System;");
        w.Line("using Shardwright;");
        w.Line("using Shardwright.Execution;");
        w.Line("using Shardwright.Worlds;");
        w.Line();
        shell.Open(w);
        w.Open($"public static partial class {program.NestedName}");
        w.Summary("The program of a stage: straight calls of kernels and collectives. It names memory by slice and does not know which backend runs it.");
        w.Line("/// <typeparam name=\"TKernels\">The kernels of a backend; a struct, so that calls cost nothing.</typeparam>");
        w.Open(program.Pipeline is null
            ? $"internal sealed class {stage.Name}<TKernels>(RankBase rank, Arena arena, TKernels kernels, StageMemory at) where TKernels : struct, IKernels"
            : $"internal sealed class {stage.Name}<TKernels>(RankBase rank, Arena arena, TKernels kernels, StageMemory at, Batch batch{(program.Spans ? ", PipelineTurn turn" : "")}) : IStage where TKernels : struct, IKernels");
        Memory(w, stage);
        Fields(w, program, stage);
        foreach (EntryPlan entry in stage.Entries)
        {
            Entry(w, program, stage, entry);
        }

        if (program.Pipeline is not null)
        {
            PipelinePrinter.Stage(w, stage);
        }

        UpdatePrinter.Print(w, program, stage);
        w.Close();
        w.Close();
        shell.Close(w);
        return w.ToString();
    }

    private static void Memory(IndentedWriter w, StageProgram stage)
    {
        foreach (IGrouping<MemoryCategory, BufferPlan> category in stage.Buffers.GroupBy(b => b.Category).OrderBy(g => g.Key))
        {
            w.Line($"// {category.Key}");
            foreach (BufferPlan b in category)
            {
                string type = Text.Element(b.Element), within = b.Space == MemorySpace.Step && b.Phase != Phase.Whole ? $"PipelineEntry.{b.Entry}, PipelinePhase.{b.Phase}, " : "";
                w.Line(b.IsPerMicroBatch ? PipelinePrinter.Buffer(b, type) : b.IsStack
                    ? $"private readonly SliceStack<{type}> {b.Name} = at.{b.Space}<{type}>({within}{b.Offset}, {b.Length}, {b.Stride}, {b.Slots}); // {b.Comment}"
                    : $"private readonly Slice<{type}> {b.Name} = at.{b.Space}<{type}>({within}{b.Offset}, {b.Length}); // {b.Comment}");
            }

            w.Line();
        }
    }

    private static void Fields(IndentedWriter w, RankProgram program, StageProgram stage)
    {
        foreach (EntryPlan entry in stage.Entries)
        {
            foreach (ProgramStatement.Load load in Loads(entry))
            {
                InputPlan input = entry.Inputs[load.Input];
                w.Line($"private static readonly long[] {Shape(entry, input)} = {{ {string.Join(", ", input.Logical)} }};");
            }
        }

        for (int i = 0; i < stage.Stacks.Count; i++)
        {
            w.Line($"private readonly int {FirstLayer(stage.Stacks[i].Path)} = at.FirstLayer({i}); // number of the stage's first layer of {stage.Stacks[i].Path}");
        }

        foreach ((string name, int _) in program.Axes)
        {
            w.Line($"private readonly int {Text.Index(name)} = rank.Context.Coordinate({Text.String(name)});");
            w.Line($"private readonly ProcessGroup {Text.Group(new[] { name })} = rank.Context.Group({Text.String(name)});");
        }

        foreach (IGrouping<string, ProgramStatement.Start> ticket in stage.Entries.SelectMany(e => e.Collectives).Select(c => c.Start).Where(s => s.Beside is not null).GroupBy(s => s.Ticket).OrderBy(t => t.Key, StringComparer.Ordinal))
        {
            w.Line($"private Ticket {ticket.Key}; // under way from layer to layer: {ticket.First().Reason}");
        }

        UpdatePrinter.Fields(w, stage);

        w.Line();
    }

    private static IEnumerable<ProgramStatement.Load> Loads(EntryPlan entry) => entry.Main.OfType<ProgramStatement.Load>();

    /// <summary>Name of the constant with the logical shape of an input, such as trainIdsShape.</summary>
    private static string Shape(EntryPlan entry, InputPlan input) =>
        char.ToLowerInvariant(entry.Name[0]) + entry.Name.Substring(1) + char.ToUpperInvariant(input.Name[0]) + input.Name.Substring(1) + "Shape";

    /// <summary>Inputs as parameters of a method.</summary>
    public static string Parameters(EntryPlan entry) => string.Join(", ", entry.Inputs.Select(i => $"{(i.Element == DType.Int32 ? "TokenTensor" : "Tensor")} {Text.Input(i.Name)}"));

    /// <summary>Name of the field with the number of a stage's first layer of a stack.</summary>
    private static string FirstLayer(string path) => "first" + string.Concat(path.Split('.').Select(p => char.ToUpperInvariant(p[0]) + p.Substring(1).Replace("{0}", "")));

    private static void Entry(IndentedWriter w, RankProgram program, StageProgram stage, EntryPlan entry)
    {
        foreach (PhasePlan phase in entry.Phases)
        {
            EntryPhase(w, program, stage, entry, phase);
        }

        foreach (PhasePlan phase in entry.Phases)
        {
            Between(w, program, stage, entry, phase, opens: true);
            Between(w, program, stage, entry, phase, opens: false);
        }

        string slots = program.Pipeline is null ? "" : ", in SlotSet m";
        foreach (MethodPlan method in entry.Methods)
        {
            w.Summary(method.Summary);
            w.Open($"private void {method.Name}({(method.TakesLayer ? "int layer, " : "")}int microBatch{slots})");
            Body(w, program, stage, entry, method);
            w.Close();
            w.Line();
        }

        if (entry.Result is { } result)
        {
            w.Summary($"The result: [{string.Join(", ", entry.ResultDims)}].");
            string held = Operand(stage, result);
            if (stage.Buffers[result.Buffer].IsPerMicroBatch)
            {
                // What the last stack yields may lie where a micro-batch in flight has it: it is read after the run, of the micro-batch that ran last.
                w.Line($"public Slice<{Element(stage, result)}> {entry.Name}Result => {held.Replace("[m", "[resultSlots")};");
                w.Line("private SlotSet resultSlots;");
            }
            else
            {
                w.Line($"public Slice<{Element(stage, result)}> {entry.Name}Result => {held};");
            }

            w.Line();
        }
    }

    private static void Body(IndentedWriter w, RankProgram program, StageProgram stage, EntryPlan entry, MethodPlan method)
    {
        string guard = "";
        var tickets = new Dictionary<string, (string Span, int Chunk)>();
        Dictionary<string, ProgramStatement.Start> starts = ChunkLoop.Starts(method.Statements);
        for (int i = 0; i < method.Statements.Count; i++)
        {
            ProgramStatement statement = method.Statements[i];
            guard = Guarded(w, guard, Condition(entry, statement));
            if (ChunkLoop.At(method.Statements, starts, i) is { } loop && (loop.Tickets.Count > 0 || loop.Once.All(s => s.Statement is not ProgramStatement.Wait wait || tickets.ContainsKey(wait.Ticket))))
            {
                Loop(w, program, stage, entry, loop, tickets);
                i += loop.Length - 1;
                continue;
            }

            Statement(w, program, stage, entry, statement, tickets);
        }

        Guarded(w, guard, "");
    }

    /// <summary>What is done for one chunk after another. Tickets of their collectives are elements of a span.</summary>
    private static void Loop(IndentedWriter w, RankProgram program, StageProgram stage, EntryPlan entry, ChunkLoop loop, Dictionary<string, (string Span, int Chunk)> tickets)
    {
        string Part(OperandPlan operand, bool moves)
        {
            string rest = operand.Start is { } start && (start.Constant != 0 || start.Terms.Count > 0) ? " + " + Text.Offset(start) : "";
            return moves ? $"{Slot(stage, operand)}.Part(chunk * {operand.Length}{rest}, {operand.Length})" : Operand(stage, operand);
        }

        if (loop.Tickets.Count > 0)
        {
            w.Line($"Span<Ticket> {loop.Tickets[0]} = stackalloc Ticket[{loop.Count}];");
            for (int chunk = 0; chunk < loop.Count; chunk++)
            {
                tickets[loop.Tickets[chunk]] = (loop.Tickets[0], chunk);
            }
        }

        w.Open($"for (int chunk = 0; chunk < {loop.Count}; chunk++)");
        foreach ((ProgramStatement statement, bool[] moves) in loop.Once)
        {
            switch (statement)
            {
                case ProgramStatement.Run run:
                    w.Line($"{Call(program, stage, run, run.Operands.Select((o, i) => Part(o, moves[i])))} // {run.Rows / run.Chunks} rows of {run.Comment}");
                    break;
                case ProgramStatement.Start start:
                    w.Line($"// {start.Kind} over {string.Join("+", start.Axes)}: {start.Reason}, in {start.Chunks} chunks{(start.Work.Length == 0 ? "" : ", the first beside " + start.Work)}; {Text.Size(start.Bytes)} per rank and chunk");
                    w.Line($"{start.Ticket}[chunk] = {Collective(stage, start, Part(start.Source, moves[0]))};");
                    break;
                case ProgramStatement.Wait wait:
                    w.Line($"{Text.Group(wait.Axes)}.Wait({tickets[wait.Ticket].Span}[chunk]);");
                    break;
            }
        }

        w.Close();
        foreach (ProgramStatement dies in loop.Behind)
        {
            Statement(w, program, stage, entry, dies, tickets);
        }
    }

    private static string Call(RankProgram program, StageProgram stage, ProgramStatement.Run run, IEnumerable<string> arguments)
    {
        KernelPlan kernel = program.Kernels[run.Kernel];
        if (kernel.UsesLayer)
        {
            arguments = arguments.Append(LayerNumber(program, stage, kernel));
        }

        if (kernel.UsesMicroBatch)
        {
            arguments = arguments.Append("microBatch");
        }

        return $"kernels.{kernel.Name}({string.Join(", ", arguments)});";
    }

    /// <summary>Statements that follow on each other under one condition are one block.</summary>
    private static string Guarded(IndentedWriter w, string before, string now)
    {
        if (before.Length > 0 && now != before)
        {
            w.Close();
        }

        if (now.Length > 0 && now != before)
        {
            w.Open($"if ({now})");
        }

        return now;
    }

    /// <summary>When a statement is done; empty for always.</summary>
    private static string Condition(EntryPlan entry, ProgramStatement statement)
    {
        var parts = new List<string>();
        if (statement.Guard is { } guard)
        {
            string Has(int offset) => offset > 0 ? $"layer + {offset} < {guard.Layers}" : $"layer >= {-offset}";
            if (guard.IsNot)
            {
                parts.Add($"layer == {(guard.Offset > 0 ? guard.Layers - guard.Offset : -guard.Offset - 1)}");
            }
            else if (guard.Offset != 0)
            {
                parts.Add(Has(guard.Offset));
            }

            if (guard.Second != 0)
            {
                string nothing = Unfound(guard.By);
                bool never = (guard with { SecondIsLater = false }).Count(first: false) == 0;
                parts.Add(!guard.SecondIsLater ? Has(guard.Second) : never ? nothing : guard.Offset == 0 ? $"{Has(guard.Second)} || {nothing}" : $"({Has(guard.Second)} || {nothing})");
            }
        }

        if (statement.On != MicroBatchGuard.All)
        {
            parts.Add(statement.On switch { MicroBatchGuard.First => "microBatch == 0", MicroBatchGuard.NotFirst => "microBatch > 0", _ => $"microBatch == {entry.MicroBatches - 1}" });
        }

        if (statement.Unless is { } unless)
        {
            parts.Add(Unfound(unless));
        }

        return string.Join(" && ", parts);
    }

    /// <summary>That a loop finds nothing in its ring.</summary>
    private static string Unfound(RingFind by) => by switch { RingFind.Turns => "!m.Turns", RingFind.Stays => "!m.Stays", _ => "microBatch == 0" };

    private static void EntryPhase(IndentedWriter w, RankProgram program, StageProgram stage, EntryPlan entry, PhasePlan phase)
    {
        bool pipelined = program.Pipeline is not null;
        string inputs = pipelined ? "" : Parameters(entry), name = entry.Name + (pipelined ? phase.Phase.ToString() : ""), slots = pipelined ? ", m" : "";
        string reads = phase.Main.OfType<ProgramStatement.Load>().Any() ? " Reads this rank's rows of the inputs." : "";
        w.Summary($"{entry.Name}{(pipelined ? ", " + PipelinePrinter.Words(phase.Phase) : "")}: one micro-batch, of {entry.MicroBatches}.{reads}");
        w.Open($"{(pipelined ? "private" : "public")} void {name}({inputs}{(inputs.Length > 0 ? ", " : "")}int microBatch{(pipelined ? ", in SlotSet m" : "")})");
        if (pipelined && entry.Result is { } kept && stage.Buffers[kept.Buffer].IsPerMicroBatch)
        {
            w.Line("resultSlots = m;");
        }

        foreach (ProgramStatement.Load load in phase.Main.OfType<ProgramStatement.Load>())
        {
            InputPlan input = entry.Inputs[load.Input];
            w.Line($"rank.Load({(pipelined ? $"batch.@{input.Name}!" : Text.Input(input.Name))}, {Text.String(input.Name)}, {Shape(entry, input)}, [{string.Join(", ", input.Local.Select(Text.Number))}], [{string.Join(", ", input.Start.Select(Text.Offset))}], {Operand(stage, load.Operand)});");
        }

        string guard = "";
        foreach (ProgramStatement statement in phase.Main.Where(s => s is not ProgramStatement.Load))
        {
            guard = Guarded(w, guard, Condition(entry, statement));
            if (statement is not ProgramStatement.Call call)
            {
                Statement(w, program, stage, entry, statement);
                continue;
            }

            MethodPlan method = entry.Methods[call.Method];
            if (!method.TakesLayer)
            {
                w.Line($"{method.Name}(microBatch{slots});");
                continue;
            }

            w.Open(call.Reversed ? $"for (int layer = {call.Layers - 1}; layer >= 0; layer--)" : $"for (int layer = 0; layer < {call.Layers}; layer++)");
            w.Line($"{method.Name}(layer, microBatch{slots});");
            w.Close();
        }

        Guarded(w, guard, "");
        w.Close();
        w.Line();
    }

    /// <summary>What an action starts beside the rank's action before, or leaves to end beside the next one.</summary>
    private static void Between(IndentedWriter w, RankProgram program, StageProgram stage, EntryPlan entry, PhasePlan phase, bool opens)
    {
        EquatableArray<ProgramStatement> statements = opens ? phase.Opening : phase.Closing;
        if (statements.Count == 0)
        {
            return;
        }

        string what = entry.Name + phase.Phase.ToString();
        w.Summary(opens ? $"Starts to gather the parameters that {what} reads first, where they are not in their rings." : $"Ends the sums of gradients that {what} has left under way.");
        w.Open(opens ? $"private void Open{what}(in SlotSet m)" : $"private void Close{what}(int microBatch, in SlotSet m)");
        string guard = "";
        foreach (ProgramStatement statement in statements)
        {
            guard = Guarded(w, guard, Condition(entry, statement));
            Statement(w, program, stage, entry, statement);
        }

        Guarded(w, guard, "");
        w.Close();
        w.Line();
    }

    private static void Statement(IndentedWriter w, RankProgram program, StageProgram stage, EntryPlan entry, ProgramStatement statement, Dictionary<string, (string Span, int Chunk)>? tickets = null)
    {
        switch (statement)
        {
            case ProgramStatement.Run run:
                w.Line($"{Call(program, stage, run, run.Operands.Select(o => Operand(stage, o)))} // {run.RowsText}{run.Comment}");
                break;
            case ProgramStatement.Start start:
                w.Line($"// {start.Kind} over {string.Join("+", start.Axes)}: {start.Reason}{start.ChunkText}{(start.Beside is null ? start.Work.Length == 0 ? "" : ", beside " + start.Work : ", " + start.Beside)}; {Text.Size(start.Bytes)} per rank");
                w.Line($"{(start.Beside is null ? "Ticket " : "")}{start.Ticket} = {Collective(stage, start, Operand(stage, start.Source))};");
                break;
            case ProgramStatement.StartNext:
                w.Line("turn.StartNext(); // parameters that the rank's next action reads first, under way beside this");
                break;
            case ProgramStatement.EndPrevious:
                w.Line("turn.EndPrevious(); // sums of gradients that the rank's action before has left under way");
                break;
            case ProgramStatement.StartGradients gradients:
                UpdatePrinter.StartGradients(w, program, stage, entry, gradients.Group);
                break;
            case ProgramStatement.Wait wait:
                w.Line($"{Text.Group(wait.Axes)}.Wait({(tickets is not null && tickets.TryGetValue(wait.Ticket, out (string Span, int Chunk) chunk) ? $"{chunk.Span}[{chunk.Chunk}]" : wait.Ticket)});");
                break;
            case ProgramStatement.AddLoss loss:
                int set = program.LossSets(entry.Name).Items.IndexOf(loss.ReduceAxes);
                string guard = loss.UnlessFirstOf.Count > 0 ? "if (microBatch == 0) " : "";
                string value = $"arena.Scalar({Operand(stage, loss.Operand)})";
                w.Line(loss.IntoWeight ? $"{guard}rank.AddWeight({set}, {value});" : $"{guard}rank.AddLoss({set}, {value}, {loss.Factor.ToString("R", System.Globalization.CultureInfo.InvariantCulture)});");
                break;
            case ProgramStatement.Clear clear:
                w.Line($"kernels.Clear({Operand(stage, clear.Operand)}); // {clear.Comment}");
                break;
            case ProgramStatement.Dies dies when program.PoisonsMemory && dies.Slots == 0:
                // An input of the model may have the name of a buffer.
                w.Line($"rank.Poison(this.{Operand(stage, dies.Operand)}.Bytes);");
                break;
            case ProgramStatement.Dies dies when program.PoisonsMemory:
                BufferPlan buffer = stage.Buffers[dies.Operand.Buffer];
                w.Open($"for (int slot = 0; slot < {dies.Slots}; slot++)");
                w.Line($"rank.Poison(this.{buffer.Name}[{(buffer.IsPerMicroBatch ? "m, " : "")}slot].Bytes);");
                w.Close();
                break;
            case ProgramStatement.Accumulate accumulate:
                string of = accumulate.IsOfPrevious ? "microBatch - 1" : "microBatch", once = accumulate.OnlyFirstMicroBatch ? $"if ({of} == 0) " : "";
                w.Line($"{once}kernels.Accumulate({Operand(stage, accumulate.Contribution)}, {Operand(stage, accumulate.Gradient)}, {of}); // {accumulate.Comment}");
                break;
        }
    }

    /// <summary>The number of the layer in its whole stack: what random keys depend on.</summary>
    private static string LayerNumber(RankProgram program, StageProgram stage, KernelPlan kernel) =>
        program.Pipeline is null || kernel is not OpKernel { Stack: >= 0 } op ? "layer" : $"{FirstLayer(stage.Stacks.First(s => s.Id == op.Stack).Path)} + layer";

    private static string Collective(StageProgram stage, ProgramStatement.Start start, string source)
    {
        string group = Text.Group(start.Axes);
        return start.Kind switch
        {
            CollectiveKind.AllReduce => $"{group}.StartAllReduce(arena, {source})",
            CollectiveKind.AllReduceMax => $"{group}.StartAllReduce(arena, {source}, ReduceKind.Max)",
            CollectiveKind.AllGather => $"{group}.StartAllGather(arena, {source}, {Operand(stage, start.Target!)})",
            CollectiveKind.ReduceScatter => $"{group}.StartReduceScatter(arena, {source}, {Operand(stage, start.Target!)})",
            _ => $"{group}.StartAllToAll(arena, {source}, {Operand(stage, start.Target!)})",
        };
    }

    /// <summary>Element of an operand, as emitted text names it.</summary>
    public static string Element(StageProgram stage, OperandPlan operand) => Text.Element(stage.Buffers[operand.Buffer].Element);

    public static string Operand(StageProgram stage, OperandPlan operand)
    {
        string text = Slot(stage, operand);
        return operand.Start is { } start ? $"{text}.Part({Text.Offset(start)}, {operand.Length})"
            : operand.Length != stage.Buffers[operand.Buffer].Length ? $"{text}.Part(0, {operand.Length})" : text;
    }

    /// <summary>The buffer, or the slot of it, that an operand lies in.</summary>
    private static string Slot(StageProgram stage, OperandPlan operand)
    {
        BufferPlan buffer = stage.Buffers[operand.Buffer];
        string text = buffer.Name;
        string slot = !buffer.IsStack ? "" : operand.Slot switch
        {
            SlotIndex.Layer => "layer",
            SlotIndex.NextLayer => "layer + 1",
            SlotIndex.PreviousLayer => "layer - 1",
            SlotIndex.FinalLayer => $"{operand.Layers - 1}",
            SlotIndex.Last => $"{operand.Layers}",
            SlotIndex.Iteration => $"{operand.Layers - 1} - layer",
            SlotIndex.NextIteration => $"{operand.Layers} - layer",
            _ => "0",
        };
        slot = !buffer.Alternates ? slot : $"{(slot == "0" ? "" : slot + " + ")}m.{buffer.Space}From";
        return text + (buffer.IsPerMicroBatch ? (slot.Length > 0 ? $"[m, {slot}]" : "[m]") : slot.Length > 0 ? $"[{slot}]" : "");
    }
}
