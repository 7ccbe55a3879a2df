using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using Shardwright.Execution;
using Shardwright.Worlds;

namespace Shardwright.Gpu;

/// <summary>The memory of a rank on a device: one slab of the bytes that were planned, the rank's stream, and page-locked host memory that copies pass through.</summary>
public sealed class DeviceArena : Arena
{
    private const int StatusBytes = 64;
    private readonly MemoryBuffer1D<byte, Stride1D.Dense> _slab;
    private readonly ArrayView<byte> _all;
    private readonly int _rank;
    private PageLockedArray1D<byte> _staging;
    private int _disposed;

    /// <summary>Allocates and clears the slab.</summary>
    /// <param name="device">Where.</param>
    /// <param name="bytes">The plan's own figure for this rank.</param>
    /// <param name="scratch">Piece of it that kernels use as scratch.</param>
    /// <param name="rank">Rank that owns it, for messages.</param>
    /// <exception cref="GpuException">The device has too little memory; the message names the rank and the bytes.</exception>
    public DeviceArena(GpuDevice device, long bytes, Slice<byte> scratch, int rank)
        : base(bytes)
    {
        ArgumentNullException.ThrowIfNull(device);
        if (scratch.Length < StatusBytes)
        {
            throw new ArgumentException($"Rank {rank} has {scratch.Length} bytes of scratch; {StatusBytes} are the least.");
        }

        Device = device;
        _rank = rank;
        Status = new Slice<int>(scratch.Offset + scratch.Length - StatusBytes, StatusBytes / sizeof(int));
        Scratch = scratch with { Length = scratch.Length - StatusBytes };
        if (!device.TryTake(bytes))
        {
            throw NoRoom("");
        }

        try
        {
            _slab = device.Accelerator.Allocate1D<byte>(bytes);
        }
        catch (Exception error)
        {
            device.Return(bytes);
            throw NoRoom(" " + error.Message, error);
        }

        _all = _slab.View;
        _staging = device.Accelerator.AllocatePageLocked1D<byte>(64 << 10, uninitialized: true);
        Stream = device.Accelerator.CreateStream();
        _all.MemSetToZero(Stream);
        Stream.Synchronize();
        Product = device.Products(this);
    }

    /// <summary>The device.</summary>
    public GpuDevice Device { get; }

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
        where TArguments : struct
    {
        Device.Load(kernel)(Stream, config, arguments);
        Queued();
    }

    /// <summary>Queues zeros.</summary>
    public void Clear<T>(Slice<T> target)
        where T : unmanaged
    {
        View(target).MemSetToZero(Stream);
        Queued();
    }

    /// <summary>The arena as kernels of accelerators need it.</summary>
    /// <exception cref="InvalidOperationException">It is host memory.</exception>
    public static DeviceArena Of(Arena arena, RankContext context) => arena as DeviceArena
        ?? throw new InvalidOperationException($"The ranks of this world have their memory on {context.Backend.Name}, which the kernels of an IlgpuRank cannot reach: give WorldOptions a GpuBackend, or make a Rank.");

    /// <inheritdoc/>
    protected override Span<byte> BeginWrite(long offset, int bytes) => Stage(bytes);

    /// <inheritdoc/>
    protected override void EndWrite(long offset, int bytes)
    {
        _staging.ArrayView.SubView(0, bytes).CopyTo(Stream, _all.SubView(offset, bytes));
        Stream.Synchronize();
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentOutOfRangeException">A kernel has met bad input.</exception>
    protected override ReadOnlySpan<byte> Read(long offset, int bytes)
    {
        int aligned = (bytes + 15) / 16 * 16;
        Span<byte> staging = Stage(aligned + StatusBytes);
        ArrayView<byte> host = _staging.ArrayView;
        _all.SubView(offset, bytes).CopyTo(Stream, host.SubView(0, bytes));
        _all.SubView(Status.Offset, StatusBytes).CopyTo(Stream, host.SubView(aligned, StatusBytes));
        Stream.Synchronize();
        DeviceStatus.Check(MemoryMarshal.Cast<byte, int>(staging.Slice(aligned, StatusBytes)), _rank);
        return staging[..bytes];
    }

    /// <inheritdoc/>
    protected override void Copy(long source, long target, long bytes)
    {
        _all.SubView(source, bytes).CopyTo(Stream, _all.SubView(target, bytes));
        Queued();
    }

    /// <inheritdoc/>
    protected override void AddElements(Slice<float> source, Slice<float> target) => Kernels.Fill.Accumulate(this, first: false, source, target);

    /// <inheritdoc/>
    protected override void AddElements<T>(Slice<T> source, Slice<T> target) => Kernels.Fill.Accumulate(this, first: false, source, target);

    /// <inheritdoc/>
    protected override void BeforeTransfer() => Stream.Synchronize();

    /// <inheritdoc/>
    protected override void Move(ReadOnlySpan<Transfer> all, int member) => DeviceTransfers.Run(all, member);

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            Product?.Dispose();
            Stream.Dispose();
            _staging.Dispose();
            _slab.Dispose();
            Device.Return(Bytes);
        }

        base.Dispose(disposing);
    }

    /// <summary>Something has been queued: profiles wait for it.</summary>
    internal void Queued()
    {
        if (Device.Options.WaitsForKernels)
        {
            Stream.Synchronize();
        }
    }

    private GpuException NoRoom(string detail, Exception? error = null) => new(
        string.Create(System.Globalization.CultureInfo.InvariantCulture, $"Rank {_rank} could not allocate its slab of {Bytes:N0} bytes, the figure of its plan, on {Device.Accelerator.Name}, which has {Device.MemoryBytes:N0}, {Device.TakenBytes:N0} of them taken by other ranks.{detail} ") +
        "Put fewer ranks on a device, or shard the model further.", error);

    /// <summary>A piece of the slab, in bytes.</summary>
    internal ArrayView<byte> Piece(long offset, long bytes) => _all.SubView(offset, bytes);

    /// <summary>Page-locked memory of at least so many bytes: it grows to the largest copy and stays.</summary>
    internal Span<byte> Stage(int bytes)
    {
        if (_staging.Length < bytes)
        {
            _staging.Dispose();
            _staging = Device.Accelerator.AllocatePageLocked1D<byte>(bytes, uninitialized: true);
        }

        return _staging.Span[..bytes];
    }
}
