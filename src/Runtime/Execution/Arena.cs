using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Shardwright.Execution;

/// <summary>The one native allocation of a rank. Its size and layout are decided at compile time; nothing is allocated after it.</summary>
public sealed unsafe class Arena : IDisposable
{
    private static long s_allocations;
    private byte* _start;

    /// <summary>Allocates and clears the arena.</summary>
    /// <param name="bytes">The plan's own figure for this rank.</param>
    /// <param name="rank">Rank that owns it, for messages.</param>
    /// <exception cref="OutOfMemoryException">The machine refused; the message names the rank and the bytes.</exception>
    public Arena(long bytes, int rank)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        Bytes = bytes;
        try
        {
            _start = (byte*)NativeMemory.AlignedAlloc((nuint)Math.Max(bytes, 64), 64);
        }
        catch (OutOfMemoryException error)
        {
            throw new OutOfMemoryException(
                $"Rank {rank} could not allocate its arena of {bytes:N0} bytes, the figure of its plan. " +
                "Run fewer ranks on this machine, or shard the model further.", error);
        }

        Interlocked.Increment(ref s_allocations);
        NativeMemory.Clear(_start, (nuint)bytes);
    }

    /// <summary>Number of arenas that this process has allocated so far.</summary>
    public static long Allocations => Interlocked.Read(ref s_allocations);

    /// <summary>Size in bytes, as planned.</summary>
    public long Bytes { get; }

    /// <summary>The first element of a slice.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref T Ref<T>(Slice<T> slice) where T : unmanaged
    {
        Debug.Assert(slice.Offset >= 0 && slice.Offset + slice.Length * sizeof(T) <= Bytes, "slice lies outside of the arena");
        return ref Unsafe.AsRef<T>(_start + slice.Offset);
    }

    /// <summary>The elements of a slice.</summary>
    public Span<T> Span<T>(Slice<T> slice) where T : unmanaged => new(_start + slice.Offset, checked((int)slice.Length));

    /// <summary>Address of a slice, for process groups of this process.</summary>
    internal T* Pointer<T>(Slice<T> slice) where T : unmanaged => (T*)(_start + slice.Offset);

    /// <inheritdoc/>
    public void Dispose()
    {
        byte* start = _start;
        _start = null;
        if (start != null)
        {
            NativeMemory.AlignedFree(start);
        }
    }
}
