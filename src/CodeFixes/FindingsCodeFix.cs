using System.Composition;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CodeFixes;
using Shardwright.Compiler.Graph;

namespace Shardwright.CodeFixes;

/// <summary>Offers the fixes that a finding carries: what to change was decided where the fault was found, here it is only written.</summary>
[ExportCodeFixProvider(LanguageNames.CSharp, Name = nameof(FindingsCodeFix))]
[Shared]
public sealed class FindingsCodeFix : CodeFixProvider
{
    /// <inheritdoc/>
    public override ImmutableArray<string> FixableDiagnosticIds { get; } = ImmutableArray.Create(
        "SW0001", "SW0003", "SW0006", "SW0009", "SW1001", "SW1003", "SW1004", "SW1005", "SW1006", "SW1007", "SW1008", "SW1010", "SW2001", "SW2002", "SW2003", "SW2004", "SW3001", "SW3004", "SW4001");

    /// <inheritdoc/>
    public override FixAllProvider GetFixAllProvider() => MergingFixAll.Instance;

    /// <inheritdoc/>
    public override async Task RegisterCodeFixesAsync(CodeFixContext context)
    {
        foreach (Diagnostic diagnostic in context.Diagnostics)
        {
            foreach (PlacedFix fix in PlacedFix.Of(diagnostic))
            {
                // A fix that cannot be written (a constant that is computed, a string held elsewhere) is not offered.
                if (await Rewriter.Apply(context.Document.Project.Solution, fix.Edits, context.CancellationToken).ConfigureAwait(false) is not null)
                {
                    context.RegisterCodeFix(CodeAction.Create(
                        fix.Title, async token => await Rewriter.Apply(context.Document.Project.Solution, fix.Edits, token).ConfigureAwait(false) ?? context.Document.Project.Solution, fix.Key), diagnostic);
                }
            }
        }
    }
}

/// <summary>An edit with the place that it is made at.</summary>
internal sealed record PlacedEdit(FixEdit Edit, Location Place);

/// <summary>A fix as it came with a diagnostic.</summary>
internal sealed record PlacedFix(string Title, string Key, ImmutableArray<PlacedEdit> Edits)
{
    /// <summary>Fixes of a diagnostic.</summary>
    public static IEnumerable<PlacedFix> Of(Diagnostic diagnostic)
    {
        ImmutableArray<Fix> fixes = FixText.Read(diagnostic.Properties.TryGetValue(FixText.Property, out string? text) ? text : null);
        int place = 0;
        foreach (Fix fix in fixes)
        {
            if (place + fix.Edits.Count > diagnostic.AdditionalLocations.Count)
            {
                yield break;
            }

            yield return new PlacedFix(fix.Title, fix.Key, fix.Edits.Select(e => new PlacedEdit(e, diagnostic.AdditionalLocations[place++])).ToImmutableArray());
        }
    }
}
