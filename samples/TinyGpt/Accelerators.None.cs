using Shardwright;
using Shardwright.Execution;

namespace TinyGpt;

/// <summary>Devices of a build without ILGPU: the processor.</summary>
internal static class Accelerators
{
    /// <summary>Opens a device.</summary>
    /// <exception cref="ArgumentException">It takes ILGPU.</exception>
    public static Backend Open(string device) => device is "cpu" or "auto"
        ? Backend.Host
        : throw new ArgumentException($"--device {device}: this build has no ILGPU. Build with -p:GpuPackages=true, from a feed that has the packages ILGPU and ILGPU.Algorithms; or use --device cpu.");

    /// <summary>A rank on an accelerator.</summary>
    public static IGptRank Make(string mesh, RankContext context, ulong seed) => throw new InvalidOperationException($"rank {context.Rank} of {mesh}, seed {seed}: this build has no ILGPU");
}
