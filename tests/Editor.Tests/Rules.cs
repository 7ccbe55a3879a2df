namespace Shardwright.Editor.Tests;

/// <summary>Every rule, with code that it reports and the same code put right. «…» is what must be reported.</summary>
/// <param name="Id">The rule.</param>
/// <param name="Reported">After <see cref="Head"/> and the mesh <c>Lab</c>, which lies in a file of its own.</param>
/// <param name="Right">Put right; empty for a rule that is no fault.</param>
/// <param name="Library">Source of another assembly that it uses.</param>
public sealed record Rule(string Id, string Reported, string Right, string Library = "")
{
    public const string Head = "using Shardwright;\nusing static Shardwright.Ops;\nnamespace My;\n";

    public const string Lab = Head + "[DeviceMesh] [MeshAxis(\"dp\", 2)] [MeshAxis(\"tp\", 2)] public sealed class Lab;\n";

    private const string Pipe = "[DeviceMesh] [MeshAxis(\"pp\", 2, Role = AxisRole.Pipeline)] public sealed class Pipe;\n";

    private const string Dense = "[ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }\n";

    private const string Four = "[DeviceMesh(Device = typeof(Devices.A100With80GB))] [MeshAxis(\"tp\", 4, Role = AxisRole.Tensor, Link = typeof(Links.NvLink3))] public sealed class Four;\n";

    private const string Deep = """
        [DeviceMesh(Device = typeof(Devices.A100With80GB))] [MeshAxis("pp", 8, Role = AxisRole.Pipeline, Link = typeof(Links.NvLink3))] public sealed class Deep;
        [ShardedLayer] public sealed partial class Wide(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }

        """;

    public static IReadOnlyList<Rule> All { get; } =
    [
        new("SW0001", "[ShardedLayer] public sealed class «Plain» { readonly Tensor w = Parameter(4); public Tensor Forward(Tensor x) => x * w; }", "[ShardedLayer] public sealed partial class Plain { readonly Tensor w = Parameter(4); public Tensor Forward(Tensor x) => x * w; }"),
        new("SW0002", Net("Mean(Helper(x))", extra: "Tensor Helper(Tensor x) { «while (true) { x = MatMul(x, w); }» }", w: "6, 6"), Net("Mean(Helper(x))", extra: "Tensor Helper(Tensor x) { for (int i = 0; i < 3; i++) { x = MatMul(x, w); } return x; }", w: "6, 6")),
        new("SW0003", Net("Mean(«MatMul(x, w)»)", w: "4, 6"), Net("Mean(MatMul(x, w))")),
        new("SW0004", Net("Mean(MatMul(x, w))").Replace("[Shape(8, 6)] Tensor x", "Tensor «x»", StringComparison.Ordinal), Net("Mean(MatMul(x, w))")),
        new("SW0005", "[ShardedLayer] public sealed partial class «Empty» { readonly Tensor w = Parameter(4); }", "[ShardedLayer] public sealed partial class Empty { readonly Tensor w = Parameter(4); public Tensor Forward(Tensor x) => x * w; }"),
        new("SW0006", Net("Mean(MatMul(x, w))", "readonly Tensor «idle» = Parameter(3);"), Net("Mean(MatMul(x, w))")),
        new("SW0007", Far, Near, "using Shardwright; namespace Far; [ShardedLayer] public sealed class Dense(int n) { public int N => n; public Tensor Forward(Tensor x) => x; }"),
        new("SW0008", Net("Mean(MatMul(x, w)) + Sum(Greater(v, 0f * v))", "readonly Tensor v = Parameter(3);").Replace("class Net", "class «Net»", StringComparison.Ordinal), Net("Mean(MatMul(x, w)) + Sum(Square(v))", "readonly Tensor v = Parameter(3);")),
        new("SW0009", Net("Mean(MatMul(x, w))", on: "[ShardedOn<Lab>, «ShardedOn<Lab>(MicroBatches = 2)»]"), Net("Mean(MatMul(x, w))", on: "[ShardedOn<Lab>, ShardedOn<Lab>(MicroBatches = 2, Name = \"OnHalves\")]")),
        new("SW0010", Far, Near, "using Shardwright; namespace Far; [ShardedLayer, ShardwrightGraph(\"9;9;(x)\")] public sealed class Dense(int n) { public int N => n; public Tensor Forward(Tensor x) => x; }"),
        new("SW1001", Net("Mean(MatMul(x, w))", place: "[«Split(\"tpp\", 1)»] "), Net("Mean(MatMul(x, w))", place: "[Split(\"tp\", 1)] ")),
        new("SW1002", Net("Mean(MatMul(x, w))", place: "[«Split(\"tp\", 2)»] "), Net("Mean(MatMul(x, w))", place: "[Split(\"tp\", 1)] ")),
        new("SW1003", Net("Mean(MatMul(x, w))", place: "[«Split(\"tp\", 1)»] ", w: "6, 5"), Net("Mean(MatMul(x, w))", place: "[Split(\"tp\", 1)] ", w: "6, 6")),
        new("SW1004", Net("Mean(MatMul(x, w))", place: "[Split(\"tp\", 1), «Broadcast(\"tp\")»] "), Net("Mean(MatMul(x, w))", place: "[Split(\"tp\", 1)] ")),
        new("SW1005", Net("Mean(«Gelu(MatMul(x, w))»)", place: "[Split(\"tp\", 0)] "), Net("Mean(Gelu(Reshard(MatMul(x, w), Placement.Broadcast(\"tp\"))))", place: "[Split(\"tp\", 0)] ")),
        new("SW1006", Columns(64, second: 1, "MatMul(«Gelu(MatMul(x, up))», down)"), Columns(64, second: 0)),
        new("SW1007", Four + Whole("readonly Tensor «up»"), Four + Whole("[Split(\"tp\", dim: 1)] readonly Tensor up", "[Split(\"tp\", dim: 0)] ")),
        new("SW1008", Links("Ethernet10G", "NvLink3", "«ShardedOn<Odd>»"), Links("NvLink3", "Ethernet10G")),
        new("SW1010", Columns(1024, second: 1, "MatMul(«Gelu(MatMul(x, up))», down)"), Columns(1024, second: 0)),
        new("SW2001", Stack("[«Stages(1, 1)»] "), Stack("[Stages(2, 2)] ")),
        new("SW2002", Cut("«Stages(6, 2)»"), Cut("Stages(4, 4)")),
        new("SW2003", Net("Mean(MatMul(x, w))", on: "[«ShardedOn<Lab>(MicroBatches = 3)»]"), Net("Mean(MatMul(x, w))", on: "[ShardedOn<Lab>(MicroBatches = 2)]")),
        new("SW2004", Bubble("«ShardedOn<Deep>(MicroBatches = 16)»"), Bubble("ShardedOn<Deep>(MicroBatches = 64)")),
        new("SW2005", Tied("readonly Embedding «tokens» = new(64, 32);", "Transpose(tokens.Weight)"), Tied("readonly Embedding tokens = new(64, 32); readonly Tensor head = Parameter(32, 64);", "head")),
        new("SW2006", Late("[«Stage(1)»]"), Late("[Stage(0)]")),
        new("SW2007", Own("0F0 0B0", "«ShardedOn<Pipe>(MicroBatches = 2, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(Mine))»"), Own("0F0 0F1 0B0 0B1", "ShardedOn<Pipe>(MicroBatches = 2, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(Mine))")),
        new("SW3001", Small(30, "«ShardedOn<Tight>»"), Small(64, "ShardedOn<Tight>")),
        new("SW3002", Small(35, "«ShardedOn<Tight>»"), Small(64, "ShardedOn<Tight>")),
        new("SW3003", Device("80", "«ShardedOn<Two>»"), Device("80L << 30", "ShardedOn<Two>")),
        new("SW3004", "[ShardedLayer] public sealed partial class Shift(int n) { readonly Tensor by = Parameter(n); public Tensor Forward(Tensor x) => x + by; }\n" + Holds("[Recompute] readonly Shift «shift» = new(6);"), "[ShardedLayer] public sealed partial class Shift(int n) { readonly Tensor by = Parameter(n); public Tensor Forward(Tensor x) => x + by; }\n" + Holds("readonly Shift shift = new(6);")),
        new("SW4001", Busy("InfinibandEdr", "«ShardedOn<Busy>(MicroBatches = 4)»"), Busy("NvLink3", "ShardedOn<Busy>(MicroBatches = 4)")),
        new("SW9001", Net("Mean(MatMul(x, w))", on: "[«ShardedOn<Lab>»]"), ""),
        new("SW9002", Net("Mean(MatMul(x, w))", on: "[«ShardedOn<Lab>»]").Replace("class Net", "class " + Faulty, StringComparison.Ordinal), Net("Mean(MatMul(x, w))")),
    ];

    /// <summary>Name of a model whose planning the tests make fail.</summary>
    public const string Faulty = "NetThatFails";

    private const string Far = "[ShardedOn<Lab>] public sealed partial class Net { readonly Far.Dense «dense» = new(6); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(dense.Forward(x)); }";

    private const string Near = Dense + "[ShardedOn<Lab>] public sealed partial class Net { readonly Dense dense = new(6); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(dense.Forward(x)); }";

    /// <summary>Reported code without the marks.</summary>
    public string Source => Head + Plain(Reported);

    public static string Plain(string marked) => marked.Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal);

    private static string Net(string loss, string fields = "", string on = "[ShardedOn<Lab>]", string extra = "", string place = "", string w = "6, 4") =>
        $"{on} public sealed partial class Net\n{{\n    {place}readonly Tensor w = Parameter({w});\n    {fields}\n    public Tensor Loss([Shape(8, 6)] Tensor x) => {loss};\n    {extra}\n}}\n";

    private static string Columns(int width, int second, string product = "MatMul(Gelu(MatMul(x, up)), down)") => $$"""
        [ShardedOn<Lab>] public sealed partial class Net
        {
            [Split("tp", 1)] readonly Tensor up = Parameter({{width}}, {{4 * width}});
            [Split("tp", {{second}})] readonly Tensor down = Parameter({{4 * width}}, {{width}});
            public Tensor Loss([Shape({{width / 2}}, {{width}}), Split("dp", 0)] Tensor x) => Mean(Square({{product}}));
        }
        """;

    private static string Whole(string up, string down = "") => $$"""
        [ShardedOn<Four>] public sealed partial class Net
        {
            {{up}} = Parameter(2048, 8192);
            {{down}}readonly Tensor down = Parameter(8192, 2048);
            public Tensor Loss([Shape(8192, 2048)] Tensor x) => Mean(Square(MatMul(Gelu(MatMul(x, up)), down)));
        }
        """;

    private static string Links(string tensor, string data, string on = "ShardedOn<Odd>") => $$"""
        [DeviceMesh(Device = typeof(Devices.A100With80GB))]
        [MeshAxis("dp", 4, Role = AxisRole.Data, Link = typeof(Links.{{data}}))] [MeshAxis("tp", 4, Role = AxisRole.Tensor, Link = typeof(Links.{{tensor}}))] public sealed class Odd;
        [ShardedLayer] public sealed partial class FeedForward(int hidden, int inner)
        {
            [Split("tp", dim: 1)] readonly Tensor up = Parameter(hidden, inner);
            [Split("tp", dim: 0)] readonly Tensor down = Parameter(inner, hidden);
            public Tensor Forward(Tensor x) => x + MatMul(Gelu(MatMul(x, up)), down);
        }
        [{{on}}] public sealed partial class Net
        {
            readonly LayerStack<FeedForward> stack = new(8, () => new FeedForward(2048, 8192));
            public Tensor Loss([Shape(16384, 2048), Split("dp", 0)] Tensor x) => Mean(Square(stack.Forward(x)));
        }
        """;

    private static string Busy(string link, string on) => $$"""
        [DeviceMesh(Device = typeof(Devices.A100With80GB))] [MeshAxis("tp", 4, Role = AxisRole.Tensor, Link = typeof(Links.{{link}}))] public sealed class Busy;
        [ShardedLayer] public sealed partial class FeedForward(int hidden, int inner)
        {
            [Split("tp", dim: 1)] readonly Tensor up = Parameter(hidden, inner);
            [Split("tp", dim: 0)] readonly Tensor down = Parameter(inner, hidden);
            public Tensor Forward(Tensor x) => x + MatMul(Gelu(MatMul(x, up)), down);
        }
        [{{on}}] public sealed partial class Net
        {
            readonly LayerStack<FeedForward> stack = new(8, () => new FeedForward(2048, 4096));
            public Tensor Loss([Shape(32768, 2048)] Tensor x) => Mean(Square(stack.Forward(x)));
        }
        """;

    private static string Stack(string stages) => Pipe + Dense + $"[ShardedOn<Pipe>(MicroBatches = 4)] public sealed partial class Net {{ {stages}readonly LayerStack<Dense> stack = new(4, () => new Dense(6)); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(Square(stack.Forward(x))); }}";

    private static string Cut(string stages) => Deep + $$"""
        [DeviceMesh(Device = typeof(Devices.A100With80GB))] [MeshAxis("pp", 2, Role = AxisRole.Pipeline, Link = typeof(Links.NvLink3))] public sealed class Two;
        [ShardedOn<Two>(MicroBatches = 16)] public sealed partial class Net { [{{stages}}] readonly LayerStack<Wide> stack = new(8, () => new Wide(2048)); public Tensor Loss([Shape(16384, 2048)] Tensor x) => Mean(Square(stack.Forward(x))); }
        """;

    private static string Bubble(string on) => Deep + $"[{on}] public sealed partial class Net {{ readonly LayerStack<Wide> stack = new(8, () => new Wide(2048)); public Tensor Loss([Shape(8192, 2048)] Tensor x) => Mean(Square(stack.Forward(x))); }}";

    private static string Tied(string fields, string head) => Pipe + Dense + $$"""
        [ShardedOn<Pipe>(MicroBatches = 4)] public sealed partial class Net
        {
            {{fields}}
            readonly LayerStack<Dense> stack = new(4, () => new Dense(32));
            public Tensor Loss([Shape(8, 4)] TokenTensor ids, [Shape(8, 4)] TokenTensor targets) => CrossEntropy(MatMul(stack.Forward(tokens.Forward(ids)), {{head}}), targets);
        }
        """;

    private static string Late(string stage) => Pipe + Dense + $$"""
        [ShardedOn<Pipe>(MicroBatches = 4)] public sealed partial class Net
        {
            {{stage}} readonly Dense first = new(6);
            [Stages(2, 2)] readonly LayerStack<Dense> stack = new(4, () => new Dense(6));
            public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(Square(stack.Forward(first.Forward(x))));
        }
        """;

    private static string Own(string actions, string on) => Pipe + Dense + $$"""
        [RankActions(0, "{{actions}}")] [RankActions(1, "1F0 1B0 1F1 1B1")] public sealed class Mine;
        [{{on}}] public sealed partial class Net { readonly LayerStack<Dense> stack = new(4, () => new Dense(6)); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(Square(stack.Forward(x))); }
        """;

    private static string Small(int mebibytes, string on) => $$"""
        [DeviceSpec(MemoryBytes = {{mebibytes}} << 20, BandwidthGBs = 20, Fp32TFlops = 0.16)] public sealed class SmallOne;
        [DeviceMesh(Device = typeof(SmallOne))] [MeshAxis("dp", 2)] public sealed class Tight;
        [{{on}}] public sealed partial class Net { readonly Tensor up = Parameter(1024, 1024); readonly Tensor down = Parameter(1024, 1024); public Tensor Loss([Shape(16, 1024), Split("dp", 0)] Tensor x) => Mean(Square(MatMul(Gelu(MatMul(x, up)), down))); }
        """;

    private static string Device(string bytes, string on) => $$"""
        [DeviceSpec(MemoryBytes = {{bytes}}, BandwidthGBs = 2000, Fp32TFlops = 19)] public sealed class One;
        [DeviceMesh(Device = typeof(One))] [MeshAxis("dp", 2)] public sealed class Two;
        [{{on}}] public sealed partial class Net { readonly Tensor w = Parameter(8, 8); public Tensor Loss([Shape(8, 8)] Tensor x) => Mean(MatMul(x, w)); }
        """;

    private static string Holds(string field) => $"[ShardedOn<Lab>] public sealed partial class Net {{ {field} public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(shift.Forward(x)); }}";
}
