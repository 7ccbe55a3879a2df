namespace Shardwright.Execution;

/// <summary>Where ranks have their memory and run their kernels. The program of a rank is the same on all backends.</summary>
public abstract class Backend
{
    /// <summary>The processor: memory of the host, kernels on threads.</summary>
    public static Backend Host { get; } = new HostBackend();

    /// <summary>For messages.</summary>
    public abstract string Name { get; }

    /// <summary>Allocates and clears the memory of a rank: exactly the bytes that were planned.</summary>
    /// <param name="bytes">The plan's figure.</param>
    /// <param name="scratch">The piece of it that kernels use as scratch.</param>
    /// <param name="rank">The rank, which may share a device with others.</param>
    public abstract Arena Allocate(long bytes, Slice<byte> scratch, int rank);

    private sealed class HostBackend : Backend
    {
        public override string Name => "the host";

        public override Arena Allocate(long bytes, Slice<byte> scratch, int rank) => new(bytes, rank);
    }
}
