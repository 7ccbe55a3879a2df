using System.Runtime.CompilerServices;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Shardwright.Compiler.Frontend;

/// <summary>Places of declarations, each made once for its syntax: Roslyn asks for all of them again at every key stroke.</summary>
public static class LayerPlaces
{
    private static readonly ConditionalWeakTable<TypeDeclarationSyntax, LayerPlace> s_known = new();

    /// <summary>The place of a declaration.</summary>
    public static LayerPlace Of(TypeDeclarationSyntax node) => s_known.TryGetValue(node, out LayerPlace? known) ? known : s_known.GetValue(node, LayerShape.Place);
}
