using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Frontend;

/// <summary>Reads [ShardedOn&lt;TMesh&gt;] attributes and mesh classes.</summary>
internal static class ModelExtractor
{
    /// <summary>Extracts the meshes of a model, in the order of their attributes.</summary>
    public static EquatableArray<ShardedOnDefinition> Meshes(LayerContext context, BodyTranslator translator)
    {
        INamedTypeSymbol type = context.Type;
        SiteTable sites = context.Sites;
        var meshes = new List<ShardedOnDefinition>();
        foreach (AttributeData attribute in type.GetAttributes().Where(a => Names.Is(a, "ShardedOn"))
            .OrderBy(a => a.ApplicationSyntaxReference?.SyntaxTree.FilePath, StringComparer.Ordinal).ThenBy(a => a.ApplicationSyntaxReference?.Span.Start ?? 0))
        {
            if (attribute.AttributeClass?.TypeArguments.FirstOrDefault() is not INamedTypeSymbol { TypeKind: TypeKind.Class } meshType)
            {
                continue;
            }

            int site = Attributes.Site(attribute, context);
            ReadMachine(meshType, context);
            MeshDefinition? mesh = MeshExtractor.Extract(meshType, axis => Attributes.Site(axis, context));
            if (mesh is null && CompilerErrors.IsTorn(meshType))
            {
                continue;
            }

            if (mesh is null)
            {
                sites.Report("SW0002", site, $"'{meshType.Name}' is not a mesh: mark it [DeviceMesh] and give it axes by [MeshAxis(name, size)]");
                continue;
            }

            if (meshType.IsGenericType)
            {
                sites.Report("SW0002", site, $"mesh '{meshType.ToDisplayString(SymbolDisplayFormat.MinimallyQualifiedFormat)}' is generic, and each mesh has a nested class that is named after it: make it a class without type parameters");
                continue;
            }

            string nested = Value(attribute, "Name") as string is { Length: > 0 } name ? name : "On" + mesh.ShortName;
            if (!SyntaxFacts.IsValidIdentifier(nested) || SyntaxFacts.GetKeywordKind(nested) != SyntaxKind.None)
            {
                sites.Report("SW0009", site, $"Name = \"{nested}\" of '{type.Name}' on '{mesh.ShortName}' is no name of a class: use letters, digits and _ and no keyword, as \"On{mesh.ShortName}2\", or leave it out");
                continue;
            }

            if (type.GetMembers(nested).FirstOrDefault(m => !m.IsImplicitlyDeclared && m is not INamedTypeSymbol { TypeKind: TypeKind.Class }) is { } member)
            {
                sites.Report("SW0009", site, $"'{type.Name}' has a member '{nested}', which is what the class for '{mesh.ShortName}' would be called: rename '{member.Name}', or add Name = \"…\"", NameFix(nested, site));
                continue;
            }

            if (meshes.Any(m => m.NestedName == nested))
            {
                sites.Report("SW0009", site, $"two meshes of '{type.Name}' would give one nested class '{nested}': add Name = \"…\" to one of the [ShardedOn] attributes", NameFix(nested, site));
                continue;
            }

            meshes.Add(new ShardedOnDefinition(
                mesh, nested,
                Attributes.Named(attribute, "MicroBatches", context, translator) ?? new Expression.Integer(1, site),
                Member(attribute, "Schedule", "OneForwardOneBackward"), Member(attribute, "Optimizer", "AdamW"), Member(attribute, "Zero", "None"),
                Value(attribute, "ZeroAxis") as string ?? "", Member(attribute, "Recompute", "None"), Member(attribute, "Precision", "Float32"), site,
                ReadSchedule(Value(attribute, "OwnSchedule") as INamedTypeSymbol, context),
                Value(attribute, "Chunks") as int? ?? 0, Value(attribute, "GroupSize") as int? ?? 0, Value(attribute, "HopAwareWarmUp") is true));
        }

        return meshes.ToEquatable();

        Fix NameFix(string nested, int site)
        {
            string name = Enumerable.Range(2, meshes.Count + 2 + type.GetMembers().Length).Select(n => nested + n.ToString(System.Globalization.CultureInfo.InvariantCulture)).First(n => meshes.All(m => m.NestedName != n) && type.GetMembers(n).IsEmpty);
            return Fix.Of("Name the nested class " + name, "SW0009/name", EditKind.SetArgument, sites.Place(site), "Name", "\"" + name + "\"");
        }
    }

    /// <summary>A schedule that is written out in attributes.</summary>
    private static OwnScheduleDefinition? ReadSchedule(INamedTypeSymbol? type, LayerContext context)
    {
        if (type is null)
        {
            return null;
        }

        context.Read(type);
        return new OwnScheduleDefinition(type.Name, type.GetAttributes().Where(a => Names.Is(a, "RankActions") && a.ConstructorArguments.Length == 2)
            .Select(a => new RankActionsDefinition(a.ConstructorArguments[0].Value as int? ?? -1, a.ConstructorArguments[1].Value as string ?? "")).ToEquatable());
    }

    /// <summary>Attributes of the mesh, and of the devices and links that they name, are part of what was read.</summary>
    private static void ReadMachine(INamedTypeSymbol mesh, LayerContext context)
    {
        context.Read(mesh);
        foreach (AttributeData attribute in mesh.GetAttributes())
        {
            foreach (TypedConstant argument in attribute.ConstructorArguments.Concat(attribute.NamedArguments.Select(n => n.Value)).Where(a => a.Kind == TypedConstantKind.Type))
            {
                context.Read(argument.Value as INamedTypeSymbol);
            }
        }
    }

    private static object? Value(AttributeData attribute, string name) => attribute.NamedArguments.FirstOrDefault(n => n.Key == name).Value.Value;

    private static string Member(AttributeData attribute, string name, string otherwise)
    {
        TypedConstant constant = attribute.NamedArguments.FirstOrDefault(n => n.Key == name).Value;
        return constant.Type is INamedTypeSymbol { TypeKind: TypeKind.Enum } type
            ? type.GetMembers().OfType<IFieldSymbol>().FirstOrDefault(f => f.HasConstantValue && Equals(f.ConstantValue, constant.Value))?.Name ?? otherwise
            : otherwise;
    }
}
