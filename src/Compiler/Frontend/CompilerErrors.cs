using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;

namespace Shardwright.Compiler.Frontend;

/// <summary>What the compiler itself has to say about a place: while something is being typed there, it is its turn.</summary>
public static class CompilerErrors
{
    /// <summary>What is known of a compilation's members: several diagnostics lie in one, and to ask is to bind it.</summary>
    private static readonly ConditionalWeakTable<Compilation, ConcurrentDictionary<SyntaxNode, bool>> s_known = new();

    /// <summary>What does not parse in a file: whether it is more than a member of one type, and where it is one.</summary>
    private sealed record Torn(bool Everywhere, ImmutableArray<TextSpan> Places);

    private static readonly ConditionalWeakTable<SyntaxTree, Torn> s_torn = new();

    /// <summary>Whether one of these types is written in text that does not parse: what its members, its attributes or its end are, nobody can say yet. An error within a member is one of that type only; any other may hide what
    /// the whole file declares.</summary>
    /// <param name="types">Full names without assembly.</param>
    /// <param name="compilation">The compilation.</param>
    /// <param name="cancellation">Ends it.</param>
    public static bool AreTorn(IEnumerable<string> types, Compilation compilation, CancellationToken cancellation)
    {
        CompilationSurface surface = CompilationSurface.Of(compilation, cancellation);
        return types.SelectMany(surface.Parts).Any(p => IsTorn(p.Node));
    }

    /// <summary>The same for a type as the compiler knows it, or one with an attribute that it does not know: it may be the one that makes it a layer.</summary>
    internal static bool IsTorn(ITypeSymbol type) => type.GetAttributes().Any(a => a.AttributeClass is null or { TypeKind: TypeKind.Error }) || type.DeclaringSyntaxReferences.Any(r => IsTorn(r.GetSyntax()));

    private static bool IsTorn(SyntaxNode type)
    {
        Torn torn = s_torn.GetValue(type.SyntaxTree, TornOf);
        return torn.Everywhere || torn.Places.Any(p => type.FullSpan.IntersectsWith(p));
    }

    private static Torn TornOf(SyntaxTree tree)
    {
        SyntaxNode root = tree.GetRoot();
        ImmutableArray<TextSpan> places = root.ContainsDiagnostics ? tree.GetDiagnostics().Where(d => d.Severity == DiagnosticSeverity.Error).Select(d => d.Location.SourceSpan).ToImmutableArray() : ImmutableArray<TextSpan>.Empty;
        return new Torn(!places.All(p => root.FullSpan.Contains(p) && root.FindNode(p).AncestorsAndSelf().Any(n => n is BlockSyntax or ArrowExpressionClauseSyntax or EqualsValueClauseSyntax)), places);
    }

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
