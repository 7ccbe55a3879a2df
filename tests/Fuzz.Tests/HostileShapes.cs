namespace Shardwright.Fuzz.Tests;

/// <summary>Sources that are legal, or nearly, and unkind; benchmarks/Generator measures the same ones.</summary>
public static class HostileShapes
{
    private const string Head = """
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        [DeviceMesh] [MeshAxis("dp", 2, Role = AxisRole.Data)] [MeshAxis("tp", 2, Role = AxisRole.Tensor)] public sealed class Lab;

        """;

    /// <summary>One method with so many ops: products, sums, activations, norms, each result used twice.</summary>
    /// <param name="count">Number of ops.</param>
    /// <param name="run">Which of several alike: each has another batch, so that nothing is known from the one before.</param>
    public static string ManyOps(int count, int run = 0)
    {
        string[] lines = ["x = x + Relu(MatMul(x, w));", "x = LayerNorm(x, g, b) + x;", "x = MatMul(Tanh(x), v) * 0.5f;"];
        int[] ops = [3, 2, 3];
        var body = new List<string>();
        for (int n = 0; n < count; n += ops[body.Count % 3])
        {
            body.Add("        " + lines[body.Count % 3]);
        }

        return Head + $$"""
            [ShardedOn<Lab>] public sealed partial class Net
            {
                [Split("tp", 1)] readonly Tensor w = Parameter(64, 64);
                [Split("tp", 0)] readonly Tensor v = Parameter(64, 64);
                readonly Tensor g = Parameter(64, Init.Ones);
                readonly Tensor b = Parameter(64, Init.Zeros);
                public Tensor Loss([Shape({{16 * (run + 1)}}, 64), Split("dp", 0)] Tensor x)
                {
            {{string.Join("\n", body)}}
                    return Mean(Square(x));
                }
            }
            """;
    }

    /// <summary>A mesh of so many axes of 2.</summary>
    public static string ManyAxes(int count, int run = 0) => $$"""
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        [DeviceMesh] {{string.Concat(Enumerable.Range(0, count).Select(i => $"[MeshAxis(\"a{i}\", 2{(i == 0 ? ", Role = AxisRole.Data" : "")})] "))}}public sealed class Lab;
        [ShardedOn<Lab>] public sealed partial class Net
        {
            [Split("a1", 1)] readonly Tensor up = Parameter(64, 4096);
            [Split("a1", 0)] readonly Tensor down = Parameter(4096, 64);
            readonly LayerNorm norm = new(64);
            public Tensor Loss([Shape({{64 * (run + 1)}}, 64), Split("a0", 0)] Tensor x) => Mean(Square(x + MatMul(Gelu(MatMul(norm.Forward(x), up)), down)));
        }
        """;

    /// <summary>Names of 10,000 characters everywhere.</summary>
    public static string LongNames(int length)
    {
        string Name(string stem) => stem + new string('a', length);
        return $$"""
            using Shardwright;
            using static Shardwright.Ops;
            namespace {{Name("My")}};
            [DeviceMesh] [MeshAxis("{{Name("tp")}}", 2)] public sealed class {{Name("Lab")}};
            [ShardedOn<{{Name("Lab")}}>(Name = "On")] public sealed partial class {{Name("Net")}}
            {
                [Split("{{Name("tp")}}", 1)] readonly Tensor {{Name("w")}} = Parameter(8, 8);
                public Tensor Loss([Shape(8, 8)] Tensor {{Name("x")}}) { var {{Name("y")}} = MatMul({{Name("x")}}, {{Name("w")}}); return Mean({{Name("y")}}); }
            }
            """;
    }

    /// <summary>All of them, by name.</summary>
    public static IReadOnlyList<string> Names =>
    [
        "ops", "axes", "names", "terms", "nested calls", "nested layers", "many layers", "endless loop", "layer of itself", "helper of itself", "many micro-batches",
    ];

    /// <summary>The source of one.</summary>
    /// <param name="shape">Its name.</param>
    /// <param name="run">Which of several alike.</param>
    public static string Source(string shape, int run = 0) => shape switch
    {
        "ops" => ManyOps(2000, run),
        "axes" => ManyAxes(12, run),
        "names" => LongNames(10_000),
        "terms" => Model($"Mean({string.Join(" + ", Enumerable.Repeat("x", 3000))} + Sum(w))"),
        "nested calls" => Model($"Mean({string.Concat(Enumerable.Repeat("Relu(", 300))}x + Sum(w){new string(')', 300)})"),
        "nested layers" => Head + string.Join("\n", Enumerable.Range(0, 150).Select(i => $"[ShardedLayer] public sealed partial class L{i} {{ readonly {(i == 0 ? "Tensor w = Parameter(8, 8)" : $"L{i - 1} inner = new()")}; public Tensor Forward(Tensor x) => {(i == 0 ? "MatMul(x, w)" : "inner.Forward(x)")}; }}"))
            + "[ShardedOn<Lab>] public sealed partial class Net { readonly L149 top = new(); public Tensor Loss([Shape(8, 8)] Tensor x) => Mean(top.Forward(x)); }",
        "many layers" => Model("Mean(layers.Forward(x)) + Sum(w)", "readonly LayerStack<Dense> layers = new(2000000000, () => new Dense());", "[ShardedLayer] public sealed partial class Dense { readonly Tensor v = Parameter(8, 8); public Tensor Forward(Tensor x) => MatMul(x, v); }"),
        "endless loop" => Model("Helper(x)", "Tensor Helper(Tensor x) { for (int i = 0; i < 10; i += 0) { x = x + w; } return Mean(x); }"),
        "layer of itself" => Model("Mean(self.Forward(x)) + Sum(w)", "readonly Dense self = new();", "[ShardedLayer] public sealed partial class Dense { readonly Dense inner = new(); public Tensor Forward(Tensor x) => inner.Forward(x); }"),
        "helper of itself" => Model("Helper(x)", "Tensor Helper(Tensor x) => Helper(x + w);"),
        "many micro-batches" => Model("Mean(MatMul(x, w))").Replace("[ShardedOn<Lab>]", "[ShardedOn<Lab>(MicroBatches = 2147483647)]", StringComparison.Ordinal),
        _ => throw new ArgumentException(shape),
    };

    private static string Model(string loss, string members = "", string types = "") => Head + $$"""
        {{types}}
        [ShardedOn<Lab>] public sealed partial class Net
        {
            readonly Tensor w = Parameter(8, 8);
            {{members}}
            public Tensor Loss([Shape(8, 8)] Tensor x) => {{loss}};
        }
        """;
}
