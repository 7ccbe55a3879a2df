namespace Shardwright.Compiler.Machine;

/// <summary>Predicted time of work on a device: the slower of computing and moving, plus the launch.</summary>
public static class OpTime
{
    /// <summary>Size of a product that the search of placements prices work at.</summary>
    private const double PlannedEdge = 1024;

    /// <summary>Bytes that it prices memory traffic at.</summary>
    private const double PlannedBytes = 1 << 24;

    /// <summary>max(FLOPs / (peak × efficiency), bytes / (bandwidth × efficiency)) + launch, in seconds.</summary>
    /// <param name="device">The device.</param>
    /// <param name="kind">What kind of work it is.</param>
    /// <param name="flops">Floating-point operations, 2 for a multiply-add.</param>
    /// <param name="bytes">Bytes read and written.</param>
    /// <param name="arithmetic">What the factors of products are.</param>
    public static double Seconds(DeviceDefinition device, WorkKind kind, double flops, double bytes, Arithmetic arithmetic) =>
        Math.Max(Computing(device, kind, flops, arithmetic), Moving(device, bytes)) + device.LaunchMicroseconds * 1e-6;

    /// <summary>Time to compute, without a launch.</summary>
    public static double Computing(DeviceDefinition device, WorkKind kind, double flops, Arithmetic arithmetic)
    {
        double peak = device.Peak(kind == WorkKind.Elementwise ? Arithmetic.Float32 : arithmetic), edge = Math.Pow(Math.Max(1, flops) / 2, 1.0 / 3);
        return flops <= 0 ? 0 : flops / (peak * device.Efficiency(kind, edge));
    }

    /// <summary>Time to read and write bytes, without a launch.</summary>
    public static double Moving(DeviceDefinition device, double bytes) =>
        bytes <= 0 ? 0 : bytes / Math.Max(1, device.BandwidthGBs * 1e9 * device.Efficiency(WorkKind.Memory, bytes));

    /// <summary>Operations per second that a planned product reaches.</summary>
    public static double PlannedRate(DeviceDefinition device) => Math.Max(1, device.Peak(Arithmetic.Float32) * device.Efficiency(WorkKind.Product, PlannedEdge));

    /// <summary>Bytes per second that planned light work reads and writes.</summary>
    public static double PlannedBandwidth(DeviceDefinition device) => Math.Max(1, device.BandwidthGBs * 1e9 * device.Efficiency(WorkKind.Memory, PlannedBytes));
}
