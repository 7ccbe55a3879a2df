using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Frontend;

/// <summary>Numbers places of one type in the order in which they are met, and gathers findings.</summary>
internal sealed class SiteTable
{
    private readonly List<Location> _locations = new();
    private readonly List<Finding> _findings = new();
    private readonly string _type;

    public SiteTable(string type) => _type = type;

    public IReadOnlyList<Finding> Findings => _findings;

    /// <summary>The places by number of tokens.</summary>
    public EquatableArray<SitePosition?> Positions(CompilationSurface surface, CancellationToken cancellation) => _locations.Select(l => Position(l, surface, cancellation)).ToEquatable();

    public int Add(SyntaxNode? syntax)
    {
        if (syntax is null)
        {
            return -1;
        }

        _locations.Add(syntax.GetLocation());
        return _locations.Count - 1;
    }

    public int Add(Location location)
    {
        _locations.Add(location);
        return _locations.Count - 1;
    }

    public void Report(string id, int site, string message, params Fix[] fixes) => _findings.Add(new Finding(id, _type, site, message) { Fixes = fixes.ToEquatable() });

    /// <summary>A site as fixes name it.</summary>
    public string Place(int site) => _type + "#" + site.ToString(System.Globalization.CultureInfo.InvariantCulture);

    public Expression Refuse(SyntaxNode syntax, string message)
    {
        int site = Add(syntax);
        Report("SW0002", site, message);
        return new Expression.Unknown(site);
    }

    /// <summary>Source text on one line, shortened.</summary>
    public static string Quote(SyntaxNode syntax)
    {
        var text = new System.Text.StringBuilder();
        SyntaxToken before = default;
        foreach (SyntaxToken token in syntax.DescendantTokens())
        {
            if (text.Length > 0 && (token.HasLeadingTrivia || before.HasTrailingTrivia) && before.TrailingTrivia.Concat(token.LeadingTrivia).Any(t => t.Span.Length > 0))
            {
                text.Append(' ');
            }

            text.Append(token.Text);
            before = token;
            if (text.Length > 120)
            {
                return text.ToString(0, 117) + "...";
            }
        }

        return text.ToString();
    }

    private static SitePosition? Position(Location location, CompilationSurface surface, CancellationToken cancellation)
    {
        if (location.SourceTree is not { } tree)
        {
            return null;
        }

        TypePart? holder = null;
        foreach (TypePart part in TreeSurface.Of(tree, cancellation).Types)
        {
            // Outer types come first: the last one that holds the place is the innermost.
            if (part.Node.Span.Contains(location.SourceSpan))
            {
                holder = part;
            }
            else if (part.Node.SpanStart > location.SourceSpan.End)
            {
                break;
            }
        }

        if (holder is null)
        {
            return null;
        }

        int number = 0;
        IReadOnlyList<TypePart> parts = surface.Parts(holder.Name);
        while (number < parts.Count && !ReferenceEquals(parts[number], holder))
        {
            number++;
        }

        (int first, int last) = holder.Tokens(location.SourceSpan);
        return new SitePosition(holder.Name, number, first, last);
    }
}
