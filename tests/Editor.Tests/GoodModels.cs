namespace Shardwright.Editor.Tests;

/// <summary>Models of many kinds, on meshes of many kinds, that have nothing wrong: no warning may come of them.</summary>
public static class GoodModels
{
    /// <summary>A Llama-like layer: rotary positions, grouped heads, a gated feed-forward with SiLU, RMS norms; sharded as Megatron-LM does.</summary>
    private const string Llama = """
        [ShardedLayer] public sealed partial class Gated(int hidden, int inner)
        {
            [Split("tp", dim: 1)] readonly Tensor gate = Parameter(hidden, inner);
            [Split("tp", dim: 1)] readonly Tensor up = Parameter(hidden, inner);
            [Split("tp", dim: 0)] readonly Tensor down = Parameter(inner, hidden);
            public Tensor Forward(Tensor x) => MatMul(Silu(MatMul(x, gate)) * MatMul(x, up), down);
        }
        [ShardedLayer] public sealed partial class Grouped(int hidden, int heads, int groups)
        {
            readonly int width = hidden / heads;
            [Split("tp", dim: 1)] readonly Tensor query = Parameter(hidden, hidden);
            [Split("tp", dim: 1)] readonly Tensor key = Parameter(hidden, groups * (hidden / heads));
            [Split("tp", dim: 1)] readonly Tensor value = Parameter(hidden, groups * (hidden / heads));
            [Split("tp", dim: 0)] readonly Tensor output = Parameter(hidden, hidden);
            public Tensor Forward(Tensor x)
            {
                var q = Rope(Heads(MatMul(x, query), heads));
                var k = Rope(Heads(MatMul(x, key), groups));
                var attended = Attention(q, k, Heads(MatMul(x, value), groups), causal: true);
                return MatMul(Reshape(Transpose(attended, 1, 2), x.Shape[0], x.Shape[1], hidden), output);
            }
            Tensor Heads(Tensor x, int count) => Transpose(Reshape(x, x.Shape[0], x.Shape[1], count, width), 1, 2);
        }
        [ShardedLayer] public sealed partial class Block(int hidden, int heads, int groups, int inner)
        {
            readonly RmsNorm attentionNorm = new(hidden);
            readonly Grouped attention = new(hidden, heads, groups);
            readonly RmsNorm feedForwardNorm = new(hidden);
            readonly Gated feedForward = new(hidden, inner);
            public Tensor Forward(Tensor x)
            {
                x += attention.Forward(attentionNorm.Forward(x));
                return x + feedForward.Forward(feedForwardNorm.Forward(x));
            }
        }
        """;

    private const string Mixer = """
        [ShardedLayer] public sealed partial class Mix(int width, int inner)
        {
            [Split("tp", dim: 1)] readonly Tensor up = Parameter(width, inner);
            [Split("tp", dim: 0)] readonly Tensor down = Parameter(inner, width);
            public Tensor Forward(Tensor x) => MatMul(Gelu(MatMul(x, up)), down);
        }
        [ShardedLayer] public sealed partial class MixerBlock(int patches, int channels)
        {
            readonly LayerNorm tokenNorm = new(channels);
            readonly Mix tokens = new(patches, 2 * patches);
            readonly LayerNorm channelNorm = new(channels);
            readonly Mix mixed = new(channels, 4 * channels);
            public Tensor Forward(Tensor x)
            {
                x += Transpose(tokens.Forward(Transpose(tokenNorm.Forward(x), 1, 2)), 1, 2);
                return x + mixed.Forward(channelNorm.Forward(x));
            }
        }
        """;

    private const string Tower = """
        [ShardedLayer] public sealed partial class Tower(int count, int width)
        {
            [Split("tp", dim: 0)] readonly Embedding table = new(count, width);
            [Split("tp", dim: 1)] readonly Tensor hidden = Parameter(width, 2 * width);
            [Split("tp", dim: 0)] readonly Tensor output = Parameter(2 * width, width);
            public Tensor Forward(TokenTensor ids) => MatMul(Relu(MatMul(Mean(table.Forward(ids), 1), hidden)), output);
        }
        """;

    private const string Pipes = """
        [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] [MeshAxis("dp", 2, Role = AxisRole.Data)] [MeshAxis("tp", 2, Role = AxisRole.Tensor)] public sealed class Cube;
        [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Pipe;
        """;

    private const string Big = """
        [DeviceMesh(Device = typeof(Devices.H100))] [MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.InfinibandNdr))] [MeshAxis("tp", 4, Role = AxisRole.Tensor, Link = typeof(Links.NvLink4))] public sealed class Node;
        """;

    /// <summary>Name, source.</summary>
    public static IEnumerable<(string Name, string Source)> All =>
    [
        ("linear regression", "[ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(6, 1); public Tensor Loss([Shape(8, 6), Split(\"dp\", 0)] Tensor x, [Shape(8, 1), Split(\"dp\", 0)] Tensor y) => Mean(Square(MatMul(x, w) - y)); }"),
        ("a perceptron, columns then rows", "[ShardedOn<Lab>] public sealed partial class Net { [Split(\"tp\", 1)] readonly Tensor up = Parameter(64, 256); [Split(\"tp\", 0)] readonly Tensor down = Parameter(256, 64); public Tensor Loss([Shape(8, 64), Split(\"dp\", 0)] Tensor x) => Mean(Square(MatMul(Gelu(MatMul(x, up)), down))); }"),
        ("a perceptron with biases and dropout", "[ShardedOn<Lab>] public sealed partial class Net { readonly Linear up = new(64, 256); readonly Linear down = new(256, 64); public Tensor Loss([Shape(8, 64), Split(\"dp\", 0)] Tensor x) => Mean(Square(down.Forward(Dropout(Relu(up.Forward(x)), 0.1f)))); }"),
        ("a classifier with a mask", "[ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(64, 10); public Tensor Loss([Shape(8, 64), Split(\"dp\", 0)] Tensor x, [Shape(8), Split(\"dp\", 0)] TokenTensor t) => CrossEntropy(MatMul(x, w), t, ignoreIndex: -1); }"),
        ("an explicit reshard", "[ShardedOn<Lab>] public sealed partial class Net { [Split(\"tp\", 0)] readonly Tensor w = Parameter(64, 64); public Tensor Loss([Shape(8, 64)] Tensor x) => Mean(Gelu(Reshard(MatMul(x, w), Placement.Broadcast(\"tp\")))); }"),
        ("an auxiliary loss", "[ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(64, 10); public Tensor Loss([Shape(8, 64), Split(\"dp\", 0)] Tensor x, [Shape(8), Split(\"dp\", 0)] TokenTensor t) { AddLoss(Square(w), 0.01f); return CrossEntropy(MatMul(x, w), t); } }"),
        ("an elementwise function of one's own", "[ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(64, 64); public Tensor Loss([Shape(8, 64)] Tensor x) => Mean(Map(MatMul(x, w), Bump)); [Elementwise] static float Bump(float v) => v * System.MathF.Exp(-v * v); }"),
        ("an autoencoder", "[ShardedLayer] public sealed partial class Half(int from, int to) { readonly Linear dense = new(from, to); public Tensor Forward(Tensor x) => Tanh(dense.Forward(x)); } [ShardedOn<Lab>] public sealed partial class Net { readonly Half encode = new(64, 16); readonly Half decode = new(16, 64); public Tensor Loss([Shape(8, 64), Split(\"dp\", 0)] Tensor x) => Mean(Square(decode.Forward(encode.Forward(x)) - x)); }"),
        ("a residual network of loops and ifs", "[ShardedLayer] public sealed partial class Residual(int n, int times, bool norm) { readonly LayerNorm layerNorm = new(n); readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) { for (int i = 0; i < times; i++) { x += Gelu(MatMul(norm ? layerNorm.Forward(x) : x, w)); } return x; } } [ShardedOn<Lab>] public sealed partial class Net { readonly LayerStack<Residual> stack = new(4, () => new Residual(32, 2, true)); public Tensor Loss([Shape(8, 32), Split(\"dp\", 0)] Tensor x) => Mean(Square(stack.Forward(x))); }"),
        ("gates that a tuple takes apart", "[ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(32, 64); public Tensor Loss([Shape(8, 32), Split(\"dp\", 0)] Tensor x) { var (a, b) = Split(MatMul(x, w), 2, dim: 1); return Mean(Square(Sigmoid(a) * Tanh(b))); } }"),
        ("a Llama on a node", Big + Llama + Language("Node", "", "hidden: 2048, heads: 16, groups: 8, inner: 5632", 2048, "16, 512")),
        ("a Llama on a cube, in a pipeline", Pipes + Llama + Language("Cube", "(MicroBatches = 8, Optimizer = OptimizerKind.Sgd)", "hidden: 64, heads: 4, groups: 2, inner: 128", 64, "16, 32", 64)),
        ("a Llama with full recomputation", Big + Llama + Language("Node", "(Recompute = RecomputeMode.Full)", "hidden: 2048, heads: 16, groups: 16, inner: 5632", 2048, "16, 512")),
        ("an MLP-Mixer", Mixer + """
            [ShardedOn<Lab>] public sealed partial class Net
            {
                const int Patches = 16, Channels = 32, Patch = 48, Classes = 10;
                readonly Linear stem = new(Patch, Channels);
                readonly LayerStack<MixerBlock> blocks = new(4, () => new MixerBlock(Patches, Channels));
                readonly LayerNorm norm = new(Channels);
                readonly Linear head = new(Channels, Classes);
                public Tensor Loss([Shape(16, Patches, Patch), Split("dp", 0)] Tensor patches, [Shape(16), Split("dp", 0)] TokenTensor labels) =>
                    CrossEntropy(head.Forward(Mean(norm.Forward(blocks.Forward(stem.Forward(patches))), 1)), labels);
            }
            """),
        ("a two-tower recommender", Tower + """
            [ShardedOn<Lab>] public sealed partial class Net
            {
                readonly Tower users = new(1024, 32), items = new(4096, 32);
                public Tensor Loss([Shape(16, 4), Split("dp", 0)] TokenTensor user, [Shape(16, 6), Split("dp", 0)] TokenTensor item, [Shape(16), Split("dp", 0)] Tensor clicked)
                {
                    var score = Sigmoid(Sum(users.Forward(user) * items.Forward(item), 1));
                    return Mean(Square(score - clicked));
                }
            }
            """),
        ("a stack over a pipeline, cut by hand", Pipes + "[ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); } [ShardedOn<Pipe>(MicroBatches = 4)] public sealed partial class Net { [Stages(2, 2)] readonly LayerStack<Dense> stack = new(4, () => new Dense(64)); public Tensor Loss([Shape(8, 64)] Tensor x) => Mean(Square(stack.Forward(x))); }"),
        ("a stack over a pipeline, interleaved", Pipes + "[ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); } [ShardedOn<Pipe>(MicroBatches = 4, Schedule = PipelineSchedule.Interleaved)] public sealed partial class Net { readonly LayerStack<Dense> stack = new(4, () => new Dense(64)); public Tensor Loss([Shape(8, 64)] Tensor x) => Mean(Square(stack.Forward(x))); }"),
        ("a class in the global namespace", "} namespace Empty { public static class Nothing; } namespace Other { using My; [ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); } "),
        ("models of two names and one layer", "[ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => MatMul(x, w); } [ShardedOn<Lab>] public sealed partial class First { readonly Dense dense = new(8); public Tensor Loss([Shape(8, 8)] Tensor x) => Mean(Square(dense.Forward(x))); } [ShardedOn<Lab>] public sealed partial class Second { readonly Dense dense = new(16); public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(dense.Forward(x))); }"),
        ("positions that are learned, and documents", "[ShardedLayer] public sealed partial class Look(int width, int heads) { readonly Linear qkv = new(width, 3 * width); public Tensor Forward(Tensor x, TokenTensor documents) { var (q, k, v) = Split(qkv.Forward(x), 3, dim: -1); return Reshape(Transpose(Attention(Heads(q), Heads(k), Heads(v), causal: true, segments: documents), 1, 2), x.Shape[0], x.Shape[1], width); } Tensor Heads(Tensor x) => Transpose(Reshape(x, x.Shape[0], x.Shape[1], heads, width / heads), 1, 2); } [ShardedOn<Lab>] public sealed partial class Net { readonly Embedding tokens = new(64, 32), positions = new(16, 32); readonly Look look = new(32, 4); public Tensor Loss([Shape(8, 16), Split(\"dp\", 0)] TokenTensor ids, [Shape(8, 16), Split(\"dp\", 0)] TokenTensor documents) => CrossEntropy(MatMul(look.Forward(tokens.Forward(ids) + positions.Forward(Range(16)), documents), Transpose(tokens.Weight)), ids); }"),
        ("a model that infers, on two meshes", Big + "[ShardedOn<Lab>, ShardedOn<Node>] public sealed partial class Net { readonly Linear first = new(8, 16), second = new(16, 4); public Tensor Loss([Shape(8, 8), Split(\"dp\", 0)] Tensor x, [Shape(8), Split(\"dp\", 0)] TokenTensor t) => CrossEntropy(Forward(x), t); public Tensor Forward([Shape(8, 8), Split(\"dp\", 0)] Tensor x) => second.Forward(Gelu(first.Forward(x))); }"),
        .. OutsideModels.All,
    ];

    private static string Language(string mesh, string options, string block, int hidden, string shape, int vocabulary = 32000) => $$"""

        [ShardedOn<{{mesh}}>{{options}}] public sealed partial class Net
        {
            [Split("tp", dim: 0)] readonly Embedding tokens = new({{vocabulary}}, {{hidden}});
            readonly LayerStack<Block> blocks = new(4, () => new Block({{block}}));
            readonly RmsNorm norm = new({{hidden}});
            [Split("tp", dim: 1)] readonly Tensor head = Parameter({{hidden}}, {{vocabulary}});
            public Tensor Loss([Shape({{shape}}), Split("dp", dim: 0)] TokenTensor ids, [Shape({{shape}}), Split("dp", dim: 0)] TokenTensor targets) =>
                CrossEntropy(MatMul(norm.Forward(blocks.Forward(tokens.Forward(ids))), head), targets);
        }
        """;
}
