namespace Shardwright.Editor.Tests;

/// <summary>More partitions and models that are wrong, written by somebody who had not seen the others; most were reported at another place, in other words or not at all when they were written. «…» as there.
/// One for each kind of fault, so the file is long.</summary>
public static class OutsidePartitions
{
    /// <summary>Name, ID, source.</summary>
    public static IEnumerable<(string Name, string Id, string Source)> All =>
    [
        ("memory: long activations, data axis, microbatches would do", "SW3001", """
            [DeviceMesh(Device = typeof(Devices.A100With40GB))] [MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.NvLink3))] public sealed class Two;
            [ShardedLayer] public sealed partial class Ff(int n) { readonly Tensor a = Parameter(n, 4 * n), b = Parameter(4 * n, n); public Tensor Forward(Tensor x) => x + MatMul(Gelu(MatMul(x, a)), b); }
            [«ShardedOn<Two>»]
            public sealed partial class Big
            {
                readonly LayerStack<Ff> stack = new(24, () => new Ff(1024));
                public Tensor Loss([Shape(524288, 1024), Split("dp", 0)] Tensor x) => Mean(Square(stack.Forward(x)));
            }
            """),
        ("memory: optimizer state, ZeRO would do", "SW3001", """
            [DeviceMesh(Device = typeof(Devices.A100With40GB))] [MeshAxis("dp", 8, Role = AxisRole.Data, Link = typeof(Links.NvLink3))] public sealed class Eight;
            [ShardedLayer] public sealed partial class Ff(int n) { readonly Tensor a = Parameter(n, 4 * n), b = Parameter(4 * n, n); public Tensor Forward(Tensor x) => x + MatMul(Gelu(MatMul(x, a)), b); }
            [«ShardedOn<Eight>(Optimizer = OptimizerKind.AdamW)»]
            public sealed partial class Big
            {
                readonly LayerStack<Ff> stack = new(24, () => new Ff(4096));
                public Tensor Loss([Shape(4096, 4096), Split("dp", 0)] Tensor x) => Mean(Square(stack.Forward(x)));
            }
            """),
        ("memory: pipeline stage 0 too big in GPipe", "SW3001", """
            [DeviceMesh(Device = typeof(Devices.A100With40GB))] [MeshAxis("pp", 4, Role = AxisRole.Pipeline, Link = typeof(Links.NvLink3))] public sealed class Line;
            [ShardedLayer] public sealed partial class Ff(int n) { readonly Tensor a = Parameter(n, 4 * n), b = Parameter(4 * n, n); public Tensor Forward(Tensor x) => x + MatMul(Gelu(MatMul(x, a)), b); }
            [«ShardedOn<Line>(MicroBatches = 16, Schedule = PipelineSchedule.GPipe)»]
            public sealed partial class Big
            {
                readonly LayerStack<Ff> stack = new(32, () => new Ff(2048));
                public Tensor Loss([Shape(131072, 2048)] Tensor x) => Mean(Square(stack.Forward(x)));
            }
            """),
        ("axis: ZeroAxis unknown", "SW1001", """
            [DeviceMesh] [MeshAxis("dp", 2, Role = AxisRole.Data)] public sealed class Own;
            [«ShardedOn<Own>(Zero = ZeroStage.OptimizerState, ZeroAxis = "data")»]
            public sealed partial class Net { readonly Tensor w = Parameter(8, 8); public Tensor Loss([Shape(8, 8), Split("dp", 0)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("axis: ZeroAxis splits parameters", "SW1004", """
            [DeviceMesh] [MeshAxis("dp", 2)] [MeshAxis("tp", 2)] public sealed class Own;
            [«ShardedOn<Own>(Zero = ZeroStage.OptimizerState, ZeroAxis = "tp")»]
            public sealed partial class Net { [Split("tp", 1)] readonly Tensor w = Parameter(8, 8); public Tensor Loss([Shape(8, 8), Split("dp", 0)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("axis: split over pipeline axis", "SW1004", """
            [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Line;
            [ShardedLayer] public sealed partial class D(int n) { [«Split("pp", 1)»] readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
            [ShardedOn<Line>(MicroBatches = 2)] public sealed partial class Net { readonly LayerStack<D> s = new(4, () => new D(16)); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(s.Forward(x))); }
            """),
        ("dim: token input split on dim 2", "SW1002", """
            [DeviceMesh] [MeshAxis("dp", 2)] public sealed class Own;
            [ShardedOn<Own>] public sealed partial class Net { readonly Embedding e = new(32, 8); public Tensor Loss([Shape(8, 4), «Split("dp", dim: 2)»] TokenTensor x) => Mean(Square(e.Forward(x))); }
            """),
        ("dim: reshard out of range", "SW1002", """
            [DeviceMesh] [MeshAxis("tp", 2)] public sealed class Own;
            [ShardedOn<Own>] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(«Reshard(x, Placement.Split("tp", 5))», w))); }
            """),
        ("divide: kv heads 2 on 4 ranks", "SW1003", """
            [DeviceMesh] [MeshAxis("tp", 4, Role = AxisRole.Tensor)] public sealed class Own;
            [ShardedLayer] public sealed partial class Attn(int d, int heads, int kv)
            {
                readonly int w = d / heads;
                [Split("tp", 1)] readonly Tensor q = Parameter(d, d);
                [«Split("tp", 1)»] readonly Tensor k = Parameter(d, kv * 3);
                public Tensor Forward(Tensor x) => Mean(MatMul(x, q), 1, true) * Mean(MatMul(x, k), 1, true) * x;
            }
            [ShardedOn<Own>] public sealed partial class Net { readonly Attn a = new(16, 4, 2); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(a.Forward(x))); }
            """),
        ("shapes: linear sizes do not chain", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net
            {
                readonly Linear a = new(32, 64), b = new(60, 10);
                public Tensor Loss([Shape(8, 32)] Tensor x, [Shape(8)] TokenTensor y)
                {
                    var h = Relu(a.Forward(x));
                    return CrossEntropy(«b.Forward(h)», y);
                }
            }
            """),
        ("shapes: residual of other width", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedLayer] public sealed partial class Res(int n, int m) { readonly Tensor w = Parameter(n, m); public Tensor Forward(Tensor x) => «x + MatMul(x, w)»; }
            [ShardedOn<One>] public sealed partial class Net { readonly Res r = new(8, 12); public Tensor Loss([Shape(4, 8)] Tensor x) => Mean(Square(r.Forward(x))); }
            """),
        ("shapes: attention q k of other width", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net
            {
                readonly Tensor q = Parameter(16, 16), k = Parameter(16, 24);
                public Tensor Loss([Shape(4, 6, 16)] Tensor x)
                {
                    var a = Reshape(MatMul(x, q), 4, 1, 6, 16);
                    var b = Reshape(MatMul(x, k), 4, 1, 6, 24);
                    return Mean(Square(«Attention(a, b, b)»));
                }
            }
            """),
        ("shapes: 7 heads do not divide kv 3", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net
            {
                readonly Tensor q = Parameter(16, 28), k = Parameter(16, 12);
                public Tensor Loss([Shape(4, 6, 16)] Tensor x) => Mean(Square(«Attention(H(MatMul(x, q), 7), H(MatMul(x, k), 3), H(MatMul(x, k), 3))»));
                Tensor H(Tensor t, int n) => Transpose(Reshape(t, t.Shape[0], t.Shape[1], n, 4), 1, 2);
            }
            """),
        ("shapes: rope odd width", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Tensor w = Parameter(16, 15); public Tensor Loss([Shape(4, 6, 16)] Tensor x) => Mean(Square(«Rope(MatMul(x, w))»)); }
            """),
        ("shapes: slice beyond end", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Tensor w = Parameter(16, 10); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(«Slice(MatMul(x, w), 1, 8, 4)»); }
            """),
        ("shapes: norm of other width", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly LayerNorm n = new(12); readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(Square(«n.Forward(MatMul(x, w))»)); }
            """),
        ("shapes: transpose dim not there", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(Square(MatMul(«Transpose(x, 1, 2)», w))); }
            """),
        ("language: console write", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(4, 16)] Tensor x) { «System.Console.WriteLine("hi")»; return Mean(MatMul(x, w)); } }
            """),
        ("language: local function, one cause one diagnostic", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net
            {
                readonly Tensor w = Parameter(16, 16);
                public Tensor Loss([Shape(4, 16)] Tensor x)
                {
                    «Tensor Twice(Tensor y) => MatMul(MatMul(y, w), w);»
                    return Mean(Twice(Twice(x)));
                }
            }
            """),
        ("language: static mutable field", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { int steps = 0; readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(4, 16)] Tensor x) { «steps++»; return Mean(MatMul(x, w)); } }
            """),
        ("language: gate by comparison", "SW0008", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class «Net» { readonly Tensor gate = Parameter(16), w = Parameter(16, 16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(Square(MatMul(Where(Greater(x, gate), x, 0f * x), w))); }
            """),
        ("links: negative latency", "SW3003", """
            [LinkSpec(BandwidthGBs = 10, LatencyMicroseconds = -1)] public sealed class Magic;
            [DeviceMesh] [MeshAxis("tp", 2, Link = typeof(Magic))] public sealed class Own;
            [«ShardedOn<Own>»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("links: link is not a link", "SW3003", """
            public sealed class NotALink;
            [DeviceMesh] [MeshAxis("tp", 2, Link = typeof(NotALink))] public sealed class Own;
            [«ShardedOn<Own>»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("mesh: device is not a device", "SW3003", """
            public sealed class NotADevice;
            [DeviceMesh(Device = typeof(NotADevice))] [MeshAxis("tp", 2)] public sealed class Own;
            [«ShardedOn<Own>»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("mesh: not a mesh", "SW0002", """
            public sealed class Nothing;
            [«ShardedOn<Nothing>»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("mesh: axis of size 0", "SW3003", """
            [DeviceMesh] [MeshAxis("tp", 0)] public sealed class Own;
            [«ShardedOn<Own>»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("mesh: two axes of one name", "SW3003", """
            [DeviceMesh] [MeshAxis("tp", 2)] [MeshAxis("tp", 4)] public sealed class Own;
            [«ShardedOn<Own>»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("stages: 3 stages given, 4 ranks", "SW2001", """
            [DeviceMesh] [MeshAxis("pp", 4, Role = AxisRole.Pipeline)] public sealed class Line;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
            [ShardedOn<Line>(MicroBatches = 4)] public sealed partial class Net { [«Stages<Line>(4, 4, 4)»] readonly LayerStack<D> s = new(12, () => new D(16)); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(s.Forward(x))); }
            """),
        ("stages: fewer layers than ranks", "SW2001", """
            [DeviceMesh] [MeshAxis("pp", 8, Role = AxisRole.Pipeline)] public sealed class Line;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
            [«ShardedOn<Line>(MicroBatches = 8)»] public sealed partial class Net { readonly LayerStack<D> s = new(4, () => new D(16)); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(s.Forward(x))); }
            """),
        ("schedule: interleaved group does not divide", "SW2003", """
            [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Line;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
            [«ShardedOn<Line>(MicroBatches = 8, Schedule = PipelineSchedule.Interleaved, GroupSize = 3)»] public sealed partial class Net { readonly LayerStack<D> s = new(4, () => new D(16)); public Tensor Loss([Shape(16, 16)] Tensor x) => Mean(Square(s.Forward(x))); }
            """),
        ("schedule: bf16 on cpu", "SW2003", """
            [DeviceMesh] public sealed class One;
            [«ShardedOn<One>(Precision = Precision.BFloat16Mixed)»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("schedule: bf16 on a V100, which has fp16", "SW2003", """
            [DeviceMesh(Device = typeof(Devices.V100))] public sealed class One;
            [«ShardedOn<One>(Precision = Precision.BFloat16Mixed)»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("schedule: own schedule out of order", "SW2007", """
            [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Line;
            [RankActions(0, "0F0 0F1 0B1 0B0")] [RankActions(1, "1F0 1B0 1F1 1B1")] public sealed class Mine;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
            [«ShardedOn<Line>(MicroBatches = 2, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(Mine))»] public sealed partial class Net { readonly LayerStack<D> s = new(4, () => new D(16)); public Tensor Loss([Shape(16, 16)] Tensor x) => Mean(Square(s.Forward(x))); }
            """),
        ("schedule: own schedule with garbage", "SW2007", """
            [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Line;
            [RankActions(0, "0F0 0X1 0B0 0B1")] [RankActions(1, "1F0 1B0 1F1 1B1")] public sealed class Mine;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
            [«ShardedOn<Line>(MicroBatches = 2, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(Mine))»] public sealed partial class Net { readonly LayerStack<D> s = new(4, () => new D(16)); public Tensor Loss([Shape(16, 16)] Tensor x) => Mean(Square(s.Forward(x))); }
            """),
        ("wrong attr: Split on an int field", "SW1004", """
            [DeviceMesh] [MeshAxis("tp", 2)] public sealed class Own;
            [ShardedOn<Own>] public sealed partial class Net { [«Split("tp", 0)»] readonly int n = 16; readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(Square(MatMul(x, w))) * n; }
            """),
        ("wrong attr: shape of rank 0 or negative", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(«-4», 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("wrong attr: negative parameter size", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, «n - 16»); public Tensor Forward(Tensor x) => MatMul(x, w); }
            [ShardedOn<One>] public sealed partial class Net { readonly D d = new(16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(Square(d.Forward(x))); }
            """),
        ("partial into nonlinear, in a layer", "SW1005", """
            [DeviceMesh] [MeshAxis("tp", 2)] public sealed class Own;
            [ShardedLayer] public sealed partial class D(int n) { [Split("tp", 0)] readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) { var h = MatMul(x, w); return «Silu(h)»; } }
            [ShardedOn<Own>] public sealed partial class Net { readonly D d = new(16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(Square(d.Forward(x))); }
            """),
        ("a layer that holds itself", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, n); readonly D «inner» = new(n); public Tensor Forward(Tensor x) => inner.Forward(MatMul(x, w)); }
            [ShardedOn<One>] public sealed partial class Net { readonly D d = new(16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(Square(d.Forward(x))); }
            """),
        ("layer instance made in forward", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(«new Linear(16, 16).Forward(MatMul(x, w))»); }
            """),
        ("parameter made in forward", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(MatMul(MatMul(x, w), «Parameter(16, 4)»)); }
            """),
        ("zero without data axis", "SW1001", """
            [DeviceMesh] [MeshAxis("tp", 2, Role = AxisRole.Tensor)] public sealed class Own;
            [«ShardedOn<Own>(Zero = ZeroStage.Gradients)»] public sealed partial class Net { [Split("tp", 1)] readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("stack of a non-layer", "SW0002", """
            [DeviceMesh] public sealed class One;
            public sealed class Plain(int n) { public Tensor Forward(Tensor x) => x * n; }
            [ShardedOn<One>] public sealed partial class Net { readonly LayerStack<Plain> «s» = new(2, () => new Plain(3)); readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(MatMul(x, w)); }
            """),
        ("plain class field used", "SW0002", """
            [DeviceMesh] public sealed class One;
            public sealed class Plain(int n) { public Tensor Forward(Tensor x) => x * n; }
            [ShardedOn<One>] public sealed partial class Net { readonly Plain p = new(3); readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(4, 16)] Tensor x) => Mean(«p.Forward(MatMul(x, w))»); }
            """),
        ("layer made by a shorter constructor", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedLayer] public sealed partial class Ff(int a, int b) { public Ff(int n) : this(n, 4 * n) { } readonly Tensor w = Parameter(a, b), u = Parameter(b, a); public Tensor Forward(Tensor x) => MatMul(Relu(MatMul(x, w)), u); }
            [ShardedOn<One>] public sealed partial class Net { readonly Ff ff = «new(8)»; public Tensor Loss([Shape(4, 8)] Tensor x) => Mean(Square(ff.Forward(x))); }
            """),
        ("layer with an object initialiser", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedLayer] public sealed partial class Ff(int n) { public float Scale { get; init; } readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => MatMul(x, w); }
            [ShardedOn<One>] public sealed partial class Net { readonly Ff ff = «new(8) { Scale = 3f }»; public Tensor Loss([Shape(4, 8)] Tensor x) => Mean(Square(ff.Forward(x))); }
            """),
        ("inherited parameter", "SW0002", """
            [DeviceMesh] public sealed class One;
            public abstract class Base { protected readonly Tensor w = Parameter(8, 8); }
            [ShardedOn<One>] public sealed partial class Net : Base { public Tensor Loss([Shape(4, 8)] Tensor x) => Mean(Square(MatMul(x, «w»))); }
            """),
        ("inherited layer", "SW0002", """
            [DeviceMesh] public sealed class One;
            public abstract class Base { protected readonly Linear lin = new(8, 8); }
            [ShardedOn<One>] public sealed partial class Net : Base { public Tensor Loss([Shape(4, 8)] Tensor x) => Mean(Square(«lin.Forward(x)»)); }
            """),
        ("axis of negative size", "SW3003", """
            [DeviceMesh] [MeshAxis("tp", -2)] public sealed class Own;
            [«ShardedOn<Own>»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("axis without a name", "SW3003", """
            [DeviceMesh] [MeshAxis("", 2)] public sealed class Own;
            [«ShardedOn<Own>»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("stage on a parameter", "SW2001", """
            [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Line;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
            [ShardedOn<Line>(MicroBatches = 2)] public sealed partial class Net { [«Stage(1)»] readonly Tensor head = Parameter(16, 4); readonly LayerStack<D> s = new(4, () => new D(16)); public Tensor Loss([Shape(16, 16)] Tensor x) => Mean(Square(MatMul(s.Forward(x), head))); }
            """),
        ("recompute on a parameter", "SW3004", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { [«Recompute»] readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("input placed on the pipeline axis", "SW1004", """
            [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Line;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
            [ShardedOn<Line>(MicroBatches = 2)] public sealed partial class Net { readonly LayerStack<D> s = new(4, () => new D(16)); public Tensor Loss([Shape(8, 16), «Split("pp", 0)»] Tensor x) => Mean(Square(s.Forward(x))); }
            """),
        ("reshard over the pipeline axis", "SW1004", """
            [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Line;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
            [ShardedOn<Line>(MicroBatches = 2)] public sealed partial class Net { readonly LayerStack<D> s = new(4, () => new D(16)); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(s.Forward(«Reshard(x, Placement.Split("pp", 1))»))); }
            """),
        ("size zero in a library layer", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Linear «l» = new(16, 16 / 32); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(l.Forward(x))); }
            """),
        ("library layer within a layer of one's own", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedLayer] public sealed partial class D(int n) { readonly RmsNorm norm = new(n + 1); readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => MatMul(«norm.Forward(x)», w); }
            [ShardedOn<One>] public sealed partial class Net { readonly D d = new(16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(d.Forward(x))); }
            """),
        ("negative number of layers", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => MatMul(x, w); }
            [ShardedOn<One>] public sealed partial class Net { readonly LayerStack<D> d = new(«0», () => new D(16)); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(d.Forward(x))); }
            """),
        ("stack called twice", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => MatMul(x, w); }
            [ShardedOn<One>] public sealed partial class Net { readonly LayerStack<D> d = new(2, () => new D(16)); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(«d.Forward(d.Forward(x))»)); }
            """),
        ("layer factory that is not a new", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => MatMul(x, w); public static D Make() => new(16); }
            [ShardedOn<One>] public sealed partial class Net { readonly LayerStack<D> «d» = new(2, () => D.Make()); readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(d.Forward(MatMul(x, w)))); }
            """),
        ("layer as property", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { Linear L { get; } = new(16, 16); readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(«L.Forward(MatMul(x, w))»)); }
            """),
        ("layers in an array", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Linear[] ls = { new(16, 16), new(16, 16) }; readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(«ls[1].Forward(MatMul(x, w))»)); }
            """),
        ("parameter array", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Tensor[] ws = { Parameter(16, 16), Parameter(16, 16) }; public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, «ws»[0]))); }
            """),
        ("parameter reassigned in a constructor", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Net() { «w = Parameter(16, 8)»; } public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("wrong number of micro-batches: negative", "SW2003", """
            [DeviceMesh] public sealed class One;
            [«ShardedOn<One>(MicroBatches = -1)»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("chunks negative", "SW2003", """
            [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Line;
            [ShardedLayer] public sealed partial class D(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
            [«ShardedOn<Line>(MicroBatches = 2, Schedule = PipelineSchedule.Interleaved, Chunks = -2)»] public sealed partial class Net { readonly LayerStack<D> s = new(4, () => new D(16)); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(s.Forward(x))); }
            """),
        ("batch split by dim 1 only data axis", "SW1003", """
            [DeviceMesh] [MeshAxis("dp", 4, Role = AxisRole.Data)] public sealed class Own;
            [ShardedOn<Own>] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(4, 6, 16), «Split("dp", 1)»] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("async Forward", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) { «try { return Mean(MatMul(x, w)); } finally { }» } }
            """),
        ("two losses", "SW0005", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class «Net» { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(MatMul(x, w)); public Tensor Loss([Shape(8, 16)] Tensor x, [Shape(8)] TokenTensor t) => Mean(MatMul(x, w)); }
            """),
        ("float model input not tensor", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x, float «rate») => Mean(MatMul(x, w)) * rate; }
            """),
        ("loss used as operand", "SW0002", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x, [Shape(8)] TokenTensor t) => «2f * CrossEntropy(MatMul(x, w), t)»; }
            """),
        ("tokens added to floats", "SW0003", """
            [DeviceMesh] public sealed class One;
            [ShardedOn<One>] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x, [Shape(8, 16)] TokenTensor t) => Mean(Square(MatMul(x, w) - «Reshape(Cast(t), 8, 15)»)); }
            """),
        ("divide by zero", "SW0004", """
            [DeviceMesh] public sealed class One;
            [ShardedLayer] public sealed partial class H(int d, int heads) { readonly Tensor w = Parameter(d, d); public Tensor Forward(Tensor x) => Reshape(MatMul(x, w), x.Shape[0], heads, «d / heads»); }
            [ShardedOn<One>] public sealed partial class Net { readonly H h = new(16, 0); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(h.Forward(x)); }
            """),
        ("mesh class static generic", "SW0002", """
            [DeviceMesh] public sealed class Open<T>;
            [«ShardedOn<Open<int>>»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("nested name collides with a member", "SW0009", """
            [DeviceMesh] public sealed class Own;
            [«ShardedOn<Own>»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public int OnOwn => 3; public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("Name is no identifier", "SW0009", """
            [DeviceMesh] public sealed class Own;
            [«ShardedOn<Own>(Name = "on lab")»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("two meshes of one short name", "SW0009", """
            public static class A { [DeviceMesh] public sealed class Own; } public static class B { [DeviceMesh] [MeshAxis("dp", 2, Role = AxisRole.Data)] public sealed class Own; }
            [ShardedOn<A.Own>, «ShardedOn<B.Own>»] public sealed partial class Net { readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
        ("partial methods, expression in attribute", "SW2003", """
            [DeviceMesh] public sealed class One;
            [«ShardedOn<One>(MicroBatches = Batch / 3)»] public sealed partial class Net { const int Batch = 16; readonly Tensor w = Parameter(16, 16); public Tensor Loss([Shape(Batch, 16)] Tensor x) => Mean(Square(MatMul(x, w))); }
            """),
    ];
}
