namespace Shardwright.Gpu;

/// <summary>An accelerator is missing, too small, or refuses a kernel; the message says what was looked for and what was found.</summary>
public sealed class GpuException : Exception
{
    internal GpuException(string message, Exception? inner = null)
        : base(message, inner)
    {
    }
}
