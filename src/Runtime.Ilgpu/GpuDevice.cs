using System.Collections.Concurrent;
using System.Reflection;
using ILGPU;
using ILGPU.Runtime;

namespace Shardwright.Gpu;

/// <summary>How the threads of a group work together on a device: which forms of the kernels it runs.</summary>
public enum GroupForm
{
    /// <summary>Groups of 256 with warps of 32 that shuffle.</summary>
    Warps,

    /// <summary>Groups of 256 over shared memory.</summary>
    Shared,

    /// <summary>Groups of 16 and fewer, over shared memory.</summary>
    Small,
}

/// <summary>An accelerator with the kernels that have been compiled for it. Ranks on one device share it; each has a stream and a slab of its own.</summary>
public sealed class GpuDevice : IDisposable
{
    private readonly ConcurrentDictionary<MethodInfo, Lazy<Delegate>> _kernels = new();
    private readonly HashSet<GpuDevice> _peers = [];
    private long _taken;

    internal GpuDevice(int number, Accelerator accelerator, GpuOptions options)
    {
        Number = number;
        Accelerator = accelerator;
        Options = options;
        Form = accelerator.AcceleratorType == AcceleratorType.OpenCL || accelerator.WarpSize != 32
            ? accelerator.MaxNumThreadsPerGroup >= 256 ? GroupForm.Shared : GroupForm.Small
            : accelerator.MaxNumThreadsPerGroup >= 256 ? GroupForm.Warps : GroupForm.Small;
    }

    /// <summary>Number among the devices of its kind.</summary>
    public int Number { get; }

    /// <summary>ILGPU's accelerator.</summary>
    public Accelerator Accelerator { get; }

    /// <summary>Bytes that slabs may take: its memory, or the limit of <see cref="GpuOptions.MemoryLimit"/>.</summary>
    public long MemoryBytes => Options.MemoryLimit > 0 ? Math.Min(Options.MemoryLimit, Accelerator.MemorySize) : Accelerator.MemorySize;

    /// <summary>Bytes that slabs have taken.</summary>
    public long TakenBytes => Interlocked.Read(ref _taken);

    /// <summary>The forms of kernels that it runs.</summary>
    public GroupForm Form { get; }

    /// <summary>Makes a rank's matrix products, where a library has them; the tiled kernels run where it gives null.</summary>
    internal Func<DeviceArena, IMatrixProduct?> Products { get; set; } = CudaBlas.TryCreate;

    /// <summary>What it was made with.</summary>
    internal GpuOptions Options { get; }

    /// <summary>Whether kernels and copies of this device reach the memory of another.</summary>
    internal bool Reaches(GpuDevice other) => other == this || _peers.Contains(other);

    /// <summary>Opens the way to the devices that this one can reach.</summary>
    internal void FindPeers(IEnumerable<GpuDevice> devices)
    {
        foreach (GpuDevice other in devices.Where(d => d != this && !Options.StageTransfers))
        {
            if (Accelerator.CanAccessPeer(other.Accelerator) && Accelerator.EnablePeerAccess(other.Accelerator))
            {
                _peers.Add(other);
            }
        }
    }

    /// <summary>The launcher of a kernel; it is compiled once.</summary>
    /// <exception cref="GpuException">The accelerator refuses the kernel.</exception>
    internal Action<AcceleratorStream, KernelConfig, TArguments> Load<TArguments>(Action<TArguments> kernel)
        where TArguments : struct
    {
        // A failed compilation poisons its context: the failure is kept and thrown again.
        Lazy<Delegate> loaded = _kernels.GetOrAdd(kernel.Method, static (_, self) => new Lazy<Delegate>(() => self.Device.Compile(self.Kernel)), (Device: this, Kernel: kernel));
        return (Action<AcceleratorStream, KernelConfig, TArguments>)loaded.Value;
    }

    /// <summary>Names of the kernels that it has compiled, or refused.</summary>
    internal IEnumerable<string> Kernels => _kernels.Keys.Select(k => k.Name);

    /// <summary>Takes bytes for a slab; false where they are not there.</summary>
    internal bool TryTake(long bytes)
    {
        long taken;
        do
        {
            taken = TakenBytes;
            if (bytes > MemoryBytes - taken)
            {
                return false;
            }
        }
        while (Interlocked.CompareExchange(ref _taken, taken + bytes, taken) != taken);
        return true;
    }

    /// <summary>Gives them back.</summary>
    internal void Return(long bytes) => Interlocked.Add(ref _taken, -bytes);

    /// <inheritdoc/>
    public void Dispose() => Accelerator.Dispose();

    private Delegate Compile<TArguments>(Action<TArguments> kernel)
        where TArguments : struct
    {
        try
        {
            return Accelerator.LoadKernel(kernel);
        }
        catch (Exception error)
        {
            throw new GpuException($"{Accelerator.Name} refuses the kernel {kernel.Method.DeclaringType?.Name}.{kernel.Method.Name}: {error.Message} Its context cannot be used any more; make a new backend.", error);
        }
    }
}
