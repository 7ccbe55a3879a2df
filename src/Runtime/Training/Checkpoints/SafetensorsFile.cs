using System.Buffers.Binary;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace Shardwright;

/// <summary>A tensor of a safetensors file.</summary>
/// <param name="Name">Its name.</param>
/// <param name="DType">Element type as the format names it: <c>F32</c>, <c>BF16</c>, <c>I64</c>, ….</param>
/// <param name="Shape">Sizes; none for a scalar.</param>
/// <param name="Offset">First byte, counted from the start of the file.</param>
/// <param name="Bytes">Number of bytes.</param>
public sealed record SafetensorsEntry(string Name, string DType, IReadOnlyList<long> Shape, long Offset, long Bytes)
{
    /// <summary>Number of elements.</summary>
    public long Elements => Shape.Aggregate(1L, (product, size) => product * size);
}

/// <summary>A file in the safetensors format: a length of eight bytes, a header in JSON, then the elements of all tensors. Opening it reads and checks the header only.</summary>
public sealed class SafetensorsFile
{
    /// <summary>Longest header that the format allows.</summary>
    public const int MaxHeaderBytes = 100_000_000;

    private static readonly Dictionary<string, int> s_elementBytes = new(StringComparer.Ordinal)
    {
        ["BOOL"] = 1, ["U8"] = 1, ["I8"] = 1, ["F8_E4M3"] = 1, ["F8_E5M2"] = 1, ["U16"] = 2, ["I16"] = 2, ["F16"] = 2, ["BF16"] = 2,
        ["U32"] = 4, ["I32"] = 4, ["F32"] = 4, ["U64"] = 8, ["I64"] = 8, ["F64"] = 8,
    };

    private readonly Dictionary<string, SafetensorsEntry> _entries;

    private SafetensorsFile(string path, long bytes, uint headerChecksum, Dictionary<string, SafetensorsEntry> entries, Dictionary<string, string> metadata)
    {
        Path = path;
        Bytes = bytes;
        HeaderChecksum = headerChecksum;
        _entries = entries;
        Metadata = metadata;
    }

    /// <summary>Where it lies.</summary>
    public string Path { get; }

    /// <summary>Length of the file.</summary>
    public long Bytes { get; }

    /// <summary>What its writer noted: <c>__metadata__</c> of the header.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Its tensors, in the order of their bytes.</summary>
    public IReadOnlyCollection<SafetensorsEntry> Entries => _entries.Values;

    /// <summary>Checksum of the length and the header.</summary>
    internal uint HeaderChecksum { get; }

    /// <summary>Opens a file: its header must be well formed, and its tensors must fill the rest of the file, each byte once.</summary>
    /// <exception cref="CheckpointException">There is no such file, or it is no safetensors file.</exception>
    public static SafetensorsFile Open(string path)
    {
        byte[] header;
        long length;
        try
        {
            using SafeFileHandle file = File.OpenHandle(path);
            length = RandomAccess.GetLength(file);
            var start = new byte[sizeof(long)];
            Fill(file, path, start, 0);
            ulong bytes = BinaryPrimitives.ReadUInt64LittleEndian(start);
            if (bytes > (ulong)Math.Max(0, length - sizeof(long)) || bytes > MaxHeaderBytes)
            {
                throw new CheckpointException(path, $"begins with a header length of {bytes:N0} bytes, and holds {length:N0} bytes (a header may have {MaxHeaderBytes:N0}): it is truncated, damaged, or no safetensors file.");
            }

            header = new byte[sizeof(long) + (int)bytes];
            Fill(file, path, header, 0);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new CheckpointException(path, $"cannot be read: {error.Message}", error);
        }

        try
        {
            (Dictionary<string, SafetensorsEntry> entries, Dictionary<string, string> metadata) = Parse(header, length);
            return new SafetensorsFile(path, length, Training.Crc32C.Of(header), entries, metadata);
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or FormatException or OverflowException or KeyNotFoundException)
        {
            throw new CheckpointException(path, $"is no safetensors file, or is damaged: {error.Message}", error);
        }
    }

    /// <summary>Finds a tensor; null where there is none of that name.</summary>
    public SafetensorsEntry? Find(string name) => _entries.GetValueOrDefault(name);

    /// <summary>Reads a tensor as floats: F32 as it is, F16, BF16 and F64 converted.</summary>
    /// <exception cref="CheckpointException">There is no such tensor, it holds no floats, or the file has changed.</exception>
    public float[] Read(string name)
    {
        SafetensorsEntry entry = Find(name) ?? throw new CheckpointException(Path, $"holds no tensor '{name}'; it holds {string.Join(", ", _entries.Keys.Take(8))}{(_entries.Count > 8 ? ", …" : "")}.");
        if (entry.Elements > Array.MaxLength)
        {
            throw new CheckpointException(Path, $"holds '{name}' with {entry.Elements:N0} elements, and one array takes {Array.MaxLength:N0}.");
        }

        var values = new float[entry.Elements];
        Training.PieceReader.Read(this, entry, [new(0, 0, values.Length)], (at, part) => part.CopyTo(values.AsSpan((int)at)));
        return values;
    }

    /// <summary>Fills a buffer from a place of a file.</summary>
    internal static void Fill(SafeFileHandle file, string path, Span<byte> buffer, long offset)
    {
        while (buffer.Length > 0)
        {
            int read = RandomAccess.Read(file, buffer, offset);
            if (read == 0)
            {
                throw new CheckpointException(path, $"ends at byte {offset:N0}, where {buffer.Length:N0} more were expected: it is truncated, or no safetensors file.");
            }

            buffer = buffer[read..];
            offset += read;
        }
    }

    private static (Dictionary<string, SafetensorsEntry> Entries, Dictionary<string, string> Metadata) Parse(byte[] header, long length)
    {
        if (header.Length == sizeof(long) || header[sizeof(long)] != (byte)'{')
        {
            throw new FormatException("the header does not begin with '{'");
        }

        using JsonDocument document = JsonDocument.Parse(header.AsMemory(sizeof(long)), new JsonDocumentOptions { MaxDepth = 4, AllowDuplicateProperties = false });
        var entries = new List<SafetensorsEntry>();
        var metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (JsonProperty property in document.RootElement.EnumerateObject())
        {
            if (property.Name == "__metadata__")
            {
                foreach (JsonProperty note in property.Value.EnumerateObject())
                {
                    metadata[note.Name] = note.Value.GetString() ?? throw new FormatException($"'{note.Name}' of __metadata__ is null");
                }

                continue;
            }

            entries.Add(Entry(property, header.Length));
        }

        // No byte belongs to two tensors or to none.
        long next = header.Length;
        entries.Sort((a, b) => a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset) : a.Bytes != b.Bytes ? a.Bytes.CompareTo(b.Bytes) : string.CompareOrdinal(a.Name, b.Name));
        foreach (SafetensorsEntry entry in entries)
        {
            if (entry.Offset != next || entry.Bytes > length - next)
            {
                throw new FormatException(entry.Offset != next
                    ? $"tensor '{entry.Name}' begins at byte {entry.Offset:N0}, and the one before it ends at {next:N0}"
                    : $"tensor '{entry.Name}' ends at byte {entry.Offset + entry.Bytes:N0}, and the file at {length:N0}");
            }

            next += entry.Bytes;
        }

        return next == length
            ? (entries.ToDictionary(e => e.Name, StringComparer.Ordinal), metadata)
            : throw new FormatException($"its tensors end at byte {next:N0}, and the file at {length:N0}");
    }

    private static SafetensorsEntry Entry(JsonProperty property, int headerBytes)
    {
        string name = property.Name, type = property.Value.GetProperty("dtype").GetString() ?? "";
        long[] shape = [.. property.Value.GetProperty("shape").EnumerateArray().Select(n => n.GetInt64())], offsets = [.. property.Value.GetProperty("data_offsets").EnumerateArray().Select(n => n.GetInt64())];
        if (!s_elementBytes.TryGetValue(type, out int bytes))
        {
            throw new FormatException($"tensor '{name}' has the element type '{type}', which is not among {string.Join(", ", s_elementBytes.Keys)}");
        }

        if (shape.Any(size => size < 0) || offsets.Length != 2 || offsets[0] < 0 || offsets[1] < offsets[0])
        {
            throw new FormatException($"tensor '{name}' has shape [{string.Join(", ", shape)}] and offsets [{string.Join(", ", offsets)}]");
        }

        long needed = shape.Aggregate((long)bytes, (product, size) => checked(product * size));
        return needed == offsets[1] - offsets[0]
            ? new SafetensorsEntry(name, type, shape, checked(headerBytes + offsets[0]), needed)
            : throw new FormatException($"tensor '{name}' of {type} [{string.Join(", ", shape)}] takes {needed:N0} bytes, and its offsets give {offsets[1] - offsets[0]:N0}");
    }
}
