using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Frontend;

/// <summary>Where the generated part of a class goes, and whether it can stand there.</summary>
internal static class LayerShape
{
    /// <summary>Whether the class and all that hold it are partial, and none is generic or local to a file.</summary>
    public static bool IsComplete(INamedTypeSymbol type, CancellationToken cancellation)
    {
        for (INamedTypeSymbol? t = type; t is not null; t = t.ContainingType)
        {
            bool partial = t.DeclaringSyntaxReferences.Select(r => r.GetSyntax(cancellation)).OfType<TypeDeclarationSyntax>().All(d => d.Modifiers.Any(SyntaxKind.PartialKeyword));
            if (t.IsGenericType || t.IsFileLocal || !partial)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Namespace and containing types.</summary>
    public static TypeShell Shell(INamedTypeSymbol type)
    {
        var types = new Stack<string>();
        for (INamedTypeSymbol? t = type; t is not null; t = t.ContainingType)
        {
            string keyword = t.IsRecord ? t.TypeKind == TypeKind.Struct ? "record struct" : "record" : t.TypeKind switch { TypeKind.Struct => "struct", TypeKind.Interface => "interface", _ => "class" };
            types.Push($"{(t.IsStatic ? "static " : "")}partial {keyword} @{t.Name}");
        }

        string space = type.ContainingNamespace is { IsGlobalNamespace: false } n ? n.ToDisplayString() : "";
        return new TypeShell(space, types.ToEquatable());
    }

    /// <summary>The declaration that the generated part is made for: the first that carries attributes.</summary>
    public static LayerPlace Home(INamedTypeSymbol type, CancellationToken cancellation) =>
        LayerContext.Declarations(type).Select(r => r.GetSyntax(cancellation)).OfType<TypeDeclarationSyntax>().Where(d => d.AttributeLists.Count > 0).Select(Place).FirstOrDefault()
            ?? new LayerPlace(Names.FullName(type), "", 0);

    /// <summary>The place of a declaration. Only syntax is looked at.</summary>
    public static LayerPlace Place(TypeDeclarationSyntax node)
    {
        string name = TreeSurface.FullName(node);
        int before = node.SyntaxTree.GetRoot().DescendantNodes(n => n is CompilationUnitSyntax or BaseNamespaceDeclarationSyntax or TypeDeclarationSyntax).OfType<TypeDeclarationSyntax>()
            .TakeWhile(d => d != node).Count(d => d.Identifier.ValueText == node.Identifier.ValueText && TreeSurface.FullName(d) == name);
        return new LayerPlace(name, node.SyntaxTree.FilePath, before);
    }
}
