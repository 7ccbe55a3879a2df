using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Generators.Printing;

/// <summary>Prints what only the stages of a pipeline have: memory for each micro-batch in flight, what passes between stages, the interface that the rank calls.</summary>
internal static class PipelinePrinter
{
    /// <summary>A tensor of each micro-batch in flight.</summary>
    public static string Buffer(BufferPlan b, string type)
    {
        string comment = $" // {b.Comment}; {Lives(b)}";
        if (b.Head is null && b.Tail is null)
        {
            return $"private readonly SlotSlice<{type}> {b.Name} = {Body(b, type)};{comment}";
        }

        string body = b.Space == MemorySpace.Step ? $"at.StepBody<{type}>({Own(b)}, PipelinePhase.{b.Phase}, {b.Offset}, {b.Length}, {b.Stride}, {b.Slots})" : Body(b, type);
        string End((MemorySpace Space, long Offset)? end) => end is { } e ? $"at.Slots<{type}>({Own(b)}, SlotKind.{e.Space}, {e.Offset}, {b.Length})" : "null";
        return $"private readonly CarrySlice<{type}> {b.Name} = StageMemory.Carry({End(b.Head)}, {body}, {End(b.Tail)}, {b.Span});{comment}";
    }

    private static string Body(BufferPlan b, string type) => b.IsStack || b.Slots > 1
        ? $"at.Slots<{type}>({Own(b)}, SlotKind.{b.Space}, {b.Offset}, {b.Length}, {b.Stride}, {b.Slots})"
        : $"at.Slots<{type}>({Own(b)}, SlotKind.{b.Space}, {b.Offset}, {b.Length})";

    private static string Own(BufferPlan b) => "PipelineEntry." + b.Entry;

    private static string Lives(BufferPlan b) => (b.Head, b.Tail) switch
    {
        (not null, not null) => "the first arrives, the last goes",
        (not null, null) => "the first arrives",
        (null, not null) => "the last goes",
        _ => b.Space switch
        {
            MemorySpace.Input => "arrives",
            MemorySpace.Kept => "kept for backward, of each micro-batch in flight",
            MemorySpace.Output => "goes",
            MemorySpace.GradientIn => "a gradient that arrives",
            MemorySpace.GradientOut => "a gradient that goes",
            MemorySpace.Gathered => "handed from action to action, one for all micro-batches",
            MemorySpace.Summed => "handed to the next action, one for all micro-batches",
            _ => "waits for the gradients of the parameters",
        },
    };

    /// <summary>A phase in words.</summary>
    public static string Words(Phase phase) => phase switch
    {
        Phase.Forward => "forward",
        Phase.Backward => "backward",
        Phase.InputGradient => "gradient of what it received",
        Phase.WeightGradient => "gradients of its parameters",
        _ => "all of it",
    };

    /// <summary>What the executor calls.</summary>
    public static void Stage(IndentedWriter w, StageProgram stage)
    {
        w.Line("/// <inheritdoc/>");
        w.Open("public void Run(PipelineEntry entry, PipelinePhase phase, int microBatch, in SlotSet m)");
        w.Open("switch ((entry, phase))");
        foreach (EntryPlan entry in stage.Entries)
        {
            var phases = new HashSet<Phase>(entry.Phases.Select(p => p.Phase));
            foreach (PhasePlan phase in entry.Phases)
            {
                w.Line($"case (PipelineEntry.{entry.Name}, PipelinePhase.{phase.Phase}):");
                w.Line($"    {entry.Name}{phase.Phase}(microBatch, m);");
                w.Line("    break;");
            }

            if (phases.Contains(Phase.InputGradient) || phases.Contains(Phase.WeightGradient))
            {
                w.Line($"case (PipelineEntry.{entry.Name}, PipelinePhase.Backward):");
                foreach (Phase phase in new[] { Phase.InputGradient, Phase.WeightGradient }.Where(phases.Contains))
                {
                    w.Line($"    {entry.Name}{phase}(microBatch, m);");
                }

                w.Line("    break;");
            }
        }

        w.Close();
        w.Close();
        w.Line();
        Between(w, stage, "Open", "in SlotSet m", "m", p => p.Opening.Count > 0);
        Between(w, stage, "Close", "int microBatch, in SlotSet m", "microBatch, m", p => p.Closing.Count > 0);
        w.Line("/// <inheritdoc/>");
        w.Open("public int Tensors(PipelineEntry entry, Passing passing, in SlotSet m, Span<Slice<byte>> tensors)");
        w.Open("switch ((entry, passing))");
        foreach (EntryPlan entry in stage.Entries)
        {
            foreach (IGrouping<(bool Arrives, bool IsGradient), BoundaryPlan> passing in entry.Boundaries.GroupBy(b => (b.Arrives, b.IsGradient)))
            {
                string kind = passing.Key switch { (true, false) => "Activations", (false, false) => "NextActivations", (true, true) => "Gradients", _ => "PreviousGradients" };
                w.Line($"case (PipelineEntry.{entry.Name}, Passing.{kind}): // {Text.Size(passing.Sum(p => p.Bytes))} per rank and micro-batch");
                int i = 0;
                foreach (BoundaryPlan boundary in passing)
                {
                    w.Line($"    tensors[{i++}] = {StagePrinter.Operand(stage, boundary.Operand)}.Bytes; // {boundary.Comment}");
                }

                w.Line($"    return {i};");
            }
        }

        w.Line("default:");
        w.Line("    return 0;");
        w.Close();
        w.Close();
        w.Line();
    }

    /// <summary>What an action does beside a neighbouring one.</summary>
    private static void Between(IndentedWriter w, StageProgram stage, string verb, string parameters, string arguments, Func<PhasePlan, bool> which)
    {
        List<(EntryPlan Entry, PhasePlan Phase)> phases = stage.Entries.SelectMany(e => e.Phases.Where(which).Select(p => (e, p))).ToList();
        if (phases.Count == 0)
        {
            return;
        }

        w.Line("/// <inheritdoc/>");
        w.Open($"public void {verb}(PipelineEntry entry, PipelinePhase phase, {parameters})");
        w.Open("switch ((entry, phase))");
        foreach ((EntryPlan entry, PhasePlan phase) in phases)
        {
            // An action may run both halves of a backward.
            string both = phase.Phase is Phase.InputGradient or Phase.WeightGradient ? $" or (PipelineEntry.{entry.Name}, PipelinePhase.Backward)" : "";
            w.Line($"case (PipelineEntry.{entry.Name}, PipelinePhase.{phase.Phase}){both}:");
            w.Line($"    {verb}{entry.Name}{phase.Phase}({arguments});");
            w.Line("    break;");
        }

        w.Close();
        w.Close();
        w.Line();
    }

    /// <summary>The interface of all stages of a mesh, and the batch that they read.</summary>
    public static void Shared(IndentedWriter w, RankProgram program)
    {
        w.Summary("A stage as this mesh's rank sees it.");
        w.Open("internal interface IStage : IPipelineStage");
        w.Summary("Sums gradients over the axes that split the batch.");
        w.Line("void ReduceGradients();");
        w.Line();
        w.Summary("Squared norm of the gradients that are split over one set of axes.");
        w.Line("WideSum SquaredNorm(int set);");
        w.Line();
        w.Summary("Gradient of the stage's copy of a parameter that several stages hold.");
        w.Line($"Slice<{Text.Element(program.GradientElement)}> TiedGradient(int tied);");
        w.Line();
        w.Summary("The optimizer.");
        w.Line($"void Update(float scale, {program.Optimizer}Settings settings, int step);");
        w.Close();
        w.Line();
        w.Summary("The batch of a step, while it runs.");
        w.Open("internal sealed class Batch");
        foreach (IGrouping<string, InputPlan> input in program.Stages.SelectMany(s => s.Entries).SelectMany(e => e.Inputs).GroupBy(i => i.Name))
        {
            w.Line($"public {(input.First().Element == DType.Int32 ? "TokenTensor" : "Tensor")}? @{input.Key};");
        }

        w.Close();
        w.Line();
    }
}
