using System.Diagnostics;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Tests.Memory;

namespace Shardwright.Compiler.Tests.Pipelining;

using Plans = Shardwright.Compiler.Tests.Memory.Plans;

/// <summary>Without an annotation the planner cuts where the simulated step is shortest.</summary>
public sealed class AutomaticCutTests(Xunit.Abstractions.ITestOutputHelper output)
{
    private static Plans Gpt(string tokens = "", string blocks = "", string on = "MicroBatches = 8") => Plans.Of($$"""
        [DeviceMesh(Device = typeof(Devices.H100))] [MeshAxis("pp", 4, Role = AxisRole.Pipeline, Link = typeof(Links.NvLink4))] public sealed class Four;
        [ShardedLayer] public sealed partial class Block(int width)
        {
            readonly LayerNorm norm = new(width);
            readonly Tensor up = Parameter(width, 4 * width);
            readonly Tensor down = Parameter(4 * width, width);
            public Tensor Forward(Tensor x) => x + MatMul(Gelu(MatMul(norm.Forward(x), up)), down);
        }
        [ShardedOn<Four>({{on}})]
        public sealed partial class Net
        {
            public const int Vocab = 32768, Width = 512, Layers = 12, Batch = 64, Length = 256;
            {{tokens}} readonly Embedding tokens = new(Vocab, Width);
            {{blocks}} readonly LayerStack<Block> blocks = new(Layers, () => new Block(Width));
            readonly Tensor head = Parameter(Width, Vocab);
            public Tensor Loss([Shape(Batch, Length)] TokenTensor ids, [Shape(Batch, Length)] TokenTensor targets) =>
                CrossEntropy(MatMul(blocks.Forward(tokens.Forward(ids)), head), targets);
        }
        """);

    private static int[] Layers(RankProgram program) => [.. program.Pipeline!.Layers.Single().Layers];

    [Fact]
    public void AHeavyHeadGetsFewerLayersThanTheOthers()
    {
        int[] layers = Layers(Gpt().Program("OnFour"));
        output.WriteLine(string.Join(" ", layers));
        Assert.Equal(12, layers.Sum());
        Assert.True(layers[3] == 0 && layers.Take(3).All(l => l is 4), string.Join(" ", layers));

        // A light head takes its share.
        layers = Layers(Gpt().Program("OnFour", null, ("Vocab", 64)));
        Assert.Equal([3, 3, 3, 3], layers);
    }

    [Theory]
    [InlineData("[Stage(0)]", "", 4)]
    [InlineData("", "[Stages(3, 3, 3, 3)]", 3)]
    public void WhatIsAskedForStays(string tokens, string blocks, int first) =>
        Assert.Equal(first, Layers(Gpt(tokens, blocks).Program("OnFour"))[0]);

    [Fact]
    public void LayersMoveOffARankThatHasNoRoomForThem()
    {
        Plans gpt = Gpt();
        (string, long)[] light = [("Vocab", 64), ("Length", 1024)];
        RankProgram free = gpt.Program("OnFour", null, light);
        long[] bytes = [.. free.Ranks.Select(r => r.ArenaBytes)];
        Assert.Equal(bytes[0], bytes.Max());
        Assert.True(bytes[3] < 0.6 * bytes[0], string.Join(" ", bytes));

        // The first rank keeps four micro-batches alive and the last one: with a little less memory than that takes, layers go to the later ones.
        long room = bytes[0] * 9 / 10;
        RankProgram tight = gpt.Program("OnFour", on => on with { Mesh = on.Mesh with { Device = on.Mesh.Device with { UsableBytes = room + on.Mesh.Device.ReserveBytes } } }, light);
        Assert.InRange(tight.ArenaBytes, 0, room);
        Assert.True(Layers(tight)[0] < Layers(free)[0], string.Join(" ", Layers(tight)));
        Assert.Equal(12, Layers(tight).Sum());
    }

    [Fact]
    public void AModelWithoutAStackIsCutBetweenItsOwnLayers()
    {
        Plans plans = Plans.Of("""
            [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Pair;
            [ShardedLayer] public sealed partial class Wide(int width, int inner)
            {
                readonly Tensor up = Parameter(width, inner);
                readonly Tensor down = Parameter(inner, width);
                public Tensor Forward(Tensor x) => x + MatMul(Gelu(MatMul(x, up)), down);
            }
            [ShardedOn<Pair>(MicroBatches = 4)]
            public sealed partial class Net
            {
                readonly Wide first = new(64, 256), second = new(64, 256), third = new(64, 256), fourth = new(64, 1024);
                readonly Tensor head = Parameter(64, 8);
                public Tensor Loss([Shape(64, 64)] Tensor x, [Shape(64)] TokenTensor labels) =>
                    CrossEntropy(MatMul(fourth.Forward(third.Forward(second.Forward(first.Forward(2f * x)))), head), labels);
            }
            """);
        RankProgram program = plans.Program("OnPair");
        string[] Of(int rank) => [.. program.Stages[program.Ranks[rank].Chunks[0].Program].Parameters.Select(p => p.Path)];
        Assert.Equal(["first.up", "first.down", "second.up", "second.down", "third.up", "third.down"], Of(0));
        Assert.Equal(["fourth.up", "fourth.down", "head"], Of(1));
    }

    [Fact]
    public void ManyStagesAndMicroBatchesAreCutTheSameWayEachTime()
    {
        Plans gpt = Plans.Of("""
            [DeviceMesh(Device = typeof(Devices.H100))] [MeshAxis("pp", 64, Role = AxisRole.Pipeline, Link = typeof(Links.NvLink4))] public sealed class Many;
            [ShardedLayer] public sealed partial class Block(int width)
            {
                readonly LayerNorm norm = new(width);
                readonly Tensor up = Parameter(width, 4 * width);
                readonly Tensor down = Parameter(4 * width, width);
                public Tensor Forward(Tensor x) => x + MatMul(Gelu(MatMul(norm.Forward(x), up)), down);
            }
            [ShardedOn<Many>(MicroBatches = 512)]
            public sealed partial class Net
            {
                public const int Vocab = 50304, Width = 4096, Layers = 96, Batch = 512, Length = 1024;
                readonly Embedding tokens = new(Vocab, Width);
                readonly LayerStack<Block> blocks = new(Layers, () => new Block(Width));
                public Tensor Loss([Shape(Batch, Length)] TokenTensor ids, [Shape(Batch, Length)] TokenTensor targets) =>
                    CrossEntropy(MatMul(blocks.Forward(tokens.Forward(ids)), Transpose(tokens.Weight)), targets);
            }
            """);
        RankProgram[] programs = [.. Enumerable.Range(0, 2).Select(_ =>
        {
            TimeSpan used = Process.GetCurrentProcess().TotalProcessorTime;
            var watch = Stopwatch.StartNew();
            RankProgram program = gpt.Program("OnMany");
            output.WriteLine($"{watch.ElapsedMilliseconds} ms, of the processor {(Process.GetCurrentProcess().TotalProcessorTime - used).TotalMilliseconds} ms");
            return program;
        })];
        Assert.Equal(Layers(programs[0]), Layers(programs[1]));
        Assert.Equal((64, 96), (Layers(programs[0]).Length, Layers(programs[0]).Sum()));
        Assert.True(programs[0].Stages.Count <= 5, $"{programs[0].Stages.Count} different stages");
    }
}
