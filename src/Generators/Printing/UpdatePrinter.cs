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
        if (program.Pipeline is { } pipeline)
        {
            Tied(w, pipeline, stage);
        }

        Update(w, program, stage);
    }

    private static void Reductions(IndentedWriter w, StageProgram stage)
    {
        w.Summary("Sums gradients over the axes that split the batch, once per step: one collective for each group of parameters that lie side by side.");
        w.Open("public void ReduceGradients()");
        foreach (ParameterGroup group in stage.Groups)
        {
            foreach (string axis in group.ReduceAxes)
            {
                string field = Text.Group(new[] { axis });
                w.Line($"// AllReduce over {axis}: gradients, {group.Name}; {Text.Size(group.Bytes / group.ReduceAxes.Count)} per rank");
                w.Line($"{field}.Wait({field}.StartAllReduce(arena, {Operand(stage, group.Gradients)}));");
            }
        }

        w.Close();
        w.Line();
    }

    private static void Squares(IndentedWriter w, RankProgram program, StageProgram stage)
    {
        w.Summary("Squared norm of this rank's piece of the gradients that are split over one set of axes.");
        w.Line("/// <param name=\"set\">" + string.Join("; ", program.NormSets.Select((s, i) => $"{i}: {(s.Count == 0 ? "whole on each rank" : "split over " + string.Join(", ", s))}")) + ".</param>");
        w.Line("public double SquaredNorm(int set) => set switch");
        w.Line("{");
        for (int i = 0; i < program.NormSets.Count; i++)
        {
            List<ParameterGroup> groups = stage.Groups.Where(g => g.NormAxes == program.NormSets[i] && !g.IsCopy).ToList();
            if (groups.Count > 0)
            {
                w.Line($"    {i} => {string.Join(" + ", groups.Select(g => $"kernels.SumOfSquares({Operand(stage, g.Gradients)})"))},");
            }
        }

        w.Line("    _ => 0,");
        w.Line("};");
        w.Line();
    }

    private static void Tied(IndentedWriter w, PipelinePlan pipeline, StageProgram stage)
    {
        w.Summary("Gradient of this stage's copy of a parameter that several stages hold.");
        if (pipeline.Tied.Count > 0)
        {
            w.Line("/// <param name=\"tied\">" + string.Join("; ", pipeline.Tied.Select((t, i) => $"{i}: {t.Path}, on the stages {string.Join(", ", t.Stages)}")) + ".</param>");
        }

        w.Line("public Slice<float> TiedGradient(int tied) => tied switch");
        w.Line("{");
        for (int i = 0; i < pipeline.Tied.Count; i++)
        {
            foreach (ParameterGroup group in stage.Groups.Where(g => g.Tied == pipeline.Tied[i].Path))
            {
                w.Line($"    {i} => {Operand(stage, group.Gradients)},");
            }
        }

        w.Line("    _ => default,");
        w.Line("};");
        w.Line();
    }

    private static void Update(IndentedWriter w, RankProgram program, StageProgram stage)
    {
        w.Summary("The optimizer: one pass over each group of parameters.");
        w.Line("/// <param name=\"scale\">Factor on the gradients: 1/weight, and the clip factor.</param>");
        w.Line("/// <param name=\"settings\">Learning rate and its kin.</param>");
        w.Line("/// <param name=\"step\">Number of the step, from 1.</param>");
        w.Open($"public void Update(float scale, {program.Optimizer}Settings settings, int step)");
        foreach (ParameterGroup group in stage.Groups)
        {
            string decay = group.NoDecay ? "0" : "settings.WeightDecay", p = Operand(stage, group.Parameters), g = Operand(stage, group.Gradients);
            string[] s = group.States.Select(x => Operand(stage, x)).ToArray();
            w.Line(program.Optimizer switch
            {
                "AdamW" => $"kernels.AdamW({p}, {g}, {s[0]}, {s[1]}, scale, settings, {decay}, step); // {group.Name}",
                "Momentum" => $"kernels.Momentum({p}, {g}, {s[0]}, scale, settings, {decay}); // {group.Name}",
                _ => $"kernels.Sgd({p}, {g}, scale, settings, {decay}); // {group.Name}",
            });
        }

        w.Close();
    }
}
