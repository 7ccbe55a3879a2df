using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Shardwright.Compiler.Frontend;

/// <summary>Reads mesh, device and link classes.</summary>
public static class MeshExtractor
{
    /// <summary>The mesh, or null where the class is none.</summary>
    /// <param name="type">The class.</param>
    /// <param name="place">Numbers the place of an attribute; null where nobody asks for places.</param>
    public static MeshDefinition? Extract(INamedTypeSymbol type, Func<AttributeData, int>? place = null)
    {
        AttributeData? mesh = type.GetAttributes().FirstOrDefault(a => Names.Is(a, "DeviceMesh"));
        if (mesh is null)
        {
            return null;
        }

        // What a mesh leaves open is what the runtime's own classes say: there is one place for these numbers.
        INamedTypeSymbol? Own(string name) => mesh.AttributeClass!.ContainingAssembly.GetTypeByMetadataName("Shardwright." + name);
        var axes = new List<MeshAxisDefinition>();
        foreach (AttributeData axis in type.GetAttributes().Where(a => Names.Is(a, "MeshAxis")))
        {
            if (axis.ConstructorArguments.Length == 2 && axis.ConstructorArguments[0].Value is string name && axis.ConstructorArguments[1].Value is int size)
            {
                axes.Add(new MeshAxisDefinition(name, size, Member(Named(axis, "Role")) ?? "Auto", Link(Named(axis, "Link").Value as INamedTypeSymbol ?? Own("Links+SharedMemory")), place?.Invoke(axis) ?? -1, place is null ? "" : Written(axis)));
            }
        }

        return new MeshDefinition(Names.Of(type), axes.ToEquatable(), Device(Named(mesh, "Device").Value as INamedTypeSymbol ?? Own("Devices+LocalCpu")));
    }

    private static DeviceDefinition Device(INamedTypeSymbol? type)
    {
        AttributeData? spec = type?.GetAttributes().FirstOrDefault(a => Names.Is(a, "DeviceSpec"));
        var points = new List<EfficiencyPoint>();
        foreach (AttributeData point in type?.GetAttributes().Where(a => Names.Is(a, "DeviceEfficiency")) ?? Enumerable.Empty<AttributeData>())
        {
            if (point.ConstructorArguments.Length == 3 && Enum.TryParse(Member(point.ConstructorArguments[0]), out WorkKind kind) && point.ConstructorArguments[1].Value is double size && point.ConstructorArguments[2].Value is double share)
            {
                points.Add(new EfficiencyPoint(kind, size, share));
            }
        }

        return DeviceDefinition.Read(type?.Name ?? "", spec is null ? null : property => Number(spec, property), points);
    }

    private static LinkDefinition Link(INamedTypeSymbol? type)
    {
        AttributeData? spec = type?.GetAttributes().FirstOrDefault(a => Names.Is(a, "LinkSpec"));
        return new LinkDefinition(type?.Name ?? "", Number(spec, "BandwidthGBs") ?? 0, Number(spec, "LatencyMicroseconds") ?? 0);
    }

    /// <summary>The link of an axis as its source has it, else the one that holds where none is written.</summary>
    private static string Written(AttributeData axis) =>
        (axis.ApplicationSyntaxReference?.GetSyntax() as AttributeSyntax)?.ArgumentList?.Arguments.FirstOrDefault(a => a.NameEquals?.Name.Identifier.Text == "Link") is { } link ? SiteTable.Quote(link.Expression) : "typeof(Shardwright.Links.SharedMemory)";

    private static double? Number(AttributeData? spec, string name) =>
        spec is not null && Named(spec, name).Value is { } value ? Convert.ToDouble(value, System.Globalization.CultureInfo.InvariantCulture) : null;

    private static TypedConstant Named(AttributeData attribute, string name) => attribute.NamedArguments.FirstOrDefault(n => n.Key == name).Value;

    private static string? Member(TypedConstant constant) =>
        constant.Type?.GetMembers().OfType<IFieldSymbol>().FirstOrDefault(f => f.HasConstantValue && Equals(f.ConstantValue, constant.Value))?.Name;
}
