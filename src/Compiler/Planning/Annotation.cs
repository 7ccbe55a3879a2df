using System.Globalization;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Planning;

/// <summary>A placement to be written: on a field of a layer, or on an input of the model.</summary>
/// <param name="Place">Its declaration: Type#site.</param>
/// <param name="Axis">Mesh axis.</param>
/// <param name="Dim">Dim that is split.</param>
/// <param name="Parameter">Parameter of the layer in the field; empty where it is the field itself, or the only one.</param>
/// <param name="Written">The same as source text.</param>
public sealed record Annotation(string Place, string Axis, int Dim, string Parameter = "", string Written = "")
{
    /// <summary>The edit that writes it.</summary>
    public FixEdit Edit => new(EditKind.AddAttribute, Place, "", $"Split(\"{Axis}\", dim: {Dim.ToString(CultureInfo.InvariantCulture)}{(Written.Length > 0 ? ", Parameter = " + Written : "")})");

    private PlacementAttribute Attribute => new("Split", Axis, new Expression.Integer(Dim, -1), Parameter, -1);

    /// <summary>A definition as it would be extracted once annotations are written.</summary>
    public static LayerDefinition Write(LayerDefinition layer, IReadOnlyList<Annotation> annotations)
    {
        List<Annotation> own = annotations.Where(a => a.Place.StartsWith(layer.Type + "#", StringComparison.Ordinal)).ToList();
        return own.Count == 0 ? layer : layer with
        {
            Fields = layer.Fields.Select(f => Add(f.Placements, own, f.Site, layer) is var placements && placements == f.Placements ? f : f switch
            {
                FieldDefinition.Parameter parameter => parameter with { Placements = placements },
                FieldDefinition.Layer inner => inner with { Placements = placements },
                FieldDefinition.LayerStack stack => stack with { Placements = placements },
                _ => f,
            }).ToEquatable(),
            Methods = layer.Methods.Select(m => m with { Parameters = m.Parameters.Select(p => p with { Placements = Add(p.Placements, own, p.Site, layer) }).ToEquatable() }).ToEquatable(),
        };
    }

    private static EquatableArray<PlacementAttribute> Add(EquatableArray<PlacementAttribute> placements, List<Annotation> annotations, int site, LayerDefinition layer)
    {
        string place = layer.Type + "#" + site.ToString(CultureInfo.InvariantCulture);
        List<PlacementAttribute> added = annotations.Where(a => site >= 0 && a.Place == place).Select(a => a.Attribute).ToList();
        return added.Count == 0 ? placements : placements.Concat(added).ToEquatable();
    }
}
