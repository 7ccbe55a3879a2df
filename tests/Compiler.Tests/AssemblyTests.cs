using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Shardwright.Compiler.Tests;

/// <summary>Layers travel in an attribute through assemblies; what cannot be read is said at the model's field.</summary>
public sealed class AssemblyTests
{
    private const string Inner = """
        using Shardwright;
        using static Shardwright.Ops;
        namespace Far;
        [ShardedLayer] public sealed partial class Dense(int from, int to)
        {
            readonly Tensor weight = Parameter(from, to);
            public Tensor Weight => weight;
            public Tensor Forward(Tensor x) => MatMul(x, weight);
        }
        """;

    private const string Middle = """
        using Shardwright;
        using static Shardwright.Ops;
        namespace Near;
        [ShardedLayer] public sealed partial class Twice(int width)
        {
            readonly Far.Dense first = new(width, 2 * width);
            readonly Far.Dense second = new(2 * width, width);
            public Tensor Forward(Tensor x) => second.Forward(Gelu(first.Forward(x)));
        }
        """;

    private const string Model = AnalysisTests.Head + """
        [ShardedOn<Lab>] public sealed partial class Net
        {
            readonly LayerStack<Near.Twice> layers = new(3, () => new Near.Twice(8));
            public Tensor Loss([Shape(4, 8), Split("dp", 0)] Tensor x) => Mean(Square(layers.Forward(x)));
        }
        """;

    [Fact]
    public async Task ALayerOfALayerOfAnotherAssemblyIsFound()
    {
        MetadataReference inner = Emit("Far", [], Inner), middle = Emit("Near", [inner], Middle);
        CSharpCompilation model = AnalysisTests.CompileAs("My", [inner, middle], Model);
        Assert.Empty(await AnalysisTests.Diagnose(model));
        (Compilation output, GeneratorRunResult result) = AnalysisTests.Generate(model);
        Assert.Empty(output.GetDiagnostics().Where(d => d.Severity >= DiagnosticSeverity.Warning));
        string stage = result.GeneratedSources.Single(s => s.HintName == "My.Net.OnLab.Stage0.g.cs").SourceText.ToString();
        Assert.Contains("layersFirstWeight", stage, StringComparison.Ordinal);
        Assert.Contains("layersSecondWeight", stage, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "SW0007", "built without the Shardwright generator")]
    [InlineData("[ShardwrightGraph(\"99;99;(x)\")]", "SW0010", "newer")]
    [InlineData("[ShardwrightGraph(\"1;1;(x\")]", "SW0007", "cannot be read")]
    [InlineData("[ShardwrightGraph(\"\")]", "SW0007", "cannot be read")]
    public async Task ALayerThatCannotBeReadIsNamedWhereItIsHeld(string attribute, string id, string says)
    {
        string source = Inner.Replace("sealed partial", "sealed", StringComparison.Ordinal).Replace("[ShardedLayer]", "[ShardedLayer] " + attribute, StringComparison.Ordinal);
        MetadataReference far = Emit("Far", [], source, generate: false);
        const string Marked = AnalysisTests.Head + """
            [ShardedOn<Lab>] public sealed partial class Net
            {
                readonly Far.Dense layer = «new(8, 8)»;
                public Tensor Loss([Shape(4, 8)] Tensor x) => Mean(layer.Forward(x));
            }
            """;
        int start = Marked.IndexOf('«', StringComparison.Ordinal);
        CSharpCompilation model = AnalysisTests.CompileAs("My", [far], Marked.Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal));
        Diagnostic diagnostic = Assert.Single(await AnalysisTests.Diagnose(model));
        Assert.Equal(id, diagnostic.Id);
        Assert.Contains(says, diagnostic.GetMessage(), StringComparison.Ordinal);
        Assert.Contains("'Dense' of assembly 'Far'", diagnostic.GetMessage(), StringComparison.Ordinal);
        FileLinePositionSpan line = diagnostic.Location.GetLineSpan();
        Assert.Equal(Marked[..start].Count(c => c == '\n'), line.StartLinePosition.Line);
        (Compilation output, GeneratorRunResult result) = AnalysisTests.Generate(model);
        Assert.Null(result.Exception);
        Assert.NotEmpty(output.GetTypeByMetadataName("My.Net")!.GetTypeMembers("OnLab").Single().GetTypeMembers("Rank"));
    }

    [Fact]
    public async Task AnUnusedParameterCanBeSilencedAndAnErrorCannot()
    {
        const string Unused = AnalysisTests.Head + """
            [ShardedOn<Lab>] public sealed partial class Net
            {
                readonly Tensor w = Parameter(6, 4);
            #pragma warning disable SW0006
                readonly Tensor idle = Parameter(3);
            #pragma warning restore SW0006
                public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w));
            }
            """;
        Assert.Empty(await AnalysisTests.Diagnose(AnalysisTests.Compile(Unused)));
        CSharpCompilation loud = AnalysisTests.Compile(Unused.Replace("#pragma warning", "// ", StringComparison.Ordinal));
        Assert.Equal(DiagnosticSeverity.Warning, Assert.Single(await AnalysisTests.Diagnose(loud)).Severity);
        Assert.Equal(DiagnosticSeverity.Error, Assert.Single(await AnalysisTests.Diagnose(loud.WithOptions(loud.Options.WithSpecificDiagnosticOptions([new("SW0006", ReportDiagnostic.Error)])))).Severity);
        Assert.Empty(await AnalysisTests.Diagnose(loud.WithOptions(loud.Options.WithSpecificDiagnosticOptions([new("SW0006", ReportDiagnostic.Suppress)]))));

        CSharpCompilation wrong = AnalysisTests.Compile("#pragma warning disable SW0003\n" + AnalysisTests.Head + """
            [ShardedOn<Lab>] public sealed partial class Net
            {
                readonly Tensor w = Parameter(6, 4);
                public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(w, x));
            }
            """);
        Assert.Equal("SW0003", Assert.Single(await AnalysisTests.Diagnose(wrong.WithOptions(wrong.Options.WithSpecificDiagnosticOptions([new("SW0003", ReportDiagnostic.Suppress)])))).Id);
    }

    private static MetadataReference Emit(string assembly, MetadataReference[] references, string source, bool generate = true)
    {
        Compilation compilation = AnalysisTests.CompileAs(assembly, references, source);
        if (generate)
        {
            (compilation, GeneratorRunResult result) = AnalysisTests.Generate(compilation);
            Assert.Null(result.Exception);
        }

        using var stream = new MemoryStream();
        var emitted = compilation.Emit(stream);
        Assert.True(emitted.Success, string.Join("\n", emitted.Diagnostics));
        return MetadataReference.CreateFromImage(stream.ToArray());
    }
}
