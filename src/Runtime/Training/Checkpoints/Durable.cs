using System.Runtime.InteropServices;

namespace Shardwright.Training;

/// <summary>Writes that outlive a crash of the machine: contents are flushed to the disk before a name points to them, and then the name.</summary>
internal static partial class Durable
{
    /// <summary>Suffix of what is not complete.</summary>
    public const string Partial = ".partial";

    /// <summary>Whether an error is a system's answer to a write: a full disk, a folder that is not there or not ours, a file larger than the file system takes.</summary>
    public static bool Refused(Exception error) => error is IOException or UnauthorizedAccessException or ArgumentOutOfRangeException;

    /// <summary>Puts a file under a name at once: what was there stays until the new contents are on the disk.</summary>
    public static void Replace(string path, ReadOnlySpan<byte> contents)
    {
        using (var file = new FileStream(path + Partial, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            file.Write(contents);
            file.Flush(flushToDisk: true);
        }

        File.Move(path + Partial, path, overwrite: true);
        FlushFolder(Path.GetDirectoryName(path)!);
    }

    /// <summary>Flushes the names of a folder. Where a system knows no such thing, its renames are as durable as it makes them.</summary>
    public static void FlushFolder(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        int file = Open(path, 0);
        if (file >= 0)
        {
            _ = Sync(file);
            _ = Close(file);
        }
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync")]
    private static partial int Sync(int file);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);
}
