namespace Shardwright.Editor.Tests;

/// <summary>Names that a developer may give and that emitted code has a use for as well: rows, coordinates, groups, parameters of its own methods.</summary>
public sealed class NameTests
{
    /// <summary>Of values and parameters. Each is one that kernels, stages or ranks declared beside them.</summary>
    private static readonly string[] s_names = ["r", "m", "shape", "at", "batch", "slot", "result", "rows", "in0", "in1", "out0", "out1", "i1", "r1", "dpIndex", "tpGroup", "trainIdsShape", "firstStack", "group0Gathered", "visitor", "_span", "executor", "microBatch"];

    [Theory]
    [InlineData("")]
    [InlineData("[MeshAxis(\"pp\", 2, Role = AxisRole.Pipeline)]")]
    public async Task NamesOfValuesDoNotMeetThoseOfEmittedCode(string pipeline)
    {
        string fields = string.Join("\n    ", s_names.Select(n => $"readonly Tensor {n} = Parameter(16, 16);"));
        string values = string.Join("\n        ", s_names.Select((n, i) => i % 2 == 0 ? $"var {n} = Silu(MatMul(last, this.{n}) + x) * last; last = {n};" : $"var {n} = Transpose(norm.Forward(last) + Softmax(MatMul(last, this.{n}))); last = Transpose({n});"));
        Desk desk = Desk.Of(Desk.Head + $$"""
            [DeviceMesh] {{pipeline}} [MeshAxis("dp", 2, Role = AxisRole.Data)] [MeshAxis("tp", 2, Role = AxisRole.Tensor)] public sealed class Odd;
            [ShardedLayer] public sealed partial class Dense(int n) { [Split("tp", 1)] readonly Tensor visitor = Parameter(n, n); public Tensor Forward(Tensor r) { var m = Gelu(MatMul(r, visitor)); return r + Dropout(m, 0.1f); } }
            [ShardedOn<Odd>(MicroBatches = 2, Zero = ZeroStage.OptimizerState)] public sealed partial class Net
            {
                {{fields}}
                readonly LayerNorm norm = new(16);
                readonly LayerStack<Dense> stack = new(2, () => new Dense(16));
                public Tensor Loss([Shape(8, 4, 16)] Tensor x, [Shape(8, 4)] TokenTensor ids)
                {
                    var last = stack.Forward(x);
                    {{values}}
                    return CrossEntropy(last, ids);
                }
            }
            """);
        Assert.Empty(await desk.Errors());
        Assert.DoesNotContain(await desk.Live(), d => d.Severity >= DiagnosticSeverity.Warning);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[MeshAxis(\"pp\", 2, Role = AxisRole.Pipeline)]")]
    public async Task NamesOfInputsDoNotMeetThoseOfEmittedCode(string pipeline)
    {
        string[] names = ["settings", "rank", "m", "result", "rows", "batch", "executor", "actions", "stages", "stage0", "weight", "norm", "sum0", "pipelineIndex", "dpGroup", "kernels", "microBatch"];
        string inputs = string.Join(", ", names.Select(n => $"[Shape(8, 16)] Tensor {n}")), sum = string.Join(" + ", names);
        Desk desk = Desk.Of(Desk.Head + $$"""
            [DeviceMesh] {{pipeline}} [MeshAxis("dp", 2, Role = AxisRole.Data)] public sealed class Odd;
            [ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
            [ShardedOn<Odd>(MicroBatches = 2)] public sealed partial class Net
            {
                readonly LayerStack<Dense> stack = new(2, () => new Dense(16));
                public Tensor Loss({{inputs}}) => Mean(Square(stack.Forward({{sum}})));
                public Tensor Forward({{inputs}}) => stack.Forward({{sum}});
            }
            """);
        Assert.Empty(await desk.Errors());
        Assert.DoesNotContain(await desk.Live(), d => d.Severity >= DiagnosticSeverity.Warning);
    }

    /// <summary>A pipelined model whose Forward returns what its stack yields: that lies in memory which micro-batches in flight share, and is read after the run.</summary>
    [Fact]
    public async Task TheResultOfAStackIsReadAfterAPipelinedRun()
    {
        Desk desk = Desk.Of("""
            using Shardwright;
            using static Shardwright.Ops;
            namespace My;
            [DeviceMesh] public sealed class One;
            [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Line;
            [ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n, Init.Normal(0.5f)); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
            [ShardedOn<One>, ShardedOn<Line>(MicroBatches = 4)] public sealed partial class Net
            {
                readonly LayerStack<Dense> stack = new(4, () => new Dense(16));
                public Tensor Loss([Shape(8, 16)] Tensor x) => Mean(Square(stack.Forward(x)));
                public Tensor Forward([Shape(8, 16)] Tensor x) => stack.Forward(x);
            }
            public static class Runner
            {
                static Tensor X() { float[] x = new float[128]; for (int i = 0; i < x.Length; i++) { x[i] = i % 7 - 3; } return Tensor.Of(x, 8, 16); }
                public static float[] OnOne() { float[] y = null!; using var world = World.InProcess(Net.OnOne.Mesh); world.Run(c => { using var r = new Net.OnOne.Rank(c, 7); y = r.Forward(X()).Span.ToArray(); }); return y; }
                public static float[] OnLine() { float[] y = null!; using var world = World.InProcess(Net.OnLine.Mesh); world.Run(c => { using var r = new Net.OnLine.Rank(c, 7); float[] own = r.Forward(X()).Span.ToArray(); if (c.Rank == 0) { y = own; } }); return y; }
            }
            """);
        Assert.Empty(await desk.Errors());
        Type runner = (await desk.Load()).GetType("My.Runner")!;
        float[] one = (float[])runner.GetMethod("OnOne")!.Invoke(null, null)!, line = (float[])runner.GetMethod("OnLine")!.Invoke(null, null)!;
        Assert.Contains(one, v => v != 0);
        Assert.Equal(one, line);
    }
}
