using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Shardwright.Training;

/// <summary>Writes values of a tensor at a place.</summary>
/// <param name="name">Name of the tensor.</param>
/// <param name="at">First element.</param>
/// <param name="values">The values.</param>
internal delegate void PlaceWriter(string name, long at, ReadOnlySpan<float> values);

/// <summary>One safetensors file of whole tensors that several ranks write together, each its pieces. It has its name once it is complete.</summary>
internal sealed class WholeFile
{
    private readonly string _path;
    private readonly byte[] _header;
    private readonly Dictionary<string, long> _offsets = new(StringComparer.Ordinal);
    private readonly long _length;

    /// <summary>A file to be written; tensors lie in the order of their names, whoever writes it.</summary>
    public WholeFile(string path, IEnumerable<(string Name, long[] Shape)> tensors)
    {
        _path = Path.GetFullPath(path);
        (string Name, long[] Shape)[] ordered = [.. tensors.OrderBy(t => t.Name, StringComparer.Ordinal)];

        // "pt" says to Python's loaders that names and layouts are those of row-major tensors.
        _header = SafetensorsHeader.Write(_path, ordered, [("format", "pt")]);
        _length = _header.Length;
        foreach ((string name, long[] shape) in ordered)
        {
            _offsets[name] = _length;
            _length += shape.Aggregate((long)sizeof(float), (product, size) => product * size);
        }
    }

    private string Partial => _path + Durable.Partial;

    /// <summary>Makes the file, of its full length, under the name of one that is not complete: done by one rank, before any writes.</summary>
    public void Create() => Guard(() =>
    {
        using SafeFileHandle file = File.OpenHandle(Partial, FileMode.Create, FileAccess.Write, FileShare.ReadWrite);
        RandomAccess.SetLength(file, _length);
        RandomAccess.Write(file, _header, 0);
    });

    /// <summary>Writes pieces; several ranks may at once.</summary>
    public void Write(Action<PlaceWriter> body) => Guard(() =>
    {
        using SafeFileHandle file = File.OpenHandle(Partial, FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
        body((name, at, values) => RandomAccess.Write(file, MemoryMarshal.AsBytes(values), _offsets[name] + at * sizeof(float)));
        RandomAccess.FlushToDisk(file);
    });

    /// <summary>Gives the file its name: done by one rank, when all have written.</summary>
    public void Complete() => Guard(() =>
    {
        File.Move(Partial, _path, overwrite: true);
        Durable.FlushFolder(Path.GetDirectoryName(_path)!);
    });

    private void Guard(Action action)
    {
        try
        {
            action();
        }
        catch (Exception error) when (Durable.Refused(error))
        {
            throw new CheckpointException(_path, $"cannot be written: {error.Message}", error);
        }
    }
}
