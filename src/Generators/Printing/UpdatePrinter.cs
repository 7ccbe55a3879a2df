using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;
using static Shardwright.Generators.Printing.StagePrinter;

namespace Shardwright.Generators.Printing;

/// <summary>Prints what a stage does once per step: gradients reduced, squared norms, the optimizer.</summary>
internal static class UpdatePrinter
{
    public static void Print(IndentedWriter w, RankProgram program, StageProgram stage)
    {
        Reductions(w, stage);
        Squares(w, program, stage);
        SquaresApart(w, stage);
        if (program.Pipeline is { } pipeline)
        {
            Tied(w, program, pipeline, stage);
        }

        Update(w, program, stage);
    }

    /// <summary>Tickets of what is under way from backward to the end of the step.</summary>
    public static void Fields(IndentedWriter w, StageProgram stage)
    {
        for (int i = 0; i < stage.Groups.Count; i++)
        {
            if (stage.Groups[i].StartsInBackward)
            {
                w.Line($"private readonly Ticket[] {Tickets(i)} = new Ticket[{stage.Groups[i].Buckets}]; // under way: gradients, {stage.Groups[i].Name}");
            }

            if (Gathers(stage.Groups[i]))
            {
                w.Line($"private readonly Ticket[] {Gathered(i)} = new Ticket[{stage.Groups[i].Buckets}]; // under way: parameters, {stage.Groups[i].Name}");
            }
        }
    }

    /// <summary>Whether ranks update shards of whole parameters.</summary>
    private static bool Gathers(ParameterGroup group) => group.Shards is { Stage: < 3 };

    private static string Gathered(int group) => $"group{group}Gathered";

    private static string Tickets(int group) => $"group{group}Summed";

    /// <summary>In the method that completes a bucket: its sum starts in the last micro-batch.</summary>
    public static void StartGradients(IndentedWriter w, RankProgram program, StageProgram stage, EntryPlan entry, int number)
    {
        ParameterGroup group = stage.Groups[number];
        ReductionPlan reduction = group.Reductions[0];
        w.Line($"// {reduction.Kind} over {reduction.Axis}: gradients, {group.Name}; {Text.Size(reduction.Bytes)} per rank, complete with the last micro-batch; under way from here to ReduceGradients");
        if (program.Pipeline is not null || entry.MicroBatches > 1)
        {
            w.Open(program.Pipeline is not null ? "if (m.IsLast)" : $"if (microBatch == {entry.MicroBatches - 1})");
        }

        w.Line($"{Tickets(number)}[{(group.Buckets > 1 ? "layer" : "0")}] = {Start(stage, reduction)};");
        if (program.Pipeline is not null || entry.MicroBatches > 1)
        {
            w.Close();
        }
    }

    private static string Start(StageProgram stage, ReductionPlan reduction) =>
        $"{Text.Group(new[] { reduction.Axis })}.Start{reduction.Kind}(arena, {Operand(stage, reduction.Source)}{(reduction.Target is { } target ? ", " + Operand(stage, target) : "")})";

    private static void Reductions(IndentedWriter w, StageProgram stage)
    {
        w.Summary("Ends the sums of gradients over the axes that split the batch: one for each bucket of parameters that lie side by side. Those that backward has started are waited for, in its order.");
        w.Open("public void ReduceGradients()");
        for (int i = 0; i < stage.Groups.Count; i++)
        {
            ParameterGroup group = stage.Groups[i];
            bool loops = group.Buckets > 1 && group.Reductions.Count > 0;
            if (loops)
            {
                w.Open($"for (int layer = {group.Buckets - 1}; layer >= 0; layer--)");
            }

            for (int r = 0; r < group.Reductions.Count; r++)
            {
                ReductionPlan reduction = group.Reductions[r];
                string field = Text.Group(new[] { reduction.Axis });
                w.Line($"// {reduction.Kind} over {reduction.Axis}: gradients, {group.Name}; {Text.Size(reduction.Bytes)} per rank");
                w.Line(r == 0 && group.StartsInBackward ? $"{field}.Wait({Tickets(i)}[{(group.Buckets > 1 ? "layer" : "0")}]);" : $"{field}.Wait({Start(stage, reduction)});");
            }

            if (loops)
            {
                w.Close();
            }
        }

        w.Close();
        w.Line();
    }

    private static void Squares(IndentedWriter w, RankProgram program, StageProgram stage)
    {
        w.Summary("Squared norm of this rank's piece of the gradients that are split over one set of axes.");
        w.Line("/// <param name=\"set\">" + string.Join("; ", program.NormSets.Select((s, i) => $"{i}: {(s.Count == 0 ? "whole on each rank" : "split over " + string.Join(", ", s))}")) + ".</param>");
        w.Line("public WideSum SquaredNorm(int set) => set switch");
        w.Line("{");
        for (int i = 0; i < program.NormSets.Count; i++)
        {
            List<ParameterGroup> groups = stage.Groups.Where(g => g.NormAxes == program.NormSets[i] && !g.IsCopy).ToList();
            if (groups.Count > 0)
            {
                w.Line($"    {i} => {string.Join(" + ", groups.Select(g => IsApart(g) ? $"Group{stage.Groups.Items.IndexOf(g)}Squares()" : $"kernels.SumOfSquares({All(stage, g.Gradients)})"))},");
            }
        }

        w.Line("    _ => default,");
        w.Line("};");
        w.Line();
    }

    /// <summary>Whether a rank's gradients lie apart: its part of each bucket of whole gradients.</summary>
    private static bool IsApart(ParameterGroup group) => group.Buckets > 1 && group.Gradients.Start is not null;

    private static void SquaresApart(IndentedWriter w, StageProgram stage)
    {
        for (int i = 0; i < stage.Groups.Count; i++)
        {
            ParameterGroup group = stage.Groups[i];
            if (IsApart(group) && !group.IsCopy)
            {
                w.Line($"// Squares of this rank's part of each bucket: {group.Name}.");
                w.Open($"private WideSum Group{i}Squares()");
                w.Line("WideSum sum = default;");
                w.Open($"for (int layer = 0; layer < {group.Buckets}; layer++)");
                w.Line($"sum += kernels.SumOfSquares({Operand(stage, group.Gradients)});");
                w.Close();
                w.Line();
                w.Line("return sum;");
                w.Close();
                w.Line();
            }
        }
    }

    private static void Tied(IndentedWriter w, RankProgram program, PipelinePlan pipeline, StageProgram stage)
    {
        w.Summary("Gradient of this stage's copy of a parameter that several stages hold.");
        if (pipeline.Tied.Count > 0)
        {
            w.Line("/// <param name=\"tied\">" + string.Join("; ", pipeline.Tied.Select((t, i) => $"{i}: {t.Path}, on the stages {string.Join(", ", t.Stages)}")) + ".</param>");
        }

        w.Line($"public Slice<{Text.Element(program.GradientElement)}> TiedGradient(int tied) => tied switch");
        w.Line("{");
        for (int i = 0; i < pipeline.Tied.Count; i++)
        {
            foreach (ParameterGroup group in stage.Groups.Where(g => g.Tied == pipeline.Tied[i].Path))
            {
                w.Line($"    {i} => {All(stage, group.Gradients)},");
            }
        }

        w.Line("    _ => default,");
        w.Line("};");
        w.Line();
    }

    private static void Update(IndentedWriter w, RankProgram program, StageProgram stage)
    {
        bool any = stage.Groups.Any(Gathers);
        w.Summary("The optimizer: one pass over each group of parameters." + (any ? " What ranks have updated in shards is gathered beside the passes that follow." : ""));
        w.Line("/// <param name=\"scale\">Factor on the gradients: 1/weight, and the clip factor.</param>");
        w.Line("/// <param name=\"settings\">Learning rate and its kin.</param>");
        w.Line("/// <param name=\"step\">Number of the step, from 1.</param>");
        w.Open($"public void Update(float scale, {program.Optimizer}Settings settings, int step)");
        for (int i = 0; i < stage.Groups.Count; i++)
        {
            // Shards of whole parameters lie apart, one in each bucket; everything else is one piece.
            ParameterGroup group = stage.Groups[i];
            bool gathers = Gathers(group), loops = gathers && group.Buckets > 1;
            string Piece(OperandPlan operand) => loops ? Operand(stage, operand) : All(stage, operand);
            string decay = group.NoDecay ? "0" : "settings.WeightDecay", p = Piece(group.Updated), g = Piece(group.Gradients);
            string s = string.Concat(group.States.Select(state => ", " + Piece(state)));
            if (loops)
            {
                w.Open($"for (int layer = 0; layer < {group.Buckets}; layer++)");
            }

            w.Line(program.Optimizer switch
            {
                "AdamW" => $"kernels.AdamW({p}, {g}{s}, scale, settings, {decay}, step); // {group.Name}",
                "Momentum" => $"kernels.Momentum({p}, {g}{s}, scale, settings, {decay}); // {group.Name}",
                _ => $"kernels.Sgd({p}, {g}{s}, scale, settings, {decay}); // {group.Name}",
            });
            if (gathers)
            {
                w.Line($"// AllGather over {group.Shards!.Axis}: parameters, {group.Name}; {Text.Size(group.Shards.GatherBytes)} per rank; under way from here to the end of the update");
                w.Line($"{Gathered(i)}[{(loops ? "layer" : "0")}] = {Text.Group(new[] { group.Shards.Axis })}.StartAllGather(arena, {p}, {Piece(group.Parameters)});");
            }

            if (loops)
            {
                w.Close();
            }
        }

        AwaitGathers(w, stage);
        w.Close();
    }

    private static void AwaitGathers(IndentedWriter w, StageProgram stage)
    {
        for (int i = 0; i < stage.Groups.Count; i++)
        {
            if (Gathers(stage.Groups[i]))
            {
                w.Open($"foreach (Ticket gathered in {Gathered(i)})");
                w.Line($"{Text.Group(new[] { stage.Groups[i].Shards!.Axis })}.Wait(gathered);");
                w.Close();
            }
        }
    }

    /// <summary>All buckets of an operand as one slice.</summary>
    private static string All(StageProgram stage, OperandPlan operand) => stage.Buffers[operand.Buffer].IsStack ? stage.Buffers[operand.Buffer].Name + ".Whole" : Operand(stage, operand);
}
