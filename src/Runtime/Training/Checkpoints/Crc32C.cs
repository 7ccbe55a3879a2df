using System.Buffers.Binary;
using System.Numerics;

namespace Shardwright.Training;

/// <summary>The checksum of checkpoints: CRC-32 with Castagnoli's polynomial (RFC 3720, B.4), which processors compute. It finds every flipped bit, and every burst of up to 32.</summary>
internal static class Crc32C
{
    /// <summary>Checksum of no bytes, where <see cref="Append"/> starts.</summary>
    public const uint Start = 0;

    /// <summary>Checksum of what was summed before, with more bytes behind it.</summary>
    public static uint Append(uint checksum, ReadOnlySpan<byte> bytes)
    {
        uint crc = ~checksum;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }

        foreach (byte b in bytes)
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        return ~crc;
    }

    /// <summary>Checksum of bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes) => Append(Start, bytes);

    /// <summary>As checkpoints write it: eight hexadecimal digits.</summary>
    public static string Text(uint checksum) => checksum.ToString("x8", System.Globalization.CultureInfo.InvariantCulture);
}
