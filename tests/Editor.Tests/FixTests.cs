using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;

namespace Shardwright.Editor.Tests;

/// <summary>Every fix that is offered is written as it should be, compiles, and silences its rule.</summary>
public sealed class FixTests
{
    internal static string Model(string loss = "Mean(MatMul(x, w))", string fields = "readonly Tensor w = Parameter(6, 4);", string on = "[ShardedOn<Lab>]", string extra = "") => Desk.Head + $$"""
        {{on}}
        public sealed partial class Net
        {
            {{fields}}
            public Tensor Loss([Shape(8, 6)] Tensor x) => {{loss}};
            {{extra}}
        }
        """;

    /// <summary>ID, source, key of the fix, what is then in the source.</summary>
    public static TheoryData<string, string, string, string> Fixes => new()
    {
        { "SW0001", Desk.Head + "[ShardedLayer] public sealed class Plain { readonly Tensor w = Parameter(4); public Tensor Forward(Tensor x) => x * w; }", "SW0001/partial", "public sealed partial class Plain" },
        { "SW0001", Desk.Head + "public class Outer { [ShardedLayer] public sealed partial class Inner { readonly Tensor w = Parameter(4); public Tensor Forward(Tensor x) => x * w; } }", "SW0001/partial", "public partial class Outer" },
        { "SW0003", Model("Mean(MatMul(x, w))", "readonly Tensor w = Parameter(4, 6);"), "SW0003/transpose-second", "MatMul(x, Transpose(w))" },
        { "SW0003", Model("Mean(MatMul(x, Transpose(w)))"), "SW0003/transpose-second", "Mean(MatMul(x, w))" },
        { "SW0003", Model("Mean(MatMul(v, x))", "readonly Tensor v = Parameter(8, 4);"), "SW0003/transpose-first", "MatMul(Transpose(v), x)" },
        { "SW0006", Model(fields: "readonly Tensor w = Parameter(6, 4);\n    // Not needed.\n    readonly Tensor idle = Parameter(3);\n"), "SW0006/remove", "Parameter(6, 4);\n\n    public" },
        { "SW0006", Model(fields: "readonly Tensor w = Parameter(6, 4), idle = Parameter(3);"), "SW0006/remove", "w = Parameter(6, 4);" },
        { "SW0009", Model(on: "[ShardedOn<Lab>, ShardedOn<Lab>(MicroBatches = 2)]"), "SW0009/name", "ShardedOn<Lab>(MicroBatches = 2, Name = \"OnLab2\")" },
        { "SW1001", Model(fields: "[Split(\"tpp\", 0)] readonly Tensor w = Parameter(6, 4);"), "SW1001/nearest", "[Split(\"tp\", 0)]" },
        { "SW1001", Model("Mean(MatMul(Reshard(x, Placement.Split(\"ttp\", 1)), w))"), "SW1001/nearest", "Placement.Split(\"tp\", 1)" },
        { "SW1003", Model(fields: "[Split(\"tp\", 1)] readonly Tensor w = Parameter(6, 5);"), "SW1003/up", "Parameter(6, 6)" },
        { "SW1003", Model(fields: "[Split(\"tp\", 1)] readonly Tensor w = Parameter(6, 5);"), "SW1003/down", "Parameter(6, 4)" },
        { "SW1003", Model(fields: "const int Width = 5; [Split(\"tp\", 1)] readonly Tensor w = Parameter(6, Width);"), "SW1003/up/Width", "Width = 6;" },
        { "SW1003", Desk.Head + """
            public static class Sizes { public const int Unit = 5, Width = Unit + 4; }
            [ShardedLayer] public sealed partial class Dense(int n) { [Split("tp", 1)] readonly Tensor w = Parameter(4, n); public Tensor Forward(Tensor x) => MatMul(x, w); }
            [ShardedOn<Lab>] public sealed partial class Net { readonly Dense dense = new(Sizes.Width); public Tensor Loss([Shape(8, 4)] Tensor x) => Mean(dense.Forward(x)); }
            """, "SW1003/up/Unit", "Unit = 6," },
        { "SW1003", Desk.Head + """
            [ShardedLayer] public sealed partial class Heads(int width, int heads)
            {
                [Split("tp", 1)] readonly Tensor w = Parameter(4, width);
                public Tensor Forward(Tensor x) => Reshape(MatMul(x, w), x.Shape[0], heads, width / heads);
            }
            [ShardedOn<Lab>] public sealed partial class Net
            {
                const int Width = 9, Count = 3;
                readonly Heads heads = new(Width, Count);
                public Tensor Loss([Shape(8, 4)] Tensor x) => Mean(heads.Forward(x));
            }
            """, "SW1003/up/Width", "Width = 12," },
        { "SW1004", Model(fields: "[Split(\"tp\", 1), Broadcast(\"tp\")] readonly Tensor w = Parameter(6, 4);"), "SW1004/first", "[Split(\"tp\", 1)] readonly" },
        { "SW1004", Model(fields: "[Split(\"tp\", 1), Broadcast(\"tp\")] readonly Tensor w = Parameter(6, 4);"), "SW1004/second", "[Broadcast(\"tp\")] readonly" },
        { "SW1004", Model(fields: "[Partial(\"tp\")] readonly Tensor w = Parameter(6, 4);"), "SW1004/remove", "{\n    readonly Tensor w" },
        { "SW1004", Model("Mean(dense.Forward(x))", "[Split(\"tp\", 1)] readonly Linear dense = new(6, 4);"), "SW1004/Weight", "[Split(\"tp\", 1, Parameter = nameof(Shardwright.Linear.Weight))]" },
        { "SW2001", Stacked("[Stages(1, 1)] "), "SW2001/nearest", "[Stages(2, 2)]" },
        { "SW1005", Corpus("rows before an activation"), "SW1006/reshard/tp", "Gelu(Reshard(MatMul(x, up), Placement.Broadcast(\"tp\")))" },
        { "SW1010", Corpus("columns twice"), "SW1006/reshard/tp", "Reshard(" },
        { "SW1007", Desk.Head + """
            [DeviceMesh(Device = typeof(Devices.A100With80GB))] [MeshAxis("tp", 4, Role = AxisRole.Tensor, Link = typeof(Links.NvLink3))] public sealed class Four;
            [ShardedOn<Four>] public sealed partial class Net
            {
                readonly Tensor up = Parameter(2048, 8192);
                readonly Tensor down = Parameter(8192, 2048);
                public Tensor Loss([Shape(8192, 2048)] Tensor x) => Mean(Square(MatMul(Gelu(MatMul(x, up)), down)));
            }
            """, "SW1007/split", "[Split(\"tp\", dim: 1)] readonly Tensor up" },
        { "SW1007", Desk.Head + """
            [DeviceMesh(Device = typeof(Devices.A100With80GB))] [MeshAxis("tp", 4, Role = AxisRole.Tensor, Link = typeof(Links.NvLink3))] public sealed class Four;
            [ShardedOn<Four>] public sealed partial class Net
            {
                readonly Tensor up = Parameter(2048, 8192), down = Parameter(8192, 2048);
                public Tensor Loss([Shape(8192, 2048)] Tensor x) => Mean(Square(MatMul(Gelu(MatMul(x, up)), down)));
            }
            """, "SW1007/split", "    [Split(\"tp\", dim: 1)] readonly Tensor up = Parameter(2048, 8192);\n    [Split(\"tp\", dim: 0)] readonly Tensor down = Parameter(8192, 2048);\n" },
        { "SW2002", Corpus("six layers on one stage, two on the other"), "SW2002/rebalance", "[Stages(4, 4)]" },
        { "SW2004", Corpus("a few micro-batches on many stages"), "SW2004/micro-batches", "MicroBatches = 64)" },
        { "SW2004", Deep(layers: 16, batch: 16, "MicroBatches = 16"), "SW2004/schedule", "MicroBatches = 16, Schedule = PipelineSchedule." },
        { "SW1008", Corpus("tensor axis over Ethernet, data axis over NVLink"), "SW1008/swap", "[MeshAxis(\"dp\", 4, Role = AxisRole.Data, Link = typeof(Links.Ethernet10G))] [MeshAxis(\"tp\", 4, Role = AxisRole.Tensor, Link = typeof(Links.NvLink3))]" },
        { "SW4001", Desk.Head + Rule.Plain(Rule.All.Single(r => r.Id == "SW4001").Reported), "SW4001/batch", "[Split(\"tp\", dim: 0)] [Shape(32768, 2048)" },
        { "SW4001", Gathering, "SW4001/micro-batches", "MicroBatches = 32" },
        { "SW2003", Model(on: "[ShardedOn<Lab>(MicroBatches = 3)]"), "SW2003/micro-batches", "MicroBatches = 2)" },
        { "SW3001", Desk.Head + """
            [DeviceSpec(MemoryBytes = 40 << 20, BandwidthGBs = 20, Fp32TFlops = 0.16)] public sealed class Small;
            [DeviceMesh(Device = typeof(Small))] [MeshAxis("dp", 2)] public sealed class Tight;
            [ShardedOn<Tight>] public sealed partial class Net
            {
                readonly Tensor up = Parameter(256, 1024); readonly Tensor down = Parameter(1024, 256);
                public Tensor Loss([Shape(8192, 256), Split("dp", 0)] Tensor x) => Mean(Square(MatMul(Gelu(MatMul(x, up)), down)));
            }
            """, "SW3001/fit", "[ShardedOn<Tight>(MicroBatches = " },
        { "SW3004", Desk.Head + """
            [ShardedLayer] public sealed partial class Shift(int width) { readonly Tensor by = Parameter(width); public Tensor Forward(Tensor x) => x + by; }
            [ShardedOn<Lab>] public sealed partial class Net { [Recompute] readonly Shift shift = new(6); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(shift.Forward(x)); }
            """, "SW3004/remove", "{ readonly Shift" },
    };

    private static string Corpus(string name) => Desk.Head + BadPartitions.All.Single(b => b.Name == name).Source.Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal);

    /// <summary>Parameters that lie in shares are gathered for each of many micro-batches: with half as many, the kernels of a layer hide the gather of the next.</summary>
    private const string Gathering = Desk.Head + """
        [DeviceMesh(Device = typeof(Devices.A100With80GB))] [MeshAxis("dp", 4, Role = AxisRole.Data, Link = typeof(Links.InfinibandHdr))] public sealed class Slow;
        [ShardedLayer] public sealed partial class Wide(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
        [ShardedOn<Slow>(MicroBatches = 64, Zero = ZeroStage.Parameters)] public sealed partial class Net { readonly LayerStack<Wide> stack = new(8, () => new Wide(4096)); public Tensor Loss([Shape(131072, 4096), Split("dp", 0)] Tensor x) => Mean(Square(stack.Forward(x))); }
        """;

    /// <summary>Eight stages of products large enough to be judged; a row of the batch is a sequence.</summary>
    private static string Deep(int layers, int batch, string options) => Desk.Head + $$"""
        [DeviceMesh(Device = typeof(Devices.A100With80GB))] [MeshAxis("pp", 8, Role = AxisRole.Pipeline, Link = typeof(Links.NvLink3))] public sealed class Deep;
        [ShardedLayer] public sealed partial class Wide(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
        [ShardedOn<Deep>({{options}})] public sealed partial class Net { readonly LayerStack<Wide> stack = new({{layers}}, () => new Wide(2048)); public Tensor Loss([Shape({{batch}}, 512, 2048)] Tensor x) => Mean(Square(stack.Forward(x))); }
        """;

    private static string Stacked(string stages) => Desk.Head + $$"""
        [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Pipe;
        [ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); }
        [ShardedOn<Pipe>(MicroBatches = 4)] public sealed partial class Net
        {
            {{stages}}readonly LayerStack<Dense> stack = new(4, () => new Dense(6));
            public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(Square(stack.Forward(x)));
        }
        """;

    [Theory]
    [MemberData(nameof(Fixes))]
    public async Task AFixIsWrittenCompilesAndSilences(string id, string source, string key, string expected)
    {
        Desk desk = Desk.Of(source);
        Diagnostic diagnostic = Assert.Single(await desk.Live(), d => d.Id == id);
        List<CodeAction> actions = await desk.Fixes(diagnostic);
        Assert.True(actions.Exists(a => a.EquivalenceKey == key), $"offered: {string.Join(", ", actions.Select(a => a.EquivalenceKey))}");
        Desk after = await desk.Apply(actions.First(a => a.EquivalenceKey == key));
        Assert.Contains(expected, after.Text(), StringComparison.Ordinal);
        Assert.Empty(await after.Errors());
        Assert.DoesNotContain(await after.Live(), d => d.Id == id);
        Assert.DoesNotContain(await after.Build(), d => d.Severity == DiagnosticSeverity.Error);
    }

    [Fact]
    public async Task TenFindingsOfOneFileAreFixedTogether()
    {
        string fields = string.Join("\n    ", Enumerable.Range(0, 10).Select(i => $"[Split(\"tpp\", {i % 2})] readonly Tensor w{i} = Parameter(6, 6);"));
        Desk desk = Desk.Of(Model("Mean(" + Enumerable.Range(0, 10).Aggregate("x", (x, i) => $"MatMul({x}, w{i})") + ")", fields));
        Assert.Equal(10, (await desk.Live()).Count(d => d.Id == "SW1001"));
        Desk after = await desk.FixAll("SW1001/nearest");
        Assert.Equal(10, after.Text().Split("[Split(\"tp\",").Length - 1);
        Assert.DoesNotContain(await after.Live(), d => d.Severity >= DiagnosticSeverity.Warning);
        Assert.Empty(await after.Errors());
    }

    /// <summary>Of ten products that do not match only the first is said, as what comes after it depends on it: each is fixed once it shows.</summary>
    [Fact]
    public async Task FindingsThatHideEachOtherAreFixedOneAfterAnother()
    {
        string fields = string.Join("\n    ", Enumerable.Range(0, 10).Select(i => $"readonly Tensor w{i} = Parameter(4, 6);"));
        Desk desk = Desk.Of(Model(string.Join(" + ", Enumerable.Range(0, 10).Select(i => $"Mean(MatMul(x, w{i}))")), fields));
        Assert.Single(await desk.Live(), d => d.Id == "SW0003");
        Desk after = await desk.FixAll("SW0003/transpose-second");
        Assert.Equal(10, after.Text().Split("Transpose(w").Length - 1);
        Assert.DoesNotContain(await after.Live(), d => d.Severity >= DiagnosticSeverity.Warning);
        Assert.Empty(await after.Errors());
    }

    [Fact]
    public async Task FixesReachTheFileThatHoldsTheConstant()
    {
        Desk desk = Desk.Of([
            ("Model.cs", Desk.Head + "[ShardedOn<Lab>] public sealed partial class Net { [Split(\"tp\", 1)] readonly Tensor w = Parameter(6, Sizes.Width); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); }"),
            ("Sizes.cs", "namespace My; public static class Sizes { public const int Width = 7; }"),
        ]);
        Diagnostic diagnostic = Assert.Single(await desk.Live());
        Desk after = await desk.FixAll("SW1003/up/Width", FixAllScope.Project);
        Assert.Contains("Width = 8;", after.Text("Sizes.cs"), StringComparison.Ordinal);
        Assert.Equal(desk.Text(), after.Text());
        Assert.DoesNotContain(await after.Live(), d => d.Id == diagnostic.Id);
    }

    [Fact]
    public async Task ABubbleThatNothingMakesSmallEnoughSaysWhatIsReached()
    {
        Desk desk = Desk.Of(Deep(layers: 8, batch: 2, "MicroBatches = 2"));
        Diagnostic found = Assert.Single(await desk.Live(), d => d.Id == "SW2004");
        Assert.Contains("no schedule with micro-batches that divide the batch of 2 gets below 20 %: Schedule = PipelineSchedule.ZeroBubbleH1 makes that ", found.GetMessage(), StringComparison.Ordinal);
        Assert.Empty(await desk.Fixes(found));
    }

    [Fact]
    public async Task WhatDoesNotFitIsMadeToFitBeforeItIsMadeFaster()
    {
        Desk desk = Desk.Of(Deep(layers: 8, batch: 64, "MicroBatches = 8")
            .Replace("typeof(Devices.A100With80GB)", "typeof(Small)", StringComparison.Ordinal) + """

            [DeviceSpec(MemoryBytes = 48L << 20, BandwidthGBs = 1500, Fp32TFlops = 19)] public sealed class Small;
            """);
        List<Diagnostic> found = [.. await desk.Live()];
        Assert.Contains(found, d => d.Id == "SW3001");
        Diagnostic bubble = Assert.Single(found, d => d.Id == "SW2004");
        Assert.Contains("; what makes it fit comes first (SW3001)", bubble.GetMessage(), StringComparison.Ordinal);
        Assert.Empty(await desk.Fixes(bubble));
    }

    /// <summary>Kernels whose launch takes longest: more micro-batches fill the pipeline, and the step takes longer. It is not said that no schedule would fill it.</summary>
    [Fact]
    public async Task ABubbleThatCouldBeSmallerInALongerStepIsSaidToBeThat()
    {
        Desk desk = Desk.Of(Deep(layers: 8, batch: 64, "MicroBatches = 8")
            .Replace("typeof(Devices.A100With80GB)", "typeof(Lazy)", StringComparison.Ordinal) + """

            [DeviceSpec(MemoryBytes = 80L << 30, BandwidthGBs = 1500, Fp32TFlops = 19, LaunchMicroseconds = 50000)] public sealed class Lazy;
            """);
        Diagnostic found = Assert.Single(await desk.Live(), d => d.Id == "SW2004");
        Assert.Contains("of the schedules with micro-batches that divide the batch of 64, none that was planned gets below 20 %", found.GetMessage(), StringComparison.Ordinal);
        Assert.Empty(await desk.Fixes(found));
    }

    /// <summary>Two axes ask for two multiples of one constant: what each fix would write alone is wrong for the other.</summary>
    [Fact]
    public async Task FixesThatMeetInOneConstantAreMadeOneAfterAnother()
    {
        Desk desk = Desk.Of(Desk.Head + """
            [DeviceMesh] [MeshAxis("a", 2)] [MeshAxis("b", 3)] public sealed class Six;
            [ShardedOn<Six>] public sealed partial class Net
            {
                const int Width = 7;
                [Split("a", 1)] readonly Tensor first = Parameter(6, Width);
                [Split("b", 1)] readonly Tensor second = Parameter(6, Width);
                public Tensor Loss([Shape(6, 6)] Tensor x) => Mean(MatMul(x, first) * MatMul(x, second));
            }
            """);
        Assert.Equal(2, (await desk.Live()).Count(d => d.Id == "SW1003"));
        Desk after = await desk.FixAll("SW1003/up/Width");
        Assert.Contains("Width = 12;", after.Text(), StringComparison.Ordinal);
        Assert.DoesNotContain(await after.Live(), d => d.Severity >= DiagnosticSeverity.Warning);
        Assert.Empty(await after.Errors());
    }

    /// <summary>Splits along two axes were each chosen as if the other were not there; in another class they have nothing to do with each other.</summary>
    [Fact]
    public async Task SplitsAreChosenOneAfterAnother()
    {
        Desk desk = Desk.Of(Desk.Head + """
            [DeviceMesh(Device = typeof(Devices.A100With80GB))]
            [MeshAxis("tp", 4, Role = AxisRole.Tensor, Link = typeof(Links.NvLink3))] [MeshAxis("ep", 2, Role = AxisRole.Tensor, Link = typeof(Links.NvLink3))] public sealed class Eight;
            [ShardedLayer] public sealed partial class FeedForward(int hidden, int inner)
            {
                readonly Tensor up = Parameter(hidden, inner);
                readonly Tensor down = Parameter(inner, hidden);
                public Tensor Forward(Tensor x) => x + MatMul(Gelu(MatMul(x, up)), down);
            }
            [ShardedOn<Eight>] public sealed partial class Net
            {
                readonly FeedForward body = new(2048, 8192);
                readonly Tensor up = Parameter(2048, 8192);
                readonly Tensor down = Parameter(8192, 2048);
                public Tensor Loss([Shape(8192, 2048)] Tensor x) => Mean(Square(MatMul(Gelu(MatMul(body.Forward(x), up)), down)));
            }
            """);
        Assert.True((await desk.Live()).Count(d => d.Id == "SW1007") > 1);
        Desk after = await desk.FixAll("SW1007/split");
        Assert.DoesNotContain(await after.Live(), d => d.Id == "SW1007" || d.Severity == DiagnosticSeverity.Error);
        Assert.Empty(await after.Errors());
    }

    [Fact]
    public void EveryFixableIdIsADiagnostic() =>
        Assert.Empty(new CodeFixes.FindingsCodeFix().FixableDiagnosticIds.Except(new Analyzers.FindingsAnalyzer().SupportedDiagnostics.Select(d => d.Id)));
}
