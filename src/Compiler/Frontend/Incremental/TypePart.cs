using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;

namespace Shardwright.Compiler.Frontend;

/// <summary>One declaration of a type. Its content is its tokens, comments and white space left out; places in it are numbers of tokens.</summary>
internal sealed class TypePart
{
    private readonly ContentHash _usings;
    private Content? _content;

    public TypePart(string name, TypeDeclarationSyntax node, ContentHash usings)
    {
        Name = name;
        Node = node;
        _usings = usings;
    }

    private sealed record Content(ContentHash Hash, int[] Starts, int[] Ends, HashSet<string> Identifiers);

    /// <summary>Full name without assembly, as <see cref="Names.FullName"/> writes it.</summary>
    public string Name { get; }

    public TypeDeclarationSyntax Node { get; }

    /// <summary>Hash of its tokens and of the using directives that they are bound with.</summary>
    public ContentHash Hash => Read().Hash;

    /// <summary>All names that its tokens spell.</summary>
    public HashSet<string> Identifiers => Read().Identifiers;

    /// <summary>Numbers of the first and the last token of a span.</summary>
    public (int First, int Last) Tokens(TextSpan span)
    {
        Content content = Read();
        int first = Array.BinarySearch(content.Starts, span.Start), last = Array.BinarySearch(content.Ends, span.End);
        return (first < 0 ? Math.Max(0, ~first - 1) : first, last < 0 ? Math.Min(~last, content.Ends.Length - 1) : last);
    }

    /// <summary>Where tokens lie now.</summary>
    public Location? Locate(int first, int last)
    {
        Content content = Read();
        return first >= 0 && last < content.Ends.Length && content.Starts[first] <= content.Ends[last]
            ? Node.SyntaxTree.GetLocation(TextSpan.FromBounds(content.Starts[first], content.Ends[last]))
            : null;
    }

    private Content Read()
    {
        if (_content is { } known)
        {
            return known;
        }

        ContentHash hash = _usings;
        List<int> starts = new(), ends = new();
        var identifiers = new HashSet<string>(StringComparer.Ordinal);
        foreach (SyntaxToken token in Node.DescendantTokens())
        {
            hash = hash.With(token.Text);
            starts.Add(token.SpanStart);
            ends.Add(token.Span.End);
            if (token.IsKind(SyntaxKind.IdentifierToken))
            {
                identifiers.Add(token.ValueText);
                if (token.Parent?.FirstAncestorOrSelf<AttributeSyntax>() is not null)
                {
                    identifiers.Add(token.ValueText + "Attribute");
                }
            }
        }

        for (SyntaxNode? holder = Node.Parent; holder is not null; holder = holder.Parent)
        {
            switch (holder)
            {
                case TypeDeclarationSyntax type:
                    identifiers.Add(type.Identifier.ValueText);
                    break;
                case CompilationUnitSyntax unit:
                    TreeSurface.AddIdentifiers(unit.Usings, identifiers);
                    break;
                case BaseNamespaceDeclarationSyntax space:
                    TreeSurface.AddIdentifiers(space.Usings, identifiers);
                    break;
            }
        }

        return _content = new Content(hash, starts.ToArray(), ends.ToArray(), identifiers);
    }
}
