using Microsoft.CodeAnalysis;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Frontend;

/// <summary>What extraction of one type yields. Definition and findings are data; sites are for analyzers only.</summary>
public sealed class Extraction
{
    internal Extraction(LayerDefinition definition, ImmutableArray<Finding> findings, ImmutableArray<Location> sites, ImmutableArray<INamedTypeSymbol> layers)
    {
        Definition = definition;
        Findings = findings;
        Sites = sites;
        Layers = layers;
    }

    /// <summary>The layer as data.</summary>
    public LayerDefinition Definition { get; }

    /// <summary>What is wrong with it on its own.</summary>
    public ImmutableArray<Finding> Findings { get; }

    /// <summary>Location of each site number.</summary>
    public ImmutableArray<Location> Sites { get; }

    /// <summary>Types of the layers that it holds.</summary>
    public ImmutableArray<INamedTypeSymbol> Layers { get; }
}

/// <summary>Numbers places of one type in the order in which they are met, and gathers findings.</summary>
internal sealed class SiteTable
{
    private readonly List<Location> _locations = new();
    private readonly List<Finding> _findings = new();
    private readonly string _type;

    public SiteTable(string type) => _type = type;

    public ImmutableArray<Location> Locations => _locations.ToImmutableArray();

    public ImmutableArray<Finding> Findings => _findings.ToImmutableArray();

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

    public void Report(string id, int site, string message) => _findings.Add(new Finding(id, _type, site, message));

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
        foreach (SyntaxToken token in syntax.DescendantTokens())
        {
            if (text.Length > 0 && (token.HasLeadingTrivia || token.GetPreviousToken().HasTrailingTrivia) && token.GetPreviousToken().TrailingTrivia.Concat(token.LeadingTrivia).Any(t => t.Span.Length > 0))
            {
                text.Append(' ');
            }

            text.Append(token.Text);
            if (text.Length > 120)
            {
                return text.ToString(0, 117) + "...";
            }
        }

        return text.ToString();
    }
}
