using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;

namespace Shardwright.Generators.Printing;

/// <summary>Prints the CPU implementation of a model's kernels: blocks of the runtime called with constant sizes, and vector loops for what was fused.</summary>
internal static class CpuKernelPrinter
{
    public static string Print(RankProgram program, TypeShell shell)
    {
        var w = new IndentedWriter();
        Text.Header(w, program, "kernels for CPUs");
        w.Line("using System.Runtime.CompilerServices;");
        w.Line("using System.Runtime.Intrinsics;");
        w.Line("using Shardwright;");
        w.Line("using Shardwright.Execution;");
        w.Line("using Shardwright.Kernels;");
        w.Line("using Shardwright.Observability;");
        w.Line("using Blocks = Shardwright.Kernels;");
        w.Line();
        shell.Open(w);
        w.Open($"public static partial class {program.NestedName}");
        w.Summary("The kernels on the host: vectors of 16 or 8 floats, work cut over the rank's threads.");
        w.Open("internal readonly struct CpuKernels : IKernels");
        w.Line("private readonly Arena arena;");
        w.Line("private readonly ThreadTeam team;");
        w.Line("private readonly RandomState random;");
        w.Line("private readonly RankTrace? trace;");
        foreach ((string name, int _) in program.Axes)
        {
            w.Line($"private readonly int {Text.Index(name)};");
        }

        w.Line();
        w.Summary("Binds the kernels to a rank's memory, threads and place in the mesh.");
        w.Open($"public CpuKernels(Arena arena, ThreadTeam team, RandomState random, RankTrace? trace{string.Concat(program.Axes.Select(a => ", int " + Text.Index(a.Name)))})");
        foreach (string name in new[] { "arena", "team", "random", "trace" }.Concat(program.Axes.Select(a => Text.Index(a.Name))))
        {
            w.Line($"this.{name} = {name};");
        }

        w.Close();
        w.Line();
        foreach (KernelPlan kernel in program.Kernels)
        {
            w.Line("/// <inheritdoc/>");
            w.Open($"public void {kernel.Name}({KernelInterfacePrinter.Parameters(kernel)})");
            w.Line(Span(kernel.Name));
            switch (kernel)
            {
                case ElementwiseKernel e:
                    ElementwisePrinter.Call(w, e);
                    break;
                case GemmKernel g:
                    Gemm(w, g);
                    break;
                case OpKernel o:
                    CpuOpPrinter.Print(w, o);
                    break;
            }

            w.Close();
            w.Line();
            if (kernel is ElementwiseKernel elementwise)
            {
                ElementwisePrinter.Body(w, elementwise);
            }
            else if (kernel is GemmKernel { Epilogue: not null } gemm)
            {
                ElementwisePrinter.Epilogue(w, gemm);
            }
        }

        Common(w, program);
        w.Close();
        w.Close();
        shell.Close(w);
        return w.ToString();
    }

    public static string Ref(KernelTensor tensor) => $"ref arena.Ref({tensor.Name})";

    private static void Gemm(IndentedWriter w, GemmKernel g)
    {
        string a = Ref(g.Tensors[g.A]), b = Ref(g.Tensors[g.B]), c = Ref(g.Tensors[g.C]);
        long lda = g.TransposeA ? g.M : g.K, ldb = g.TransposeB ? g.K : g.N;
        string accumulate = g.AccumulatesMicroBatches ? "microBatch > 0" : "false";
        if (g.Batch > 1)
        {
            w.Line($"Blocks.Gemm.RunBatched(team, {g.Batch}, {g.M}, {g.N}, {g.K}, {a}, {lda}, {g.M * g.K}, {Text.Bool(g.TransposeA)}, {b}, {ldb}, {g.K * g.N}, {Text.Bool(g.TransposeB)}, {c}, {g.N}, {g.M * g.N}, {accumulate});");
            return;
        }

        string epilogue = g.Epilogue is null ? "" : $", new {g.Name}Epilogue(arena{string.Concat(g.Tensors.Select(t => ", " + t.Name))})";
        w.Line($"Blocks.Gemm.Run(team, {g.M}, {g.N}, {g.K}, {a}, {lda}, {Text.Bool(g.TransposeA)}, {b}, {ldb}, {Text.Bool(g.TransposeB)}, {c}, {g.N}, {accumulate}{epilogue});");
    }

    /// <summary>Records the call, where somebody records.</summary>
    public static string Span(string kernel) => $"using TraceSpan _span = TraceSpan.Kernel(this.trace, {Text.String(kernel)});";

    private static void Common(IndentedWriter w, RankProgram program)
    {
        w.Line("/// <inheritdoc/>");
        w.Open("public " + KernelInterfacePrinter.Accumulates(program).Single());
        w.Line(Span("Accumulate"));
        w.Line("Blocks.Fill.Accumulate(team, contribution.Length, microBatch == 0, ref arena.Ref(contribution), ref arena.Ref(gradient));");
        w.Close();
        w.Line();
        if (KernelInterfacePrinter.Clears(program))
        {
            w.Line("/// <inheritdoc/>");
            w.Line("public void Clear(Slice<float> elements) => Blocks.Fill.Value(elements.Length, ref arena.Ref(elements), 0);");
            w.Line();
        }

        w.Line("/// <inheritdoc/>");
        w.Open("public WideSum SumOfSquares(Slice<float> gradient)");
        w.Line(Span("SumOfSquares"));
        w.Line("return Blocks.Reduce.SumOfSquares(team, gradient.Length, ref arena.Ref(gradient));");
        w.Close();
        w.Line();
        w.Line("/// <inheritdoc/>");
        w.Open($"public {KernelInterfacePrinter.Optimizer(program)}");
        w.Line(Span(program.Optimizer));
        string common = "team, parameters.Length, ref arena.Ref(parameters), ref arena.Ref(gradients)";
        w.Line(program.Optimizer switch
        {
            "AdamW" => $"Blocks.Optimizers.AdamW({common}, ref arena.Ref(first), ref arena.Ref(second), scale, settings.LearningRate, settings.Beta1, settings.Beta2, settings.Epsilon, decay, step);",
            "Momentum" => $"Blocks.Optimizers.Momentum({common}, ref arena.Ref(velocity), scale, settings.LearningRate, settings.Momentum, settings.Nesterov, decay);",
            _ => $"Blocks.Optimizers.Sgd({common}, scale, settings.LearningRate, decay);",
        });
        w.Close();
    }
}
