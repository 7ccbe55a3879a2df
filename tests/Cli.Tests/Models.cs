using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Cli.Tests.Models;

/// <summary>A device of a user's own.</summary>
[DeviceSpec(MemoryBytes = 1L << 30, UsableBytes = 1L << 29, BandwidthGBs = 5, Fp32TFlops = 1, MaxThreads = 3)]
public sealed class Toaster;

/// <summary>The same device, as if it had been measured: of each kind of work it does a tenth of what is planned where no device says.</summary>
[DeviceSpec(MemoryBytes = 1L << 30, UsableBytes = 1L << 29, BandwidthGBs = 5, Fp32TFlops = 1, MaxThreads = 3)]
[DeviceEfficiency(WorkKind.Product, 64, 0.05)]
[DeviceEfficiency(WorkKind.Attention, 64, 0.035)]
[DeviceEfficiency(WorkKind.Elementwise, 64, 0.025)]
[DeviceEfficiency(WorkKind.Memory, 1 << 20, 0.08)]
public sealed class MeasuredToaster;

[DeviceMesh(Device = typeof(Devices.LocalCpu))]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.Ethernet10G))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Lab;

[DeviceMesh]
public sealed class Desk;

/// <summary>Sizes that several classes share.</summary>
internal static class Sizes
{
    public const int Bits = 3;
    public const int Rows = 4;
    public const int Folded = 1 << Bits;   // a shift is no part of the language: only its value is kept
}

/// <summary>A layer with constants of its own.</summary>
[ShardedLayer]
public sealed partial class Mixer(int width)
{
    const int Factor = 2;
    const int Inner = Factor * 4;
    const bool Gated = false;
    const float Slope = 0.5f;

    [Split("tp", dim: 1)] readonly Tensor up = Parameter(width, Inner);
    [Split("tp", dim: 0)] readonly Tensor down = Parameter(Inner, width);

    [Elementwise] static float Leak(float x) => x > 0 ? x : Slope * x;

    public Tensor Forward(Tensor x)
    {
        Tensor inner = MatMul(x, up);
#pragma warning disable CS0162 // as written; a plan may set it
        if (Gated)
        {
            inner = inner * Sigmoid(inner);
        }
#pragma warning restore CS0162

        return x + MatMul(Map(inner, Leak), down);
    }
}

/// <summary>A model with constants of every kind.</summary>
[ShardedOn<Lab>]
[ShardedOn<Desk>(MicroBatches = Cuts)]
[ShardedOn<Desk>(Name = "OnDeskAgain")]
public sealed partial class Net
{
    const int Cuts = 2;
    const int Batch = 2 * Sizes.Rows;
    const int Width = Sizes.Folded;
    const int Rounds = 2;
    const float Rate = 0.25f;

    readonly Mixer mixer = new(Width);
    readonly Tensor weight = Parameter(Width, Width);

    public Tensor Loss([Shape(Batch, Width), Split("dp", dim: 0)] Tensor x)
    {
        for (int i = 0; i < Rounds; i++)
        {
            x = MatMul(x, weight);
        }

        return Mean(Dropout(mixer.Forward(x), Rate));
    }
}
