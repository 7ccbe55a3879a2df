using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Operations;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Frontend;

/// <summary>Reads the attributes of fields, parameters and returns; numbers stay symbolic where their source is at hand.</summary>
internal static class Attributes
{
    public static EquatableArray<PlacementAttribute> Placements(ImmutableArray<AttributeData> attributes, LayerContext context, BodyTranslator translator)
    {
        var result = new List<PlacementAttribute>();
        foreach (AttributeData attribute in attributes)
        {
            string? kind = Names.Is(attribute, "Split") ? "Split" : Names.Is(attribute, "Broadcast") ? "Broadcast" : Names.Is(attribute, "Partial") ? "Partial" : null;
            if (kind is null || attribute.ConstructorArguments.Length == 0 || attribute.ConstructorArguments[0].Value is not string axis)
            {
                continue;
            }

            int site = Site(attribute, context);
            Expression? dim = kind == "Split" && attribute.ConstructorArguments.Length > 1 ? Argument(attribute, "dim", 1, context, translator) : null;
            string parameter = attribute.NamedArguments.FirstOrDefault(n => n.Key == "Parameter").Value.Value as string ?? "";
            result.Add(new PlacementAttribute(kind, axis, dim, parameter, site));
        }

        return result.ToEquatable();
    }

    public static EquatableArray<StagesAttribute> Stages(IFieldSymbol field, LayerContext context, BodyTranslator translator)
    {
        var result = new List<StagesAttribute>();
        foreach (AttributeData attribute in field.GetAttributes())
        {
            bool single = Names.Is(attribute, "Stage");
            if (single || Names.Is(attribute, "Stages"))
            {
                string mesh = attribute.AttributeClass!.TypeArguments.Length == 1 ? Names.Of(attribute.AttributeClass.TypeArguments[0]) : "";
                result.Add(new StagesAttribute(mesh, single, List(attribute, context, translator), Site(attribute, context)));
            }
        }

        return result.ToEquatable();
    }

    public static EquatableArray<Expression> Shape(IParameterSymbol parameter, LayerContext context, BodyTranslator translator)
    {
        AttributeData? shape = parameter.GetAttributes().FirstOrDefault(a => Names.Is(a, "Shape"));
        return shape is null ? default : List(shape, context, translator);
    }

    public static int Site(AttributeData attribute, LayerContext context) => context.Sites.Add(attribute.ApplicationSyntaxReference?.GetSyntax(context.Cancellation));

    /// <summary>An argument of an attribute as an expression: from its source where there is one, else its value.</summary>
    public static Expression Argument(AttributeData attribute, string name, int position, LayerContext context, BodyTranslator translator)
    {
        if (Syntax(attribute, context)?.ArgumentList is { } list)
        {
            AttributeArgumentSyntax? argument = list.Arguments.FirstOrDefault(a => a.NameColon?.Name.Identifier.Text == name)
                ?? list.Arguments.Where(a => a.NameEquals is null).ElementAtOrDefault(position);
            if (argument is not null && context.Model(argument.SyntaxTree).GetOperation(argument.Expression, context.Cancellation) is { } operation)
            {
                return translator.Expression(operation);
            }
        }

        return new Expression.Integer(attribute.ConstructorArguments.Length > position && attribute.ConstructorArguments[position].Value is int value ? value : 0, -1);
    }

    /// <summary>A named argument as an expression, or null where it is absent.</summary>
    public static Expression? Named(AttributeData attribute, string name, LayerContext context, BodyTranslator translator)
    {
        AttributeArgumentSyntax? argument = Syntax(attribute, context)?.ArgumentList?.Arguments.FirstOrDefault(a => a.NameEquals?.Name.Identifier.Text == name);
        return argument is not null && context.Model(argument.SyntaxTree).GetOperation(argument.Expression, context.Cancellation) is { } operation
            ? translator.Expression(operation)
            : null;
    }

    private static EquatableArray<Expression> List(AttributeData attribute, LayerContext context, BodyTranslator translator)
    {
        var result = new List<Expression>();
        foreach (AttributeArgumentSyntax argument in Syntax(attribute, context)?.ArgumentList?.Arguments.Where(a => a.NameEquals is null) ?? Enumerable.Empty<AttributeArgumentSyntax>())
        {
            IOperation? operation = context.Model(argument.SyntaxTree).GetOperation(argument.Expression, context.Cancellation);
            if (operation is not null)
            {
                Expression value = translator.Expression(operation);
                if (value is Expression.Sequence sequence)
                {
                    result.AddRange(sequence.Items);
                }
                else
                {
                    result.Add(value);
                }
            }
        }

        return result.ToEquatable();
    }

    private static AttributeSyntax? Syntax(AttributeData attribute, LayerContext context) => attribute.ApplicationSyntaxReference?.GetSyntax(context.Cancellation) as AttributeSyntax;
}
