using Shardwright;
using Shardwright.Execution;

namespace TinyGpt;

/// <summary>Devices of a build without ILGPU: the processor.</summary>
internal static class Accelerators
{
    /// <summary>Opens a device.</summary>
    /// <param name="device">As --device names it.</param>
    /// <param name="mesh">What is going to run; null for all meshes.</param>
    /// <returns>The backend, and what is to be said of it.</returns>
    /// <exception cref="ArgumentException">It takes ILGPU.</exception>
    public static (Backend Backend, string? Note) Open(string device, GptMesh? mesh) => device switch
    {
        "cpu" => (Backend.Host, null),
        "auto" => (Backend.Host, "device auto: cpu; this build has no ILGPU, which other devices take"),
        _ => throw new ArgumentException($"--device {device}{(mesh is null ? "" : $" for mesh {mesh.Name}")}: this build has no ILGPU. Build with -p:GpuPackages=true, from a feed that has the packages ILGPU and ILGPU.Algorithms; or use --device cpu."),
    };

    /// <summary>A rank on an accelerator.</summary>
    public static IGptRank Make(string mesh, RankContext context, ulong seed) => throw new InvalidOperationException($"rank {context.Rank} of {mesh}, seed {seed}: this build has no ILGPU");
}
