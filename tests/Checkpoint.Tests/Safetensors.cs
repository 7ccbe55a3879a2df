using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Shardwright.Tests;

/// <summary>Reads and writes safetensors as the specification says, with none of the product's code: eight bytes with the length of the header, little-endian;
/// a JSON object from names to element type, shape and offsets within the rest, and notes under __metadata__; then the elements.</summary>
public static class Safetensors
{
    public sealed record Entry(string DType, long[] Shape, byte[] Bytes)
    {
        public float[] Floats => [.. Enumerable.Range(0, Bytes.Length / 4).Select(i => BinaryPrimitives.ReadSingleLittleEndian(Bytes.AsSpan(i * 4)))];
    }

    public static (Dictionary<string, Entry> Tensors, Dictionary<string, string> Notes) Parse(byte[] file)
    {
        int length = checked((int)BinaryPrimitives.ReadUInt64LittleEndian(file));
        Assert.Equal((byte)'{', file[8]);
        var tensors = new Dictionary<string, Entry>();
        var notes = new Dictionary<string, string>();
        var covered = new List<(long, long)>();
        using JsonDocument header = JsonDocument.Parse(Encoding.UTF8.GetString(file, 8, length));
        foreach (JsonProperty property in header.RootElement.EnumerateObject())
        {
            if (property.Name == "__metadata__")
            {
                notes = property.Value.EnumerateObject().ToDictionary(n => n.Name, n => n.Value.GetString()!);
                continue;
            }

            long[] offsets = Numbers(property.Value.GetProperty("data_offsets")), shape = Numbers(property.Value.GetProperty("shape"));
            string type = property.Value.GetProperty("dtype").GetString()!;
            covered.Add((offsets[0], offsets[1]));
            Assert.Equal(offsets[1] - offsets[0], shape.Aggregate(type switch { "F32" => 4L, "F16" or "BF16" => 2, "F64" => 8, _ => throw new NotSupportedException(type) }, (a, b) => a * b));
            tensors.Add(property.Name, new Entry(type, shape, file[(int)(8 + length + offsets[0])..(int)(8 + length + offsets[1])]));
        }

        long end = 0;
        foreach ((long from, long to) in covered.Order())
        {
            Assert.Equal(end, from);
            end = to;
        }

        Assert.Equal(file.Length, 8 + length + end);
        return (tensors, notes);
    }

    public static byte[] Write(IEnumerable<(string Name, string DType, long[] Shape, byte[] Bytes)> tensors, Dictionary<string, string>? notes = null)
    {
        var entries = new Dictionary<string, object>();
        if (notes is not null)
        {
            entries["__metadata__"] = notes;
        }

        using var data = new MemoryStream();
        foreach ((string name, string type, long[] shape, byte[] bytes) in tensors)
        {
            entries[name] = new Dictionary<string, object> { ["dtype"] = type, ["shape"] = shape, ["data_offsets"] = new[] { data.Length, data.Length + bytes.Length } };
            data.Write(bytes);
        }

        byte[] header = JsonSerializer.SerializeToUtf8Bytes(entries), length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
        return [.. length, .. header, .. data.ToArray()];
    }

    public static byte[] Bytes(params IEnumerable<float> values) => [.. values.SelectMany(BitConverter.GetBytes)];

    /// <summary>Puts the logical tensors of a checkpoint together, from its index and files alone; every element exactly once.</summary>
    public static Dictionary<string, float[]> Assemble(string checkpoint)
    {
        using JsonDocument index = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(checkpoint, "index.json")));
        var files = index.RootElement.GetProperty("files").EnumerateArray().Select(f => Parse(File.ReadAllBytes(Path.Combine(checkpoint, f.GetProperty("name").GetString()!))).Tensors).ToArray();
        var result = new Dictionary<string, float[]>();
        foreach (JsonElement tensor in index.RootElement.GetProperty("tensors").EnumerateArray())
        {
            long[] logical = Numbers(tensor.GetProperty("logical"));
            float[] whole = new float[logical.Aggregate(1L, (a, b) => a * b)];
            var seen = new bool[whole.Length];
            foreach (JsonElement piece in tensor.GetProperty("pieces").EnumerateArray())
            {
                long[] start = Numbers(piece.GetProperty("start")), local = Numbers(piece.GetProperty("local"));
                Entry entry = files[piece.GetProperty("file").GetInt32()][piece.GetProperty("name").GetString()!];
                Assert.Equal(Crc(entry.Bytes).ToString("x8", CultureInfo.InvariantCulture), piece.GetProperty("crc32c").GetString());
                long from = piece.TryGetProperty("range", out JsonElement range) ? Numbers(range)[0] : 0;
                float[] values = entry.Floats;
                for (int i = 0; i < values.Length; i++)
                {
                    long left = from + i, at = 0, stride = 1;
                    for (int dim = logical.Length - 1; dim >= 0; dim--)
                    {
                        at += (start[dim] + left % local[dim]) * stride;
                        left /= local[dim];
                        stride *= logical[dim];
                    }

                    Assert.False(seen[at]);
                    seen[at] = true;
                    whole[at] = values[i];
                }
            }

            Assert.DoesNotContain(false, seen);
            result.Add(tensor.GetProperty("name").GetString()!, whole);
        }

        return result;
    }

    /// <summary>CRC-32C bit by bit, reflected, as RFC 3720 defines it.</summary>
    public static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~0u;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82F63B78 : crc >> 1;
            }
        }

        return ~crc;
    }

    /// <summary>Gives a changed index the checksum of what it says now.</summary>
    public static byte[] Seal(string index)
    {
        byte[] body = Encoding.UTF8.GetBytes(index[..index.LastIndexOf(",\n\"crc32c\"", StringComparison.Ordinal)]);
        return [.. body, .. Encoding.UTF8.GetBytes($",\n\"crc32c\": \"{Crc(body):x8}\"\n}}\n")];
    }

    private static long[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(n => n.GetInt64())];
}
