using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using Shardwright.Gpu;

namespace Shardwright.Tests;

/// <summary>docs/ilgpu-api.md lists every type and member of ILGPU that the backend and emitted kernels use: read from the references in their assemblies.</summary>
public sealed class ApiTests
{
    [Fact]
    public void EveryMemberThatIsUsedIsListedAndNoOther()
    {
        string[] used = Used(typeof(GpuBackend).Assembly), emitted = Used(typeof(ApiTests).Assembly);
        string[] listed = [.. File.ReadLines(Path.Combine(Root(), "docs", "ilgpu-api.md")).Where(l => l.StartsWith("| `", StringComparison.Ordinal)).Select(l => l.Split('`')[1]).Order(StringComparer.Ordinal)];
        Assert.Equal(used, listed);
        Assert.Contains("SharedMemory.Allocate", emitted);
        Assert.Empty(emitted.Except(listed));
    }

    /// <summary>Members of ILGPU that an assembly refers to, as Type.Member.</summary>
    private static string[] Used(Assembly assembly)
    {
        using var file = new PEReader(File.OpenRead(assembly.Location));
        MetadataReader reader = file.GetMetadataReader();
        var names = new HashSet<string>();
        foreach (MemberReferenceHandle handle in reader.MemberReferences)
        {
            MemberReference member = reader.GetMemberReference(handle);
            if (TypeName(reader, member.Parent) is { } type)
            {
                names.Add(type + "." + reader.GetString(member.Name).Replace("get_", "", StringComparison.Ordinal));
            }
        }

        return [.. names.Order(StringComparer.Ordinal)];
    }

    private static string? TypeName(MetadataReader reader, EntityHandle handle)
    {
        switch (handle.Kind)
        {
            case HandleKind.TypeReference:
                TypeReference type = reader.GetTypeReference((TypeReferenceHandle)handle);
                if (type.ResolutionScope.Kind == HandleKind.TypeReference)
                {
                    return TypeName(reader, type.ResolutionScope) is { } outer ? outer + "." + reader.GetString(type.Name) : null;
                }

                return type.ResolutionScope.Kind == HandleKind.AssemblyReference && reader.GetString(reader.GetAssemblyReference((AssemblyReferenceHandle)type.ResolutionScope).Name).StartsWith("ILGPU", StringComparison.Ordinal)
                    ? reader.GetString(type.Name).Split('`')[0] : null;
            case HandleKind.TypeSpecification:
                BlobReader blob = reader.GetBlobReader(reader.GetTypeSpecification((TypeSpecificationHandle)handle).Signature);
                return blob.ReadSignatureTypeCode() == SignatureTypeCode.GenericTypeInstance && blob.ReadByte() is 0x11 or 0x12 ? TypeName(reader, blob.ReadTypeHandle()) : null;
            default:
                return null;
        }
    }

    private static string Root()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Generators.sln")))
        {
            folder = Path.GetDirectoryName(folder)!;
        }

        return folder;
    }
}
