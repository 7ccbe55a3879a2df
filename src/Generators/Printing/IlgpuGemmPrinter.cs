using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;

namespace Shardwright.Generators.Printing;

/// <summary>Prints matrix products: the library's where there is one, with the epilogue as one pass after it, else the tiled kernel with the epilogue on each element before it is stored.</summary>
internal static class IlgpuGemmPrinter
{
    public static void Call(IndentedWriter w, GemmKernel g)
    {
        string accumulate = g.AccumulatesMicroBatches ? "microBatch > 0" : "false";
        string a = g.Tensors[g.A].Name, b = g.Tensors[g.B].Name, c = g.Tensors[g.C].Name;
        string product = $"{g.Batch}, {g.M}, {g.N}, {g.K}, {Text.Bool(g.TransposeA)}, {Text.Bool(g.TransposeB)}, {accumulate}, {a}, {b}, {c}";
        if (g.Epilogue is not { } body)
        {
            w.Line($"Blocks.Product.Run(arena, {product});");
            return;
        }

        w.Open($"if (Blocks.Product.TryLibrary(arena, {product}))");
        IlgpuElementwisePrinter.Call(w, g.Name + "After", g.Tensors, Flat(g, body));
        w.Line("return;");
        w.Close();
        w.Line();
        w.Line($"Blocks.Product.Run(arena, {product}, new IlgpuDevice.{g.Name}Epilogue {{ {string.Join(", ", g.Tensors.Select(t => $"@{t.Name} = arena.View({t.Name})"))} }});");
    }

    public static void Device(IndentedWriter w, GemmKernel g)
    {
        if (g.Epilogue is not { } body)
        {
            return;
        }

        string Store(KernelTensor tensor, string value) => IlgpuElementwisePrinter.StoreElement(tensor.Element, "@" + tensor.Name, $"row * {g.N} + column", value);
        IlgpuElementwisePrinter.Step(w, g.Name, body);
        w.Summary("Works on a finished element of the product while it is in a register.");
        w.Open($"internal struct {g.Name}Epilogue : IProductEpilogue");
        foreach (KernelTensor t in g.Tensors)
        {
            w.Line($"public ArrayView<{Text.Element(t.Element)}> @{t.Name};");
        }

        w.Line();
        w.Line("[MethodImpl(MethodImplOptions.AggressiveInlining)]");
        w.Open("public readonly void Store(long row, int column, float value)");
        string inputs = string.Join(", ", body.Inputs.Select(input => input.Tensor < 0 || input.Tensor == g.C ? "value" : IlgpuElementwisePrinter.LoadElement(g.Tensors[input.Tensor].Element, "@" + g.Tensors[input.Tensor].Name, At(input.Strides, g.N))));
        w.Line($"{g.Name}Step({inputs}{string.Concat(body.Outputs.Select((_, o) => $", out float y{o}"))});");
        if (body.Outputs.All(o => o.Tensor >= 0 && o.Tensor != g.C))
        {
            w.Line(Store(g.Tensors[g.C], "value"));
        }

        for (int o = 0; o < body.Outputs.Count; o++)
        {
            int tensor = body.Outputs[o].Tensor;
            w.Line(Store(g.Tensors[tensor < 0 ? g.C : tensor], "y" + o));
        }

        w.Close();
        w.Close();
        w.Line();
        IlgpuElementwisePrinter.Arguments(w, g.Name + "After", g.Tensors, "public long Quads;");
        FusedBody flat = Flat(g, body);
        IlgpuElementwisePrinter.Step(w, g.Name + "After", flat);
        IlgpuElementwisePrinter.Loops(w, g.Name + "After", g.Tensors, flat, g.C);
    }

    private static string At(EquatableArray<long> strides, long n) => strides.Count == 1
        ? strides[0] == 0 ? "0" : $"row * {n} + column"
        : (strides[0] == 0 ? "" : $"row * {strides[0]} + ") + (strides[1] == 0 ? "0" : "column");

    /// <summary>The body as a pass over C in memory.</summary>
    private static FusedBody Flat(GemmKernel g, FusedBody body) => body;
}
