namespace Shardwright;

/// <summary>A checkpoint, or a file of weights, cannot be written, read or used. The message names the file, what is wrong with it, and the way out.</summary>
public sealed class CheckpointException : Exception
{
    /// <summary>Creates the error.</summary>
    /// <param name="path">File or folder that it is about.</param>
    /// <param name="problem">What is wrong, and the way out.</param>
    /// <param name="inner">Cause.</param>
    public CheckpointException(string path, string problem, Exception? inner = null)
        : base($"'{path}' {problem}", inner) => Path = path;

    /// <summary>File or folder that it is about.</summary>
    public string Path { get; }
}
