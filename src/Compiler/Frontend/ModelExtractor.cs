using Microsoft.CodeAnalysis;
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
            MeshDefinition? mesh = MeshExtractor.Extract(meshType);
            if (mesh is null)
            {
                sites.Report("SW0002", site, $"'{meshType.Name}' is not a mesh: mark it [DeviceMesh] and give it axes by [MeshAxis(name, size)]");
                continue;
            }

            string nested = Value(attribute, "Name") as string is { Length: > 0 } name ? name : "On" + mesh.ShortName;
            if (meshes.Any(m => m.NestedName == nested))
            {
                sites.Report("SW0009", site, $"two meshes of '{type.Name}' would give one nested class '{nested}': add Name = \"…\" to one of the [ShardedOn] attributes");
                continue;
            }

            meshes.Add(new ShardedOnDefinition(
                mesh, nested,
                Attributes.Named(attribute, "MicroBatches", context, translator) ?? new Expression.Integer(1, site),
                Member(attribute, "Schedule", "OneForwardOneBackward"), Member(attribute, "Optimizer", "AdamW"), Member(attribute, "Zero", "None"),
                Value(attribute, "ZeroAxis") as string ?? "", Member(attribute, "Recompute", "None"), Member(attribute, "Precision", "Float32"), site,
                ReadSchedule(Value(attribute, "OwnSchedule") as INamedTypeSymbol, context)));
        }

        return meshes.ToEquatable();
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

/// <summary>Reads mesh, device and link classes.</summary>
public static class MeshExtractor
{
    /// <summary>The mesh, or null where the class is none.</summary>
    public static MeshDefinition? Extract(INamedTypeSymbol type)
    {
        AttributeData? mesh = type.GetAttributes().FirstOrDefault(a => Names.Is(a, "DeviceMesh"));
        if (mesh is null)
        {
            return null;
        }

        var axes = new List<MeshAxisDefinition>();
        foreach (AttributeData axis in type.GetAttributes().Where(a => Names.Is(a, "MeshAxis")))
        {
            if (axis.ConstructorArguments.Length == 2 && axis.ConstructorArguments[0].Value is string name && axis.ConstructorArguments[1].Value is int size)
            {
                TypedConstant role = Named(axis, "Role");
                string member = role.Type?.GetMembers().OfType<IFieldSymbol>().FirstOrDefault(f => f.HasConstantValue && Equals(f.ConstantValue, role.Value))?.Name ?? "Auto";
                axes.Add(new MeshAxisDefinition(name, Math.Max(1, size), member, Link(Named(axis, "Link").Value as INamedTypeSymbol)));
            }
        }

        return new MeshDefinition(Names.Of(type), axes.ToEquatable(), Device(Named(mesh, "Device").Value as INamedTypeSymbol));
    }

    private static DeviceDefinition Device(INamedTypeSymbol? type)
    {
        AttributeData? spec = type?.GetAttributes().FirstOrDefault(a => Names.Is(a, "DeviceSpec"));
        double Number(string name, double otherwise) => spec is not null && Named(spec, name).Value is { } value ? Convert.ToDouble(value, System.Globalization.CultureInfo.InvariantCulture) : otherwise;
        const double GiB = 1L << 30;
        double memory = Number("MemoryBytes", 16 * GiB);
        return new DeviceDefinition(
            type?.Name ?? "LocalCpu", (long)memory, (long)Number("UsableBytes", memory), (long)Number("ReserveBytes", 0),
            Number("BandwidthGBs", 20), Number("Fp32TFlops", 0.1), Number("Bf16TFlops", 0), Number("LaunchMicroseconds", 0), (int)Number("MaxThreads", 16));
    }

    private static LinkDefinition Link(INamedTypeSymbol? type)
    {
        AttributeData? spec = type?.GetAttributes().FirstOrDefault(a => Names.Is(a, "LinkSpec"));
        double Number(string name, double otherwise) => spec is not null && Named(spec, name).Value is { } value ? Convert.ToDouble(value, System.Globalization.CultureInfo.InvariantCulture) : otherwise;
        return new LinkDefinition(type?.Name ?? "SharedMemory", Number("BandwidthGBs", 10), Number("LatencyMicroseconds", 2));
    }

    private static TypedConstant Named(AttributeData attribute, string name) => attribute.NamedArguments.FirstOrDefault(n => n.Key == name).Value;
}
