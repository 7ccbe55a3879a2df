using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Tests;

/// <summary>A device that leaves an arena 3 MiB.</summary>
[DeviceSpec(MemoryBytes = 4L << 20, ReserveBytes = 1L << 20, BandwidthGBs = 20, Fp32TFlops = 0.1)]
public sealed class SmallDevice;

[DeviceMesh(Device = typeof(SmallDevice))]
[MeshAxis("dp", 2)]
public sealed class SmallMesh;

#pragma warning disable SW3001 // It does not fit: what its ranks say then is tested.
[ShardedOn<SmallMesh>]
public sealed partial class TooLarge
#pragma warning restore SW3001
{
    readonly Tensor up = Parameter(64, 1024);
    readonly Tensor down = Parameter(1024, 64);

    public Tensor Loss([Shape(8, 64), Split("dp", dim: 0)] Tensor x) => Mean(MatMul(Gelu(MatMul(x, up)), down));
}
