using System.Diagnostics;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeRefactorings;
using Microsoft.CodeAnalysis.Text;
using Shardwright.CodeFixes;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Planning;
using Xunit.Abstractions;

namespace Shardwright.Editor.Tests;

/// <summary>SW1009: a model that says nothing about placements is sharded by an edit, and no worse than by hand.</summary>
public sealed class ShardTests(ITestOutputHelper output)
{
    /// <summary>A GPT as one writes it, without a single placement; the places where Megatron's lie are marked.</summary>
    internal const string Layers = """
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        [ShardedLayer] public sealed partial class FeedForward(int hidden, int inner)
        {
            /*tp1*/readonly Tensor up = Parameter(hidden, inner);
            /*tp0*/readonly Tensor down = Parameter(inner, hidden);
            public Tensor Forward(Tensor x) => MatMul(Gelu(MatMul(x, up)), down);
        }
        [ShardedLayer] public sealed partial class SelfAttention(int hidden, int heads)
        {
            /*tp1*/readonly Tensor query = Parameter(hidden, hidden);
            /*tp1*/readonly Tensor key = Parameter(hidden, hidden);
            /*tp1*/readonly Tensor value = Parameter(hidden, hidden);
            /*tp0*/readonly Tensor output = Parameter(hidden, hidden);
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

    internal static string Gpt(string mesh, int batch) => $$"""
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        {{mesh}} public sealed class Lab;
        [ShardedOn<Lab>(MicroBatches = 2)]
        public sealed partial class Gpt
        {
            const int Vocab = 50304, Hidden = 1024, Heads = 16, Layers = 12, Context = 512, Batch = {{batch}};
            /*tp0*/readonly Embedding tokens = new(Vocab, Hidden);
            readonly Embedding positions = new(Context, Hidden);
            readonly LayerStack<Block> blocks = new(Layers, () => new Block(Hidden, Heads));
            readonly LayerNorm norm = new(Hidden);
            public Tensor Loss([Shape(Batch, Context)] /*dp0*/TokenTensor ids, [Shape(Batch, Context)] /*dp0*/TokenTensor targets)
            {
                var x = tokens.Forward(ids) + positions.Forward(Range(Context));
                x = norm.Forward(blocks.Forward(x));
                return CrossEntropy(MatMul(x, Transpose(tokens.Weight)), targets);
            }
        }
        """;

    private static string ByHand(string plain, string mesh = "\"dp\"") => (mesh.Contains("\"dp\"", StringComparison.Ordinal) ? plain : plain.Replace("/*dp0*/", "", StringComparison.Ordinal)).Replace("/*tp1*/", "[Split(\"tp\", dim: 1)] ", StringComparison.Ordinal)
        .Replace("/*tp0*/", "[Split(\"tp\", dim: 0)] ", StringComparison.Ordinal).Replace("/*dp0*/", "[Split(\"dp\", dim: 0)] ", StringComparison.Ordinal);

    public static TheoryData<string, int> Meshes => new()
    {
        { "[DeviceMesh(Device = typeof(Devices.A100With80GB))] [MeshAxis(\"dp\", 2, Role = AxisRole.Data, Link = typeof(Links.InfinibandHdr))] [MeshAxis(\"tp\", 4, Role = AxisRole.Tensor, Link = typeof(Links.NvLink3))]", 16 },
        { "[DeviceMesh(Device = typeof(Devices.H100))] [MeshAxis(\"tp\", 8, Role = AxisRole.Tensor, Link = typeof(Links.NvLink4))]", 8 },
        { "[DeviceMesh(Device = typeof(Devices.LocalCpu))] [MeshAxis(\"dp\", 4, Link = typeof(Links.Ethernet10G))] [MeshAxis(\"tp\", 2, Link = typeof(Links.SharedMemory))]", 16 },
        { "[DeviceMesh(Device = typeof(Devices.V100))] [MeshAxis(\"pp\", 2, Role = AxisRole.Pipeline, Link = typeof(Links.InfinibandEdr))] [MeshAxis(\"tp\", 4, Role = AxisRole.Tensor, Link = typeof(Links.NvLink2))]", 16 },
    };

    [Theory]
    [MemberData(nameof(Meshes))]
    public async Task AModelIsShardedNoWorseThanByHand(string mesh, int batch)
    {
        Desk plain = Desk.Of([("Layers.cs", Layers), ("Gpt.cs", Gpt(mesh, batch))]);
        var watch = Stopwatch.StartNew();
        Desk sharded = await Shard(plain, "Gpt.cs", "class Gpt", "SW1009/Gpt/OnLab");
        long spent = watch.ElapsedMilliseconds;
        Assert.Empty(await sharded.Errors());
        Assert.DoesNotContain(await sharded.Build(), d => d.Severity == DiagnosticSeverity.Error);
        RankProgram found = await Plan(sharded), hand = await Plan(Desk.Of([("Layers.cs", ByHand(Layers)), ("Gpt.cs", ByHand(Gpt(mesh, batch), mesh))])), before = await Plan(plain);
        output.WriteLine($"found {found.Forecast.StepSeconds * 1e3:F3} ms, by hand {hand.Forecast.StepSeconds * 1e3:F3} ms, before {before.Forecast.StepSeconds * 1e3:F3} ms; {found.ArenaBytes >> 20} MiB, by hand {hand.ArenaBytes >> 20} MiB; search {spent} ms");
        Assert.True(found.Forecast.StepSeconds <= hand.Forecast.StepSeconds * (1 + 1e-9), $"{found.Forecast.StepSeconds} against {hand.Forecast.StepSeconds} by hand");
        Assert.True(found.ArenaBytes <= found.Forecast.UsableBytes);
    }

    /// <summary>The same model at the batch that has no row for each rank and micro-batch, and at one that has: columns then rows and heads are found at both, and no step is longer than by hand.</summary>
    [Theory]
    [InlineData(8)]
    [InlineData(16)]
    public async Task ColumnsThenRowsHeadsAndAVocabularyAreFound(int batch)
    {
        string mesh = (string)((object[])Meshes.First())[0];
        Desk plain = Desk.Of([("Layers.cs", Layers), ("Gpt.cs", Gpt(mesh, batch))]), hand = Desk.Of([("Layers.cs", ByHand(Layers)), ("Gpt.cs", ByHand(Gpt(mesh, batch), mesh))]);
        Desk sharded = await Shard(plain, "Gpt.cs", "class Gpt", "SW1009/Gpt/OnLab");
        RankProgram found = await Plan(sharded), written = await Plan(hand);
        output.WriteLine($"batch {batch}: found {found.Forecast.StepSeconds * 1e3:F3} ms, by hand {written.Forecast.StepSeconds * 1e3:F3} ms\n{string.Join("\n", (Plain(sharded.Text("Layers.cs")) + Plain(sharded.Text("Gpt.cs"))).Split('\n').Where(l => l.Contains("[Split", StringComparison.Ordinal)))}");
        Assert.True(found.Forecast.StepSeconds <= written.Forecast.StepSeconds * (1 + 1e-9), $"{found.Forecast.StepSeconds} against {written.Forecast.StepSeconds} by hand");
        if (batch == 8)
        {
            // With a row for each rank, sums of gradients that backward hides cost less than some of those of activations, and not all is split.
            Assert.Equal(ByHand(Layers).Replace("\r", "", StringComparison.Ordinal), Plain(sharded.Text("Layers.cs")));
            Assert.Contains("[Split(\"tp\", dim: 0)] readonly Embedding tokens", Plain(sharded.Text("Gpt.cs")), StringComparison.Ordinal);
        }

        Assert.Equal(2, sharded.Text("Gpt.cs").Split("[Split(\"dp\", dim: 0)]").Length - 1);
    }

    /// <summary>A table of its own and a head of its own, where the rows of the table are a little better than its columns, which is what the signature search proposes.</summary>
    [Fact]
    public async Task ASplitIsTurnedWhereThatIsShorter()
    {
        const string Mesh = "[DeviceMesh(Device = typeof(Devices.A100With80GB))] [MeshAxis(\"dp\", 2, Role = AxisRole.Data, Link = typeof(Links.InfinibandHdr))] [MeshAxis(\"tp\", 4, Role = AxisRole.Tensor, Link = typeof(Links.NvLink3))]";
        Desk plain = Desk.Of(StrangerTests.LargeLlama(Mesh)), hand = Desk.Of(ByHand(StrangerTests.LargeLlama(Mesh)));
        RankProgram found = await Plan(await Shard(plain, "Model.cs", "class Net", "SW1009/Net/OnLab")), written = await Plan(hand);
        output.WriteLine($"found {found.Forecast.StepSeconds * 1e3:F3} ms, by hand {written.Forecast.StepSeconds * 1e3:F3} ms");
        Assert.True(found.Forecast.StepSeconds <= written.Forecast.StepSeconds * (1 + 1e-9), $"{found.Forecast.StepSeconds} against {written.Forecast.StepSeconds} by hand");
    }

    [Fact]
    public async Task ALayerIsShardedAlone()
    {
        Desk plain = Desk.Of([("Layers.cs", Layers), ("Gpt.cs", Gpt((string)((object[])Meshes.First())[0], 16))]);
        Desk sharded = await Shard(plain, "Layers.cs", "class FeedForward", "SW1009/Gpt/OnLab/layer");
        Assert.Equal(plain.Text("Gpt.cs"), sharded.Text("Gpt.cs"));
        string layers = Plain(sharded.Text("Layers.cs"));
        Assert.Contains("[Split(\"tp\", dim: 1)] readonly Tensor up", layers, StringComparison.Ordinal);
        Assert.Contains("[Split(\"tp\", dim: 0)] readonly Tensor down", layers, StringComparison.Ordinal);
        Assert.Equal(2, layers.Split("[Split").Length - 1);
    }

    /// <summary>A small GPT without placements, on one rank and on four, with what trains it.</summary>
    private const string Small = """
        using System;
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        [DeviceMesh(Device = typeof(Devices.LocalCpu))] public sealed class One;
        [DeviceMesh(Device = typeof(Devices.LocalCpu))] [MeshAxis("dp", 2, Role = AxisRole.Data)] [MeshAxis("tp", 2, Role = AxisRole.Tensor)] public sealed class Lab;
        [ShardedOn<One>]
        [ShardedOn<Lab>(MicroBatches = 2)]
        public sealed partial class Gpt
        {
            public const int Vocab = 64, Hidden = 128, Heads = 4, Layers = 2, Context = 64, Batch = 8;
            readonly Embedding tokens = new(Vocab, Hidden);
            readonly LayerStack<Block> blocks = new(Layers, () => new Block(Hidden, Heads));
            readonly LayerNorm norm = new(Hidden);
            public Tensor Loss([Shape(Batch, Context)] TokenTensor ids, [Shape(Batch, Context)] TokenTensor targets) =>
                CrossEntropy(MatMul(norm.Forward(blocks.Forward(tokens.Forward(ids))), Transpose(tokens.Weight)), targets);
        }
        public static class Runner
        {
            public static double[] OnOne() => Run(Gpt.OnOne.Mesh, r => new Gpt.OnOne.Rank(r, 7), (r, ids, targets) => r.TrainStep(ids, targets, new AdamWSettings(3e-4f)));
            public static double[] OnLab() => Run(Gpt.OnLab.Mesh, r => new Gpt.OnLab.Rank(r, 7), (r, ids, targets) => r.TrainStep(ids, targets, new AdamWSettings(3e-4f)));
            static double[] Run<T>(Mesh mesh, Func<RankContext, T> make, Func<T, TokenTensor, TokenTensor, StepResult> step) where T : IDisposable
            {
                var losses = new double[11];
                using var world = World.InProcess(mesh, new WorldOptions { ThreadsPerRank = 1 });
                world.Run(context =>
                {
                    using T rank = make(context);
                    for (int i = 0; i < losses.Length; i++)
                    {
                        var random = new Random(i);
                        int[] ids = new int[Gpt.Batch * Gpt.Context], targets = new int[ids.Length];
                        for (int t = 0; t < ids.Length; t++)
                        {
                            ids[t] = random.Next(Gpt.Vocab);
                            targets[t] = (ids[t] * 5 + 3) % Gpt.Vocab;
                        }

                        double loss = step(rank, TokenTensor.Of(ids, Gpt.Batch, Gpt.Context), TokenTensor.Of(targets, Gpt.Batch, Gpt.Context)).Loss;
                        if (context.Rank == 0)
                        {
                            losses[i] = loss;
                        }
                    }
                });
                return losses;
            }
        }
        """;

    [Fact]
    public async Task WhatWasShardedTrainsAsOnOneRank()
    {
        Desk sharded = await Shard(Desk.Of([("Layers.cs", Layers), ("Gpt.cs", Small)]), "Gpt.cs", "class Gpt", "SW1009/Gpt/OnLab");
        Assert.Contains("[Split(\"tp\", dim: 1)] readonly Tensor up", Plain(sharded.Text("Layers.cs")), StringComparison.Ordinal);
        Type runner = (await sharded.Load()).GetType("My.Runner")!;
        double[] one = (double[])runner.GetMethod("OnOne")!.Invoke(null, null)!, four = (double[])runner.GetMethod("OnLab")!.Invoke(null, null)!;
        Assert.True(one[^1] < one[0]);
        for (int step = 0; step < one.Length; step++)
        {
            Assert.InRange(Math.Abs(four[step] / one[step] - 1), 0, 1e-6);
        }
    }

    private static string Plain(string text) => text.Replace("/*tp1*/", "", StringComparison.Ordinal).Replace("/*tp0*/", "", StringComparison.Ordinal).Replace("/*dp0*/", "", StringComparison.Ordinal);

    private static async Task<Desk> Shard(Desk desk, string file, string at, string key)
    {
        var actions = new List<CodeAction>();
        int start = desk.Text(file).IndexOf(at, StringComparison.Ordinal);
        await new ShardRefactoring().ComputeRefactoringsAsync(new CodeRefactoringContext(desk.Document(file), new TextSpan(start, at.Length), actions.Add, default));
        return await desk.Apply(Assert.Single(actions, a => a.EquivalenceKey == key));
    }

    private static async Task<RankProgram> Plan(Desk desk)
    {
        Compilation compilation = (await desk.Project.GetCompilationAsync())!;
        CompilationLayers layers = CompilationLayers.Of(compilation, default);
        LinkedModel model = Linking.Link(layers.Sources.Single(s => s.IsModel), layers.Sources, default);
        PlanResult result = PlanCache.Shared.Plan(model.Model, model.Layers, model.Model.Meshes[0], default);
        return result.Program ?? throw new InvalidOperationException(string.Join("\n", result.Findings.Select(f => f.Message)));
    }
}
