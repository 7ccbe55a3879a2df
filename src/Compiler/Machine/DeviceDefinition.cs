namespace Shardwright.Compiler.Machine;

/// <summary>Kinds of work that a device does at different shares of its peak; the same names as Shardwright.WorkKind.</summary>
public enum WorkKind
{
    /// <summary>Matrix products; the size is the edge of a cube of as many multiply-adds.</summary>
    Product,

    /// <summary>Attention; the size is that of a product.</summary>
    Attention,

    /// <summary>Everything else that computes; the size is that of a product.</summary>
    Elementwise,

    /// <summary>Reading and writing memory, a share of the bandwidth; the size is bytes.</summary>
    Memory,
}

/// <summary>A measured share of the peak: one point of the efficiency table of a device.</summary>
/// <param name="Kind">Kind of work.</param>
/// <param name="Size">Edge of an equal cube of multiply-adds, or bytes.</param>
/// <param name="Share">Share of the peak, more than 0 and at most 1.</param>
public sealed record EfficiencyPoint(WorkKind Kind, double Size, double Share);

/// <summary>Numbers of a device.</summary>
/// <param name="Name">Name of its class.</param>
/// <param name="MemoryBytes">Memory.</param>
/// <param name="UsableBytes">Memory that a program gets.</param>
/// <param name="ReserveBytes">Memory of a program outside of the arena: runtime, driver, libraries.</param>
/// <param name="BandwidthGBs">Memory bandwidth, 10⁹ bytes per second.</param>
/// <param name="Fp32TFlops">fp32 peak, 10¹² operations per second.</param>
/// <param name="Bf16TFlops">bf16 peak; 0 where there is none.</param>
/// <param name="LaunchMicroseconds">Time to launch a kernel.</param>
/// <param name="MaxThreads">Most threads that a rank may use.</param>
/// <param name="StepMicroseconds">Fixed cost of a step beside its kernels and collectives.</param>
/// <param name="Efficiencies">Points of the efficiency table; kinds without points have planned shares.</param>
/// <param name="HasSpec">Whether its class carries [DeviceSpec].</param>
/// <param name="Fp16TFlops">fp16 peak; 0 where there is none.</param>
public sealed record DeviceDefinition(
    string Name, long MemoryBytes, long UsableBytes, long ReserveBytes, double BandwidthGBs, double Fp32TFlops, double Bf16TFlops, double LaunchMicroseconds, int MaxThreads,
    double StepMicroseconds = 0, EquatableArray<EfficiencyPoint> Efficiencies = default, bool HasSpec = true, double Fp16TFlops = 0)
{
    /// <summary>Reads what [DeviceSpec] and [DeviceEfficiency] say, wherever they stand: in source, or in the metadata of an assembly.</summary>
    /// <param name="name">Name of the class.</param>
    /// <param name="spec">Number of a property that was given, or null; null where the class carries no [DeviceSpec].</param>
    /// <param name="points">Its efficiency table.</param>
    public static DeviceDefinition Read(string name, Func<string, double?>? spec, IEnumerable<EfficiencyPoint> points)
    {
        double Number(string property, double otherwise) => spec?.Invoke(property) ?? otherwise;
        double memory = Number("MemoryBytes", 0);
        return new DeviceDefinition(
            name, Whole(memory), Whole(Number("UsableBytes", memory)), Whole(Number("ReserveBytes", 0)),
            Number("BandwidthGBs", 0), Number("Fp32TFlops", 0), Number("Bf16TFlops", 0), Number("LaunchMicroseconds", 0),
            (int)Number("MaxThreads", 1), Number("StepMicroseconds", 0), points.ToEquatable(), spec is not null, Number("Fp16TFlops", 0));
    }

    private static long Whole(double value) => value >= long.MaxValue ? long.MaxValue : value <= long.MinValue ? long.MinValue : (long)value;

    /// <summary>Share of the peak that is planned where the device has no points for a kind.</summary>
    private static double Planned(WorkKind kind) => kind switch { WorkKind.Product => 0.5, WorkKind.Attention => 0.35, WorkKind.Elementwise => 0.25, _ => 0.8 };

    /// <summary>Peak for products, operations per second. Without a peak of their own, numbers of two bytes run at that of fp32.</summary>
    public double Peak(Arithmetic arithmetic)
    {
        double own = arithmetic switch { Arithmetic.BFloat16 => Bf16TFlops, Arithmetic.Float16 => Fp16TFlops, _ => Fp32TFlops };
        return Math.Max(1, (own > 0 ? own : Fp32TFlops) * 1e12);
    }

    /// <summary>Share of the peak at a size: between two points linear in the logarithm of the size, outside of them that of the nearest.</summary>
    public double Efficiency(WorkKind kind, double size)
    {
        EfficiencyPoint? below = null, above = null;
        foreach (EfficiencyPoint point in Efficiencies)
        {
            if (point.Kind != kind)
            {
                continue;
            }

            if (point.Size <= size && (below is null || point.Size > below.Size))
            {
                below = point;
            }

            if (point.Size >= size && (above is null || point.Size < above.Size))
            {
                above = point;
            }
        }

        if (below is null || above is null)
        {
            return (below ?? above)?.Share ?? Planned(kind);
        }

        return above.Size <= below.Size ? below.Share : below.Share + (above.Share - below.Share) * Math.Log(size / below.Size) / Math.Log(above.Size / below.Size);
    }
}
