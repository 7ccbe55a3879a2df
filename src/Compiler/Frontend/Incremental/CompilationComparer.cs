using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Shardwright.Compiler.Frontend;

/// <summary>Says that two compilations hold the same layers, without walking them: options and references match, and every changed tree is one that extraction
/// did not read, with the same declarations as before. An edit elsewhere stops here.</summary>
public sealed class CompilationComparer : IEqualityComparer<Compilation>
{
    /// <summary>The comparer; it has no state.</summary>
    public static CompilationComparer Instance { get; } = new();

    /// <inheritdoc/>
    public bool Equals(Compilation? known, Compilation? current)
    {
        if (ReferenceEquals(known, current))
        {
            return true;
        }

        if (known is null || current is null || CompilationLayers.Known(known) is not { } layers
            || known.AssemblyName != current.AssemblyName || !AreSame(known.Options, current.Options) || !known.References.SequenceEqual(current.References))
        {
            return false;
        }

        using IEnumerator<SyntaxTree> before = Trees(known).GetEnumerator(), after = Trees(current).GetEnumerator();
        while (before.MoveNext())
        {
            if (!after.MoveNext() || !IsSame(before.Current, after.Current, layers))
            {
                return false;
            }
        }

        return !after.MoveNext();
    }

    /// <inheritdoc/>
    public int GetHashCode(Compilation compilation) => compilation.AssemblyName?.GetHashCode() ?? 0;

    /// <summary>Whether options are equal but for their resolvers, which no layer depends on: those of the compiler's own server cannot be compared, and throw.</summary>
    private static bool AreSame(CompilationOptions known, CompilationOptions current) => ReferenceEquals(known, current) || Comparable(known).Equals(Comparable(current));

    private static CompilationOptions Comparable(CompilationOptions options) =>
        options.WithMetadataReferenceResolver(null).WithSourceReferenceResolver(null).WithXmlReferenceResolver(null);

    private static IEnumerable<SyntaxTree> Trees(Compilation compilation) => compilation.SyntaxTrees.Where(t => !TreeSurface.IsGenerated(t));

    private static bool IsSame(SyntaxTree before, SyntaxTree after, CompilationLayers layers) =>
        ReferenceEquals(before, after)
        || (!layers.HasRead(before) && before.FilePath == after.FilePath && before.Options.Equals(after.Options) && SyntaxFactory.AreEquivalent(before, after, topLevel: true));
}
