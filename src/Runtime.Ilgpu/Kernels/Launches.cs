using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Sizes of launches.</summary>
public static class Launches
{
    /// <summary>Threads of a group that only share the index space.</summary>
    public static int FlatThreads(DeviceArena arena) => Math.Min(256, arena.Device.Accelerator.MaxNumThreadsPerGroup);

    /// <summary>A launch over an index space: enough groups to fill the device, each thread takes every n-th item.</summary>
    public static KernelConfig Flat(DeviceArena arena, long items)
    {
        int threads = FlatThreads(arena);
        long groups = (Math.Max(1, items) + threads - 1) / threads, most = Math.Max(1, arena.Device.Accelerator.NumMultiprocessors) * 32L;
        return new KernelConfig((int)Math.Min(groups, most), threads);
    }

    /// <summary>A launch of one group for each of so many rows.</summary>
    public static KernelConfig Groups(DeviceArena arena, long groups) => new(checked((int)groups), GroupThreads(arena));

    /// <summary>Threads of a group that works together.</summary>
    public static int GroupThreads(DeviceArena arena) => arena.Device.Form == GroupForm.Small ? 4 : 256;

    /// <summary>The form of a kernel that a device runs.</summary>
    public static Action<TArguments> Pick<TArguments>(DeviceArena arena, Action<TArguments> warps, Action<TArguments> shared, Action<TArguments> small) =>
        arena.Device.Form switch { GroupForm.Warps => warps, GroupForm.Shared => shared, _ => small };

    /// <summary>n/4 where rows of n floats can be read four at a time: all of them begin at multiples of 16 bytes; else 0.</summary>
    /// <param name="n">Length of a row.</param>
    /// <param name="offsets">All offsets of the slices, combined with |.</param>
    public static int Quads(long n, long offsets) => n % 4 == 0 && (offsets & 15) == 0 ? (int)(n / 4) : 0;

    /// <summary>Fails where scratch is too small for what cannot be done in pieces.</summary>
    /// <exception cref="GpuException">It is.</exception>
    public static void RequireScratch(DeviceArena arena, long bytes, string what)
    {
        if (bytes > arena.Scratch.Length)
        {
            throw new GpuException($"{what} needs {bytes:N0} bytes of scratch; the plan has {arena.Scratch.Length:N0}. Raise MaxThreads of the mesh's device, which plans 2 MiB of scratch each.");
        }
    }

    /// <summary>Scratch of a kernel, from its start.</summary>
    public static ArrayView<T> Scratch<T>(DeviceArena arena, long count, long from = 0)
        where T : unmanaged => arena.View(new Slice<T>(arena.Scratch.Offset + from, count));
}
