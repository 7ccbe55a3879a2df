using System.Collections;
using System.Reflection;
using System.Runtime.Loader;

namespace Shardwright.Cli.Machines;

/// <summary>A device that was found.</summary>
/// <param name="Number">Number among the devices of its kind.</param>
/// <param name="Name">The vendor's name.</param>
/// <param name="MemoryBytes">Memory.</param>
/// <param name="Multiprocessors">Multiprocessors.</param>
internal sealed record AcceleratorDevice(int Number, string Name, long MemoryBytes, int Multiprocessors);

/// <summary>A search for accelerators of one kind.</summary>
/// <param name="Kind">cuda, opencl, ilgpu-cpu.</param>
/// <param name="LookedFor">The driver's library, or what stands for it.</param>
/// <param name="Problem">Why there is none; null where there is one.</param>
/// <param name="Devices">What was found.</param>
internal sealed record AcceleratorSearch(string Kind, string LookedFor, string? Problem, IReadOnlyList<AcceleratorDevice> Devices);

/// <summary>Looks for accelerators through <c>Shardwright.Runtime.Ilgpu</c>, which this tool does not need otherwise: it is loaded, with ILGPU, from where it lies.</summary>
internal static class Accelerators
{
    private const string Backend = "Shardwright.Runtime.Ilgpu.dll", Ilgpu = "ILGPU.dll";

    /// <summary>The kinds, by the names of command lines and those of the enumeration.</summary>
    public static IReadOnlyDictionary<string, string> Kinds { get; } = new Dictionary<string, string> { ["cuda"] = "Cuda", ["opencl"] = "OpenCL", ["ilgpu-cpu"] = "Cpu" };

    /// <summary>Searches for some kinds.</summary>
    /// <param name="folder">Where the assemblies lie.</param>
    /// <param name="kinds">Names of kinds.</param>
    public static IReadOnlyList<AcceleratorSearch> Find(string folder, IEnumerable<string> kinds)
    {
        foreach (string name in new[] { Backend, Ilgpu })
        {
            if (!File.Exists(Path.Combine(folder, name)))
            {
                throw CliException.BadFile($"'{folder}' has no {name}, which looks for accelerators: give --from the output folder of a project that references Shardwright.Runtime.Ilgpu and the packages ILGPU and ILGPU.Algorithms");
            }
        }

        try
        {
            Assembly assembly = new FolderContext(Path.GetFullPath(folder)).LoadFromAssemblyPath(Path.GetFullPath(Path.Combine(folder, Backend)));
            Type kind = assembly.GetType("Shardwright.Gpu.GpuKind", throwOnError: true)!;
            MethodInfo look = assembly.GetType("Shardwright.Gpu.GpuBackend", throwOnError: true)!.GetMethod("Look")
                ?? throw CliException.BadFile($"'{Path.Combine(folder, Backend)}' is of another version than this tool: it cannot search");
            return [.. kinds.Select(k => Read(k, look.Invoke(null, BindingFlags.DoNotWrapExceptions, null, [Enum.Parse(kind, Kinds[k])], null)!))];
        }
        catch (Exception error) when (error is BadImageFormatException or FileLoadException or FileNotFoundException or TypeLoadException)
        {
            throw CliException.BadFile($"the assemblies of '{folder}' cannot be used: {error.Message}");
        }
    }

    private static AcceleratorSearch Read(string kind, object search) => new(
        kind, (string)Get(search, "LookedFor")!, (string?)Get(search, "Problem"),
        [.. ((IEnumerable)Get(search, "Devices")!).Cast<object>().Select(d => new AcceleratorDevice((int)Get(d, "Number")!, (string)Get(d, "Name")!, (long)Get(d, "MemoryBytes")!, (int)Get(d, "Multiprocessors")!))]);

    private static object? Get(object of, string property) => of.GetType().GetProperty(property)!.GetValue(of);

    /// <summary>Assemblies of a folder, apart from those of this tool.</summary>
    private sealed class FolderContext(string folder) : AssemblyLoadContext("accelerators")
    {
        protected override Assembly? Load(AssemblyName assemblyName)
        {
            string path = Path.Combine(folder, assemblyName.Name + ".dll");
            return File.Exists(path) ? LoadFromAssemblyPath(path) : null;
        }
    }
}
