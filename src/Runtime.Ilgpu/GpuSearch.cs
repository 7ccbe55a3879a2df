using System.Runtime.InteropServices;

namespace Shardwright.Gpu;

/// <summary>What a device says of itself.</summary>
/// <param name="Kind">Its kind.</param>
/// <param name="Number">Number among the devices of its kind, for <see cref="GpuOptions.Devices"/>.</param>
/// <param name="Name">The vendor's name.</param>
/// <param name="MemoryBytes">Memory.</param>
/// <param name="Multiprocessors">Multiprocessors.</param>
public sealed record GpuInfo(GpuKind Kind, int Number, string Name, long MemoryBytes, int Multiprocessors);

/// <summary>A search for devices of one kind: what was looked for, and what was found.</summary>
/// <param name="Kind">The kind.</param>
/// <param name="LookedFor">The driver's library, or what stands for it.</param>
/// <param name="Devices">What was found.</param>
/// <param name="Problem">Why nothing was found; null where something was.</param>
public sealed record GpuSearch(GpuKind Kind, string LookedFor, IReadOnlyList<GpuInfo> Devices, string? Problem)
{
    /// <summary>The kind as command lines name it: cuda, opencl, ilgpu-cpu.</summary>
    public string Label => LabelOf(Kind);

    internal static string LabelOf(GpuKind kind) => kind switch { GpuKind.Cuda => "cuda", GpuKind.OpenCL => "opencl", _ => "ilgpu-cpu" };

    /// <summary>The library that a driver installs.</summary>
    internal static string LibraryOf(GpuKind kind) => kind switch
    {
        GpuKind.Cuda => OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1",
        GpuKind.OpenCL => OperatingSystem.IsWindows() ? "OpenCL.dll" : "libOpenCL.so.1",
        _ => "ILGPU's accelerator on the processor",
    };

    /// <summary>Why no device of a kind was found. ILGPU finds none without saying why; the driver's library tells apart what is missing.</summary>
    internal static string Reason(GpuKind kind, Exception? error)
    {
        string library = LibraryOf(kind);
        if (kind != GpuKind.Cpu && !HasLibrary(library))
        {
            return $"there is no {kind} driver: {library} could not be loaded";
        }

        string what = kind == GpuKind.OpenCL ? "device of OpenCL 2 or later with generic addresses" : "device";
        return error is null ? $"{library} is there, and lists no {what}" : $"{library} is there, and failed: {error.Message}";
    }

    private static bool HasLibrary(string name)
    {
        bool there = NativeLibrary.TryLoad(name, out nint handle);
        if (there)
        {
            NativeLibrary.Free(handle);
        }

        return there;
    }
}
