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
    /// <param name="cancellation">Ends the walk.</param>
    /// <returns>SW0007 or SW0010 with its text where one could not be read; null otherwise.</returns>
    public static (string Id, string Message)? Read(INamedTypeSymbol type, Dictionary<string, LayerDefinition> definitions, CancellationToken cancellation)
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

        definitions[name] = definition;
        foreach (IFieldSymbol field in type.GetMembers().OfType<IFieldSymbol>())
        {
            INamedTypeSymbol? held = field.Type as INamedTypeSymbol;
            if (held is { IsGenericType: true } && Names.Is(held, "LayerStack"))
            {
                held = held.TypeArguments[0] as INamedTypeSymbol;
            }

            if (held is { TypeKind: TypeKind.Class } && Names.IsLayer(held) && Read(held, definitions, cancellation) is { } error)
            {
                return error;
            }
        }

        return null;
    }
}
