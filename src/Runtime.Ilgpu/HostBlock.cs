using ILGPU;
using ILGPU.Runtime;

namespace Shardwright.Gpu;

/// <summary>Page-locked host memory that transfers between devices pass through, and a stream for it on each device: members work at the same time, so each has its own.</summary>
internal sealed class HostBlock : IDisposable
{
    private readonly PageLockedArray1D<byte> _memory;
    private readonly Dictionary<GpuDevice, AcceleratorStream> _streams = [];

    private HostBlock(DeviceArena arena) => _memory = arena.Device.Accelerator.AllocatePageLocked1D<byte>(1 << 20, uninitialized: true);

    public Span<byte> Span => _memory.Span;

    public static HostBlock Of(DeviceArena arena) => new(arena);

    /// <summary>Copies a piece of a slab here.</summary>
    public ReadOnlySpan<byte> Fetch(DeviceArena from, long offset, long bytes)
    {
        AcceleratorStream stream = Stream(from);
        from.Piece(offset, bytes).CopyTo(stream, _memory.ArrayView.SubView(0, bytes));
        stream.Synchronize();
        return _memory.Span[..(int)bytes];
    }

    /// <summary>Copies what is here into a slab.</summary>
    public void Send(DeviceArena to, long offset, long bytes)
    {
        AcceleratorStream stream = Stream(to);
        _memory.ArrayView.SubView(0, bytes).CopyTo(stream, to.Piece(offset, bytes));
        stream.Synchronize();
    }

    public void Dispose()
    {
        foreach (AcceleratorStream stream in _streams.Values)
        {
            stream.Dispose();
        }

        _memory.Dispose();
    }

    private AcceleratorStream Stream(DeviceArena arena)
    {
        if (!_streams.TryGetValue(arena.Device, out AcceleratorStream? stream))
        {
            stream = arena.Device.Accelerator.CreateStream();
            _streams[arena.Device] = stream;
        }

        return stream;
    }
}
