namespace Shardwright.Fuzz.Tests;

/// <summary>Good models to start from; together they use the whole language.</summary>
internal static class Corpus
{
    private const string Head = """
        using System;
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        [DeviceMesh(Device = typeof(Devices.LocalCpu))] [MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.SharedMemory))] [MeshAxis("tp", 2, Role = AxisRole.Tensor)] public sealed class Lab;
        [DeviceMesh] public sealed class One;

        """;

    /// <summary>A transformer: stacks, heads, tied weights, dropout.</summary>
    public const string Transformer = Head + """
        [ShardedLayer] public sealed partial class FeedForward(int hidden, int inner)
        {
            [Split("tp", dim: 1)] readonly Tensor up = Parameter(hidden, inner, Init.Normal(0.02f));
            [Split("tp", dim: 0)] readonly Tensor down = Parameter(inner, hidden);
            [Split("tp", dim: 0), NoDecay] readonly Tensor bias = Parameter(inner, Init.Zeros);
            public Tensor Forward(Tensor x) => MatMul(Gelu(MatMul(x, up) + bias), down);
        }
        [ShardedLayer] public sealed partial class Block(int hidden, int heads)
        {
            readonly LayerNorm norm = new(hidden);
            [Split("tp", dim: 1)] readonly Tensor qkv = Parameter(hidden, 3 * hidden);
            readonly FeedForward feed = new(hidden, 4 * hidden);
            public Tensor Forward(Tensor x)
            {
                var (q, k, v) = Parts(norm.Forward(x));
                var y = Attention(q, k, v, causal: true);
                y = Reshape(Transpose(y, 1, 2), x.Shape[0], x.Shape[1], hidden);
                x += Dropout(y, 0.1f);
                return x + feed.Forward(x);
            }
            (Tensor, Tensor, Tensor) Parts(Tensor x)
            {
                var all = Split(MatMul(x, qkv), 3, dim: -1);
                return (Heads(all[0]), Heads(all[1]), Heads(all[2]));
            }
            Tensor Heads(Tensor x) => Transpose(Reshape(x, x.Shape[0], x.Shape[1], heads, hidden / heads), 1, 2);
        }
        [ShardedOn<One>]
        [ShardedOn<Lab>(MicroBatches = 2, Optimizer = OptimizerKind.Momentum)]
        public sealed partial class Net
        {
            const int Vocab = 32, Hidden = 16, Context = 8, Batch = 8;
            readonly Embedding tokens = new(Vocab, Hidden);
            readonly LayerStack<Block> blocks = new(3, () => new Block(Hidden, 4));
            public Tensor Loss([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor targets) => CrossEntropy(Logits(ids), targets);
            public Tensor Forward([Shape(Batch, Context)] TokenTensor ids) => Logits(ids);
            Tensor Logits(TokenTensor ids) => MatMul(blocks.Forward(tokens.Forward(ids)), Transpose(tokens.Weight));
        }
        """;

    /// <summary>Language: loops, conditions, helpers, elementwise functions, auxiliary losses, constants of other classes.</summary>
    public const string Language = Head + """
        public static class Sizes { public const int Inner = 2 * Base, Base = 4; }
        [ShardedLayer] public sealed partial class Block(int n, bool twice = true, float scale = 0.5f)
        {
            readonly int half = n / 2;
            readonly Tensor w = Parameter(n, n, Init.Uniform(-0.1f, 0.1f));
            public Tensor Forward(Tensor x)
            {
                for (int i = 0; i < 2; i++)
                {
                    x = MatMul(x, w) * scale;
                    if (twice && i == 1) { x += x; }
                }
                var (a, b) = Split(x, 2, dim: -1);
                (a, b) = (b, a);
                return Concat(-1, a, b);
            }
        }
        [ShardedOn<Lab>] [ShardedOn<One>(Name = "Small", MicroBatches = Sizes.Base / 2)]
        public sealed partial class Net
        {
            readonly Block first = new(Sizes.Inner);
            readonly LayerStack<Block> rest = new(3, () => new(Sizes.Inner, scale: 1f));
            [Split("tp", 0)] readonly Tensor table = Parameter(8, Sizes.Inner);
            public Tensor Loss([Shape(8, Sizes.Inner), Split("dp", dim: 0)] Tensor x)
            {
                var y = Helper(rest.Forward(first.Forward(x)), 2f);
                AddLoss(Square(y), 0.1f);
                y = Reshard(MatMul(y, Transpose(table)), Placement.Broadcast("tp"));
                return Mean(Map(y, Bump)) + Sum(Where(Greater(y, 0f * y), y, -y)) / 100f;
            }
            Tensor Helper(Tensor x, float k) { return k * Tanh(x); }
            [Elementwise] static float Bump(float v) { var e = MathF.Exp(-v * v); return v > 0 ? e : 1 - e; }
        }
        """;

    /// <summary>Two towers, nested classes, records, several parts.</summary>
    public const string Towers = Head + """
        public static partial class Models
        {
            [ShardedLayer] public sealed partial class Block(int width)
            {
                [Split("tp", 1)] readonly Tensor up = Parameter(width, 2 * width);
                readonly Tensor down = Parameter(2 * width, width);
                public Tensor Forward(Tensor x) => x + MatMul(Silu(MatMul(x, up)), down);
            }
        }
        [ShardedLayer] public sealed partial class Tower(int items, int width)
        {
            [Split("tp", 0)] readonly Embedding table = new(items, width);
            readonly Models.Block mix = new(width);
            readonly RmsNorm norm = new(width);
            public Tensor Forward(TokenTensor ids) => norm.Forward(mix.Forward(table.Forward(ids)));
        }
        [ShardedOn<Lab>(Optimizer = OptimizerKind.Sgd)]
        public sealed partial class Net
        {
            const int Batch = 8;
            readonly Tower users = new(64, 8);
        }
        public sealed partial class Net
        {
            readonly Tower things = new(32, 8);
            public Tensor Loss([Shape(Batch), Split("dp", 0)] TokenTensor who, [Shape(Batch), Split("dp", 0)] TokenTensor what, [Shape(Batch)] Tensor liked)
            {
                var score = Sum(users.Forward(who) * things.Forward(what), dim: -1);
                return Mean(Square(score - liked));
            }
        }
        """;

    public static readonly string[] All = [Transformer, Language, Towers];
}
