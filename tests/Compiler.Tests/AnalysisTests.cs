using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Shardwright.Analyzers;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Generators;

namespace Shardwright.Compiler.Tests;

/// <summary>Sources in, diagnostics and generated code out. «…» in a source marks where the diagnostic must be.</summary>
public sealed class AnalysisTests
{
    internal const string Head = """
        using Shardwright;
        using static Shardwright.Ops;
        namespace My;
        [DeviceMesh] [MeshAxis("dp", 2)] [MeshAxis("tp", 2)] public sealed class Lab;

        """;

    internal static readonly MetadataReference[] s_references =
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Where(p => Path.GetFileName(p).StartsWith("System.", StringComparison.Ordinal) || Path.GetFileName(p) is "mscorlib.dll" or "netstandard.dll")
            .Select(p => MetadataReference.CreateFromFile(p)),
        MetadataReference.CreateFromFile(typeof(Tensor).Assembly.Location),
    ];

    internal static CSharpCompilation Compile(params string[] sources) => CompileAs("My", [], sources);

    internal static CSharpCompilation CompileAs(string assembly, IEnumerable<MetadataReference> more, params string[] sources) => CompileAs(assembly, more, [.. sources.Select((s, i) => ($"File{i}.cs", s))]);

    internal static CSharpCompilation CompileAs(string assembly, IEnumerable<MetadataReference> more, IEnumerable<(string Path, string Text)> files) => CSharpCompilation.Create(
        assembly, files.Select(f => CSharpSyntaxTree.ParseText(f.Text, new CSharpParseOptions(LanguageVersion.CSharp12), f.Path)), [.. s_references, .. more],
        new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: NullableContextOptions.Enable));

    /// <summary>All warnings and errors: suggestions, as the plan in one line, good models have too.</summary>
    internal static async Task<ImmutableArray<Diagnostic>> Diagnose(Compilation compilation) => [.. (await DiagnoseAll(compilation)).Where(d => d.Severity >= DiagnosticSeverity.Warning)];

    internal static async Task<ImmutableArray<Diagnostic>> DiagnoseAll(Compilation compilation) =>
        await compilation.WithAnalyzers([new FindingsAnalyzer()]).GetAnalyzerDiagnosticsAsync();

    internal static (Compilation Output, GeneratorRunResult Result) Generate(Compilation compilation)
    {
        GeneratorDriver driver = CSharpGeneratorDriver.Create([new ShardwrightGenerator().AsSourceGenerator()], parseOptions: new CSharpParseOptions(LanguageVersion.CSharp12));
        driver = driver.RunGeneratorsAndUpdateCompilation(compilation, out Compilation output, out ImmutableArray<Diagnostic> _);
        return (output, driver.GetRunResult().Results[0]);
    }

    private static string Model(string loss, string fields = "readonly Tensor w = Parameter(6, 4);", string extra = "", string on = "[ShardedOn<Lab>]") => Head + $$"""
        {{on}}
        public sealed partial class Net
        {
            {{fields}}
            public Tensor Loss([Shape(8, 6)] Tensor x) => {{loss}};
            {{extra}}
        }
        """;

    public static TheoryData<string, string, string> Faults => new()
    {
        { "SW0001", Head + "[ShardedLayer] public sealed class «Plain» { readonly Tensor w = Parameter(4); public Tensor Forward(Tensor x) => x * w; }", "partial" },
        { "SW0001", Head + "public class «Outer» { [ShardedLayer] public sealed partial class Inner { readonly Tensor w = Parameter(4); public Tensor Forward(Tensor x) => x * w; } }", "partial" },
        { "SW0002", Model("Sum(Square(Helper(x)))", extra: "Tensor Helper(Tensor x) { «while (true)\n{ }» }", fields: "readonly Tensor w = Parameter(6, 4);"), "for loop" },
        { "SW0002", Model("Mean(MatMul(«new Tensor[] { x }.Length > 0 ? x : x» , w))".Replace("«new Tensor[] { x }.Length > 0 ? x : x»", "«System.Linq.Enumerable.First(new[] { x })»")), "Ops" },
        { "SW0002", Head + """
            [ShardedOn<Lab>] public sealed partial class Net
            {
                readonly Tensor w = Parameter(6, 4);
                public Tensor Loss([Shape(8, 6)] Tensor x, [Shape(8)] TokenTensor t) => «2f * CrossEntropy(MatMul(x, w), t)»;
            }
            """, "AddLoss" },
        { "SW0003", Model("Mean(«MatMul(x, Transpose(w))»)"), "[8, 6]" },
        { "SW0003", Model("Mean(«x + w»)"), "[6, 4]" },
        { "SW0003", Model("Mean(MatMul(x, w)) + Sum(«Reshape(w, 5, 5)»)"), "24" },
        { "SW0004", Head + """
            [ShardedOn<Lab>] public sealed partial class Net
            {
                readonly Tensor w = Parameter(6, 4);
                public Tensor Loss(Tensor «x») => Mean(x * 1f + Sum(w));
            }
            """, "[Shape" },
        { "SW0005", Head + "[ShardedLayer] public sealed partial class «Empty» { readonly Tensor w = Parameter(4); }", "Forward" },
        { "SW0005", Head + "[ShardedOn<Lab>] public sealed partial class «Empty» { readonly Tensor w = Parameter(4); public Tensor Forward(Tensor x) => x * w; }", "Loss" },
        { "SW0006", Model("Mean(MatMul(x, w))", fields: "readonly Tensor w = Parameter(6, 4); readonly Tensor «idle» = Parameter(3);"), "never used" },
        { "SW0008", Model("Mean(MatMul(x, w) + Sum(Greater(v, 0f * v)))", fields: "readonly Tensor w = Parameter(6, 4); readonly Tensor v = Parameter(3);").Replace("class Net", "class «Net»"), "'v'" },
        { "SW0009", Model("Mean(MatMul(x, w))", on: "[ShardedOn<Lab>, «ShardedOn<Lab>(MicroBatches = 2)»]"), "Name" },
        { "SW1001", Model("Mean(MatMul(x, w))", fields: "[«Split(\"tpp\", 0)»] readonly Tensor w = Parameter(6, 4);"), "'tp'" },
        { "SW1002", Model("Mean(MatMul(x, w))", fields: "[«Split(\"tp\", 2)»] readonly Tensor w = Parameter(6, 4);"), "0 to 1" },
        { "SW1003", Model("Mean(MatMul(x, w))", fields: "[«Split(\"tp\", 1)»] readonly Tensor w = Parameter(6, 5);"), "6 would" },
        { "SW1004", Model("Mean(MatMul(x, w))", fields: "[Split(\"tp\", 1), «Broadcast(\"tp\")»] readonly Tensor w = Parameter(6, 4);"), "keep either" },
        { "SW2003", Model("Mean(MatMul(x, w))", on: "[«ShardedOn<Lab>(MicroBatches = 3)»]"), "use 2" },
        { "SW2003", Model("Mean(MatMul(«Softmax(Transpose(x))», Transpose(w, 0, 1)))".Replace("Transpose(w, 0, 1)", "v"), fields: "readonly Tensor v = Parameter(8, 4);", on: "[ShardedOn<Lab>(MicroBatches = 2)]"), "MicroBatches = 1" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task AFaultIsReportedOnceAtTheExpression(string id, string marked, string says)
    {
        int start = marked.IndexOf('«', StringComparison.Ordinal), end = marked.IndexOf('»', StringComparison.Ordinal) - 1;
        CSharpCompilation compilation = Compile(marked.Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal));
        ImmutableArray<Diagnostic> found = await Diagnose(compilation);
        Diagnostic diagnostic = Assert.Single(found);
        Assert.Equal(id, diagnostic.Id);
        Assert.Contains(says, diagnostic.GetMessage(), StringComparison.Ordinal);
        Assert.Equal((start, end), (diagnostic.Location.SourceSpan.Start, diagnostic.Location.SourceSpan.End));

        // The generated type still exists: code that uses the model does not fail for that reason.
        if (marked.Contains("class Net", StringComparison.Ordinal))
        {
            (Compilation output, GeneratorRunResult result) = Generate(compilation);
            Assert.Null(result.Exception);
            INamedTypeSymbol on = Assert.Single(output.GetTypeByMetadataName("My.Net")!.GetTypeMembers("OnLab"));
            Assert.NotEmpty(on.GetTypeMembers("Rank").Single().GetMembers("TrainStep"));
            Assert.Empty(output.GetDiagnostics().Where(d => d.Severity == DiagnosticSeverity.Error));
        }
    }

    [Fact]
    public void AModelThatTrainsNothingCompilesWithoutAWarningInWhatIsWritten()
    {
        (Compilation output, GeneratorRunResult result) = Generate(Compile(Model("Mean(x)", fields: "")));
        Assert.Null(result.Exception);
        Assert.Contains(result.GeneratedSources, s => s.HintName == "My.Net.OnLab.Stage0.g.cs");
        Assert.Empty(output.GetDiagnostics().Where(d => d.Severity >= DiagnosticSeverity.Warning));
    }

    [Theory]
    [InlineData("Mean(MatMul(x, w))")]
    [InlineData("Mean(Gelu(MatMul(x, w), GeluForm.Erf))")]
    public async Task AGoodModelIsSilentAndCompiles(string loss)
    {
        CSharpCompilation compilation = Compile(Model(loss, fields: "[Split(\"tp\", 1)] readonly Tensor w = Parameter(6, 4);"));
        Assert.Empty(await Diagnose(compilation));
        (Compilation output, GeneratorRunResult result) = Generate(compilation);
        Assert.Null(result.Exception);
        Assert.Empty(output.GetDiagnostics().Where(d => d.Severity >= DiagnosticSeverity.Warning));
        Assert.Contains(result.GeneratedSources, s => s.HintName == "My.Net.OnLab.Stage0.g.cs");
    }

    [Fact]
    public async Task LanguageConstructsCompile()
    {
        CSharpCompilation compilation = Compile(Head + """
            public static class Sizes { public const int Inner = 2 * Base, Base = 3; }
            [ShardedLayer] public sealed partial class Deep(int n, bool twice, float scale = 0.5f)
            {
                readonly int half = n / 2;
                readonly Tensor w = Parameter(n, n);
                public Tensor Forward(Tensor x)
                {
                    for (int i = 0; i < 2; i++)
                    {
                        x = MatMul(x, w) * scale;
                        if (twice && i == 1) x += x;
                    }
                    var (a, b) = Split(x, 2, dim: -1);
                    (a, b) = (b, a);
                    x = Concat(-1, a, b);
                    return Reshape(x, x.Shape[0], -1, half) is var y ? Reshape(y, x.Shape[0], n) : x;
                }
            }
            [ShardedLayer] public sealed partial class Outer(int n) { readonly Deep inner = new(n, true); readonly LayerStack<Deep> more = new(2, () => new Deep(n, false, scale: 1f)); public Tensor Forward(Tensor x) => more.Forward(inner.Forward(x)); }
            [ShardedOn<Lab>] public sealed partial class Net
            {
                const int Batch = 8;
                readonly Outer first = new(Sizes.Inner);
                readonly LayerStack<Outer> rest = new(3, () => new(Sizes.Inner));
                public Tensor Loss([Shape(Batch, Sizes.Inner), Split("dp", dim: 0)] Tensor x)
                {
                    var y = Helper(rest.Forward(first.Forward(x)), 2f);
                    AddLoss(Square(y), 0.1f);
                    return Mean(Map(y, Bump));
                }
                Tensor Helper(Tensor x, float k) { return k * Tanh(x); }
                [Elementwise] static float Bump(float v) { var e = System.MathF.Exp(-v * v); return v > 0 ? e : 1 - e; }
            }
            """.Replace("return Reshape(x, x.Shape[0], -1, half) is var y ? Reshape(y, x.Shape[0], n) : x;", "var y = Reshape(x, x.Shape[0], -1, half); return Reshape(y, x.Shape[0], n);", StringComparison.Ordinal));
        Assert.Empty(await Diagnose(compilation));
        (Compilation output, GeneratorRunResult result) = Generate(compilation);
        Assert.Empty(output.GetDiagnostics().Where(d => d.Severity == DiagnosticSeverity.Error));
        Assert.Contains(result.GeneratedSources, s => s.HintName == "My.Net.OnLab.Plan.g.cs");
    }

    [Fact]
    public void ADefinitionSurvivesItsText()
    {
        CSharpCompilation compilation = Compile(Model("Mean(MatMul(x, w) * 2f - 1f)", extra: "const int N = 3;"));
        LayerDefinition definition = LayerExtractor.Extract(compilation.GetTypeByMetadataName("My.Net")!, compilation, default).Definition;
        string text = DefinitionText.Write(definition);
        Assert.StartsWith("2;1;", text, StringComparison.Ordinal);
        Assert.Equal(definition, DefinitionText.Read(text).Definition);
        Assert.True(DefinitionText.Read("9;9;(x)").IsNewer);
        for (int cut = 0; cut < text.Length; cut += 7)
        {
            Assert.Null(DefinitionText.Read(text[..cut]).Definition);
        }
    }
}
