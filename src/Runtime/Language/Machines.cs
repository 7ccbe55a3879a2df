namespace Shardwright;

/// <summary>Devices with vendor figures (dense); add your own class with <see cref="DeviceSpecAttribute"/>.</summary>
public static class Devices
{
    private const long GiB = 1L << 30;
    private const long MiB = 1L << 20;

    // What a driver's context and its libraries take of a GPU beside the arena.
    private const long Context = 1 * GiB;

    /// <summary>The CPU that runs the program: conservative figures of two cores of a server.</summary>
    [DeviceSpec(MemoryBytes = 16 * GiB, ReserveBytes = 256 * MiB, BandwidthGBs = 20, Fp32TFlops = 0.16, LaunchMicroseconds = 1, MaxThreads = 16, StepMicroseconds = 100)]
    public sealed class LocalCpu;

    /// <summary>NVIDIA V100 SXM2 32 GB; it has fp16 and no bf16.</summary>
    [DeviceSpec(MemoryBytes = 32 * GiB, ReserveBytes = Context, BandwidthGBs = 900, Fp32TFlops = 15.7, Fp16TFlops = 125, LaunchMicroseconds = 5, StepMicroseconds = 100)]
    public sealed class V100;

    /// <summary>NVIDIA A100 SXM 40 GB.</summary>
    [DeviceSpec(MemoryBytes = 40 * GiB, ReserveBytes = Context, BandwidthGBs = 1555, Fp32TFlops = 19.5, Bf16TFlops = 312, Fp16TFlops = 312, LaunchMicroseconds = 4, StepMicroseconds = 100)]
    public sealed class A100With40GB;

    /// <summary>NVIDIA A100 SXM 80 GB.</summary>
    [DeviceSpec(MemoryBytes = 80 * GiB, ReserveBytes = Context, BandwidthGBs = 2039, Fp32TFlops = 19.5, Bf16TFlops = 312, Fp16TFlops = 312, LaunchMicroseconds = 4, StepMicroseconds = 100)]
    public sealed class A100With80GB;

    /// <summary>NVIDIA H100 SXM.</summary>
    [DeviceSpec(MemoryBytes = 80 * GiB, ReserveBytes = Context, BandwidthGBs = 3350, Fp32TFlops = 67, Bf16TFlops = 989.5, Fp16TFlops = 989.5, LaunchMicroseconds = 4, StepMicroseconds = 100)]
    public sealed class H100;

    /// <summary>NVIDIA H200 SXM; sold as 141 GB, which are GiB.</summary>
    [DeviceSpec(MemoryBytes = 141 * GiB, UsableBytes = (long)(139.8 * GiB), ReserveBytes = Context, BandwidthGBs = 4800, Fp32TFlops = 67, Bf16TFlops = 989.5, Fp16TFlops = 989.5, LaunchMicroseconds = 4, StepMicroseconds = 100)]
    public sealed class H200;

    /// <summary>NVIDIA B200.</summary>
    [DeviceSpec(MemoryBytes = 192_000_000_000, UsableBytes = 178 * GiB, ReserveBytes = Context, BandwidthGBs = 8000, Fp32TFlops = 75, Bf16TFlops = 2250, Fp16TFlops = 2250, LaunchMicroseconds = 4, StepMicroseconds = 100)]
    public sealed class B200;

    /// <summary>AMD MI250X, one of its two dies: a device to a program.</summary>
    [DeviceSpec(MemoryBytes = 64 * GiB, ReserveBytes = Context, BandwidthGBs = 1600, Fp32TFlops = 47.9, Bf16TFlops = 191.5, Fp16TFlops = 191.5, LaunchMicroseconds = 6, StepMicroseconds = 100)]
    public sealed class Mi250XDie;

    /// <summary>AMD MI300X.</summary>
    [DeviceSpec(MemoryBytes = 192_000_000_000, ReserveBytes = Context, BandwidthGBs = 5300, Fp32TFlops = 163, Bf16TFlops = 1307, Fp16TFlops = 1307, LaunchMicroseconds = 6, StepMicroseconds = 100)]
    public sealed class Mi300X;

    /// <summary>NVIDIA RTX 4090.</summary>
    [DeviceSpec(MemoryBytes = 24 * GiB, ReserveBytes = Context, BandwidthGBs = 1008, Fp32TFlops = 82.6, Bf16TFlops = 165, Fp16TFlops = 165, LaunchMicroseconds = 4, StepMicroseconds = 100)]
    public sealed class Rtx4090;
}

/// <summary>Links between devices; add your own class with <see cref="LinkSpecAttribute"/>.</summary>
public static class Links
{
    /// <summary>Threads of one process.</summary>
    [LinkSpec(BandwidthGBs = 10, LatencyMicroseconds = 5)]
    public sealed class SharedMemory;

    /// <summary>10 Gb/s Ethernet.</summary>
    [LinkSpec(BandwidthGBs = 1.25, LatencyMicroseconds = 50)]
    public sealed class Ethernet10G;

    /// <summary>InfiniBand EDR, 100 Gb/s.</summary>
    [LinkSpec(BandwidthGBs = 12.5, LatencyMicroseconds = 5)]
    public sealed class InfinibandEdr;

    /// <summary>InfiniBand HDR, 200 Gb/s.</summary>
    [LinkSpec(BandwidthGBs = 25, LatencyMicroseconds = 5)]
    public sealed class InfinibandHdr;

    /// <summary>InfiniBand NDR, 400 Gb/s.</summary>
    [LinkSpec(BandwidthGBs = 50, LatencyMicroseconds = 5)]
    public sealed class InfinibandNdr;

    /// <summary>NVLink 2 of a V100, one way.</summary>
    [LinkSpec(BandwidthGBs = 150, LatencyMicroseconds = 3)]
    public sealed class NvLink2;

    /// <summary>NVLink 3, one way.</summary>
    [LinkSpec(BandwidthGBs = 300, LatencyMicroseconds = 3)]
    public sealed class NvLink3;

    /// <summary>NVLink 4, one way.</summary>
    [LinkSpec(BandwidthGBs = 450, LatencyMicroseconds = 3)]
    public sealed class NvLink4;

    /// <summary>NVLink 5 of a B200, one way.</summary>
    [LinkSpec(BandwidthGBs = 900, LatencyMicroseconds = 3)]
    public sealed class NvLink5;

    /// <summary>Infinity Fabric between dies of MI250X, one way.</summary>
    [LinkSpec(BandwidthGBs = 50, LatencyMicroseconds = 4)]
    public sealed class InfinityFabric2;

    /// <summary>Infinity Fabric of an MI300X, all links together, one way.</summary>
    [LinkSpec(BandwidthGBs = 448, LatencyMicroseconds = 4)]
    public sealed class InfinityFabric3;

    /// <summary>PCIe 4.0 x16, one way.</summary>
    [LinkSpec(BandwidthGBs = 32, LatencyMicroseconds = 5)]
    public sealed class PciExpress4;
}
