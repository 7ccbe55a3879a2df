using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Shardwright.Worlds;

namespace Shardwright.Execution;

/// <summary>The one native allocation of a rank, here in host memory. Its size and layout are decided at compile time; nothing is allocated after it. Other backends derive
/// their own: what is not host memory is reached by copies.</summary>
public unsafe partial class Arena : IDisposable
{
    private const uint HugePage = 2 << 20;
    private static long s_allocations;
    private byte* _start;
    private int _holders;
    private int _gone;

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
            _start = (byte*)NativeMemory.AlignedAlloc((nuint)Math.Max(bytes, 64), bytes < HugePage ? 64u : HugePage);
        }
        catch (OutOfMemoryException error)
        {
            throw new OutOfMemoryException(
                string.Create(System.Globalization.CultureInfo.InvariantCulture, $"Rank {rank} could not allocate its arena of {bytes:N0} bytes, the figure of its plan: this machine does not have them. Run fewer ranks on it, or shard the model further."), error);
        }

        Interlocked.Increment(ref s_allocations);
        AskForHugePages();
        NativeMemory.Clear(_start, (nuint)bytes);
    }

    /// <summary>For backends whose memory lies elsewhere.</summary>
    protected Arena(long bytes) => Bytes = bytes;

    /// <summary>Number of arenas that this process has allocated so far.</summary>
    public static long Allocations => Interlocked.Read(ref s_allocations);

    /// <summary>Size in bytes, as planned.</summary>
    public long Bytes { get; }

    /// <summary>Whether slices are host memory: <see cref="Ref"/> and <see cref="Span"/> are for such arenas only.</summary>
    public bool IsHost => _start != null;

    /// <summary>Host memory for the elements of a slice, to be filled; <see cref="EndWrite"/> sends them. The elements themselves where the arena is host memory.</summary>
    public Span<T> BeginWrite<T>(Slice<T> target)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(BeginWrite(target.Offset, checked((int)(target.Length * sizeof(T)))));

    /// <summary>Sends what was written since <see cref="BeginWrite{T}"/>; nothing else may be copied in between.</summary>
    public void EndWrite<T>(Slice<T> target)
        where T : unmanaged => EndWrite(target.Offset, checked((int)(target.Length * sizeof(T))));

    /// <summary>The elements of a slice after all work started before: themselves where the arena is host memory, else a copy that lives until the next one.</summary>
    public ReadOnlySpan<T> Read<T>(Slice<T> source)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(Read(source.Offset, checked((int)(source.Length * sizeof(T)))));

    /// <summary>One number, after all work started before.</summary>
    public float Scalar(Slice<float> source) => Read(source)[0];

    /// <summary>Copies a slice onto another one of the arena, after all work started before; the slices do not overlap.</summary>
    /// <exception cref="ArgumentException">They differ in length.</exception>
    public void Copy<T>(Slice<T> source, Slice<T> target)
        where T : unmanaged
    {
        RequireSameLength(source, target);
        Copy(source.Offset, target.Offset, source.Length * sizeof(T));
    }

    /// <summary>target += source, after all work started before; the slices do not overlap.</summary>
    /// <exception cref="ArgumentException">They differ in length.</exception>
    public void Add<T>(Slice<T> source, Slice<T> target)
        where T : unmanaged
    {
        RequireSameLength(source, target);
        switch (NarrowNumbers.FormatOf<T>())
        {
            case NumberFormat.Float32:
                AddElements(new Slice<float>(source.Offset, source.Length), new Slice<float>(target.Offset, target.Length));
                break;
            case NumberFormat.BFloat16:
                AddElements(new Slice<BFloat16>(source.Offset, source.Length), new Slice<BFloat16>(target.Offset, target.Length));
                break;
            default:
                AddElements(new Slice<Float16>(source.Offset, source.Length), new Slice<Float16>(target.Offset, target.Length));
                break;
        }
    }

    /// <summary>Copies bytes within the arena.</summary>
    protected virtual void Copy(long source, long target, long bytes) => Buffer.MemoryCopy(_start + source, _start + target, bytes, bytes);

    /// <summary>Adds elements of the arena to others.</summary>
    protected virtual void AddElements(Slice<float> source, Slice<float> target)
    {
        Span<float> sum = Span(target);
        System.Numerics.Tensors.TensorPrimitives.Add(sum, Span(source), sum);
    }

    /// <summary>Adds elements of the arena to others; each sum is rounded once.</summary>
    protected virtual void AddElements<T>(Slice<T> source, Slice<T> target)
        where T : unmanaged, INarrowNumber<T>
    {
        Span<T> terms = Span(source), sum = Span(target);
        for (int i = 0; i < sum.Length; i++)
        {
            sum[i] = (T)((float)sum[i] + terms[i]);
        }
    }

    /// <summary>Host memory that stands for a piece of the arena.</summary>
    protected virtual Span<byte> BeginWrite(long offset, int bytes) => new(_start + offset, bytes);

    /// <summary>Sends it.</summary>
    protected virtual void EndWrite(long offset, int bytes)
    {
    }

    /// <summary>A piece of the arena in host memory.</summary>
    protected virtual ReadOnlySpan<byte> Read(long offset, int bytes) => new(_start + offset, bytes);

    /// <summary>Called when a member starts an operation of its group: work on its buffers must be done before others reach them.</summary>
    protected internal virtual void BeforeTransfer()
    {
    }

    /// <summary>Does one member's share of an operation, on the buffers of all; returns when it is done.</summary>
    /// <param name="all">The members' parts.</param>
    /// <param name="member">Whose share.</param>
    protected internal virtual void Move(ReadOnlySpan<Transfer> all, int member) => HostTransfers.Run(all, member);

    /// <summary>The first element of a slice.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ref T Ref<T>(Slice<T> slice) where T : unmanaged
    {
        Debug.Assert(slice.Offset >= 0 && slice.Offset + slice.Length * sizeof(T) <= Bytes, "slice lies outside of the arena");
        return ref Unsafe.AsRef<T>(_start + slice.Offset);
    }

    /// <summary>The elements of a slice.</summary>
    /// <exception cref="NotSupportedException">The arena is not host memory.</exception>
    public Span<T> Span<T>(Slice<T> slice) where T : unmanaged =>
        IsHost ? new(_start + slice.Offset, checked((int)slice.Length)) : throw new NotSupportedException("The memory of this rank is not the host's: it is reached by copies.");

    /// <summary>Address of a slice, for process groups of this process.</summary>
    internal T* Pointer<T>(Slice<T> slice) where T : unmanaged => (T*)(_start + slice.Offset);

    /// <summary>Keeps the memory while an operation works on it, for whichever member does the work; false where it has been given back.</summary>
    internal bool TryHold()
    {
        Interlocked.Increment(ref _holders);
        if (Volatile.Read(ref _gone) == 0)
        {
            return true;
        }

        Release();
        return false;
    }

    /// <summary>Ends a hold.</summary>
    internal void Release() => Interlocked.Decrement(ref _holders);

    /// <summary>Gives the memory back, once no operation works on it: other ranks may be at one that this rank has started and, ending early, not waited for.</summary>
    public void Dispose()
    {
        Interlocked.Exchange(ref _gone, 1);
        SpinWait.SpinUntil(() => Volatile.Read(ref _holders) == 0);
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    private static void RequireSameLength<T>(Slice<T> source, Slice<T> target)
        where T : unmanaged
    {
        if (source.Length != target.Length)
        {
            throw new ArgumentException($"A slice of {source.Length} elements does not go onto one of {target.Length}.");
        }
    }

    /// <summary>Pages of 2 MiB where Linux hands them out on request: kernels stream through memory, and small pages cost them a tenth to a fifth of the bandwidth. A system that
    /// refuses loses nothing else.</summary>
    private void AskForHugePages()
    {
        if (OperatingSystem.IsLinux() && Bytes >= HugePage)
        {
            const int HugePagesPlease = 14;
            _ = Advise(_start, (nuint)Bytes / HugePage * HugePage, HugePagesPlease);
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* start, nuint length, int advice);

    /// <summary>Frees the memory.</summary>
    protected virtual void Dispose(bool disposing)
    {
        byte* start = _start;
        _start = null;
        if (start != null)
        {
            NativeMemory.AlignedFree(start);
        }
    }
}
