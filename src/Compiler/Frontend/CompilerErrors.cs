using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Shardwright.Compiler.Frontend;

/// <summary>What the compiler itself has to say about a place: while something is being typed there, it is its turn.</summary>
public static class CompilerErrors
{
    /// <summary>What is known of a compilation's members: several diagnostics lie in one, and to ask is to bind it.</summary>
    private static readonly ConditionalWeakTable<Compilation, ConcurrentDictionary<SyntaxNode, bool>> s_known = new();

    /// <summary>
    /// Whether the compiler reports an error where a diagnostic lies: anywhere in the member that holds it; for one at the name or the attributes of a type an error of syntax anywhere in the type, as of what is not
    /// written to its end nobody can say what it lacks, or any error at that very place.
    /// </summary>
    /// <param name="place">Where the diagnostic lies.</param>
    /// <param name="compilation">The compilation.</param>
    /// <param name="cancellation">Ends it.</param>
    public static bool At(Location place, Compilation compilation, CancellationToken cancellation)
    {
        if (place.SourceTree is not { } tree || !compilation.ContainsSyntaxTree(tree))
        {
            return false;
        }

        SyntaxNode node = tree.GetRoot(cancellation).FindNode(place.SourceSpan, getInnermostNodeForTie: true);
        SyntaxNode? member = node.FirstAncestorOrSelf<MemberDeclarationSyntax>();
        if (member is BaseTypeDeclarationSyntax type)
        {
            if (type.ContainsDiagnostics && type.GetDiagnostics().Any(d => d.Severity == DiagnosticSeverity.Error))
            {
                return true;
            }

            member = node;
        }

        SyntaxNode asked = member ?? node;
        ConcurrentDictionary<SyntaxNode, bool> known = s_known.GetOrCreateValue(compilation);
        if (!known.TryGetValue(asked, out bool faulty))
        {
            faulty = compilation.GetSemanticModel(tree).GetDiagnostics(asked.Span, cancellation).Any(d => d.Severity == DiagnosticSeverity.Error && d.Location.SourceSpan.IntersectsWith(asked.Span));
            known[asked] = faulty;
        }

        return faulty;
    }
}
