using System.Reflection.Metadata;

namespace Shardwright.Cli.Assemblies;

/// <summary>One of our attributes as it stands in metadata.</summary>
/// <param name="Name">Name of its type, with arity.</param>
/// <param name="Arguments">Values of its constructor's parameters; enum members as numbers.</param>
/// <param name="Named">Values that were set by name.</param>
internal sealed record AttributeValues(string Name, IReadOnlyList<object?> Arguments, IReadOnlyDictionary<string, object?> Named)
{
    private static readonly string[] s_read = ["ShardwrightGraphAttribute", "DeviceSpecAttribute", "DeviceEfficiencyAttribute"];

    /// <summary>Our attributes on a type; values of those that this tool reads.</summary>
    public static IEnumerable<AttributeValues> Of(MetadataReader metadata, TypeDefinition type)
    {
        foreach (CustomAttributeHandle handle in type.GetCustomAttributes())
        {
            CustomAttribute attribute = metadata.GetCustomAttribute(handle);
            if (Ours(metadata, attribute) is not { } name)
            {
                continue;
            }

            if (!s_read.Contains(name))
            {
                yield return new AttributeValues(name, [], ImmutableDictionary<string, object?>.Empty);
                continue;
            }

            CustomAttributeValue<string> value = attribute.DecodeValue(new TypeNames());
            yield return new AttributeValues(name, [.. value.FixedArguments.Select(a => a.Value)], value.NamedArguments.Where(a => a.Name is not null).ToDictionary(a => a.Name!, a => a.Value));
        }
    }

    private static string? Ours(MetadataReader metadata, CustomAttribute attribute)
    {
        EntityHandle type = attribute.Constructor.Kind == HandleKind.MemberReference
            ? metadata.GetMemberReference((MemberReferenceHandle)attribute.Constructor).Parent
            : metadata.GetMethodDefinition((MethodDefinitionHandle)attribute.Constructor).GetDeclaringType();
        if (type.Kind == HandleKind.TypeSpecification)
        {
            // A generic attribute: GENERICINST, CLASS, its type.
            BlobReader signature = metadata.GetBlobReader(metadata.GetTypeSpecification((TypeSpecificationHandle)type).Signature);
            if (signature.ReadSignatureTypeCode() != SignatureTypeCode.GenericTypeInstance)
            {
                return null;
            }

            signature.ReadCompressedInteger();
            type = signature.ReadTypeHandle();
        }

        (StringHandle space, StringHandle name) = type.Kind switch
        {
            HandleKind.TypeReference => (metadata.GetTypeReference((TypeReferenceHandle)type).Namespace, metadata.GetTypeReference((TypeReferenceHandle)type).Name),
            HandleKind.TypeDefinition => (metadata.GetTypeDefinition((TypeDefinitionHandle)type).Namespace, metadata.GetTypeDefinition((TypeDefinitionHandle)type).Name),
            _ => default,
        };
        return !space.IsNil && metadata.StringComparer.Equals(space, "Shardwright") ? metadata.GetString(name) : null;
    }

    /// <summary>Names types while attribute values are decoded; all enums of our attributes are of 32 bits.</summary>
    private sealed class TypeNames : ICustomAttributeTypeProvider<string>
    {
        public string GetPrimitiveType(PrimitiveTypeCode typeCode) => typeCode.ToString();

        public string GetSystemType() => "System.Type";

        public bool IsSystemType(string type) => type == "System.Type";

        public string GetSZArrayType(string elementType) => elementType + "[]";

        public string GetTypeFromDefinition(MetadataReader reader, TypeDefinitionHandle handle, byte rawTypeKind) => reader.GetString(reader.GetTypeDefinition(handle).Name);

        public string GetTypeFromReference(MetadataReader reader, TypeReferenceHandle handle, byte rawTypeKind) => reader.GetString(reader.GetTypeReference(handle).Name);

        public string GetTypeFromSerializedName(string name) => name;

        public PrimitiveTypeCode GetUnderlyingEnumType(string type) => PrimitiveTypeCode.Int32;
    }
}
