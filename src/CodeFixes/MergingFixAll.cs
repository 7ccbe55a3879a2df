using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;

namespace Shardwright.CodeFixes;

/// <summary>Applies the fixes of one key to all diagnostics in scope; what they make of each other is looked at again.</summary>
internal sealed class MergingFixAll : FixAllProvider
{
    /// <summary>The provider; it has no state.</summary>
    public static MergingFixAll Instance { get; } = new();

    /// <inheritdoc/>
    public override IEnumerable<FixAllScope> GetSupportedFixAllScopes() => new[] { FixAllScope.Document, FixAllScope.Project, FixAllScope.Solution };

    /// <inheritdoc/>
    public override async Task<CodeAction?> GetFixAsync(FixAllContext context)
    {
        var diagnostics = new List<Diagnostic>();
        switch (context.Scope)
        {
            case FixAllScope.Document when context.Document is { } document:
                diagnostics.AddRange(await context.GetDocumentDiagnosticsAsync(document).ConfigureAwait(false));
                break;
            case FixAllScope.Project:
                diagnostics.AddRange(await context.GetAllDiagnosticsAsync(context.Project).ConfigureAwait(false));
                break;
            default:
                foreach (Project project in context.Solution.Projects)
                {
                    diagnostics.AddRange(await context.GetAllDiagnosticsAsync(project).ConfigureAwait(false));
                }

                break;
        }

        string key = context.CodeActionEquivalenceKey ?? "";
        List<PlacedFix> fixes = diagnostics.SelectMany(PlacedFix.Of).Where(f => f.Key == key).ToList();
        return fixes.Count == 0 ? null : CodeAction.Create(
            fixes[0].Title, token => new FixAllRun(context.Solution, key, context.Document, context.Scope == FixAllScope.Solution ? context.Solution.ProjectIds : new[] { context.Project.Id }, token).Run(fixes), key);
    }
}
