using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Frontend;

/// <summary>A model with all that planning needs, found by name.</summary>
/// <param name="Source">The model.</param>
/// <param name="Layers">Definitions of the layers that it reaches, by name.</param>
/// <param name="Findings">What is wrong with the model or a layer that it reaches, on its own.</param>
public sealed record LinkedModel(LayerSource Source, EquatableArray<LayerDefinition> Layers, EquatableArray<Finding> Findings)
{
    /// <summary>The model with its meshes.</summary>
    public ModelDefinition Model => new(Source.Definition, Source.Meshes);

    /// <summary>Whether it can be planned: a fault within a layer is reported there, and planning on top of it would only repeat it in other words.</summary>
    public bool IsSound => Findings.All(f => !f.IsError);
}

/// <summary>Finds the layers that models reach. Data in, data out.</summary>
public static class Linking
{
    /// <summary>Links a model.</summary>
    /// <param name="model">The model.</param>
    /// <param name="sources">All layers of the compilation, by name of their types.</param>
    /// <param name="cancellation">Ends the walk.</param>
    public static LinkedModel Link(LayerSource model, EquatableArray<LayerSource> sources, CancellationToken cancellation)
    {
        var reached = new SortedDictionary<string, LayerDefinition>(StringComparer.Ordinal);
        var findings = new List<Finding>();
        var queue = new Queue<LayerSource>();
        Visit(model);
        while (queue.Count > 0)
        {
            cancellation.ThrowIfCancellationRequested();
            LayerSource holder = queue.Dequeue();
            foreach (LayerDefinition referenced in holder.Referenced.Where(r => !reached.ContainsKey(r.Type)))
            {
                reached[referenced.Type] = referenced;
            }

            foreach (FieldDefinition field in holder.Definition.Fields)
            {
                string? type = field switch { FieldDefinition.Layer l => l.Type, FieldDefinition.LayerStack s => s.Type, _ => null };
                if (type is not null && !reached.ContainsKey(type) && Find(sources, type) is { } layer)
                {
                    Visit(layer);
                }
            }
        }

        return new LinkedModel(model, reached.Values.ToEquatable(), findings.Distinct().ToEquatable());

        void Visit(LayerSource source)
        {
            reached[source.Definition.Type] = source.Definition;
            findings.AddRange(source.Findings);
            queue.Enqueue(source);
        }
    }

    /// <summary>The layer that a declaration is the home of; null where it is none.</summary>
    public static LayerSource? Find(EquatableArray<LayerSource> sources, LayerPlace place) =>
        Search(sources, place.Type) is { } found && found.Home == place ? found : null;

    /// <summary>A layer by full name with assembly.</summary>
    private static LayerSource? Find(EquatableArray<LayerSource> sources, string type) =>
        Search(sources, type.Split(',')[0]) is { } found && found.Definition.Type == type ? found : null;

    private static LayerSource? Search(EquatableArray<LayerSource> sources, string type)
    {
        int low = 0, high = sources.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) / 2, order = string.CompareOrdinal(sources[middle].Type, type);
            if (order == 0)
            {
                return sources[middle];
            }

            (low, high) = order < 0 ? (middle + 1, high) : (low, middle - 1);
        }

        return null;
    }
}
