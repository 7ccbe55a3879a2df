using System.Reflection;
using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using ILGPU.Runtime.CPU;
using ILGPU.Runtime.Cuda;
using ILGPU.Runtime.OpenCL;
using Shardwright.Execution;

namespace Shardwright.Gpu;

/// <summary>What a device says of itself.</summary>
/// <param name="Kind">Its kind.</param>
/// <param name="Number">Number among the devices of its kind, for <see cref="GpuOptions.Devices"/>.</param>
/// <param name="Name">The vendor's name.</param>
/// <param name="MemoryBytes">Memory.</param>
/// <param name="Multiprocessors">Multiprocessors.</param>
public sealed record GpuInfo(GpuKind Kind, int Number, string Name, long MemoryBytes, int Multiprocessors);

/// <summary>Accelerators of this process, through ILGPU.</summary>
public sealed class GpuBackend : Backend, IDisposable
{
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
    public static IReadOnlyList<GpuInfo> Find(GpuKind kind)
    {
        try
        {
            using Context context = Open(new GpuOptions { Kind = kind });
            return [.. context.Devices.Select((d, i) => new GpuInfo(kind, i, d.Name, d.MemorySize, d.NumMultiprocessors))];
        }
        catch (Exception error) when (error is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
        {
            return [];
        }
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
        catch (Exception error) when (error is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
        {
            throw new GpuException($"There is no {options.Kind} driver: {Library(options.Kind)} could not be loaded. {error.Message}", error);
        }

        try
        {
            int found = context.Devices.Length;
            int[] wanted = options.Devices.Count > 0 ? [.. options.Devices] : [.. Enumerable.Range(0, found)];
            if (found == 0)
            {
                throw new GpuException($"No {options.Kind} device was found; looked for {Library(options.Kind)} and its devices.");
            }

            if (Array.Find(wanted, d => d < 0 || d >= found) is int missing && wanted.Any(d => d < 0 || d >= found))
            {
                throw new GpuException($"{options.Kind} device {missing} does not exist: this machine has {found}, {string.Join(", ", context.Devices.Select((d, i) => $"{i} = {d.Name}"))}.");
            }

            GpuDevice[] devices = [.. wanted.Select(d => new GpuDevice(d, context.Devices[d].CreateAccelerator(context), options))];
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

    private static string Library(GpuKind kind) => kind switch
    {
        GpuKind.Cuda => OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1",
        GpuKind.OpenCL => OperatingSystem.IsWindows() ? "OpenCL.dll" : "libOpenCL.so.1",
        _ => "ILGPU's processor accelerator",
    };

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
