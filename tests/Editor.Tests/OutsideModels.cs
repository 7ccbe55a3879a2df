namespace Shardwright.Editor.Tests;

/// <summary>More models that have nothing wrong, written by somebody who had not seen the others.</summary>
public static class OutsideModels
{
    /// <summary>Name, source.</summary>
    public static IEnumerable<(string Name, string Source)> All =>
    [
        ("llama 3d pipeline", """
            [DeviceMesh(Device = typeof(Devices.A100With80GB))]
            [MeshAxis("p", 4, Role = AxisRole.Pipeline, Link = typeof(Links.InfinibandHdr))]
            [MeshAxis("d", 2, Role = AxisRole.Data, Link = typeof(Links.InfinibandHdr))]
            [MeshAxis("t", 4, Role = AxisRole.Tensor, Link = typeof(Links.NvLink3))]
            public sealed class Cluster;
            [ShardedLayer]
            public sealed partial class Mlp(int d, int h)
            {
                [Split("t", dim: 1)] readonly Tensor gate = Parameter(d, h), up = Parameter(d, h);
                [Split("t", dim: 0)] readonly Tensor down = Parameter(h, d);
                public Tensor Forward(Tensor x) => MatMul(Silu(MatMul(x, gate)) * MatMul(x, up), down);
            }
            [ShardedLayer]
            public sealed partial class Attn(int d, int heads)
            {
                [Split("t", dim: 1)] readonly Tensor q = Parameter(d, d), k = Parameter(d, d), v = Parameter(d, d);
                [Split("t", dim: 0)] readonly Tensor o = Parameter(d, d);
                public Tensor Forward(Tensor x) => MatMul(Merge(Attention(Rope(Part(MatMul(x, q))), Rope(Part(MatMul(x, k))), Part(MatMul(x, v)), causal: true)), o);
                Tensor Part(Tensor y) => Transpose(Reshape(y, y.Shape[0], y.Shape[1], heads, d / heads), 1, 2);
                Tensor Merge(Tensor y) => Reshape(Transpose(y, 1, 2), y.Shape[0], y.Shape[2], d);
            }
            [ShardedLayer]
            public sealed partial class Blk(int d, int heads)
            {
                readonly RmsNorm a = new(d), b = new(d);
                readonly Attn attn = new(d, heads);
                readonly Mlp mlp = new(d, 3 * d);
                public Tensor Forward(Tensor x) { x += attn.Forward(a.Forward(x)); x += mlp.Forward(b.Forward(x)); return x; }
            }
            [ShardedOn<Cluster>(MicroBatches = 32)]
            public sealed partial class Lm
            {
                readonly Embedding tok = new(32000, 2048);
                readonly LayerStack<Blk> blocks = new(24, () => new Blk(2048, 16));
                readonly RmsNorm norm = new(2048);
                [Split("t", dim: 1)] readonly Tensor head = Parameter(2048, 32000);
                public Tensor Loss([Shape(64, 1024), Split("d", 0)] TokenTensor ids, [Shape(64, 1024), Split("d", 0)] TokenTensor next)
                    => CrossEntropy(MatMul(norm.Forward(blocks.Forward(tok.Forward(ids))), head), next);
            }
            """),
        ("two tower with in-batch negatives, one axis", """
            [DeviceMesh(Device = typeof(Devices.LocalCpu))]
            [MeshAxis("tp", 4, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
            public sealed class Box;
            [ShardedLayer]
            public sealed partial class Tower(int n, int d)
            {
                [Split("tp", dim: 0)] readonly Embedding table = new(n, d);
                readonly Tensor w1 = Parameter(d, 64), w2 = Parameter(64, d);
                public Tensor Forward(TokenTensor bag)
                {
                    Tensor e = Sum(table.Forward(bag), 1) / 8f;
                    return MatMul(Relu(MatMul(e, w1)), w2);
                }
            }
            [ShardedOn<Box>(Optimizer = OptimizerKind.Sgd)]
            public sealed partial class Rec
            {
                const int B = 32;
                readonly Tower user = new(4096, 32), item = new(1024, 32);
                public Tensor Loss([Shape(B, 8)] TokenTensor u, [Shape(B, 8)] TokenTensor i, [Shape(B)] TokenTensor which)
                    => CrossEntropy(MatMul(user.Forward(u), Transpose(item.Forward(i))) * 10f, which);
            }
            """),
        ("bert encoder with documents and dropout", """
            [DeviceMesh(Device = typeof(Devices.V100))]
            [MeshAxis("dp", 4, Role = AxisRole.Data, Link = typeof(Links.NvLink2))]
            [MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.NvLink2))]
            public sealed class Dgx1;
            [ShardedLayer]
            public sealed partial class EncoderLayer(int d, int heads)
            {
                [Split("tp", 1)] readonly Tensor q = Parameter(d, d), k = Parameter(d, d), v = Parameter(d, d);
                [Split("tp", 0)] readonly Tensor o = Parameter(d, d);
                [Split("tp", 1)] readonly Tensor up = Parameter(d, 4 * d);
                [Split("tp", 0)] readonly Tensor bias = Parameter(4 * d, Init.Zeros);
                [Split("tp", 0)] readonly Tensor down = Parameter(4 * d, d);
                readonly LayerNorm n1 = new(d), n2 = new(d);
                public Tensor Forward(Tensor x, TokenTensor segments)
                {
                    Tensor a = Attention(Head(MatMul(x, q)), Head(MatMul(x, k)), Head(MatMul(x, v)), segments: segments);
                    x = n1.Forward(x + Dropout(MatMul(Reshape(Transpose(a, 1, 2), x.Shape[0], x.Shape[1], d), o), 0.1f));
                    return n2.Forward(x + Dropout(MatMul(Gelu(MatMul(x, up) + bias), down), 0.1f));
                }
                Tensor Head(Tensor y) => Transpose(Reshape(y, y.Shape[0], y.Shape[1], heads, d / heads), 1, 2);
            }
            [ShardedOn<Dgx1>]
            public sealed partial class Bert
            {
                const int B = 32, T = 128, D = 512, V = 30592;
                readonly Embedding word = new(V, D), pos = new(T, D), type = new(2, D);
                readonly LayerNorm norm = new(D);
                readonly EncoderLayer l0 = new(D, 8), l1 = new(D, 8), l2 = new(D, 8);
                public Tensor Loss([Shape(B, T), Split("dp", 0)] TokenTensor ids, [Shape(B, T), Split("dp", 0)] TokenTensor kinds, [Shape(B, T), Split("dp", 0)] TokenTensor targets)
                {
                    Tensor x = norm.Forward(word.Forward(ids) + pos.Forward(Range(T)) + type.Forward(kinds));
                    x = l0.Forward(x, kinds);
                    x = l1.Forward(x, kinds);
                    x = l2.Forward(x, kinds);
                    return CrossEntropy(MatMul(x, Transpose(word.Weight)), targets, ignoreIndex: -1);
                }
            }
            """),
        ("zero 3 data only", """
            [DeviceMesh(Device = typeof(Devices.A100With80GB))]
            [MeshAxis("dp", 8, Role = AxisRole.Data, Link = typeof(Links.NvLink3))]
            public sealed class Node;
            [ShardedLayer]
            public sealed partial class Ff(int n)
            {
                readonly Tensor a = Parameter(n, 4 * n), b = Parameter(4 * n, n);
                readonly LayerNorm norm = new(n);
                public Tensor Forward(Tensor x) => x + MatMul(Gelu(MatMul(norm.Forward(x), a)), b);
            }
            [ShardedOn<Node>(Zero = ZeroStage.Parameters, MicroBatches = 2, Recompute = RecomputeMode.Full)]
            public sealed partial class Deep
            {
                readonly LayerStack<Ff> stack = new(24, () => new Ff(4096));
                public Tensor Loss([Shape(65536, 4096), Split("dp", 0)] Tensor x, [Shape(65536, 4096), Split("dp", 0)] Tensor y) => Mean(Square(stack.Forward(x) - y));
            }
            """),
        ("three axes without roles", """
            [DeviceMesh]
            [MeshAxis("x", 2)] [MeshAxis("y", 2)] [MeshAxis("z", 2)]
            public sealed class Three;
            [ShardedOn<Three>]
            public sealed partial class Net
            {
                [Split("y", 1), Split("z", 1)] readonly Tensor up = Parameter(64, 256);
                [Split("y", 0), Split("z", 0)] readonly Tensor down = Parameter(256, 64);
                public Tensor Loss([Shape(16, 64), Split("x", 0)] Tensor x) => Mean(Square(MatMul(Tanh(MatMul(x, up)), down) - x));
            }
            """),
        ("nested classes", """
            [DeviceMesh] [MeshAxis("tp", 2, Role = AxisRole.Tensor)] public sealed class Pair;
            public static partial class Models
            {
                public partial class Vision
                {
                    [ShardedLayer]
                    internal sealed partial class Dense(int a, int b)
                    {
                        [Split("tp", 1)] readonly Tensor w = Parameter(a, b);
                        public Tensor Forward(Tensor x) => Relu(MatMul(x, w));
                    }
                    [ShardedOn<Pair>]
                    internal sealed partial class Net
                    {
                        readonly Dense first = new(8, 16);
                        [Split("tp", 0)] readonly Tensor last = Parameter(16, 4);
                        public Tensor Loss([Shape(4, 8)] Tensor x, [Shape(4)] TokenTensor y) => CrossEntropy(MatMul(first.Forward(x), last), y);
                    }
                }
            }
            """),
        ("records", """
            [DeviceMesh] [MeshAxis("dp", 2, Role = AxisRole.Data)] public sealed class Pair;
            [ShardedLayer]
            public sealed partial record Scale(int Width, float Epsilon = 1e-3f)
            {
                readonly Tensor scale = Parameter(Width, Init.Ones);
                public Tensor Forward(Tensor x) => RmsNorm(x, scale, Epsilon);
            }
            [ShardedOn<Pair>]
            public sealed partial record class Net
            {
                readonly Scale scale = new(8);
                readonly Tensor w = Parameter(8, 2);
                public Tensor Loss([Shape(4, 8), Split("dp", 0)] Tensor x) => Mean(Square(MatMul(scale.Forward(x), w)));
            }
            """),
        ("sequence parallel", """
            [DeviceMesh(Device = typeof(Devices.H100))]
            [MeshAxis("tp", 4, Role = AxisRole.Tensor, Link = typeof(Links.NvLink4))]
            public sealed class Node;
            [ShardedLayer]
            public sealed partial class Ff(int n)
            {
                [Split("tp", 1)] readonly Tensor a = Parameter(n, 4 * n);
                [Split("tp", 0)] readonly Tensor b = Parameter(4 * n, n);
                readonly LayerNorm norm = new(n);
                [return: Split("tp", dim: 1)]
                public Tensor Forward([Split("tp", dim: 1)] Tensor x)
                    => x + Reshard(MatMul(Gelu(MatMul(Reshard(norm.Forward(x), Placement.Broadcast("tp")), a)), b), Placement.Split("tp", 1));
            }
            [ShardedOn<Node>]
            public sealed partial class Net
            {
                readonly LayerStack<Ff> stack = new(12, () => new Ff(2048));
                public Tensor Loss([Shape(16, 1024, 2048)] Tensor x) => Mean(Square(stack.Forward(x)));
            }
            """),
        ("pipeline interleaved zb", """
            [DeviceMesh(Device = typeof(Devices.LocalCpu))]
            [MeshAxis("pp", 4, Role = AxisRole.Pipeline, Link = typeof(Links.SharedMemory))]
            public sealed class Line;
            [ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); readonly LayerNorm norm = new(n); public Tensor Forward(Tensor x) => x + Gelu(MatMul(norm.Forward(x), w)); }
            [ShardedOn<Line>(MicroBatches = 8, Schedule = PipelineSchedule.ZeroBubbleV, Name = "Zb")]
            [ShardedOn<Line>(MicroBatches = 8, Schedule = PipelineSchedule.Interleaved, Chunks = 2, Name = "Il")]
            [ShardedOn<Line>(MicroBatches = 8, Schedule = PipelineSchedule.GPipe, Name = "Gp")]
            [ShardedOn<Line>(MicroBatches = 8, Schedule = PipelineSchedule.LoopedBreadthFirst, Chunks = 2, Name = "Bf")]
            public sealed partial class Net
            {
                readonly LayerStack<Dense> stack = new(16, () => new Dense(64));
                public Tensor Loss([Shape(32, 64)] Tensor x) => Mean(Square(stack.Forward(x)));
            }
            """),
        ("vae with auxiliary loss and custom elementwise", """
            [DeviceMesh] [MeshAxis("dp", 4, Role = AxisRole.Data)] public sealed class Quad;
            [ShardedOn<Quad>(MicroBatches = 2)]
            public sealed partial class Vae
            {
                const int D = 64, Z = 8;
                readonly Linear enc = new(D, 32), mu = new(32, Z), logvar = new(32, Z), dec = new(Z, 32), outp = new(32, D);
                [Elementwise] static float Softplus(float v) => System.MathF.Log(1f + System.MathF.Exp(v));
                public Tensor Loss([Shape(64, D), Split("dp", 0)] Tensor x, [Shape(64, Z), Split("dp", 0)] Tensor noise)
                {
                    Tensor h = Map(enc.Forward(x), Softplus);
                    Tensor m = mu.Forward(h), lv = logvar.Forward(h);
                    Tensor z = m + noise * Exp(0.5f * lv);
                    AddLoss(Square(m) + Exp(lv) - lv - 1f, 0.5f);
                    return Mean(Square(outp.Forward(Relu(dec.Forward(z))) - x));
                }
            }
            """),
        ("siamese contrastive", """
            [DeviceMesh] [MeshAxis("dp", 2, Role = AxisRole.Data)] public sealed class Pair;
            [ShardedLayer]
            public sealed partial class Net2(int n)
            {
                readonly Linear a = new(n, 32), b = new(32, 16);
                public Tensor Forward(Tensor x)
                {
                    var y = b.Forward(Relu(a.Forward(x)));
                    return y / Sqrt(Sum(Square(y), 1, keepDim: true) + 1e-6f);
                }
            }
            [ShardedOn<Pair>]
            public sealed partial class Siamese
            {
                readonly Net2 tower = new(64);
                public Tensor Loss([Shape(16, 64), Split("dp", 0)] Tensor l, [Shape(16, 64), Split("dp", 0)] Tensor r, [Shape(16), Split("dp", 0)] Tensor same)
                {
                    var d = Sum(Square(tower.Forward(l) - tower.Forward(r)), 1);
                    return Mean(same * d + (1f - same) * Square(Maximum(1f - Sqrt(d + 1e-6f), 0f * d)));
                }
            }
            """),
        ("lora-like frozen adapters", """
            [DeviceMesh] [MeshAxis("tp", 2, Role = AxisRole.Tensor)] public sealed class Pair;
            [ShardedLayer]
            public sealed partial class Adapted(int n, int rank)
            {
                [Split("tp", 1)] readonly Tensor w = Parameter(n, n);
                readonly Tensor a = Parameter(n, rank);
                [Split("tp", 1)] readonly Tensor b = Parameter(rank, n, Init.Zeros);
                public Tensor Forward(Tensor x) => MatMul(x, w) + MatMul(MatMul(x, a), b);
            }
            [ShardedOn<Pair>]
            public sealed partial class Net
            {
                readonly Adapted q = new(64, 4);
                [Split("tp", 0)] readonly Tensor o = Parameter(64, 64);
                public Tensor Loss([Shape(8, 64)] Tensor x) => Mean(Square(MatMul(q.Forward(x), o)));
            }
            """),
        ("moe dense gate (soft)", """
            [DeviceMesh] [MeshAxis("tp", 2, Role = AxisRole.Tensor)] public sealed class Pair;
            [ShardedLayer]
            public sealed partial class Expert(int n)
            {
                [Split("tp", 1)] readonly Tensor a = Parameter(n, 4 * n);
                [Split("tp", 0)] readonly Tensor b = Parameter(4 * n, n);
                public Tensor Forward(Tensor x) => MatMul(Gelu(MatMul(x, a)), b);
            }
            [ShardedOn<Pair>]
            public sealed partial class Moe
            {
                readonly Expert e0 = new(16), e1 = new(16), e2 = new(16);
                readonly Tensor gate = Parameter(16, 3);
                public Tensor Loss([Shape(8, 16)] Tensor x)
                {
                    var g = Split(Softmax(MatMul(x, gate)), 3, 1);
                    var y = g[0] * e0.Forward(x) + g[1] * e1.Forward(x) + g[2] * e2.Forward(x);
                    return Mean(Square(y - x));
                }
            }
            """),
        ("rnn unrolled", """
            [DeviceMesh] [MeshAxis("dp", 2, Role = AxisRole.Data)] public sealed class Pair;
            [ShardedLayer]
            public sealed partial class Gru(int n, int h)
            {
                readonly Tensor wz = Parameter(n + h, h), wr = Parameter(n + h, h), wh = Parameter(n + h, h);
                public Tensor Forward(Tensor x, Tensor s)
                {
                    Tensor xs = Concat(1, x, s);
                    Tensor z = Sigmoid(MatMul(xs, wz)), r = Sigmoid(MatMul(xs, wr));
                    Tensor c = Tanh(MatMul(Concat(1, x, r * s), wh));
                    return (1f - z) * s + z * c;
                }
            }
            [ShardedOn<Pair>]
            public sealed partial class Rnn
            {
                const int T = 6, N = 8, H = 16;
                readonly Gru cell = new(N, H);
                readonly Tensor s0 = Parameter(H);
                readonly Linear head = new(H, 3);
                public Tensor Loss([Shape(16, T, N), Split("dp", 0)] Tensor x, [Shape(16), Split("dp", 0)] TokenTensor y)
                {
                    Tensor s = s0 + 0f * Slice(Reshape(x, x.Shape[0], T * N), 1, 0, H);
                    for (int t = 0; t < T; t++)
                    {
                        s = cell.Forward(Reshape(Slice(x, 1, t, 1), x.Shape[0], N), s);
                    }
                    return CrossEntropy(head.Forward(s), y);
                }
            }
            """),
        ("stage by hand with embedding and head, tied", """
            [DeviceMesh(Device = typeof(Devices.LocalCpu))]
            [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] [MeshAxis("dp", 2, Role = AxisRole.Data)]
            public sealed class Grid;
            [ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); readonly RmsNorm norm = new(n); public Tensor Forward(Tensor x) => x + Silu(MatMul(norm.Forward(x), w)); }
            [ShardedOn<Grid>(MicroBatches = 4, HopAwareWarmUp = true)]
            public sealed partial class Lm
            {
                [Stage(0)] readonly Embedding tok = new(128, 32);
                [Stages(3, 3)] readonly LayerStack<Dense> stack = new(6, () => new Dense(32));
                [Stage(1)] readonly LayerNorm norm = new(32);
                public Tensor Loss([Shape(16, 8), Split("dp", 0)] TokenTensor ids, [Shape(16, 8), Split("dp", 0)] TokenTensor next)
                    => CrossEntropy(MatMul(norm.Forward(stack.Forward(tok.Forward(ids))), Transpose(tok.Weight)), next);
            }
            """),
        ("gru with locals r z and a batch input", """
            [DeviceMesh] [MeshAxis("dp", 2, Role = AxisRole.Data)] public sealed class Pair;
            [ShardedOn<Pair>(MicroBatches = 2)]
            public sealed partial class Net
            {
                readonly Tensor w = Parameter(8, 8), u = Parameter(8, 8);
                readonly Tensor visitor = Parameter(8, 8);
                public Tensor Loss([Shape(4, 8), Split("dp", 0)] Tensor batch, [Shape(4, 8), Split("dp", 0)] Tensor shape)
                {
                    Tensor r = Sigmoid(MatMul(batch, w));
                    Tensor m = MatMul(r * batch, u) + shape;
                    Tensor result = MatMul(m, visitor) - r;
                    return Mean(Square(result));
                }
                public Tensor Forward([Shape(4, 8), Split("dp", 0)] Tensor result) => MatMul(result, w);
            }
            """),
        ("odd axis names", """
            [DeviceMesh] [MeshAxis("2d", 2)] [MeshAxis("class", 2)] [MeshAxis("my-axis", 2)] [MeshAxis("Class", 1)] public sealed class Odd;
            [ShardedOn<Odd>] public sealed partial class Net { [Split("class", 1), Split("my-axis", 0)] readonly Tensor w = Parameter(8, 8); public Tensor Loss([Shape(4, 8), Split("2d", 0)] Tensor x) => Mean(Square(MatMul(Reshard(x, Placement.Split("my-axis", 1)), w))); }
            """),
        ("record with positional members in the body", """
            [DeviceMesh] public sealed class One;
            [ShardedLayer] public sealed partial record Ff(int Width, int Times, float Slope = 0.1f)
            {
                readonly Tensor w = Parameter(Width, Width);
                public Tensor Forward(Tensor x) { for (int i = 0; i < Times; i++) { x = Maximum(x, Slope * MatMul(x, w)); } return x; }
            }
            [ShardedOn<One>] public sealed partial class Net { readonly Ff ff = new(8, 3); public Tensor Loss([Shape(4, 8)] Tensor x) => Mean(Square(ff.Forward(x))); }
            """),
        ("gru of real size on four ranks", """
            [DeviceMesh(Device = typeof(Devices.A100With40GB))] [MeshAxis("dp", 4, Role = AxisRole.Data, Link = typeof(Links.NvLink3))] public sealed class Quad;
            [ShardedLayer]
            public sealed partial class Gru(int n, int h)
            {
                readonly Tensor wz = Parameter(n + h, h), wr = Parameter(n + h, h), wh = Parameter(n + h, h);
                public Tensor Forward(Tensor x, Tensor s)
                {
                    Tensor xs = Concat(1, x, s);
                    Tensor z = Sigmoid(MatMul(xs, wz)), r = Sigmoid(MatMul(xs, wr));
                    Tensor c = Tanh(MatMul(Concat(1, x, r * s), wh));
                    return (1f - z) * s + z * c;
                }
            }
            [ShardedOn<Quad>]
            public sealed partial class Rnn
            {
                const int T = 16, N = 256, H = 512;
                readonly Gru cell = new(N, H);
                readonly Tensor first = Parameter(N, H);
                readonly Linear head = new(H, 10);
                public Tensor Loss([Shape(512, T, N), Split("dp", 0)] Tensor x, [Shape(512), Split("dp", 0)] TokenTensor y)
                {
                    Tensor s = MatMul(Reshape(Slice(x, 1, 0, 1), x.Shape[0], N), first);
                    for (int t = 0; t < T; t++) { s = cell.Forward(Reshape(Slice(x, 1, t, 1), x.Shape[0], N), s); }
                    return CrossEntropy(head.Forward(s), y);
                }
            }
            """),
    ];
}
