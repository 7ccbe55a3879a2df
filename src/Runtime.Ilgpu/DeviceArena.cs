using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Runtime;
using Shardwright.Execution;

namespace Shardwright.Gpu;

/// <summary>The memory of a rank on a device: one slab of the bytes that were planned, the rank's stream, and page-locked host memory that copies pass through.</summary>
public sealed class DeviceArena : IDisposable
{
    private const int StatusBytes = 64;
    private static long s_allocations;
    private readonly MemoryBuffer1D<byte, Stride1D.Dense> _slab;
    private readonly ArrayView<byte> _all;
    private readonly int _rank;
    private PageLockedArray1D<byte> _staging;

    /// <summary>Allocates and clears the slab.</summary>
    /// <param name="device">Where.</param>
    /// <param name="bytes">The plan's own figure for this rank.</param>
    /// <param name="scratch">Piece of it that kernels use as scratch.</param>
    /// <param name="rank">Rank that owns it, for messages.</param>
    /// <exception cref="GpuException">The device has too little memory; the message names the rank and the bytes.</exception>
    public DeviceArena(GpuDevice device, long bytes, Slice<byte> scratch, int rank)
    {
        ArgumentNullException.ThrowIfNull(device);
        if (scratch.Length < StatusBytes)
        {
            throw new ArgumentException($"Rank {rank} has {scratch.Length} bytes of scratch; {StatusBytes} are the least.");
        }

        Device = device;
        Bytes = bytes;
        _rank = rank;
        Status = new Slice<int>(scratch.Offset + scratch.Length - StatusBytes, StatusBytes / sizeof(int));
        Scratch = scratch with { Length = scratch.Length - StatusBytes };
        try
        {
            _slab = device.Accelerator.Allocate1D<byte>(bytes);
        }
        catch (Exception error)
        {
            throw new GpuException(
                $"Rank {rank} could not allocate its slab of {bytes:N0} bytes, the figure of its plan, on {device.Accelerator.Name}, which has {device.Accelerator.MemorySize:N0}: {error.Message} " +
                "Put fewer ranks on a device, or shard the model further.", error);
        }

        Interlocked.Increment(ref s_allocations);
        _all = _slab.View;
        _staging = device.Accelerator.AllocatePageLocked1D<byte>(64 << 10, uninitialized: true);
        Stream = device.Accelerator.CreateStream();
        _all.MemSetToZero(Stream);
        Stream.Synchronize();
        Product = device.Products(this);
    }

    /// <summary>Number of slabs that this process has allocated so far.</summary>
    public static long Allocations => Interlocked.Read(ref s_allocations);

    /// <summary>The device.</summary>
    public GpuDevice Device { get; }

    /// <summary>Size in bytes, as planned and as allocated.</summary>
    public long Bytes { get; }

    /// <summary>Bytes that the device has handed out for the slab.</summary>
    public long SlabBytes => _slab.LengthInBytes;

    /// <summary>The rank's lane of work.</summary>
    public AcceleratorStream Stream { get; }

    /// <summary>Matrix products of a library; null where the tiled kernels run.</summary>
    public IMatrixProduct? Product { get; }

    /// <summary>Memory that a kernel may use until it ends.</summary>
    internal Slice<byte> Scratch { get; }

    /// <summary>Where kernels note bad input: what, value, position, limit.</summary>
    internal Slice<int> Status { get; }

    /// <summary>A slice as kernels take it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ArrayView<T> View<T>(Slice<T> slice)
        where T : unmanaged => _all.SubView(slice.Offset, slice.Length * Unsafe.SizeOf<T>()).Cast<T>();

    /// <summary>Queues a kernel on the rank's stream.</summary>
    public void Launch<TArguments>(Action<TArguments> kernel, KernelConfig config, TArguments arguments)
        where TArguments : struct => Device.Load(kernel)(Stream, config, arguments);

    /// <summary>Queues a copy within the slab.</summary>
    public void Copy<T>(Slice<T> source, Slice<T> target)
        where T : unmanaged => View(source).CopyTo(Stream, View(target));

    /// <summary>Queues zeros.</summary>
    public void Clear<T>(Slice<T> target)
        where T : unmanaged => View(target).MemSetToZero(Stream);

    /// <summary>Copies a slice to the host, after all work queued before.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A kernel has met bad input.</exception>
    public void Read<T>(Slice<T> source, Span<T> target)
        where T : unmanaged
    {
        int bytes = checked((int)source.Length * Unsafe.SizeOf<T>());
        Span<byte> staging = Stage(bytes + StatusBytes);
        ArrayView<byte> host = _staging.ArrayView;
        View(Bytewise(source)).CopyTo(Stream, host.SubView(0, bytes));
        View(Bytewise(Status)).CopyTo(Stream, host.SubView(bytes, StatusBytes));
        Stream.Synchronize();
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, T>(staging[..bytes]).CopyTo(target);
        DeviceStatus.Check(System.Runtime.InteropServices.MemoryMarshal.Cast<byte, int>(staging.Slice(bytes, StatusBytes)), _rank);
    }

    /// <summary>Host memory for the elements of a slice; <see cref="EndWrite"/> sends them. Nothing else may be copied in between.</summary>
    public Span<T> BeginWrite<T>(Slice<T> target)
        where T : unmanaged => System.Runtime.InteropServices.MemoryMarshal.Cast<byte, T>(Stage(checked((int)target.Length * Unsafe.SizeOf<T>())));

    /// <summary>Sends what was written since <see cref="BeginWrite"/>.</summary>
    public void EndWrite<T>(Slice<T> target)
        where T : unmanaged
    {
        ArrayView<byte> host = _staging.ArrayView;
        host.SubView(0, target.Length * Unsafe.SizeOf<T>()).CopyTo(Stream, View(Bytewise(target)));
        Stream.Synchronize();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Product?.Dispose();
        Stream.Dispose();
        _staging.Dispose();
        _slab.Dispose();
    }

    private static Slice<byte> Bytewise<T>(Slice<T> slice)
        where T : unmanaged => new(slice.Offset, slice.Length * Unsafe.SizeOf<T>());

    /// <summary>Page-locked memory of at least so many bytes: it grows to the largest copy and stays.</summary>
    private Span<byte> Stage(int bytes)
    {
        if (_staging.Length < bytes)
        {
            _staging.Dispose();
            _staging = Device.Accelerator.AllocatePageLocked1D<byte>(bytes, uninitialized: true);
        }

        return _staging.Span[..bytes];
    }
}
