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
}
