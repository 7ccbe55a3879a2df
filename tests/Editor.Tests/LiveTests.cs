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

    /// <summary>4 MiB gathered over two ranks: each receives 2 MiB, at the planned four fifths of a gigabyte a second in 2.62 ms.</summary>
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
        Assert.Contains("(2 MiB for each rank and step, 2.62 ms)", found.GetMessage(CultureInfo.InvariantCulture), StringComparison.Ordinal);
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

    /// <summary>What is offered has to stay below the threshold of the file, not below the usual one.</summary>
    [Theory]
    [InlineData("12", "Schedule = PipelineSchedule.ZeroBubbleH1, MicroBatches = 32", 12)]
    [InlineData("20", "MicroBatches = 64", 20)]
    [InlineData("28", "Schedule = PipelineSchedule.GPipe, MicroBatches = 32", 28)]
    public async Task OffersStayBelowTheThresholdOfTheFile(string percent, string offered, double limit)
    {
        string source = Desk.Head + Rule.Plain(BadPartitions.All.First(b => b.Name == "a few micro-batches on many stages").Source);
        Desk desk = Desk.Of(source, $"shardwright.bubble_percent = {percent}");
        Diagnostic found = Assert.Single(await desk.Live(), d => d.Id == "SW2004");
        List<Microsoft.CodeAnalysis.CodeActions.CodeAction> actions = await desk.Fixes(found);
        Assert.Contains(offered, found.GetMessage(CultureInfo.InvariantCulture), StringComparison.Ordinal);
        Assert.NotEmpty(actions);
        Assert.All(actions, a => Assert.True(double.Parse(a.Title.Split("bubble ")[1].Split(' ')[0], CultureInfo.InvariantCulture) <= limit, a.Title));
        foreach (Microsoft.CodeAnalysis.CodeActions.CodeAction action in actions)
        {
            Assert.DoesNotContain(await (await desk.Apply(action)).Live(), d => d.Id == "SW2004");
        }
    }

    /// <summary>A larger share than the usual one is heeded too: who shares a device wants to hear of it early.</summary>
    [Theory]
    [InlineData("55", true)]
    [InlineData("45", false)]
    public async Task HeadroomIsAskedForInAnyShare(string percent, bool reported)
    {
        // A device that is filled to the brim, twice as large: about half of it is left.
        string source = Desk.Head + BadPartitions.All.First(b => b.Id == "SW3002").Source.Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal).Replace("MemoryBytes = 35 <<", "MemoryBytes = 70 <<", StringComparison.Ordinal);
        Assert.DoesNotContain(await Desk.Of(source).Live(), d => d.Id == "SW3002");
        Assert.Equal(reported, (await Desk.Of(source, $"shardwright.memory_headroom_percent = {percent}").Live()).Any(d => d.Id == "SW3002"));
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

    public static TheoryData<string, string, string?> Unusual => new()
    {
        { "two models of one name", "namespace One { using My; using Shardwright; using static Shardwright.Ops; [ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); } } namespace Two { using My; using Shardwright; using static Shardwright.Ops; [ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(3, 4); public Tensor Loss([Shape(8, 3)] Tensor x) => Mean(MatMul(x, w)); } }", null },
        { "a nested model", "namespace One { using My; using Shardwright; using static Shardwright.Ops; public partial class Outer { public static partial class Middle { [ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); } } } }", null },
        { "a record", "namespace One { using My; using Shardwright; using static Shardwright.Ops; [ShardedOn<Lab>] public sealed partial record Net { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); } }", null },
        { "a generic layer", "namespace One { using My; using Shardwright; using static Shardwright.Ops; [ShardedLayer] public sealed partial class Dense<T> { readonly Tensor w = Parameter(6, 4); public Tensor Forward(Tensor x) => MatMul(x, w); } }", "pass what differs to the constructor" },
        { "a generic model", Own("[ShardedOn<Lab>] public sealed partial class Net<T> { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); }"), "'Net' is generic" },
        { "a model in a generic class", Own("public partial class Outer<T> { [ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); } }"), "generic" },
        { "a model of one file", Own("[ShardedOn<Lab>] file sealed partial class Net { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); }"), "leave out 'file'" },
        { "a model in a record, a struct and an interface", Own("public partial record Outer { public partial struct Middle { public partial interface IInner { [ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); } } } }"), null },
        { "a private nested layer", Own("[ShardedOn<Lab>] public sealed partial class Net { [ShardedLayer] private sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => MatMul(x, w); } readonly Dense dense = new(6); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(dense.Forward(x)); }"), null },
        { "a record with parameters as a layer", Own("[ShardedLayer] public sealed partial record Dense(int N) { readonly Tensor w = Parameter(N, N); public Tensor Forward(Tensor x) => MatMul(x, w); } [ShardedOn<Lab>] public sealed partial class Net { readonly Dense dense = new(6); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(dense.Forward(x)); }"), null },
        { "names that are keywords", Own("[ShardedLayer] public sealed partial class @class(int @int) { readonly Tensor @event = Parameter(@int, @int); public Tensor Forward(Tensor @in) => MatMul(@in, @event); } [ShardedOn<Lab>] public sealed partial class @new { readonly @class @base = new(6); public Tensor Loss([Shape(8, 6)] Tensor @this) => Mean(@base.Forward(@this)); }"), null },
        { "names of other alphabets", Own("[ShardedOn<Lab>] public sealed partial class Модель { readonly Tensor größe = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, größe)); }"), null },
        { "an abstract model", Own("[ShardedOn<Lab>] public abstract partial class Net { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); }"), null },
        { "a model in three parts", Own("[ShardedOn<Lab>] public sealed partial class Net; public sealed partial class Net { readonly Tensor w = Parameter(6, 4); } public sealed partial class Net { public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); }"), null },
        { "two layers of one name, one of them nested", Own("[ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => MatMul(x, w); } public static partial class Other { [ShardedLayer] public sealed partial class Dense(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => Gelu(MatMul(x, w)); } } [ShardedOn<Lab>] public sealed partial class Net { readonly Dense dense = new(6); readonly Other.Dense other = new(6); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(other.Forward(dense.Forward(x))); }"), null },
        { "the global namespace", "[Shardwright.ShardedOn<My.Lab>] public sealed partial class Net { readonly Shardwright.Tensor w = Shardwright.Ops.Parameter(6, 4); public Shardwright.Tensor Loss([Shardwright.Shape(8, 6)] Shardwright.Tensor x) => Shardwright.Ops.Mean(Shardwright.Ops.MatMul(x, w)); }", null },
    };

    private static string Own(string source) => "namespace One { using My; using Shardwright; using static Shardwright.Ops; " + source + " }";

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

    /// <summary>Before C# 11 an attribute has no type arguments: the compiler says which version has, and we add nothing.</summary>
    [Theory]
    [InlineData(LanguageVersion.CSharp7_3)]
    [InlineData(LanguageVersion.CSharp9)]
    [InlineData(LanguageVersion.CSharp10)]
    public async Task AVeryOldLanguageVersionIsToldByTheCompiler(LanguageVersion version)
    {
        const string Source = "using Shardwright; using static Shardwright.Ops; namespace My { [DeviceMesh] public sealed class Lab { } [ShardedOn<Lab>] public sealed partial class Net { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) { return Mean(MatMul(x, w)); } } }";
        Desk desk = Desk.Of([("Model.cs", Source)], version: version, nullable: NullableContextOptions.Disable);
        Assert.Contains((await desk.Project.GetCompilationAsync())!.GetDiagnostics(), d => d.Severity == DiagnosticSeverity.Error && d.GetMessage().Contains("11.0", StringComparison.Ordinal));
        Assert.DoesNotContain(await desk.Live(), d => d.Severity >= DiagnosticSeverity.Warning);
        await desk.Errors();
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
