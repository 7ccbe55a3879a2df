using System.Runtime.CompilerServices;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Shardwright.Compiler.Frontend;

/// <summary>What other files can see of one file: its declarations by name, without bodies and without initialisers that are no constants. Made once per tree.</summary>
internal sealed class TreeSurface
{
    private static readonly ConditionalWeakTable<SyntaxTree, TreeSurface> s_known = new();

    private readonly Dictionary<string, ContentHash> _names = new(StringComparer.Ordinal);
    private readonly List<TypePart> _types = new();
    private readonly List<string> _aliases = new();
    private readonly List<string> _globalAliases = new();
    private readonly HashSet<string> _globalIdentifiers = new(StringComparer.Ordinal);
    private ContentHash _everywhere;

    private TreeSurface(CompilationUnitSyntax unit)
    {
        ContentHash usings = Usings(unit.Usings, ContentHash.Start);
        foreach (UsingDirectiveSyntax global in unit.Usings.Where(u => u.GlobalKeyword.IsKind(SyntaxKind.GlobalKeyword)))
        {
            Everywhere(Hash(global, ContentHash.Start));
            AddIdentifiers(SyntaxFactory.SingletonList(global), _globalIdentifiers);
        }

        foreach (AttributeListSyntax attributes in unit.AttributeLists)
        {
            Everywhere(Hash(attributes, ContentHash.Start));
        }

        Members(unit.Members, "", usings);
    }

    /// <summary>Hash of the declarations of each name.</summary>
    public IReadOnlyDictionary<string, ContentHash> Names => _names;

    /// <summary>Hash of what can change the meaning of a file that does not spell its name: constants, base types, operators, global usings.</summary>
    public ContentHash OfEverywhere => _everywhere;

    /// <summary>Declarations of types, outer ones before those nested in them.</summary>
    public IReadOnlyList<TypePart> Types => _types;

    /// <summary>Names that using directives of this file give to something.</summary>
    public IReadOnlyList<string> Aliases => _aliases;

    /// <summary>Names that global using directives of this file give to something.</summary>
    public IReadOnlyList<string> GlobalAliases => _globalAliases;

    /// <summary>Names that global using directives spell.</summary>
    public HashSet<string> GlobalIdentifiers => _globalIdentifiers;

    /// <summary>The surface of a tree.</summary>
    public static TreeSurface Of(SyntaxTree tree, CancellationToken cancellation)
    {
        if (s_known.TryGetValue(tree, out TreeSurface? known))
        {
            return known;
        }

        var unit = (CompilationUnitSyntax)tree.GetRoot(cancellation);
        return s_known.GetValue(tree, _ => new TreeSurface(unit));
    }

    /// <summary>Whether a tree was written by our generator: layers never depend on it.</summary>
    public static bool IsGenerated(SyntaxTree tree) => tree.FilePath.Contains("Shardwright.Generators.ShardwrightGenerator");

    /// <summary>Adds what using directives spell.</summary>
    public static void AddIdentifiers(SyntaxList<UsingDirectiveSyntax> usings, HashSet<string> identifiers)
    {
        foreach (SyntaxToken token in usings.SelectMany(u => u.DescendantTokens()).Where(t => t.IsKind(SyntaxKind.IdentifierToken)))
        {
            identifiers.Add(token.ValueText);
        }
    }

    /// <summary>Full name of a declared type without assembly.</summary>
    public static string FullName(TypeDeclarationSyntax node)
    {
        string name = node.Identifier.ValueText;
        if (node.TypeParameterList is { Parameters: { Count: > 0 } parameters })
        {
            name += "<" + string.Join(", ", parameters.Select(p => p.Identifier.ValueText)) + ">";
        }

        for (SyntaxNode? holder = node.Parent; holder is not null; holder = holder.Parent)
        {
            if (holder is TypeDeclarationSyntax type)
            {
                return FullName(type) + "." + name;
            }

            if (holder is BaseNamespaceDeclarationSyntax space)
            {
                name = Text(space.Name) + "." + name;
            }
        }

        return name;
    }

    private static string Text(NameSyntax name) => string.Join(".", name.DescendantTokens().Where(t => t.IsKind(SyntaxKind.IdentifierToken)).Select(t => t.ValueText));

    private void Members(SyntaxList<MemberDeclarationSyntax> members, string space, ContentHash usings)
    {
        foreach (MemberDeclarationSyntax member in members)
        {
            Member(member, space, usings);
        }
    }

    private void Member(MemberDeclarationSyntax member, string space, ContentHash usings)
    {
        switch (member)
        {
            case BaseNamespaceDeclarationSyntax inner:
                string name = Text(inner.Name);
                foreach (string part in name.Split('.'))
                {
                    Declare(part, ContentHash.Start.With("namespace").With(name));
                }

                Members(inner.Members, name, Usings(inner.Usings, usings).With(name));
                break;
            case TypeDeclarationSyntax type:
                Type(type, usings);
                Members(type.Members, space, usings);
                break;
            case FieldDeclarationSyntax field:
                Declare(field.Declaration.Variables.Select(v => v.Identifier.ValueText), Hash(field, usings), field.Modifiers.Any(SyntaxKind.ConstKeyword));
                break;
            case EventFieldDeclarationSyntax happening:
                Declare(happening.Declaration.Variables.Select(v => v.Identifier.ValueText), Hash(happening, usings), false);
                break;
            case MethodDeclarationSyntax method:
                // Names that the language looks for by pattern are used without being spelled.
                Declare(new[] { method.Identifier.ValueText }, Hash(method, usings), method.Identifier.ValueText is "Deconstruct" or "GetEnumerator" or "Add" or "Dispose");
                break;
            case ConstructorDeclarationSyntax constructor:
                Declare(constructor.Identifier.ValueText, Hash(constructor, usings));
                break;
            case PropertyDeclarationSyntax property:
                Declare(property.Identifier.ValueText, Hash(property, usings));
                break;
            case DelegateDeclarationSyntax function:
                Declare(function.Identifier.ValueText, Hash(function, usings));
                break;
            case EnumDeclarationSyntax choice:
                Declare(new[] { choice.Identifier.ValueText }, Hash(choice, usings), everywhere: true);
                break;
            case GlobalStatementSyntax or DestructorDeclarationSyntax:
                break;
            default:
                // Operators, conversions, indexers, and code that is half typed.
                Everywhere(Hash(member, usings));
                break;
        }
    }

    private void Type(TypeDeclarationSyntax type, ContentHash usings)
    {
        ContentHash header = usings;
        foreach (SyntaxNodeOrToken child in type.ChildNodesAndTokens())
        {
            if (child.AsNode() is MemberDeclarationSyntax)
            {
                continue;
            }

            header = child.AsNode() is { } node ? Hash(node, header) : header.With(child.AsToken().Text);
        }

        Declare(new[] { type.Identifier.ValueText }, header, type.BaseList is not null);
        _types.Add(new TypePart(FullName(type), type, usings));
    }

    private ContentHash Usings(SyntaxList<UsingDirectiveSyntax> usings, ContentHash hash)
    {
        foreach (UsingDirectiveSyntax directive in usings)
        {
            hash = Hash(directive, hash);
            if (directive.Alias is { Name.Identifier.ValueText: { } alias })
            {
                (directive.GlobalKeyword.IsKind(SyntaxKind.GlobalKeyword) ? _globalAliases : _aliases).Add(alias);
            }
        }

        return hash;
    }

    private void Declare(IEnumerable<string> names, ContentHash hash, bool everywhere)
    {
        foreach (string name in names)
        {
            Declare(name, hash);
        }

        if (everywhere)
        {
            Everywhere(hash);
        }
    }

    private void Declare(string name, ContentHash hash) => _names[name] = _names.TryGetValue(name, out ContentHash before) ? before.Joined(hash) : hash;

    private void Everywhere(ContentHash hash) => _everywhere = _everywhere.Joined(hash);

    /// <summary>Hash of a declaration's tokens, without what only its own body sees.</summary>
    private static ContentHash Hash(SyntaxNode node, ContentHash hash)
    {
        foreach (SyntaxNodeOrToken child in node.ChildNodesAndTokens())
        {
            if (child.AsNode() is { } inner)
            {
                hash = IsBody(inner) ? hash.With("{}") : Hash(inner, hash);
            }
            else
            {
                hash = hash.With(child.AsToken().Text);
            }
        }

        return hash;
    }

    private static bool IsBody(SyntaxNode node) => node is BlockSyntax or ArrowExpressionClauseSyntax or ConstructorInitializerSyntax
        || (node is EqualsValueClauseSyntax && (node.Parent is PropertyDeclarationSyntax
            || (node.Parent is VariableDeclaratorSyntax && node.FirstAncestorOrSelf<FieldDeclarationSyntax>() is { } field && !field.Modifiers.Any(SyntaxKind.ConstKeyword))));
}
