using System.Reflection;
using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;
using Shardwright.Execution;

namespace Shardwright.Gpu;

/// <summary>Accelerators of this process, through ILGPU.</summary>
public sealed class GpuBackend : Backend, IDisposable
{
    /// <summary>Threads of a group of the narrowest forms of kernels.</summary>
    private const int LeastGroup = 16;

    private readonly Context _context;
    private readonly GpuDevice[] _devices;

    private GpuBackend(Context context, GpuDevice[] devices)
    {
        _context = context;
        _devices = devices;
    }

    /// <summary>The devices in use.</summary>
    public IReadOnlyList<GpuDevice> Devices => _devices;

    /// <inheritdoc/>
    public override string Name => string.Join(", ", _devices.Select(d => d.Accelerator.Name).Distinct());

    /// <inheritdoc/>
    /// <exception cref="GpuException">The device has too little memory.</exception>
    public override Arena Allocate(long bytes, Slice<byte> scratch, int rank) => new DeviceArena(_devices[rank % _devices.Length], bytes, scratch, rank);

    /// <summary>All devices of a kind that this machine has; empty where the driver is missing.</summary>
    public static IReadOnlyList<GpuInfo> Find(GpuKind kind) => Look(kind).Devices;

    /// <summary>Looks for devices of a kind, and says what was looked for and why nothing was found.</summary>
    public static GpuSearch Look(GpuKind kind)
    {
        Exception? failure = null;
        GpuInfo[] found = [];
        try
        {
            using Context context = Open(new GpuOptions { Kind = kind });
            found = [.. context.Devices.Select((d, i) => new GpuInfo(kind, i, d.Name, d.MemorySize, d.NumMultiprocessors))];
        }
        catch (Exception error) when (IsMissingDriver(error))
        {
            failure = error;
        }

        return new GpuSearch(kind, GpuSearch.LibraryOf(kind), found, found.Length > 0 ? null : GpuSearch.Reason(kind, failure));
    }

    /// <summary>Opens the devices.</summary>
    /// <exception cref="GpuException">There is no driver, no device, or not the one asked for.</exception>
    public static GpuBackend Create(GpuOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        Context context;
        try
        {
            context = Open(options);
        }
        catch (Exception error) when (IsMissingDriver(error))
        {
            throw NothingFound(options.Kind, error);
        }

        try
        {
            int found = context.Devices.Length;
            int[] wanted = options.Devices.Count > 0 ? [.. options.Devices] : [.. Enumerable.Range(0, found)];
            if (found == 0)
            {
                throw NothingFound(options.Kind, null);
            }

            if (Array.Find(wanted, d => d < 0 || d >= found) is int missing && wanted.Any(d => d < 0 || d >= found))
            {
                throw new GpuException($"{options.Kind} device {missing} does not exist: this machine has {found}, {string.Join(", ", context.Devices.Select((d, i) => $"{i} = {d.Name}"))}.");
            }

            GpuDevice[] devices = [.. wanted.Select(d => new GpuDevice(d, context.Devices[d].CreateAccelerator(context), options))];
            if (devices.FirstOrDefault(d => d.Accelerator.MaxNumThreadsPerGroup < LeastGroup) is { } narrow)
            {
                throw new GpuException($"{narrow.Accelerator.Name} refuses every kernel: its groups have {narrow.Accelerator.MaxNumThreadsPerGroup} threads at most, and kernels need {LeastGroup}. Use another device.");
            }

            foreach (GpuDevice device in devices)
            {
                device.FindPeers(devices);
            }

            return new GpuBackend(context, devices);
        }
        catch
        {
            context.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (GpuDevice device in _devices)
        {
            device.Dispose();
        }

        _context.Dispose();
    }

    /// <summary>Fails where the devices do not hold the ranks of a plan, before any of them is allocated.</summary>
    /// <param name="plan">What is going to run.</param>
    /// <param name="mesh">Its ranks.</param>
    /// <exception cref="GpuException">A device has too little memory; the message names it, the bytes, and the ranks.</exception>
    public void RequireRoom(Plan plan, Mesh mesh)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(mesh);
        for (int d = 0; d < _devices.Length; d++)
        {
            int[] ranks = [.. Enumerable.Range(0, mesh.Ranks).Where(r => r % _devices.Length == d)];
            long needed = ranks.Sum(r => (plan.Ranks.FirstOrDefault(p => p.Coordinate == mesh.Coordinate(r, plan.PipelineAxis)) ?? plan.Ranks[0]).TotalBytes);
            if (needed > _devices[d].MemoryBytes)
            {
                throw new GpuException(string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{_devices[d].Accelerator.Name} has {_devices[d].MemoryBytes:N0} bytes, and {(ranks.Length == 1 ? $"rank {ranks[0]} needs" : $"ranks {string.Join(", ", ranks)} need")} {needed:N0}, the figure of the plan of '{plan.Model}' on '{plan.Mesh}'. Use more devices, or a mesh that shards the model further."));
            }
        }
    }

    private static bool IsMissingDriver(Exception error) => error is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException;

    private static GpuException NothingFound(GpuKind kind, Exception? error) => new($"No {kind} device was found: {GpuSearch.Reason(kind, error)}.", error);

    private static Context Open(GpuOptions options)
    {
        Libraries.Resolve();
        return Context.Create(builder =>
        {
            builder.EnableAlgorithms().Optimize(OptimizationLevel.O2).Math(options.FastMath ? MathMode.Fast : MathMode.Default);
            switch (options.Kind)
            {
                case GpuKind.Cuda:
                    builder.Cuda();
                    break;
                case GpuKind.OpenCL:
                    builder.OpenCL();
                    break;
                default:
                    // One description for each: an accelerator is made of a description.
                    for (int i = 0; i < options.CpuShape.Devices; i++)
                    {
                        builder.CPU(new CPUDevice(options.CpuShape.Lanes, options.CpuShape.Warps, 1));
                    }

                    break;
            }
        });
    }

    /// <summary>ILGPU asks for "cuda" and "OpenCL"; machines that only run programs have the versioned files.</summary>
    private static class Libraries
    {
        private static int s_done;

        public static void Resolve()
        {
            // On WSL ILGPU sets a resolver of its own, and there can be one only.
            if (Interlocked.Exchange(ref s_done, 1) == 0 && !Directory.Exists("/usr/lib/wsl/lib"))
            {
                NativeLibrary.SetDllImportResolver(typeof(Context).Assembly, Find);
            }
        }

        private static nint Find(string name, Assembly assembly, DllImportSearchPath? path)
        {
            string? file = name switch { "cuda" => "libcuda.so.1", "OpenCL" => "libOpenCL.so.1", _ => null };
            return file is not null && !OperatingSystem.IsWindows() && NativeLibrary.TryLoad(file, out nint handle) ? handle : 0;
        }
    }
}
