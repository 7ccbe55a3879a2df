namespace Shardwright.Fuzz.Tests;

/// <summary>The shape of GPT-3 (Brown et al., arXiv 2005.14165): 96 layers of width 12288, 96 heads, 2048 tokens, a vocabulary of 50257 (padded to 50304), sharded as Megatron does.</summary>
public static class GptShape
{
    /// <summary>The layers, in a file of their own.</summary>
    public const string Layers = """
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        [ShardedLayer] public sealed partial class FeedForward(int hidden, int inner)
        {
            [Split("tp", dim: 1)] readonly Tensor up = Parameter(hidden, inner);
            [Split("tp", dim: 0)] readonly Tensor upBias = Parameter(inner, Init.Zeros);
            [Split("tp", dim: 0)] readonly Tensor down = Parameter(inner, hidden);
            readonly Tensor downBias = Parameter(hidden, Init.Zeros);
            public Tensor Forward(Tensor x) => MatMul(Gelu(MatMul(x, up) + upBias), down) + downBias;
        }
        [ShardedLayer] public sealed partial class SelfAttention(int hidden, int heads)
        {
            [Split("tp", dim: 1)] readonly Tensor query = Parameter(hidden, hidden);
            [Split("tp", dim: 1)] readonly Tensor key = Parameter(hidden, hidden);
            [Split("tp", dim: 1)] readonly Tensor value = Parameter(hidden, hidden);
            [Split("tp", dim: 0)] readonly Tensor output = Parameter(hidden, hidden);
            public Tensor Forward(Tensor x)
            {
                var attended = Attention(Heads(MatMul(x, query)), Heads(MatMul(x, key)), Heads(MatMul(x, value)), causal: true);
                return MatMul(Reshape(Transpose(attended, 1, 2), x.Shape[0], x.Shape[1], hidden), output);
            }
            Tensor Heads(Tensor x) => Transpose(Reshape(x, x.Shape[0], x.Shape[1], heads, hidden / heads), 1, 2);
        }
        [ShardedLayer] public sealed partial class Block(int hidden, int heads)
        {
            readonly LayerNorm attentionNorm = new(hidden);
            readonly SelfAttention attention = new(hidden, heads);
            readonly LayerNorm feedForwardNorm = new(hidden);
            readonly FeedForward feedForward = new(hidden, 4 * hidden);
            public Tensor Forward(Tensor x)
            {
                x += attention.Forward(attentionNorm.Forward(x));
                return x + feedForward.Forward(feedForwardNorm.Forward(x));
            }
        }
        """;

    /// <summary>Model and mesh.</summary>
    public static string Model(int layers) => $$"""
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        [DeviceSpec(MemoryBytes = 1_000_000_000_000_000, Fp32TFlops = 100, BandwidthGBs = 3000)] public sealed class Big;
        [DeviceMesh(Device = typeof(Big))] [MeshAxis("dp", 8, Role = AxisRole.Data)] [MeshAxis("tp", 8, Role = AxisRole.Tensor)] public sealed class Cluster;
        [ShardedOn<Cluster>(MicroBatches = 8)] public sealed partial class Gpt3
        {
            const int Vocab = 50304, Hidden = 12288, Heads = 96, Layers = {{layers}}, Context = 2048, Batch = 64;
            [Split("tp", dim: 0)] readonly Embedding tokens = new(Vocab, Hidden);
            readonly Embedding positions = new(Context, Hidden);
            readonly LayerStack<Block> blocks = new(Layers, () => new Block(Hidden, Heads));
            readonly LayerNorm norm = new(Hidden);
            public Tensor Loss([Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor ids, [Shape(Batch, Context), Split("dp", dim: 0)] TokenTensor targets)
            {
                var x = tokens.Forward(ids) + positions.Forward(Range(Context));
                x = norm.Forward(blocks.Forward(x));
                return CrossEntropy(MatMul(x, Transpose(tokens.Weight)), targets);
            }
        }
        """;

    /// <summary>A file that has nothing to do with it.</summary>
    public const string Elsewhere = "namespace My; public sealed class Elsewhere { public int Answer() { return 42; } }";
}
