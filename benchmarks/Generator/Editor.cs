using System.Diagnostics;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Microsoft.CodeAnalysis.Text;
using Shardwright.Analyzers;
using Shardwright.Generators;

namespace Shardwright.Benchmarks;

/// <summary>What one run of the generator took.</summary>
/// <param name="Wall">Time of day.</param>
/// <param name="Processor">Processor time of the process.</param>
/// <param name="Allocated">Bytes allocated on the way.</param>
internal readonly record struct Cost(TimeSpan Wall, TimeSpan Processor, long Allocated);

/// <summary>A project under an incremental driver, as a compiler server or an editor holds it.</summary>
internal sealed class Editor
{
    private static readonly CSharpParseOptions s_options = new(LanguageVersion.Latest);
    private static readonly ImmutableArray<MetadataReference> s_references =
    [
        .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(p => Path.GetFileName(p).StartsWith("System.", StringComparison.Ordinal) || Path.GetFileName(p) is "mscorlib.dll" or "netstandard.dll").Select(p => MetadataReference.CreateFromFile(p)),
        MetadataReference.CreateFromFile(typeof(Tensor).Assembly.Location),
    ];

    private static int s_count;
    private CSharpCompilation _compilation;
    private GeneratorDriver _driver;

    /// <summary>Opens a project; no plan of another one is known in it, since its assembly has a name of its own.</summary>
    public Editor(params (string Path, string Text)[] files)
    {
        _compilation = CSharpCompilation.Create(
            "Project" + s_count++, files.Select(f => CSharpSyntaxTree.ParseText(f.Text, s_options, f.Path)), s_references,
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: NullableContextOptions.Enable));
        // Symbols of references are read by the compiler whether there is a generator or not.
        _ = _compilation.GetDiagnostics().Length;
        _driver = CSharpGeneratorDriver.Create([new ShardwrightGenerator().AsSourceGenerator()], parseOptions: s_options);
    }

    /// <summary>What was generated, by name.</summary>
    public IReadOnlyDictionary<string, string> Sources => _driver.GetRunResult().Results[0].GeneratedSources.ToDictionary(s => s.HintName, s => s.SourceText.ToString());

    /// <summary>Replaces text in a file, as typing does.</summary>
    public void Edit(string path, string before, string after)
    {
        SyntaxTree tree = _compilation.SyntaxTrees.Single(t => t.FilePath == path);
        SourceText text = tree.GetText();
        int start = text.ToString().IndexOf(before, StringComparison.Ordinal);
        _compilation = start < 0
            ? throw new ArgumentException($"'{before}' is not in {path}")
            : _compilation.ReplaceSyntaxTree(tree, tree.WithChangedText(text.WithChanges(new TextChange(new TextSpan(start, before.Length), after))));
    }

    /// <summary>Runs the generator.</summary>
    public Cost Run()
    {
        TimeSpan processor = Environment.CpuUsage.TotalTime;
        long bytes = GC.GetTotalAllocatedBytes(precise: true), start = Stopwatch.GetTimestamp();
        _driver = _driver.RunGenerators(_compilation);
        var cost = new Cost(Stopwatch.GetElapsedTime(start), Environment.CpuUsage.TotalTime - processor, GC.GetTotalAllocatedBytes(precise: true) - bytes);
        return _driver.GetRunResult().Results[0].Exception is { } fault ? throw fault : cost;
    }

    /// <summary>Asks for the diagnostics of one file, as an editor does while one types in it: no generator has run for this text.</summary>
    /// <param name="path">The file.</param>
    /// <param name="analyzer">Who is asked; ours if null.</param>
    public Cost Live(string path, DiagnosticAnalyzer? analyzer = null)
    {
        SyntaxTree tree = _compilation.SyntaxTrees.Single(t => t.FilePath == path);
        CompilationWithAnalyzers analysis = _compilation.WithAnalyzers([analyzer ?? new FindingsAnalyzer()]);
        SemanticModel model = _compilation.GetSemanticModel(tree);
        TimeSpan processor = Environment.CpuUsage.TotalTime;
        long bytes = GC.GetTotalAllocatedBytes(precise: true), start = Stopwatch.GetTimestamp();
        ImmutableArray<Diagnostic> found = analysis.GetAnalyzerSemanticDiagnosticsAsync(model, null, default).GetAwaiter().GetResult();
        var cost = new Cost(Stopwatch.GetElapsedTime(start), Environment.CpuUsage.TotalTime - processor, GC.GetTotalAllocatedBytes(precise: true) - bytes);
        return found.FirstOrDefault(d => d.Severity == DiagnosticSeverity.Error) is { } error ? throw new InvalidOperationException(error.ToString()) : cost;
    }
}

/// <summary>Asks for the same as ours and does nothing: what is left is Roslyn's own.</summary>
#pragma warning disable RS1001, RS1036 // It is handed to the driver by hand, and reports nothing.
internal sealed class Idler : DiagnosticAnalyzer
{
    public override ImmutableArray<DiagnosticDescriptor> SupportedDiagnostics { get; } = new FindingsAnalyzer().SupportedDiagnostics;

    public override void Initialize(AnalysisContext context)
    {
        context.ConfigureGeneratedCodeAnalysis(GeneratedCodeAnalysisFlags.None);
        context.EnableConcurrentExecution();
        context.RegisterSymbolAction(static _ => { }, SymbolKind.NamedType);
    }
}
