using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Shardwright.Training;

/// <summary>Takes values that were read.</summary>
/// <param name="at">First element of the target.</param>
/// <param name="values">Its values.</param>
internal delegate void PieceSink(long at, ReadOnlySpan<float> values);

/// <summary>Reads runs of a tensor from a file: neighbours in one read, nothing that is not needed, with a buffer of fixed size.</summary>
internal static class PieceReader
{
    private const int BufferElements = 1 << 18;
    private const int SmallGap = 1 << 13;

    /// <summary>Reads runs, rising in the source, and hands them on as floats.</summary>
    public static void Read(SafetensorsFile file, SafetensorsEntry entry, IEnumerable<PieceRun> runs, PieceSink sink)
    {
        int width = entry.DType switch
        {
            "F32" => 4,
            "F16" or "BF16" => 2,
            "F64" => 8,
            _ => throw new CheckpointException(file.Path, $"holds '{entry.Name}' as {entry.DType}: only F32, F16, BF16 and F64 can be read as floats."),
        };
        int capacity = (int)Math.Min(BufferElements, entry.Elements);
        var bytes = new byte[capacity * width];
        var floats = new float[capacity];
        var window = new List<PieceRun>();
        try
        {
            using SafeFileHandle handle = File.OpenHandle(file.Path);
            foreach (PieceRun run in runs.SelectMany(Split))
            {
                if (window.Count > 0 && (run.Source + run.Length - window[0].Source > BufferElements || run.Source - (window[^1].Source + window[^1].Length) > SmallGap))
                {
                    Take(handle, file, entry, window, width, bytes, floats, sink);
                }

                window.Add(run);
            }

            Take(handle, file, entry, window, width, bytes, floats, sink);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(file.Path, $"cannot be read: {error.Message}", error);
        }
    }

    /// <summary>Checksum of a tensor's bytes.</summary>
    public static uint Checksum(SafetensorsFile file, SafetensorsEntry entry, Action between)
    {
        try
        {
            using SafeFileHandle handle = File.OpenHandle(file.Path);
            var buffer = new byte[(int)Math.Min(entry.Bytes, 1 << 20)];
            uint checksum = Crc32C.Start;
            for (long at = 0; at < entry.Bytes; at += buffer.Length)
            {
                Span<byte> part = buffer.AsSpan(0, (int)Math.Min(buffer.Length, entry.Bytes - at));
                SafetensorsFile.Fill(handle, file.Path, part, entry.Offset + at);
                checksum = Crc32C.Append(checksum, part);
                between();
            }

            return checksum;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(file.Path, $"cannot be read: {error.Message}", error);
        }
    }

    private static IEnumerable<PieceRun> Split(PieceRun run)
    {
        for (long at = 0; at < run.Length; at += BufferElements)
        {
            yield return new PieceRun(run.Source + at, run.Target + at, Math.Min(BufferElements, run.Length - at));
        }
    }

    private static void Take(SafeFileHandle handle, SafetensorsFile file, SafetensorsEntry entry, List<PieceRun> window, int width, byte[] bytes, float[] floats, PieceSink sink)
    {
        if (window.Count == 0)
        {
            return;
        }

        long start = window[0].Source;
        Span<byte> read = bytes.AsSpan(0, (int)(window[^1].Source + window[^1].Length - start) * width);
        SafetensorsFile.Fill(handle, file.Path, read, entry.Offset + start * width);
        foreach (PieceRun run in window)
        {
            Span<byte> part = read.Slice((int)(run.Source - start) * width, (int)run.Length * width);
            Span<float> values = floats.AsSpan(0, (int)run.Length);
            switch (entry.DType)
            {
                case "F32":
                    MemoryMarshal.Cast<byte, float>(part).CopyTo(values);
                    break;
                case "F16":
                    System.Numerics.Tensors.TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(part), values);
                    break;
                case "BF16":
                    ReadOnlySpan<ushort> upper = MemoryMarshal.Cast<byte, ushort>(part);
                    for (int i = 0; i < values.Length; i++)
                    {
                        values[i] = BitConverter.UInt32BitsToSingle((uint)upper[i] << 16);
                    }

                    break;
                default:
                    ReadOnlySpan<double> doubles = MemoryMarshal.Cast<byte, double>(part);
                    for (int i = 0; i < values.Length; i++)
                    {
                        values[i] = (float)doubles[i];
                    }

                    break;
            }

            sink(run.Target, values);
        }

        window.Clear();
    }
}
