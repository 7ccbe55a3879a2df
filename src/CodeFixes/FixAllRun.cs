using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;
using Shardwright.Analyzers;

namespace Shardwright.CodeFixes;

/// <summary>
/// All fixes of one key. Where one says nothing about another they are written together, and the result is analysed again: if something is left to be fixed, they have met in one place (two axes that want another
/// multiple of one constant) or one has hidden another (of shapes the first that do not match), and they are written one after another instead, each as it is offered once those before it are there. Fixes that were chosen for the step that they predict always go one
/// after another: what one split saves, the next may no longer.
/// </summary>
internal sealed class FixAllRun
{
    /// <summary>Fixes that are written one after another, each with an analysis of its own.</summary>
    private const int MostSteps = 64;

    private static readonly string[] s_priced = { "SW1007", "SW1008", "SW2002", "SW2004", "SW3001", "SW4001" };

    private readonly Solution _solution;
    private readonly string _key;
    private readonly string? _path;
    private readonly IReadOnlyList<ProjectId> _projects;
    private readonly CancellationToken _cancellation;

    /// <param name="solution">Where to start.</param>
    /// <param name="key">Key of the fixes.</param>
    /// <param name="document">The document whose diagnostics are fixed; null for those of whole projects.</param>
    /// <param name="projects">Projects in scope.</param>
    /// <param name="cancellation">Ends it.</param>
    public FixAllRun(Solution solution, string key, Document? document, IReadOnlyList<ProjectId> projects, CancellationToken cancellation)
    {
        _solution = solution;
        _key = key;
        _path = document?.FilePath ?? document?.Name;
        _projects = projects;
        _cancellation = cancellation;
    }

    /// <summary>The solution with what could be fixed.</summary>
    /// <param name="fixes">Fixes as they are offered now.</param>
    public async Task<Solution> Run(IReadOnlyList<PlacedFix> fixes)
    {
        bool priced = s_priced.Any(id => _key.StartsWith(id + "/", StringComparison.Ordinal));
        if (fixes.Count == 1 || !priced)
        {
            Solution? merged = await Rewriter.Apply(_solution, fixes.SelectMany(f => f.Edits), _cancellation).ConfigureAwait(false);
            if (merged is not null && (priced || Offered(await Look(merged).ConfigureAwait(false)).Count == 0))
            {
                return merged;
            }
        }

        return await OneByOne().ConfigureAwait(false);
    }

    private async Task<Solution> OneByOne()
    {
        Solution current = _solution;
        List<Diagnostic> found = await Look(current).ConfigureAwait(false);

        // As often as it is said now; what an earlier fix brings about is fixed once, so that two that undo each other come to an end.
        Dictionary<string, int> left = Offered(found).GroupBy(o => Text(o.Diagnostic)).ToDictionary(g => g.Key, g => g.Count());
        for (int step = 0; step < MostSteps; step++)
        {
            (Diagnostic diagnostic, PlacedFix fix) = Offered(found).FirstOrDefault(o => !left.TryGetValue(Text(o.Diagnostic), out int times) || times > 0);
            if (fix is null)
            {
                break;
            }

            string text = Text(diagnostic);
            left[text] = (left.TryGetValue(text, out int before) ? before : 1) - 1;
            if (await Rewriter.Apply(current, fix.Edits, _cancellation).ConfigureAwait(false) is not { } changed)
            {
                continue;
            }

            List<Diagnostic> then = await Look(changed).ConfigureAwait(false);

            // Advice must not make an error of what worked; where an error is fixed, another that it hid may show.
            if (diagnostic.Severity == DiagnosticSeverity.Error || Errors(then) <= Errors(found))
            {
                (current, found) = (changed, then);
            }
        }

        return current;
    }

    private static string Text(Diagnostic diagnostic) => diagnostic.Location.GetLineSpan().Path + ": " + diagnostic.GetMessage();

    private static int Errors(List<Diagnostic> found) => found.Count(d => d.Severity == DiagnosticSeverity.Error);

    private List<(Diagnostic Diagnostic, PlacedFix Fix)> Offered(List<Diagnostic> found) => found
        .Where(d => _path is null || d.Location.GetLineSpan().Path == _path)
        .SelectMany(d => PlacedFix.Of(d).Where(f => f.Key == _key).Select(f => (d, f))).ToList();

    /// <summary>What the analyzer says of a solution, thresholds and suppressions honoured.</summary>
    private async Task<List<Diagnostic>> Look(Solution solution)
    {
        var all = new List<Diagnostic>();
        foreach (Project project in _projects.Select(solution.GetProject).Where(p => p is not null)!)
        {
            if (await project.GetCompilationAsync(_cancellation).ConfigureAwait(false) is { } compilation)
            {
                var options = new CompilationWithAnalyzersOptions(project.AnalyzerOptions, onAnalyzerException: null, concurrentAnalysis: true, logAnalyzerExecutionTime: false);
                var analysis = new CompilationWithAnalyzers(compilation, ImmutableArray.Create<DiagnosticAnalyzer>(new FindingsAnalyzer()), options);
                all.AddRange((await analysis.GetAnalyzerDiagnosticsAsync(_cancellation).ConfigureAwait(false)).Where(d => !d.IsSuppressed));
            }
        }

        return all.OrderBy(d => d.Location.GetLineSpan().Path, StringComparer.Ordinal).ThenBy(d => d.Location.SourceSpan.Start).ToList();
    }
}
