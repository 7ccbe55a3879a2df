namespace Shardwright.Editor.Tests;

/// <summary>Partitions that are wrong, or would be slow, one fault each. «…» is on the line that must be reported.</summary>
public static class BadPartitions
{
    private const string Up = "readonly Tensor up = Parameter(64, 256);", Down = "readonly Tensor down = Parameter(256, 64);", Mlp = "Mean(Square(MatMul(Gelu(MatMul(x, up)), down)))";

    private const string Pipe = """
        [DeviceMesh] [MeshAxis("pp", 4, Role = AxisRole.Pipeline)] public sealed class Pipe;
        [ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
        """;

    private const string Block = """
        [ShardedLayer] public sealed partial class FeedForward(int hidden, int inner)
        {
            [Split("tp", dim: 1)] readonly Tensor up = Parameter(hidden, inner);
            [Split("tp", dim: 0)] readonly Tensor down = Parameter(inner, hidden);
            public Tensor Forward(Tensor x) => x + MatMul(Gelu(MatMul(x, up)), down);
        }
        """;

    /// <summary>Name, ID, source.</summary>
    public static IEnumerable<(string Name, string Id, string Source)> All =>
    [
        // Axes.
        ("axis of a parameter misspelled", "SW1001", Net("[«Split(\"tpx\", 1)»] " + Up + Down)),
        ("axis of an input misspelled", "SW1001", Net(Up + Down, input: "[Shape(8, 64), «Split(\"pd\", 0)»] Tensor x")),
        ("axis of a Reshard misspelled", "SW1001", Net(Up + Down, "Mean(Square(MatMul(«Reshard(Gelu(MatMul(x, up)), Placement.Broadcast(\"t\"))», down)))")),
        ("axis of a held layer misspelled", "SW1001", Net("[«Split(\"xx\", 1, Parameter = \"Weight\")»] readonly Linear up = new(64, 4);", "Mean(up.Forward(x))")),
        ("dim beyond the rank", "SW1002", Net("[«Split(\"tp\", 2)»] " + Up + Down)),
        ("dim below zero", "SW1002", Net("[«Split(\"tp\", -1)»] " + Up + Down)),
        ("dim of a bias that has one", "SW1002", Net("[«Split(\"tp\", 1)»] readonly Tensor bias = Parameter(64);", "Mean(Square(x + bias))")),
        ("dim of an input", "SW1002", Net(Up + Down, input: "[Shape(8, 64), «Split(\"dp\", 3)»] Tensor x")),
        ("odd columns on two ranks", "SW1003", Net("[«Split(\"tp\", 1)»] readonly Tensor up = Parameter(64, 255); readonly Tensor down = Parameter(255, 64);")),
        ("six heads on four ranks", "SW1003", """
            [DeviceMesh] [MeshAxis("tp", 4, Role = AxisRole.Tensor)] public sealed class Four;
            [ShardedOn<Four>] public sealed partial class Net
            {
                const int Heads = 6, Width = 9;
                [«Split("tp", 1)»] readonly Tensor query = Parameter(64, Heads * Width);
                public Tensor Loss([Shape(8, 64)] Tensor x) => Mean(Square(MatMul(x, query)));
            }
            """),
        ("batch that the data axis does not divide", "SW1003", Net(Up + Down, input: "[Shape(9, 64), «Split(\"dp\", 0)»] Tensor x")),
        ("two axes on one dim that fits one", "SW1003", Net("[Split(\"dp\", 1), «Split(\"tp\", 1)»] readonly Tensor up = Parameter(64, 6); readonly Tensor down = Parameter(6, 64);")),
        ("vocabulary that is not padded", "SW1003", """
            [ShardedOn<Lab>] public sealed partial class Net
            {
                const int Vocab = 50257;
                [«Split("tp", dim: 0)»] readonly Embedding tokens = new(Vocab, 64);
                public Tensor Loss([Shape(8, 16)] TokenTensor ids, [Shape(8, 16)] TokenTensor targets) => CrossEntropy(MatMul(tokens.Forward(ids), Transpose(tokens.Weight)), targets);
            }
            """),
        ("micro-batch too small for the data axis", "SW1003", Net(Up + Down, input: "[Shape(8, 64), «Split(\"dp\", 0)»] Tensor x", on: "ShardedOn<Lab>(MicroBatches = 8)")),
        ("split and broadcast at once", "SW1004", Net("[Split(\"tp\", 1), «Broadcast(\"tp\")»] " + Up + Down)),
        ("two dims on one axis", "SW1004", Net("[Split(\"tp\", 0), «Split(\"tp\", 1)»] " + Up + Down)),
        ("partial parameter", "SW1004", Net("[«Partial(\"tp\")»] " + Up + Down)),
        ("layer with two parameters, none named", "SW1004", Net("[«Split(\"tp\", 1)»] readonly Linear up = new(64, 4);", "Mean(up.Forward(x))")),
        ("layer without that parameter", "SW1004", Net("[«Split(\"tp\", 1, Parameter = \"Kernel\")»] readonly Linear up = new(64, 4);", "Mean(up.Forward(x))")),
        ("rows before an activation", "SW1005", Net("[Split(\"tp\", 0)] " + Up + Down, "Mean(Square(MatMul(«Gelu(MatMul(x, up))», down)))")),
        ("columns twice", "SW1010", Net("[Split(\"tp\", 1)] readonly Tensor up = Parameter(1024, 4096); [Split(\"tp\", 1)] readonly Tensor down = Parameter(4096, 1024);", "Mean(Square(«MatMul(Gelu(MatMul(x, up)), down)»))", "[Shape(512, 1024), Split(\"dp\", 0)] Tensor x")),

        // Shapes.
        ("product of shapes that do not match", "SW0003", Net(Up + Down, "Mean(Square(«MatMul(x, down)»))", extra: "Tensor Other(Tensor x) => MatMul(x, up);")),
        ("sum of shapes that do not broadcast", "SW0003", Net("readonly Tensor bias = Parameter(63);", "Mean(Square(«x + bias»))")),
        ("reshape to another count", "SW0003", Net(Up, "Mean(Square(«Reshape(MatMul(x, up), 8, 3, 85)»))")),
        ("concat along a dim that is not there", "SW0003", Net(Up, "Mean(«Concat(3, x, x)») + Mean(up)")),
        ("split into parts that do not divide", "SW0003", Net(Up, "Mean(«Split(MatMul(x, up), 3, dim: 1)»[0])")),
        ("targets of another shape", "SW0003", "[ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(64, 10); public Tensor Loss([Shape(8, 64)] Tensor x, [Shape(8, 2)] TokenTensor t) => «CrossEntropy(MatMul(x, w), t)»; }"),
        ("a loss that is no scalar", "SW0003", "[ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(64, 10); public Tensor «Loss»([Shape(8, 64)] Tensor x) => MatMul(x, w); }"),
        ("a layer of a stack that changes the shape", "SW0003", Pipe + """
            [ShardedLayer] public sealed partial class Narrow(int n) { readonly Tensor w = Parameter(n, n / 2); public Tensor Forward(Tensor x) => MatMul(x, w); }
            [ShardedOn<Lab>] public sealed partial class Net { readonly LayerStack<Narrow> stack = new(2, () => new Narrow(64)); public Tensor Loss([Shape(8, 64)] Tensor x) => Mean(«stack.Forward(x)»); }
            """),
        ("heads that do not divide the width", "SW0003", """
            [ShardedLayer] public sealed partial class Heads(int width, int heads)
            {
                readonly Tensor w = Parameter(width, width);
                public Tensor Forward(Tensor x) => «Reshape(MatMul(x, w), x.Shape[0], heads, width / heads)»;
            }
            [ShardedOn<Lab>] public sealed partial class Net { readonly Heads heads = new(64, 5); public Tensor Loss([Shape(8, 64)] Tensor x) => Mean(heads.Forward(x)); }
            """),
        ("an input without a shape", "SW0004", Net(Up + Down, input: "Tensor «x»")),
        ("inputs with two batches", "SW2003", "[«ShardedOn<Lab>»] public sealed partial class Net { readonly Tensor w = Parameter(64, 10); public Tensor Loss([Shape(8, 64)] Tensor x, [Shape(4)] TokenTensor t) => Mean(MatMul(x, w)) + 0f * Mean(Cast(t)); }"),

        // Memory.
        ("parameters that no rank can hold", "SW3001", Small(24, "readonly Tensor up = Parameter(1024, 1024); readonly Tensor down = Parameter(1024, 1024);", "[Shape(8, 1024)] Tensor x")),
        ("activations that do not fit", "SW3001", Small(24, "readonly Tensor up = Parameter(64, 1024); readonly Tensor down = Parameter(1024, 64);", "[Shape(65536, 64)] Tensor x")),
        ("a device that a rank fills to the brim", "SW3002", Small(35, "readonly Tensor up = Parameter(1024, 1024); readonly Tensor down = Parameter(1024, 1024);", "[Shape(8, 1024)] Tensor x")),
        ("a table that fits split, and lies whole", "SW3001", Small(48, "readonly Embedding tokens = new(65536, 64);", "[Shape(8, 4)] TokenTensor ids", "Mean(Square(tokens.Forward(ids)))", "[MeshAxis(\"tp\", 4, Role = AxisRole.Tensor)]")),

        // Links and devices.
        ("a link without speed", "SW3003", "[LinkSpec(BandwidthGBs = 0, LatencyMicroseconds = 1)] public sealed class Broken; [DeviceMesh] [MeshAxis(\"tp\", 2, Link = typeof(Broken))] public sealed class Cut; [«ShardedOn<Cut>»] public sealed partial class Net { readonly Tensor w = Parameter(8, 8); public Tensor Loss([Shape(8, 8)] Tensor x) => Mean(MatMul(x, w)); }"),
        ("a device without memory", "SW3003", "[DeviceSpec(MemoryBytes = 0, BandwidthGBs = 1, Fp32TFlops = 1)] public sealed class Empty; [DeviceMesh(Device = typeof(Empty))] public sealed class Void; [«ShardedOn<Void>»] public sealed partial class Net { readonly Tensor w = Parameter(8, 8); public Tensor Loss([Shape(8, 8)] Tensor x) => Mean(MatMul(x, w)); }"),
        ("a device with memory in gigabytes", "SW3003", "[DeviceSpec(MemoryBytes = 80, BandwidthGBs = 2000, Fp32TFlops = 19)] public sealed class Units; [DeviceMesh(Device = typeof(Units))] public sealed class Off; [«ShardedOn<Off>»] public sealed partial class Net { readonly Tensor w = Parameter(8, 8); public Tensor Loss([Shape(8, 8)] Tensor x) => Mean(MatMul(x, w)); }"),
        ("tensor axis over Ethernet, data axis over NVLink", "SW1008", Links("Ethernet10G", "NvLink3")),
        ("everything over Ethernet", "SW4001", Links("Ethernet10G", "Ethernet10G")),

        // Balance.
        ("stages that lose a layer", "SW2001", Stack("[«Stages(2, 2, 2, 1)»]")),
        ("stages for two of four ranks", "SW2001", Stack("[«Stages<Pipe>(4, 4)»]")),
        ("a stage without layers", "SW2001", Stack("[«Stages(4, 4, 0, 0)»]", head: false)),
        ("a stage below zero", "SW2001", Stack("[«Stages(10, -2, 0, 0)»]")),
        ("six layers on one stage, two on the other", "SW2002", Unbalanced("6, 2")),
        ("one layer on one stage, seven on the other", "SW2002", Unbalanced("1, 7")),
        ("a stage that is not there", "SW2001", Stack("", fields: "[«Stage(4)»] readonly Dense last = new(64);")),

        // Schedules.
        ("micro-batches that do not divide the batch", "SW2003", Stack("", on: "«ShardedOn<Pipe>(MicroBatches = 3)»")),
        ("no micro-batches", "SW2003", Stack("", on: "«ShardedOn<Pipe>(MicroBatches = 0)»")),
        ("two chunks on a rank in a schedule of one", "SW2003", Stack("[Stages(1, 1, 1, 1, 1, 1, 1, 1)]", on: "«ShardedOn<Pipe>(MicroBatches = 4)»")),
        ("a schedule of one's own that is not named", "SW2007", Stack("", on: "«ShardedOn<Pipe>(MicroBatches = 4, Schedule = PipelineSchedule.Custom)»")),
        ("a schedule that waits for itself", "SW2007", Own("0F0 0B0 0F1 0B1", "1F1 1B1 1F0 1B0")),
        ("a schedule that forgets a micro-batch", "SW2007", Own("0F0 0B0", "1F0 1B0 1F1 1B1")),
        ("a schedule on a mesh without a pipeline", "SW2003", Net(Up + Down, on: "«ShardedOn<Lab>(MicroBatches = 2, Schedule = PipelineSchedule.GPipe)»")),
        ("chunks on a mesh without a pipeline", "SW2003", Net(Up + Down, on: "«ShardedOn<Lab>(MicroBatches = 2, Chunks = 2)»")),
        ("a cut for a mesh without a pipeline", "SW2003", Pipe + "[ShardedOn<Lab>(MicroBatches = 2)] public sealed partial class Net { [«Stages<Lab>(1, 3)»] readonly LayerStack<Dense> stack = new(4, () => new Dense(64)); public Tensor Loss([Shape(8, 64)] Tensor x) => Mean(Square(stack.Forward(x))); }"),
        ("a batch that a data axis does not divide", "SW1003", "[DeviceMesh] [MeshAxis(\"dp\", 4, Role = AxisRole.Data)] public sealed class Four; [«ShardedOn<Four>»] public sealed partial class Net { readonly Tensor w = Parameter(64, 10); public Tensor Loss([Shape(6, 64)] Tensor x) => Mean(MatMul(x, w)); }"),
        ("a micro-batch that a data axis does not divide", "SW1003", "[DeviceMesh] [MeshAxis(\"dp\", 4, Role = AxisRole.Data)] public sealed class Four; [«ShardedOn<Four>(MicroBatches = 4)»] public sealed partial class Net { readonly Tensor w = Parameter(64, 10); public Tensor Loss([Shape(8, 64)] Tensor x) => Mean(MatMul(x, w)); }"),
        ("two pipelines", "SW2003", "[DeviceMesh] [MeshAxis(\"a\", 2, Role = AxisRole.Pipeline)] [MeshAxis(\"b\", 2, Role = AxisRole.Pipeline)] public sealed class Twice;" + Pipe + "[«ShardedOn<Twice>(MicroBatches = 2)»] public sealed partial class Net { readonly LayerStack<Dense> stack = new(4, () => new Dense(64)); public Tensor Loss([Shape(8, 64)] Tensor x) => Mean(Square(stack.Forward(x))); }"),
        ("a few micro-batches on many stages", "SW2004", """
            [DeviceMesh(Device = typeof(Devices.A100With80GB))] [MeshAxis("pp", 8, Role = AxisRole.Pipeline, Link = typeof(Links.NvLink3))] public sealed class Deep;
            [ShardedLayer] public sealed partial class Wide(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
            [«ShardedOn<Deep>(MicroBatches = 16)»] public sealed partial class Net { readonly LayerStack<Wide> stack = new(8, () => new Wide(2048)); public Tensor Loss([Shape(8192, 2048)] Tensor x) => Mean(Square(stack.Forward(x))); }
            """),
        ("a softmax over the batch, cut into micro-batches", "SW2003", Net("readonly Tensor w = Parameter(8, 4);", "Mean(MatMul(«Softmax(Transpose(x))», w))", on: "ShardedOn<Lab>(MicroBatches = 2)")),
        .. OutsidePartitions.All,
    ];

    private static string Net(string fields, string loss = Mlp, string input = "[Shape(8, 64)] Tensor x", string on = "ShardedOn<Lab>", string extra = "") =>
        $"[{on}] public sealed partial class Net\n{{\n    {fields}\n    public Tensor Loss({input}) => {loss};\n    {extra}\n}}";

    private static string Small(int mebibytes, string fields, string input, string loss = Mlp, string axes = "") => $$"""
        [DeviceSpec(MemoryBytes = {{mebibytes}} << 20, BandwidthGBs = 20, Fp32TFlops = 0.16)] public sealed class Small;
        [DeviceMesh(Device = typeof(Small))] {{axes}} public sealed class Tight;
        [«ShardedOn<Tight>»] public sealed partial class Net { {{fields}} public Tensor Loss({{input}}) => {{loss}}; }
        """;

    private static string Links(string tensor, string data) => $$"""
        [DeviceMesh(Device = typeof(Devices.A100With80GB))]
        [MeshAxis("dp", 4, Role = AxisRole.Data, Link = typeof(Links.{{data}}))] [MeshAxis("tp", 4, Role = AxisRole.Tensor, Link = typeof(Links.{{tensor}}))] public sealed class Odd;
        {{Block}}
        [«ShardedOn<Odd>»] public sealed partial class Net
        {
            readonly LayerStack<FeedForward> stack = new(8, () => new FeedForward(2048, 8192));
            public Tensor Loss([Shape(16384, 2048), Split("dp", 0)] Tensor x) => Mean(Square(stack.Forward(x)));
        }
        """;

    private static string Stack(string stages, string on = "ShardedOn<Pipe>(MicroBatches = 4)", string fields = "", bool head = true) => Pipe + $$"""

        [{{on}}] public sealed partial class Net
        {
            {{stages}} readonly LayerStack<Dense> stack = new(8, () => new Dense(64));
            {{fields}}
            {{(head ? "readonly Tensor head = Parameter(64, 4);" : "")}}
            public Tensor Loss([Shape(8, 64)] Tensor x) => Mean(Square({{(head ? "MatMul(" : "(")}}{{(fields.Length > 0 ? "last.Forward(stack.Forward(x))" : "stack.Forward(x)")}}{{(head ? ", head)" : ")")}}));
        }
        """;

    private static string Unbalanced(string cut) => $$"""
        [DeviceMesh(Device = typeof(Devices.A100With80GB))] [MeshAxis("pp", 2, Role = AxisRole.Pipeline, Link = typeof(Links.NvLink3))] public sealed class Two;
        [ShardedLayer] public sealed partial class Wide(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
        [ShardedOn<Two>(MicroBatches = 16)] public sealed partial class Net
        {
            [«Stages({{cut}})»] readonly LayerStack<Wide> stack = new(8, () => new Wide(2048));
            public Tensor Loss([Shape(16384, 2048)] Tensor x) => Mean(Square(stack.Forward(x)));
        }
        """;

    private static string Own(string first, string second) => $$"""
        [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Pair;
        [RankActions(0, "{{first}}")] [RankActions(1, "{{second}}")] public sealed class Mine;
        [ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
        [«ShardedOn<Pair>(MicroBatches = 2, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(Mine))»] public sealed partial class Net
        {
            readonly LayerStack<Dense> stack = new(2, () => new Dense(64));
            public Tensor Loss([Shape(8, 64)] Tensor x) => Mean(Square(stack.Forward(x)));
        }
        """;
}
