using System.Globalization;
using Microsoft.CodeAnalysis.CSharp;

namespace Shardwright.Editor.Tests;

/// <summary>What an editor does to diagnostics: severities, pragmas, thresholds, files one by one, code that is half typed, unusual code.</summary>
public sealed class LiveTests
{
    private const string Idle = Desk.Head + """
        [ShardedOn<Lab>] public sealed partial class Net
        {
            readonly Tensor w = Parameter(6, 4);
        #pragma warning disable SW0000
            readonly Tensor idle = Parameter(3);
        #pragma warning restore SW0000
            public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w));
        }
        """;

    /// <summary>Each rule that may be configured, with a source of the corpus that fires it.</summary>
    public static TheoryData<string> Configurable => [.. new Analyzers.FindingsAnalyzer().SupportedDiagnostics.Where(d => !d.CustomTags.Contains(WellKnownDiagnosticTags.NotConfigurable)).Select(d => d.Id)
        .Where(id => BadPartitions.All.Any(b => b.Id == id) || id is "SW9001")];

    [Theory]
    [MemberData(nameof(Configurable))]
    public async Task SeverityAndPragmaAreHonoured(string id)
    {
        string marked = id == "SW9001" ? "[«ShardedOn<Lab>»] public sealed partial class Net { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); }" : BadPartitions.All.First(b => b.Id == id).Source;
        string source = Desk.Head + marked.Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal);
        Assert.Contains(await Desk.Of(source).Live(), d => d.Id == id);
        Assert.DoesNotContain(await Desk.Of(source, $"dotnet_diagnostic.{id}.severity = none").Live(), d => d.Id == id);
        Assert.All((await Desk.Of(source, $"dotnet_diagnostic.{id}.severity = error").Live()).Where(d => d.Id == id), d => Assert.Equal(DiagnosticSeverity.Error, d.Severity));
        Assert.DoesNotContain(await Desk.Of($"#pragma warning disable {id}\n" + source).Live(), d => d.Id == id);
    }

    [Fact]
    public async Task APragmaAroundALineIsHonoured()
    {
        Assert.Equal("SW0006", Assert.Single(await Desk.Of(Idle).Live(), d => d.Severity >= DiagnosticSeverity.Warning).Id);
        Assert.DoesNotContain(await Desk.Of(Idle.Replace("SW0000", "SW0006", StringComparison.Ordinal)).Live(), d => d.Id == "SW0006");
    }

    [Fact]
    public async Task AnErrorWithoutAPlanStays()
    {
        string source = FixTests.Model(fields: "[Split(\"tpp\", 0)] readonly Tensor w = Parameter(6, 4);");
        Diagnostic found = Assert.Single(await Desk.Of("#pragma warning disable SW1001\n" + source, "dotnet_diagnostic.SW1001.severity = none").Live());
        Assert.Equal(("SW1001", DiagnosticSeverity.Error), (found.Id, found.Severity));
    }

    /// <summary>4 MiB gathered over two ranks: each receives 2 MiB, at a gigabyte a second in 2.1 ms.</summary>
    [Fact]
    public async Task AHiddenMoveSaysHowLongItTakesOnItsLink()
    {
        string source = """
            using Shardwright;
            using static Shardwright.Ops;
            namespace My;
            [LinkSpec(BandwidthGBs = 1, LatencyMicroseconds = 0)] public sealed class Slow;
            [DeviceMesh] [MeshAxis("tp", 2, Link = typeof(Slow))] public sealed class Lab;
            [ShardedOn<Lab>] public sealed partial class Net
            {
                [Split("tp", 1)] readonly Tensor up = Parameter(1024, 4096);
                [Split("tp", 1)] readonly Tensor down = Parameter(4096, 1024);
                public Tensor Loss([Shape(256, 1024)] Tensor x) => Mean(Square(MatMul(Gelu(MatMul(x, up)), down)));
            }
            """;
        Diagnostic found = Assert.Single(await Desk.Of(source).Live(), d => d.Id == "SW1010");
        Assert.Matches(@"\(2 MiB for each rank and step, 2\.1\d* ms\)", found.GetMessage(CultureInfo.InvariantCulture));
    }

    [Theory]
    [InlineData("shardwright.imbalance_percent", "SW2002", "900")]
    [InlineData("shardwright.bubble_percent", "SW2004", "99")]
    [InlineData("shardwright.exposed_communication_percent", "SW4001", "99.9")]
    [InlineData("shardwright.memory_headroom_percent", "SW3002", "0.001")]
    [InlineData("shardwright.hidden_reshard_bytes", "SW1010", "1e12")]
    public async Task AThresholdIsRead(string key, string id, string value)
    {
        string source = Desk.Head + BadPartitions.All.First(b => b.Id == id).Source.Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal);
        Assert.Contains(key, Analyzers.Thresholds.Keys);
        Assert.Contains(await Desk.Of(source).Live(), d => d.Id == id);
        Assert.DoesNotContain(await Desk.Of(source, $"{key} = {value}").Live(), d => d.Id == id);
    }

    [Fact]
    public async Task EachFileShowsItsOwn()
    {
        Desk desk = Desk.Of([
            ("Layer.cs", "using Shardwright; using static Shardwright.Ops; namespace My; [ShardedLayer] public sealed partial class Dense(int n) { [Split(\"tp\", 1)] readonly Tensor w = Parameter(6, n); public Tensor Forward(Tensor x) => MatMul(x, w); }"),
            ("Model.cs", Desk.Head + "[ShardedOn<Lab>] public sealed partial class Net { readonly Dense dense = new(5); readonly Tensor idle = Parameter(2); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(dense.Forward(x)); }"),
        ]);
        Assert.Equal(["SW1003"], (await desk.Live("Layer.cs")).Select(d => d.Id));
        Assert.Equal(["SW0006"], (await desk.Live()).Select(d => d.Id));
        Assert.Equal(["SW1003", "SW0006"], (await desk.Build()).Select(d => d.Id));
    }

    /// <summary>A model cut off anywhere: the compiler says what is missing, and we say nothing of our own about it.</summary>
    [Theory]
    [InlineData("Mean(MatMul(x, w)")]
    [InlineData("Mean(MatMul(x, ")]
    [InlineData("Mean(MatMul(x, w.")]
    [InlineData("Mean(x + )")]
    [InlineData("Mean(MatMul(x, nothing))")]
    [InlineData("Mean(MatMul(x, w), 1, 2, 3)")]
    [InlineData("")]
    [InlineData("x is")]
    [InlineData("Mean(MatMul(x, \"w\"))")]
    public async Task HalfTypedCodeIsLeftToTheCompiler(string loss)
    {
        Desk desk = Desk.Of(FixTests.Model(loss));
        ImmutableArray<Diagnostic> found = await desk.Live();
        Assert.DoesNotContain(found, d => d.Id is "AD0001");
        Assert.True(found.All(d => d.Severity < DiagnosticSeverity.Warning), string.Join("\n", found));
        await desk.Errors();
    }

    [Fact]
    public async Task AModelCutOffAnywhereThrowsNothing()
    {
        string source = Desk.Head + GoodModels.All.Single(g => g.Name == "an MLP-Mixer").Source;
        for (int length = Desk.Head.Length; length < source.Length; length += 41)
        {
            Desk desk = Desk.Of(source[..length]);
            Assert.DoesNotContain(await desk.Live(), d => d.Id == "AD0001");
            await desk.Errors();
        }
    }

    public static TheoryData<string, string, string?> Unusual => new()
    {
        { "two models of one name", "namespace One { using My; using Shardwright; using static Shardwright.Ops; [ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); } } namespace Two { using My; using Shardwright; using static Shardwright.Ops; [ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(3, 4); public Tensor Loss([Shape(8, 3)] Tensor x) => Mean(MatMul(x, w)); } }", null },
        { "a nested model", "namespace One { using My; using Shardwright; using static Shardwright.Ops; public partial class Outer { public static partial class Middle { [ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); } } } }", null },
        { "a record", "namespace One { using My; using Shardwright; using static Shardwright.Ops; [ShardedOn<Lab>] public sealed partial record Net { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); } }", null },
        { "a generic layer", "namespace One { using My; using Shardwright; using static Shardwright.Ops; [ShardedLayer] public sealed partial class Dense<T> { readonly Tensor w = Parameter(6, 4); public Tensor Forward(Tensor x) => MatMul(x, w); } }", "pass what differs to the constructor" },
        { "the global namespace", "[Shardwright.ShardedOn<My.Lab>] public sealed partial class Net { readonly Shardwright.Tensor w = Shardwright.Ops.Parameter(6, 4); public Shardwright.Tensor Loss([Shardwright.Shape(8, 6)] Shardwright.Tensor x) => Shardwright.Ops.Mean(Shardwright.Ops.MatMul(x, w)); }", null },
    };

    [Theory]
    [MemberData(nameof(Unusual))]
    public async Task UnusualCodeWorksOrIsToldWhatToChange(string what, string source, string? says)
    {
        Desk desk = Desk.Of("namespace My { using Shardwright; [DeviceMesh] [MeshAxis(\"dp\", 2)] [MeshAxis(\"tp\", 2)] public sealed class Lab; }\n" + source);
        ImmutableArray<Diagnostic> found = [.. (await desk.Live()).Where(d => d.Severity >= DiagnosticSeverity.Warning)];
        Assert.True(says is null ? found.Length == 0 : found.Length == 1 && found[0].GetMessage().Contains(says, StringComparison.Ordinal), $"{what}: {string.Join("\n", found)}");
        Assert.Empty(await desk.Errors());
    }

    [Theory]
    [InlineData(LanguageVersion.CSharp12)]
    [InlineData(LanguageVersion.CSharp13)]
    public async Task NullableMayBeOff(LanguageVersion version)
    {
        Desk desk = Desk.Of([("Model.cs", FixTests.Model())], version: version, nullable: NullableContextOptions.Disable);
        Assert.DoesNotContain(await desk.Live(), d => d.Severity >= DiagnosticSeverity.Warning);
        Assert.Empty(await desk.Errors());
    }

    [Fact]
    public async Task AnOldLanguageVersionIsToldWhatToChange()
    {
        Desk desk = Desk.Of([("Model.cs", FixTests.Model().Replace("class Lab;", "class Lab { }", StringComparison.Ordinal))], version: LanguageVersion.CSharp11);
        Diagnostic found = Assert.Single(await desk.Live(), d => d.Severity >= DiagnosticSeverity.Warning);
        Assert.Contains("<LangVersion>12</LangVersion>", found.GetMessage(), StringComparison.Ordinal);
        Assert.Empty(await desk.Errors());
    }
}
