using System.Buffers.Binary;
using System.Text.Json;

namespace Shardwright.Training;

/// <summary>Writes headers of safetensors files: all tensors are floats of 32 bits, and lie one after another in the order given.</summary>
internal static class SafetensorsHeader
{
    /// <summary>The length and the header, padded with spaces so that the elements begin at a multiple of 64 bytes.</summary>
    /// <exception cref="CheckpointException">It is longer than the format allows.</exception>
    public static byte[] Write(string path, IEnumerable<(string Name, long[] Shape)> tensors, IEnumerable<(string Key, string Value)> metadata)
    {
        using var stream = new MemoryStream();
        stream.Write(new byte[sizeof(long)]);
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            foreach ((string key, string value) in metadata)
            {
                json.WriteString(key, value);
            }

            json.WriteEndObject();
            long offset = 0;
            foreach ((string name, long[] shape) in tensors)
            {
                json.WriteStartObject(name);
                json.WriteString("dtype", "F32");
                json.WriteStartArray("shape");
                foreach (long size in shape)
                {
                    json.WriteNumberValue(size);
                }

                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                offset = shape.Aggregate((long)sizeof(float), (product, size) => product * size) + offset;
                json.WriteNumberValue(offset);
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        while (stream.Length % 64 != 0)
        {
            stream.WriteByte((byte)' ');
        }

        byte[] header = stream.ToArray();
        if (header.Length - sizeof(long) > SafetensorsFile.MaxHeaderBytes)
        {
            throw new CheckpointException(path, $"would need a header of {header.Length:N0} bytes, and the format allows {SafetensorsFile.MaxHeaderBytes:N0}: shard the model over more ranks.");
        }

        BinaryPrimitives.WriteInt64LittleEndian(header, header.Length - sizeof(long));
        return header;
    }
}
