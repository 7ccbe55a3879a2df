using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Graph.Tracing;

/// <summary>Where sizes and parameters come from, for those who want to change them.</summary>
public sealed partial class Tracer
{
    private const int MaxSizeDepth = 50;

    /// <summary>How a size comes about; null where part of it is no number in source.</summary>
    private static SizeTree? Origin(Expression expression, LayerInstance scope, int depth = 0)
    {
        if (depth > MaxSizeDepth)
        {
            return null;
        }

        switch (expression)
        {
            case Expression.Integer number when number.Site >= 0:
                return new SizeTree.Number("", At(scope, number.Site), number.Value);
            case Expression.ConstructorParameter parameter when scope.Holder is { } holder && scope.Given.FirstOrDefault(a => a.Name == parameter.Name) is { } given:
                return Origin(given.Value, holder, depth + 1);
            case Expression.Binary { Operator: "+" or "-" or "*" or "/" or "%" } binary:
                return Origin(binary.Left, scope, depth + 1) is { } left && Origin(binary.Right, scope, depth + 1) is { } right
                    ? new SizeTree.Computed(binary.Operator, left, right)
                    : null;
            case Expression.ConstantReference constant when scope.Definition.Constants.FirstOrDefault(c => c.Name == constant.Name) is { IsInteger: true, Value: { } value }:
                string name = constant.Name.Contains(".") ? constant.Name : scope.Definition.Type.Split(',')[0] + "." + constant.Name;
                return value is Expression.Integer own ? new SizeTree.Number(name, At(scope, constant.Site), own.Value) : Origin(value, scope, depth + 1);
            default:
                return null;
        }

        static string At(LayerInstance scope, int site) => scope.Definition.Type + "#" + site.ToString(System.Globalization.CultureInfo.InvariantCulture);
    }

    /// <summary>Where an attribute that places a parameter is written: at its field, or, where that lies in another assembly, at the field of the model's that holds the layer.</summary>
    private AnnotationPlace? Annotation(FieldDefinition.Parameter field, LayerInstance owner)
    {
        (string path, string name, string written) = (field.Name, "", "");
        FieldDefinition place = field;
        LayerInstance? instance = owner;
        while (instance is not null && Assembly(instance.Definition) != Assembly(_model.Layer))
        {
            // The only parameter of a layer needs no name; nameof takes the whole name of the type, for methods of Ops have names of layers.
            bool direct = ReferenceEquals(instance, owner), alone = direct && instance.Definition.Fields.OfType<FieldDefinition.Parameter>().Count() == 1;
            (name, written) = alone ? ("", "") : direct ? (field.Name, $"nameof({instance.Definition.Type.Split(',')[0]}.{field.Name})") : (path, $"\"{path}\"");
            if (instance.HeldBy is not { } held)
            {
                return null;
            }

            path = held.Name + "." + path;
            place = held;
            instance = instance.Holder;
        }

        return instance is null ? null : new AnnotationPlace(instance.Definition.Type + "#" + place.Site.ToString(System.Globalization.CultureInfo.InvariantCulture), name, written);
    }

    private static string Assembly(LayerDefinition layer) => layer.Type.Substring(layer.Type.LastIndexOf(',') + 1).Trim();
}
