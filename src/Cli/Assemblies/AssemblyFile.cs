using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Shardwright.Cli.Assemblies;

/// <summary>A class of an assembly with its Shardwright attributes.</summary>
/// <param name="FullName">Namespace and containing types with dots.</param>
/// <param name="Graph">Text of its graph; null for none.</param>
/// <param name="IsModel">Whether it carries [ShardedOn].</param>
/// <param name="Device">Its [DeviceSpec]; null for none.</param>
/// <param name="Efficiencies">Its [DeviceEfficiency] points.</param>
internal sealed record AssemblyClass(string FullName, string? Graph, bool IsModel, AttributeValues? Device, IReadOnlyList<AttributeValues> Efficiencies)
{
    /// <summary>Name without namespace.</summary>
    public string ShortName => FullName[(FullName.LastIndexOf('.') + 1)..];
}

/// <summary>What a compiled assembly says about models: read from its metadata, nothing of it is loaded or run.</summary>
internal sealed class AssemblyFile
{
    private AssemblyFile(string path, string name, IReadOnlyList<AssemblyClass> classes, IReadOnlyList<string> references)
    {
        Path = path;
        Name = name;
        Classes = classes;
        References = references;
    }

    /// <summary>Where it lies.</summary>
    public string Path { get; }

    /// <summary>Its name, without version.</summary>
    public string Name { get; }

    /// <summary>Classes that carry one of our attributes.</summary>
    public IReadOnlyList<AssemblyClass> Classes { get; }

    /// <summary>Names of the assemblies that it refers to.</summary>
    public IReadOnlyList<string> References { get; }

    /// <summary>Reads an assembly.</summary>
    public static AssemblyFile Read(string path)
    {
        if (!File.Exists(path))
        {
            throw CliException.BadFile(Directory.Exists(path) ? $"'{path}' is a folder: give the .dll of a compiled project within it" : $"there is no file '{path}'");
        }

        try
        {
            using FileStream stream = File.OpenRead(path);
            using var image = new PEReader(stream, PEStreamOptions.PrefetchMetadata);
            if (!image.HasMetadata)
            {
                throw CliException.BadFile($"'{path}' is a native program or library: give the .dll of a compiled .NET project");
            }

            MetadataReader metadata = image.GetMetadataReader();
            if (!metadata.IsAssembly)
            {
                throw CliException.BadFile($"'{path}' is a module without an assembly: give the .dll of a compiled .NET project");
            }

            return new AssemblyFile(
                path, metadata.GetString(metadata.GetAssemblyDefinition().Name),
                [.. metadata.TypeDefinitions.Select(t => Class(metadata, metadata.GetTypeDefinition(t))).OfType<AssemblyClass>()],
                [.. metadata.AssemblyReferences.Select(r => metadata.GetString(metadata.GetAssemblyReference(r).Name))]);
        }
        catch (Exception error) when (error is BadImageFormatException or ArgumentException or OverflowException or InvalidOperationException)
        {
            throw CliException.BadFile($"'{path}' is no .NET assembly, or a damaged one ({error.Message.TrimEnd('.')}): give the .dll of a compiled project");
        }
    }

    private static AssemblyClass? Class(MetadataReader metadata, TypeDefinition type)
    {
        var attributes = AttributeValues.Of(metadata, type).ToList();
        string? graph = attributes.FirstOrDefault(a => a.Name == "ShardwrightGraphAttribute")?.Arguments.FirstOrDefault() as string;
        bool model = attributes.Any(a => a.Name == "ShardedOnAttribute`1");
        AttributeValues? device = attributes.FirstOrDefault(a => a.Name == "DeviceSpecAttribute");
        return graph is null && !model && device is null
            ? null
            : new AssemblyClass(FullName(metadata, type), graph, model, device, [.. attributes.Where(a => a.Name == "DeviceEfficiencyAttribute")]);
    }

    private static string FullName(MetadataReader metadata, TypeDefinition type)
    {
        string name = metadata.GetString(type.Name);
        if (type.GetDeclaringType() is { IsNil: false } outer)
        {
            return FullName(metadata, metadata.GetTypeDefinition(outer)) + "." + name;
        }

        string space = metadata.GetString(type.Namespace);
        return space.Length == 0 ? name : space + "." + name;
    }
}
