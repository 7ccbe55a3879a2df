using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;

namespace Shardwright.Generators.Printing;

/// <summary>Prints the interface of a model's kernels: what the program calls, and each backend implements.</summary>
internal static class KernelInterfacePrinter
{
    public static string Print(RankProgram program, TypeShell shell)
    {
        var w = new IndentedWriter();
        Text.Header(w, program, "the kernels that the program calls");
        w.Line("using Shardwright;");
        w.Line("using Shardwright.Execution;");
        w.Line();
        shell.Open(w);
        w.Open($"public static partial class {program.NestedName}");
        w.Summary("The kernels of this model on this mesh; sizes are those of one rank and one micro-batch.");
        w.Open("internal interface IKernels");
        foreach (KernelPlan kernel in program.Kernels)
        {
            Document(w, kernel);
            w.Line($"void {kernel.Name}({Parameters(kernel)});");
            w.Line();
        }

        foreach (string accumulate in Accumulates(program))
        {
            w.Summary("Overwrites a gradient at the first micro-batch, adds to it afterwards.");
            w.Line(accumulate + ";");
            w.Line();
        }

        if (Clears(program))
        {
            w.Summary("Sets elements to zero.");
            w.Line(Clear(program) + ";");
            w.Line();
        }

        w.Summary("Squared norm, with more digits than a double has: the same bits however the gradients are cut.");
        w.Line(SumOfSquares(program) + ";");
        w.Line();
        w.Summary("One pass of the optimizer over parameters that lie side by side; the gradient is scaled on the way." + (program.RunsOnHost ? "" : " It updates the fp32 parameters, and leaves their rounding for the kernels."));
        w.Line(Optimizer(program) + ";");
        w.Close();
        w.Close();
        shell.Close(w);
        return w.ToString();
    }

    /// <summary>Whether the program clears memory: gaps between gradients that are summed into shards.</summary>
    public static bool Clears(RankProgram program) => program.Stages.SelectMany(s => s.Groups).Any(g => g.Shards is { Gaps.Count: > 0 });

    /// <summary>A method for each pair of elements that a contribution and its gradient have.</summary>
    public static IEnumerable<string> Accumulates(RankProgram program)
    {
        var pairs = new List<(DType, DType)>();
        foreach (StageProgram stage in program.Stages)
        {
            DType Of(OperandPlan operand) => stage.Buffers[operand.Buffer].Element;
            pairs.AddRange(stage.Entries.SelectMany(e => e.Main.Concat(e.Methods.SelectMany(m => m.Statements))).OfType<ProgramStatement.Accumulate>().Select(a => (Of(a.Contribution), Of(a.Gradient))));
        }

        return pairs.DefaultIfEmpty((program.ParameterElement, program.GradientElement)).Distinct().OrderBy(p => p).Select(p => $"void Accumulate(Slice<{Text.Element(p.Item1)}> contribution, Slice<{Text.Element(p.Item2)}> gradient, int microBatch)");
    }

    /// <summary>What is cleared are windows that gradients are made in, which lie like parameters.</summary>
    public static string Clear(RankProgram program) => $"void Clear(Slice<{Text.Element(program.ParameterElement)}> elements)";

    public static string SumOfSquares(RankProgram program) => $"WideSum SumOfSquares(Slice<{Text.Element(program.GradientElement)}> gradient)";

    public static string Optimizer(RankProgram program)
    {
        string parameters = $"Slice<{Text.Element(program.ParameterElement)}> parameters, Slice<{Text.Element(program.GradientElement)}> gradients{(program.RunsOnHost ? "" : ", Slice<float> master")}";
        return program.Optimizer switch
        {
            "AdamW" => $"void AdamW({parameters}, Slice<float> first, Slice<float> second, float scale, AdamWSettings settings, float decay, int step)",
            "Momentum" => $"void Momentum({parameters}, Slice<float> velocity, float scale, MomentumSettings settings, float decay)",
            _ => $"void Sgd({parameters}, float scale, SgdSettings settings, float decay)",
        };
    }

    public static string Parameters(KernelPlan kernel)
    {
        IEnumerable<string> parameters = kernel.Tensors.Select(t => $"Slice<{Text.Element(t.Element)}> {t.Name}");
        if (kernel.UsesLayer)
        {
            parameters = parameters.Append("int layer");
        }

        if (kernel.UsesMicroBatch)
        {
            parameters = parameters.Append("int microBatch");
        }

        return string.Join(", ", parameters);
    }

    public static void Document(IndentedWriter w, KernelPlan kernel)
    {
        string saved = kernel.BytesSaved > 0 ? $" Fusion keeps {Text.Size(kernel.BytesSaved)} out of memory." : "";
        w.Line($"/// <summary>{IndentedWriter.Escape(string.Join(" + ", kernel.Ops))}: {IndentedWriter.Escape(string.Join(", ", kernel.Tensors.Select(t => $"{t.Name} [{string.Join(", ", t.Local)}]")))}.{saved}");
        foreach (string source in kernel.Sources.Where(s => s.Length > 0 && s != "loss"))
        {
            w.Line($"/// <c>{IndentedWriter.Escape(source)}</c>");
        }

        w.Line("/// </summary>");
    }
}
