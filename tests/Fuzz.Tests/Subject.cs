using System.Diagnostics;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.Diagnostics;
using Shardwright.Analyzers;
using Shardwright.Generators;

namespace Shardwright.Fuzz.Tests;

/// <summary>One input through generator and analyzers, and what must hold for every input.</summary>
internal static class Subject
{
    /// <summary>Wall time that one input may take, on a machine that does other things too.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private static readonly CSharpParseOptions s_options = new(LanguageVersion.CSharp12);

    /// <summary>References to the framework and the runtime; made once.</summary>
    private static readonly CSharpCompilation s_empty = CSharpCompilation.Create(
        "Fuzzed", [],
        [
            .. ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
                .Where(p => Path.GetFileName(p).StartsWith("System.", StringComparison.Ordinal) || Path.GetFileName(p) is "mscorlib.dll" or "netstandard.dll").Select(p => MetadataReference.CreateFromFile(p)),
            MetadataReference.CreateFromFile(typeof(Tensor).Assembly.Location),
        ],
        new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, nullableContextOptions: NullableContextOptions.Enable));

    /// <summary>What came out of an input.</summary>
    /// <param name="Fault">What must not be; empty where all is well.</param>
    /// <param name="Elapsed">Time of generator and analyzers.</param>
    /// <param name="Sources">Generated files by name.</param>
    /// <param name="Diagnostics">What the analyzers said.</param>
    public sealed record Outcome(string Fault, TimeSpan Elapsed, IReadOnlyDictionary<string, string> Sources, ImmutableArray<Diagnostic> Diagnostics);

    public static CSharpCompilation Compile(params (string Path, string Text)[] files) => s_empty.AddSyntaxTrees(files.Select(f => CSharpSyntaxTree.ParseText(f.Text, s_options, f.Path)));

    public static CSharpCompilation Compile(string text, MetadataReference? more = null, string assembly = "Fuzzed") =>
        (more is null ? s_empty : s_empty.AddReferences(more)).WithAssemblyName(assembly).AddSyntaxTrees(CSharpSyntaxTree.ParseText(text, s_options, "Model.cs"));

    /// <summary>Runs generator and analyzers on a compilation.</summary>
    /// <param name="compilation">The compilation.</param>
    /// <param name="whole">Whether all that was generated is compiled: that takes longer than all the rest.</param>
    public static async Task<Outcome> Run(CSharpCompilation compilation, bool whole = true)
    {
        using var limit = new CancellationTokenSource(Limit);
        var watch = Stopwatch.StartNew();
        var faults = new List<string>();
        IReadOnlyDictionary<string, string> sources = new Dictionary<string, string>();
        ImmutableArray<Diagnostic> diagnostics = [];
        try
        {
            GeneratorDriver driver = CSharpGeneratorDriver.Create([new ShardwrightGenerator().AsSourceGenerator()], parseOptions: s_options);
            driver = driver.RunGeneratorsAndUpdateCompilation(compilation, out Compilation output, out _, limit.Token);
            GeneratorRunResult result = driver.GetRunResult().Results[0];
            if (result.Exception is { } thrown)
            {
                faults.Add("the generator threw " + thrown);
            }
            else
            {
                sources = result.GeneratedSources.ToDictionary(s => s.HintName, s => s.SourceText.ToString());
                faults.AddRange(sources.Values.Where(t => t.Contains("the compiler failed:", StringComparison.Ordinal)).Select(t => t.Split('\n').First(l => l.Contains("the compiler failed:", StringComparison.Ordinal))));
            }

            var options = new CompilationWithAnalyzersOptions(new AnalyzerOptions([]), (thrown, _, _) => faults.Add("an analyzer threw " + thrown), concurrentAnalysis: false, logAnalyzerExecutionTime: false);
            diagnostics = await new CompilationWithAnalyzers(output, [new FindingsAnalyzer()], options).GetAnalyzerDiagnosticsAsync(limit.Token);
            Agree(output, whole, sources, diagnostics, faults, limit.Token);
        }
        catch (OperationCanceledException)
        {
            faults.Add($"it took more than {Limit.TotalSeconds} s");
        }

        if (watch.Elapsed > Limit)
        {
            faults.Add($"it took {watch.Elapsed.TotalSeconds:F0} s");
        }

        return new Outcome(string.Join("\n", faults.Distinct()), watch.Elapsed, sources, diagnostics);
    }

    /// <summary>Code that compiles either has a plan, whose program compiles, or an error that says why not; and never both.</summary>
    private static void Agree(Compilation output, bool whole, IReadOnlyDictionary<string, string> sources, ImmutableArray<Diagnostic> diagnostics, List<string> faults, CancellationToken cancellation)
    {
        ImmutableArray<Diagnostic> found = whole ? output.GetDiagnostics(cancellation) : [.. output.SyntaxTrees.Where(t => t.FilePath == "Model.cs").SelectMany(t => output.GetSemanticModel(t).GetDiagnostics(null, cancellation))];
        ImmutableArray<Diagnostic> errors = [.. found.Where(d => d.Severity == DiagnosticSeverity.Error)];
        if (errors.Any(e => e.Location.SourceTree?.FilePath == "Model.cs") || faults.Count > 0)
        {
            return;
        }

        bool refused = diagnostics.Any(d => d.Severity == DiagnosticSeverity.Error);
        bool surface = sources.Keys.Any(k => k.EndsWith(".Surface.g.cs", StringComparison.Ordinal));
        if (surface && !refused)
        {
            faults.Add("there is no plan and no error says why: " + sources.First(s => s.Key.EndsWith(".Surface.g.cs", StringComparison.Ordinal)).Value.Split('\n')[2]);
        }

        if (!refused && errors.Length > 0)
        {
            faults.Add("what was generated does not compile: " + errors[0]);
        }
    }
}
