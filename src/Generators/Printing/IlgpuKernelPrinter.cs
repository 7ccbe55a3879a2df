using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Planning;

namespace Shardwright.Generators.Printing;

/// <summary>Prints the ILGPU implementation of a model's kernels: device code of what was fused, and launches of it and of the runtime's blocks.</summary>
internal static class IlgpuKernelPrinter
{
    public static string Print(RankProgram program, TypeShell shell)
    {
        var w = new IndentedWriter();
        Text.Header(w, program, "kernels for accelerators, through ILGPU");
        w.Line("using System;");
        w.Line("using System.Runtime.CompilerServices;");
        w.Line("using ILGPU;");
        w.Line("using Shardwright;");
        w.Line("using Shardwright.Execution;");
        w.Line("using Shardwright.Gpu;");
        w.Line("using Shardwright.Gpu.Kernels;");
        w.Line("using Shardwright.Observability;");
        w.Line("using Blocks = Shardwright.Gpu.Kernels;");
        w.Line();
        shell.Open(w);
        w.Open($"public static partial class {program.NestedName}");
        w.Summary("The kernels on an accelerator: each method queues its work on the rank's stream and returns.");
        w.Open("internal readonly struct IlgpuKernels : IKernels");
        w.Line("private readonly DeviceArena arena;");
        w.Line("private readonly RandomState random;");
        if (program.ScalesLoss)
        {
            w.Line("private readonly LossScaleState scaling;");
        }

        w.Line("private readonly RankTrace? trace;");
        foreach ((string name, int _) in program.Axes)
        {
            w.Line($"private readonly int {Text.Index(name)};");
        }

        w.Line();
        w.Summary("Binds the kernels to a rank's memory and place in the mesh.");
        w.Open($"public IlgpuKernels(DeviceArena arena, RandomState random, {(program.ScalesLoss ? "LossScaleState scaling, " : "")}RankTrace? trace{string.Concat(program.Axes.Select(a => ", int " + Text.Index(a.Name)))})");
        foreach (string name in new[] { "arena", "random", "trace" }.Concat(program.ScalesLoss ? new[] { "scaling" } : Array.Empty<string>()).Concat(program.Axes.Select(a => Text.Index(a.Name))))
        {
            w.Line($"this.{name} = {name};");
        }

        w.Close();
        w.Line();
        foreach (KernelPlan kernel in program.Kernels)
        {
            w.Line("/// <inheritdoc/>");
            w.Open($"public void {kernel.Name}({KernelInterfacePrinter.Parameters(kernel)})");
            w.Line(CpuKernelPrinter.Span(kernel.Name));
            switch (kernel)
            {
                case ElementwiseKernel e:
                    IlgpuElementwisePrinter.Call(w, e);
                    break;
                case GemmKernel g:
                    IlgpuGemmPrinter.Call(w, g);
                    break;
                case OpKernel o:
                    IlgpuOpPrinter.Call(w, o);
                    break;
            }

            w.Close();
            w.Line();
        }

        Common(w, program);
        w.Close();
        w.Line();
        w.Summary("What runs on the accelerator: one static method for each kernel, one struct for its arguments. Loops are unrolled where it matters; sizes are constants.");
        w.Open("internal static class IlgpuDevice");
        foreach (KernelPlan kernel in program.Kernels)
        {
            switch (kernel)
            {
                case ElementwiseKernel e:
                    IlgpuElementwisePrinter.Device(w, e);
                    break;
                case GemmKernel g:
                    IlgpuGemmPrinter.Device(w, g);
                    break;
                case OpKernel o:
                    IlgpuOpPrinter.Device(w, o);
                    break;
            }
        }

        w.Close();
        w.Close();
        shell.Close(w);
        return w.ToString();
    }

    private static void Common(IndentedWriter w, RankProgram program)
    {
        foreach (string accumulate in KernelInterfacePrinter.Accumulates(program))
        {
            w.Line("/// <inheritdoc/>");
            w.Open("public " + accumulate);
            w.Line(CpuKernelPrinter.Span("Accumulate"));
            w.Line("Blocks.Fill.Accumulate(arena, microBatch == 0, contribution, gradient);");
            w.Close();
            w.Line();
        }

        if (KernelInterfacePrinter.Clears(program))
        {
            w.Line("/// <inheritdoc/>");
            w.Line($"public {KernelInterfacePrinter.Clear(program)} => Blocks.Fill.Value(arena, elements, 0);");
            w.Line();
        }

        w.Line("/// <inheritdoc/>");
        w.Open("public " + KernelInterfacePrinter.SumOfSquares(program));
        w.Line(CpuKernelPrinter.Span("SumOfSquares"));
        w.Line("return Blocks.Reduce.SumOfSquares(arena, gradient);");
        w.Close();
        w.Line();
        w.Line("/// <inheritdoc/>");
        w.Open($"public {KernelInterfacePrinter.Optimizer(program)}");
        w.Line(CpuKernelPrinter.Span(program.Optimizer));
        string updated = program.RunsOnHost ? "parameters" : "master", copy = program.RunsOnHost ? "" : ", parameters";
        w.Line(program.Optimizer switch
        {
            "AdamW" => $"Blocks.Optimizers.AdamW(arena, {updated}, gradients, first, second, scale, settings.LearningRate, settings.Beta1, settings.Beta2, settings.Epsilon, decay, step{copy});",
            "Momentum" => $"Blocks.Optimizers.Momentum(arena, {updated}, gradients, velocity, scale, settings.LearningRate, settings.Momentum, settings.Nesterov, decay{copy});",
            _ => $"Blocks.Optimizers.Sgd(arena, {updated}, gradients, scale, settings.LearningRate, decay{copy});",
        });
        w.Close();
    }
}
