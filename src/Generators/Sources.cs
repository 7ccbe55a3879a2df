using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Generators.Printing;

namespace Shardwright.Generators;

/// <summary>A layer or model as the pipeline carries it.</summary>
/// <param name="Definition">The layer.</param>
/// <param name="Shell">Where its generated part goes.</param>
/// <param name="IsComplete">Whether a generated part can stand beside it: partial, not generic.</param>
/// <param name="Referenced">Definitions of the layers from referenced assemblies that it reaches.</param>
/// <param name="Meshes">Its meshes; none for a plain layer.</param>
/// <param name="Errors">Findings without which there would be a plan: their messages.</param>
public sealed record LayerSource(LayerDefinition Definition, TypeShell Shell, bool IsComplete, EquatableArray<LayerDefinition> Referenced, EquatableArray<ShardedOnDefinition> Meshes, EquatableArray<string> Errors);

/// <summary>Turns symbols into <see cref="LayerSource"/>s.</summary>
internal static class SourceReader
{
    public static LayerSource? Read(INamedTypeSymbol type, Compilation compilation, CancellationToken cancellation)
    {
        Extraction extraction = LayerExtractor.Extract(type, compilation, cancellation);
        var errors = extraction.Findings.Where(f => f.IsError).Select(f => f.Id + ": " + f.Message).ToList();
        LayerDefinition definition = extraction.Definition;
        EquatableArray<ShardedOnDefinition> meshes = default;
        if (type.GetAttributes().Any(a => Names.Is(a, "ShardedOn")))
        {
            ModelExtraction model = ModelExtractor.Extract(type, extraction, compilation, cancellation);
            definition = model.Model.Layer;
            meshes = model.Model.Meshes;
            errors.AddRange(model.Findings.Where(f => f.IsError).Select(f => f.Id + ": " + f.Message));
        }

        var referenced = new Dictionary<string, LayerDefinition>();
        foreach (INamedTypeSymbol layer in extraction.Layers.Where(l => !SymbolEqualityComparer.Default.Equals(l.ContainingAssembly, compilation.Assembly)))
        {
            if (LayerLibrary.Read(layer, referenced, compilation, cancellation) is { } error)
            {
                errors.Add(error.Id + ": " + error.Message);
            }
        }

        return new LayerSource(
            definition, Shell(type), IsComplete(type), referenced.OrderBy(r => r.Key, StringComparer.Ordinal).Select(r => r.Value).ToEquatable(), meshes, errors.ToEquatable());
    }

    private static bool IsComplete(INamedTypeSymbol type)
    {
        for (INamedTypeSymbol? t = type; t is not null; t = t.ContainingType)
        {
            bool partial = t.DeclaringSyntaxReferences.Select(r => r.GetSyntax()).OfType<TypeDeclarationSyntax>().All(d => d.Modifiers.Any(m => m.Text == "partial"));
            if (t.IsGenericType || t.IsFileLocal || !partial)
            {
                return false;
            }
        }

        return true;
    }

    private static TypeShell Shell(INamedTypeSymbol type)
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
}
