using Shardwright.Execution;

namespace Shardwright.Gpu;

/// <summary>Devices as command lines name them.</summary>
public static class DeviceNames
{
    /// <summary>The names: the host, ILGPU's three kinds, and the one that takes what it finds.</summary>
    public static IReadOnlyList<string> All { get; } = ["cpu", "cuda", "opencl", "ilgpu-cpu", "auto"];

    /// <summary>Opens what a name says. Only <c>auto</c> falls back: to the first kind with a device that holds the plan, else to the host.</summary>
    /// <param name="name">One of <see cref="All"/>.</param>
    /// <param name="plan">What is going to run; null where that is not known yet.</param>
    /// <param name="mesh">Its ranks.</param>
    /// <param name="options">How it runs; the kind is that of the name.</param>
    /// <returns>The backend, and for <c>auto</c> what was taken and why the others were not.</returns>
    /// <exception cref="ArgumentException">There is no such name.</exception>
    /// <exception cref="GpuException">There is no driver, no device, or not enough memory; the message says what was looked for and found.</exception>
    public static (Backend Backend, string? Note) Open(string name, Plan? plan = null, Mesh? mesh = null, GpuOptions? options = null)
    {
        options ??= new GpuOptions();
        switch (name)
        {
            case "cpu":
                return (Backend.Host, null);
            case "cuda" or "opencl" or "ilgpu-cpu":
                return (Open(name switch { "cuda" => GpuKind.Cuda, "opencl" => GpuKind.OpenCL, _ => GpuKind.Cpu }, plan, mesh, options), null);
            case "auto":
                break;
            default:
                throw new ArgumentException($"There is no device '{name}': use {string.Join(", ", All)}.", nameof(name));
        }

        var refused = new List<string>();
        foreach (GpuKind kind in new[] { GpuKind.Cuda, GpuKind.OpenCL })
        {
            try
            {
                GpuBackend backend = Open(kind, plan, mesh, options);
                return (backend, $"device auto: {GpuSearch.LabelOf(kind)}, {backend.Name}{string.Concat(refused.Select(r => "; not " + r))}");
            }
            catch (GpuException error)
            {
                refused.Add($"{GpuSearch.LabelOf(kind)}: {error.Message.TrimEnd('.')}");
            }
        }

        return (Backend.Host, $"device auto: cpu; not {string.Join("; not ", refused)}");
    }

    private static GpuBackend Open(GpuKind kind, Plan? plan, Mesh? mesh, GpuOptions options)
    {
        GpuBackend backend = GpuBackend.Create(options with { Kind = kind });
        try
        {
            if (plan is not null && mesh is not null)
            {
                backend.RequireRoom(plan, mesh);
            }

            return backend;
        }
        catch
        {
            backend.Dispose();
            throw;
        }
    }
}
