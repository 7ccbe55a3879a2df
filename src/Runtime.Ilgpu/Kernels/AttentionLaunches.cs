using ILGPU;

namespace Shardwright.Gpu.Kernels;

/// <summary>Launches of emitted attention kernels.</summary>
public static class AttentionLaunches
{
    /// <summary>A kernel over tiles of rows, heads and batches.</summary>
    public static void Run<T>(DeviceArena arena, Action<AttentionArguments<T>> kernel, int stride, int rows, int heads, int batches, AttentionArguments<T> arguments)
        where T : unmanaged
    {
        stride = arena.Device.Form == GroupForm.Small ? 2 : stride;
        arena.Launch(kernel, new KernelConfig(new Index3D((rows + 4 * stride - 1) / (4 * stride), heads, batches), new Index3D(8 * stride, 1, 1)), arguments);
    }

    /// <summary>Delta into scratch, then keys and values, then queries; as many batches at a time as scratch holds.</summary>
    /// <exception cref="GpuException">Scratch does not hold one batch.</exception>
    public static void Backward<T>(DeviceArena arena, Action<AttentionArguments<T>> delta, Action<AttentionArguments<T>> keysKernel, Action<AttentionArguments<T>> queriesKernel, int stride, int queries, int keys, int heads, int keyHeads, int batches, AttentionArguments<T> arguments)
        where T : unmanaged
    {
        long rows = (long)heads * queries, most = arena.Scratch.Length / sizeof(float) / rows;
        if (most == 0)
        {
            throw new GpuException($"The backward pass of an attention of {heads} heads and {queries} queries needs {rows * sizeof(float):N0} bytes of scratch for one sequence; the plan has {arena.Scratch.Length:N0}. Raise MaxThreads of the mesh's device, which plans 2 MiB of scratch each.");
        }

        for (int from = 0; from < batches; from += (int)Math.Min(most, batches))
        {
            int count = (int)Math.Min(most, batches - from);
            arguments.Batch0 = from;
            arguments.Delta = Launches.Scratch<float>(arena, count * rows);
            arena.Launch(delta, Launches.Flat(arena, count * rows), arguments);
            Run(arena, keysKernel, stride, keys, keyHeads, count, arguments);
            Run(arena, queriesKernel, stride, queries, heads, count, arguments);
        }
    }
}
