namespace Shardwright.Gpu;

/// <summary>Which accelerators are looked for.</summary>
public enum GpuKind
{
    /// <summary>NVIDIA GPUs through the CUDA driver.</summary>
    Cuda,

    /// <summary>OpenCL devices.</summary>
    OpenCL,

    /// <summary>ILGPU's accelerator on the processor: for tests of meaning, hundreds of times slower than the CPU kernels.</summary>
    Cpu,
}

/// <summary>How a <see cref="GpuBackend"/> runs.</summary>
public sealed record GpuOptions
{
    /// <summary>Which accelerators to use.</summary>
    public GpuKind Kind { get; init; } = GpuKind.Cuda;

    /// <summary>Numbers of the devices, as <see cref="GpuBackend.Find"/> lists them; empty for all. Rank r runs on device r modulo their number: several ranks may share one.</summary>
    public IReadOnlyList<int> Devices { get; init; } = [];

    /// <summary>Bytes of each device that may be used, where others need the rest; 0 for all.</summary>
    public long MemoryLimit { get; init; }

    /// <summary>TF32 in matrix products of CUDA devices: faster, with 10 bits of mantissa in the factors.</summary>
    public bool TensorFloat32 { get; init; }

    /// <summary>Approximate division and square root; denormals are flushed to zero.</summary>
    public bool FastMath { get; init; }

    /// <summary>Each kernel is waited for where it is launched, so that the spans of a trace are the kernels' own: for profiles, for steps are slower.</summary>
    public bool WaitsForKernels { get; init; }

    /// <summary>Collectives between devices go through host memory even where the devices reach each other.</summary>
    public bool StageTransfers { get; init; }

    /// <summary>Threads of a warp, warps of a group and number of devices of <see cref="GpuKind.Cpu"/>.</summary>
    public (int Lanes, int Warps, int Devices) CpuShape { get; init; } = (4, 4, 1);
}
