using Microsoft.CodeAnalysis;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Frontend;

/// <summary>Finds the definitions of layers in referenced assemblies: the generator of that assembly left them in an attribute.</summary>
public static class LayerLibrary
{
    /// <summary>Reads the definition of a type from metadata, and of all layers that it holds.</summary>
    /// <param name="type">A layer type that is not in source.</param>
    /// <param name="definitions">Where definitions go, by full name with assembly.</param>
    /// <param name="compilation">The compilation that asks; its references are searched.</param>
    /// <param name="cancellation">Ends the walk.</param>
    /// <returns>SW0007 or SW0010 with its text where one could not be read; null otherwise.</returns>
    public static (string Id, string Message)? Read(INamedTypeSymbol type, Dictionary<string, LayerDefinition> definitions, Compilation compilation, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        string name = Names.Of(type);
        if (definitions.ContainsKey(name))
        {
            return null;
        }

        AttributeData? graph = type.GetAttributes().FirstOrDefault(a => Names.Is(a, "ShardwrightGraph"));
        if (graph is null || graph.ConstructorArguments.Length != 1 || graph.ConstructorArguments[0].Value is not string text)
        {
            return ("SW0007", $"layer '{type.Name}' of assembly '{type.ContainingAssembly.Name}' has no graph: that project was built without the Shardwright generator; reference the Shardwright package there and build it again");
        }

        DefinitionText.Result result = DefinitionText.Read(text);
        if (result.Definition is not { } definition)
        {
            return (result.IsNewer ? "SW0010" : "SW0007", $"the graph of layer '{type.Name}' of assembly '{type.ContainingAssembly.Name}' cannot be read: {result.Error}");
        }

        if (definition.Type != name)
        {
            return ("SW0007", $"the graph of layer '{type.Name}' of assembly '{type.ContainingAssembly.Name}' cannot be read: it is that of '{definition.Type}'; build the assembly again");
        }

        definitions[name] = definition;
        // Private fields are not in metadata: the layers that it holds are found by the names in its definition.
        foreach (string held in definition.Fields.Select(f => f switch { FieldDefinition.Layer l => l.Type, FieldDefinition.LayerStack s => s.Type, _ => "" }).Where(n => n.Length > 0 && !definitions.ContainsKey(n)))
        {
            if (Find(held, type.ContainingAssembly, compilation) is not { } inner)
            {
                return ("SW0007", $"layer '{type.Name}' holds '{held}', which no referenced assembly has: add a reference to that assembly");
            }

            if (Read(inner, definitions, compilation, cancellation) is { } error)
            {
                return error;
            }
        }

        return null;
    }

    /// <summary>A type by full name with assembly; nested types are separated by dots there.</summary>
    private static INamedTypeSymbol? Find(string name, IAssemblySymbol own, Compilation compilation)
    {
        int comma = name.LastIndexOf(", ", StringComparison.Ordinal);
        string full = name.Substring(0, comma), assembly = name.Substring(comma + 2);
        foreach (IAssemblySymbol candidate in compilation.SourceModule.ReferencedAssemblySymbols.Append(own).Where(a => a.Name == assembly))
        {
            string metadata = full;
            while (true)
            {
                if (candidate.GetTypeByMetadataName(metadata) is { } type)
                {
                    return type;
                }

                int dot = metadata.LastIndexOf('.');
                if (dot < 0)
                {
                    break;
                }

                metadata = metadata.Substring(0, dot) + "+" + metadata.Substring(dot + 1);
            }
        }

        return null;
    }
}
