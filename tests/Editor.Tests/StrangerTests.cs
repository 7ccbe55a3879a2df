using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeRefactorings;
using Microsoft.CodeAnalysis.Text;
using Shardwright.CodeFixes;
using Xunit.Abstractions;

namespace Shardwright.Editor.Tests;

/// <summary>Models of other kinds, on meshes of other shapes, by somebody who places nothing by hand: shard this model, take what fixes warnings are offered, build, and train as on one rank.</summary>
public sealed class StrangerTests(ITestOutputHelper output)
{
    /// <summary>So slow that even small products are worth splitting.</summary>
    private const string Machine = """
        using System;
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        [DeviceSpec(MemoryBytes = 1 << 30, BandwidthGBs = 0.05, Fp32TFlops = 0.0002)] public sealed class Slow;
        [DeviceMesh(Device = typeof(Slow))] public sealed class One;

        """;

    private const string Llama = """
        [ShardedLayer] public sealed partial class Gated(int hidden, int inner)
        {
            readonly Tensor gate = Parameter(hidden, inner), up = Parameter(hidden, inner), down = Parameter(inner, hidden);
            public Tensor Forward(Tensor x) => MatMul(Silu(MatMul(x, gate)) * MatMul(x, up), down);
        }
        [ShardedLayer] public sealed partial class Grouped(int hidden, int heads, int groups)
        {
            readonly int width = hidden / heads;
            readonly Tensor query = Parameter(hidden, hidden);
            readonly Tensor key = Parameter(hidden, groups * (hidden / heads));
            readonly Tensor value = Parameter(hidden, groups * (hidden / heads));
            readonly Tensor output = Parameter(hidden, hidden);
            public Tensor Forward(Tensor x)
            {
                var attended = Attention(Rope(Heads(MatMul(x, query), heads)), Rope(Heads(MatMul(x, key), groups)), Heads(MatMul(x, value), groups), causal: true);
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
        [ShardedOn<One>, ShardedOn<Lab>(OPTIONS)] public sealed partial class Net
        {
            const int Vocabulary = 64, Hidden = 32, Context = 8, Batch = 16;
            readonly Embedding tokens = new(Vocabulary, Hidden);
            readonly LayerStack<Block> blocks = new(2, () => new Block(Hidden, heads: 8, groups: 2, inner: 64));
            readonly RmsNorm norm = new(Hidden);
            readonly Tensor head = Parameter(Hidden, Vocabulary);
            public Tensor Loss([Shape(Batch, Context)] TokenTensor ids, [Shape(Batch, Context)] TokenTensor targets) =>
                CrossEntropy(MatMul(norm.Forward(blocks.Forward(tokens.Forward(ids))), head), targets);
        }
        """;

    /// <summary>A Llama of a billion parameters without a single placement; the places where Megatron's lie are marked.</summary>
    internal static string LargeLlama(string mesh) => $$"""
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        {{mesh}} public sealed class Lab;
        [ShardedLayer] public sealed partial class Mlp(int d, int h)
        {
            /*tp1*/readonly Tensor gate = Parameter(d, h);
            /*tp1*/readonly Tensor up = Parameter(d, h);
            /*tp0*/readonly Tensor down = Parameter(h, d);
            public Tensor Forward(Tensor x) => MatMul(Silu(MatMul(x, gate)) * MatMul(x, up), down);
        }
        [ShardedLayer] public sealed partial class Attn(int d, int heads, int kv)
        {
            /*tp1*/readonly Tensor q = Parameter(d, d);
            /*tp1*/readonly Tensor k = Parameter(d, kv * (d / heads));
            /*tp1*/readonly Tensor v = Parameter(d, kv * (d / heads));
            /*tp0*/readonly Tensor o = Parameter(d, d);
            public Tensor Forward(Tensor x) => MatMul(Merge(Attention(Rope(Part(MatMul(x, q), heads)), Rope(Part(MatMul(x, k), kv)), Part(MatMul(x, v), kv), causal: true)), o);
            Tensor Part(Tensor y, int n) => Transpose(Reshape(y, y.Shape[0], y.Shape[1], n, d / heads), 1, 2);
            Tensor Merge(Tensor y) => Reshape(Transpose(y, 1, 2), y.Shape[0], y.Shape[2], d);
        }
        [ShardedLayer] public sealed partial class Blk(int d, int heads, int kv, int h)
        {
            readonly RmsNorm a = new(d), b = new(d);
            readonly Attn attn = new(d, heads, kv);
            readonly Mlp mlp = new(d, h);
            public Tensor Forward(Tensor x) { x += attn.Forward(a.Forward(x)); x += mlp.Forward(b.Forward(x)); return x; }
        }
        [ShardedOn<Lab>(MicroBatches = 2)] public sealed partial class Net
        {
            /*tp0*/readonly Embedding tok = new(32000, 2048);
            readonly LayerStack<Blk> blocks = new(16, () => new Blk(2048, 16, 8, 5632));
            readonly RmsNorm norm = new(2048);
            /*tp1*/readonly Tensor head = Parameter(2048, 32000);
            public Tensor Loss([Shape(8, 1024)] /*dp0*/TokenTensor ids, [Shape(8, 1024)] /*dp0*/TokenTensor next) => CrossEntropy(MatMul(norm.Forward(blocks.Forward(tok.Forward(ids))), head), next);
        }
        """;

    private const string Mixer = """
        [ShardedLayer] public sealed partial class Mix(int width, int inner)
        {
            readonly Linear up = new(width, inner), down = new(inner, width);
            public Tensor Forward(Tensor x) => down.Forward(Gelu(up.Forward(x)));
        }
        [ShardedLayer] public sealed partial class MixerBlock(int patches, int channels)
        {
            readonly LayerNorm tokenNorm = new(channels), channelNorm = new(channels);
            readonly Mix tokens = new(patches, 2 * patches);
            readonly Mix mixed = new(channels, 4 * channels);
            public Tensor Forward(Tensor x)
            {
                x += Transpose(tokens.Forward(Transpose(tokenNorm.Forward(x), 1, 2)), 1, 2);
                return x + mixed.Forward(channelNorm.Forward(x));
            }
        }
        [ShardedOn<One>, ShardedOn<Lab>(OPTIONS)] public sealed partial class Net
        {
            const int Patches = 8, Channels = 16, Patch = 12, Classes = 8;
            readonly Linear stem = new(Patch, Channels);
            readonly LayerStack<MixerBlock> blocks = new(2, () => new MixerBlock(Patches, Channels));
            readonly LayerNorm norm = new(Channels);
            readonly Linear head = new(Channels, Classes);
            public Tensor Loss([Shape(16, Patches, Patch)] Tensor patches, [Shape(16)] TokenTensor labels) =>
                CrossEntropy(head.Forward(Mean(norm.Forward(blocks.Forward(stem.Forward(patches))), 1)), labels);
        }
        """;

    private const string Towers = """
        [ShardedLayer] public sealed partial class Tower(int count, int width)
        {
            readonly Embedding table = new(count, width);
            readonly Tensor hidden = Parameter(width, 2 * width, Init.Normal(0.5f)), output = Parameter(2 * width, width, Init.Normal(0.5f));
            public Tensor Forward(TokenTensor ids) => MatMul(Relu(MatMul(20f * Mean(table.Forward(ids), 1), hidden)), output);
        }
        [ShardedOn<One>, ShardedOn<Lab>(OPTIONS)] public sealed partial class Net
        {
            readonly Tower users = new(64, 16), items = new(128, 16);
            public Tensor Loss([Shape(16, 4)] TokenTensor user, [Shape(16, 6)] TokenTensor item, [Shape(16)] Tensor clicked)
            {
                var score = Sigmoid(Sum(users.Forward(user) * items.Forward(item), 1));
                return Mean(Square(score - clicked));
            }
        }
        """;

    private static readonly Dictionary<string, (string Source, string Inputs)> s_models = new()
    {
        ["Llama"] = (Llama, "Ids(i, 64, 16, 8), Ids(i + 50, 64, 16, 8)"),
        ["Mixer"] = (Mixer, "Values(i, 16, 8, 12), Ids(i, 8, 16)"),
        ["Towers"] = (Towers, "Ids(i, 64, 16, 4), Ids(i + 50, 128, 16, 6), Values(i, 16)"),
    };

    private static readonly Dictionary<string, (string Axes, string Options)> s_meshes = new()
    {
        ["dp 4"] = ("[MeshAxis(\"dp\", 4, Role = AxisRole.Data)]", ""),
        ["tp 4"] = ("[MeshAxis(\"tp\", 4, Role = AxisRole.Tensor)]", ""),
        ["dp 2, tp 4"] = ("[MeshAxis(\"dp\", 2, Role = AxisRole.Data)] [MeshAxis(\"tp\", 4, Role = AxisRole.Tensor)]", ""),
        ["pp 2, tp 2"] = ("[MeshAxis(\"pp\", 2, Role = AxisRole.Pipeline)] [MeshAxis(\"tp\", 2, Role = AxisRole.Tensor)]", "MicroBatches = 4"),
        ["a 2, b 2"] = ("[MeshAxis(\"a\", 2)] [MeshAxis(\"b\", 2)]", "MicroBatches = 2"),
    };

    public static TheoryData<string, string> Cases => new()
    {
        { "Llama", "dp 4" }, { "Llama", "tp 4" }, { "Llama", "dp 2, tp 4" }, { "Llama", "pp 2, tp 2" },
        { "Mixer", "a 2, b 2" }, { "Towers", "dp 2, tp 4" },
    };

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task AModelOfAnotherKindIsShardedAndTrains(string model, string mesh)
    {
        (string source, string inputs) = s_models[model];
        (string axes, string options) = s_meshes[mesh];
        string whole = Machine + $"[DeviceMesh(Device = typeof(Slow))] {axes} public sealed class Lab;\n" + source.Replace("(OPTIONS)", options.Length > 0 ? $"({options})" : "", StringComparison.Ordinal);
        Desk desk = Desk.Of([("Model.cs", whole), ("Runner.cs", Runner(inputs))]);
        desk = await Shard(desk);
        for (int round = 0; round < 8; round++)
        {
            Diagnostic? warning = (await desk.Live()).FirstOrDefault(d => d.Severity >= DiagnosticSeverity.Warning);
            if (warning is null)
            {
                break;
            }

            List<CodeAction> fixes = await desk.Fixes(warning);
            Assert.True(fixes.Count > 0 && round < 7, $"no fix for {warning}");
            output.WriteLine($"{warning.Id}: {fixes[0].Title}");
            desk = await desk.Apply(fixes[0]);
        }

        output.WriteLine(string.Join("\n", desk.Text().Split('\n').Where(l => l.Contains("Split(", StringComparison.Ordinal))));

        // An axis of the role Data splits the batch of a model that says nothing, too.
        Assert.True(mesh == "dp 4" || desk.Text().Contains("[Split(", StringComparison.Ordinal));
        Type runner = (await desk.Load()).GetType("My.Runner")!;
        double[] one = (double[])runner.GetMethod("OnOne")!.Invoke(null, null)!, many = (double[])runner.GetMethod("OnLab")!.Invoke(null, null)!;
        Assert.True(one[^1] < one[0], $"{one[0]} … {one[^1]}");
        Assert.All(one.Zip(many), p => Assert.InRange(Math.Abs(p.Second / p.First - 1), 0, 1e-5));
    }

    private static async Task<Desk> Shard(Desk desk)
    {
        var actions = new List<CodeAction>();
        int start = desk.Text().IndexOf("class Net", StringComparison.Ordinal);
        await new ShardRefactoring().ComputeRefactoringsAsync(new CodeRefactoringContext(desk.Document(), new TextSpan(start, "class Net".Length), actions.Add, default));
        return await desk.Apply(Assert.Single(actions, a => a.EquivalenceKey == "SW1009/Net/OnLab"));
    }

    private static string Runner(string inputs) => $$"""
        using System;
        using Shardwright;
        namespace My;
        public static class Runner
        {
            public static double[] OnOne() => Run(Net.OnOne.Mesh, r => new Net.OnOne.Rank(r, 7), (r, i) => r.TrainStep({{inputs}}, new AdamWSettings(3e-3f)));
            public static double[] OnLab() => Run(Net.OnLab.Mesh, r => new Net.OnLab.Rank(r, 7), (r, i) => r.TrainStep({{inputs}}, new AdamWSettings(3e-3f)));
            static TokenTensor Ids(int seed, int below, params int[] shape)
            {
                var random = new Random(seed % 2);
                int count = 1;
                foreach (int size in shape) { count *= size; }
                int[] ids = new int[count];
                for (int i = 0; i < count; i++) { ids[i] = random.Next(below); }
                return TokenTensor.Of(ids, shape);
            }
            static Tensor Values(int seed, params int[] shape)
            {
                var random = new Random(seed % 2);
                int count = 1;
                foreach (int size in shape) { count *= size; }
                float[] values = new float[count];
                for (int i = 0; i < count; i++) { values[i] = random.NextSingle(); }
                return Tensor.Of(values, shape);
            }
            static double[] Run<T>(Mesh mesh, Func<RankContext, T> make, Func<T, int, StepResult> step) where T : IDisposable
            {
                var losses = new double[9];
                using var world = World.InProcess(mesh, new WorldOptions { ThreadsPerRank = 1 });
                world.Run(context =>
                {
                    using T rank = make(context);
                    for (int i = 0; i < losses.Length; i++)
                    {
                        double loss = step(rank, i).Loss;
                        if (context.Rank == 0) { losses[i] = loss; }
                    }
                });
                return losses;
            }
        }
        """;
}
