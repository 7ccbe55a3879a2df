using Microsoft.CodeAnalysis;

namespace Shardwright.Compiler.Frontend;

/// <summary>Metadata names of the language surface, and how types are named in definitions.</summary>
public static class Names
{
    /// <summary>Namespace of everything that a user touches.</summary>
    public const string Namespace = "Shardwright";

    /// <summary>[ShardedLayer].</summary>
    public const string ShardedLayer = "Shardwright.ShardedLayerAttribute";

    /// <summary>[ShardedOn&lt;TMesh&gt;].</summary>
    public const string ShardedOn = "Shardwright.ShardedOnAttribute`1";

    /// <summary>The attribute that carries a definition across assemblies.</summary>
    public const string Graph = "Shardwright.ShardwrightGraphAttribute";

    private static readonly SymbolDisplayFormat s_full = new(
        SymbolDisplayGlobalNamespaceStyle.Omitted, SymbolDisplayTypeQualificationStyle.NameAndContainingTypesAndNamespaces, SymbolDisplayGenericsOptions.IncludeTypeParameters);

    /// <summary>Full name with assembly: <c>My.Block, MyAssembly</c>.</summary>
    public static string Of(ITypeSymbol type) => FullName(type) + ", " + (type.ContainingAssembly?.Name ?? "?");

    /// <summary>Full name without assembly.</summary>
    public static string FullName(ITypeSymbol type) => type.ToDisplayString(s_full);

    /// <summary>Whether a type is one of ours.</summary>
    public static bool Is(ITypeSymbol? type, string name) =>
        type is not null && type.Name == name && type.ContainingNamespace is { Name: Namespace, ContainingNamespace.IsGlobalNamespace: true };

    /// <summary>Whether an attribute is one of ours, generic or not.</summary>
    public static bool Is(AttributeData attribute, string name) => Is(attribute.AttributeClass, name + "Attribute");

    /// <summary>Whether a type carries [ShardedLayer] or [ShardedOn].</summary>
    public static bool IsLayer(ITypeSymbol type) => type.GetAttributes().Any(a => Is(a, "ShardedLayer") || Is(a, "ShardedOn"));
}
