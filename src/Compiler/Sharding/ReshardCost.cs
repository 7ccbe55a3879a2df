using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Sharding;

/// <summary>Price of changing a placement on one axis, in tenths of a picosecond; ties break on small fixed numbers, so results never wobble.</summary>
public static class ReshardCost
{
    /// <summary>Units of a second.</summary>
    public const double PerSecond = 1e13;

    /// <summary>More than any sum of real costs; still safe to add many times.</summary>
    public const long Impossible = 1L << 54;

    /// <summary>Added for every change of placement, free ones too: of two plans that take equally long the one with fewer changes wins.</summary>
    public const long Step = 10_000;

    /// <summary>Predicted time of a collective: α per hop and bytes over β (ring).</summary>
    /// <param name="axis">The axis.</param>
    /// <param name="from">Placement before.</param>
    /// <param name="to">Placement after.</param>
    /// <param name="bytes">Bytes of the tensor before this axis slices it.</param>
    public static long Of(ShardAxis axis, Placement from, Placement to, long bytes)
    {
        if (from == to || axis.Parts == 1)
        {
            return 0;
        }

        if (axis.IsMicroBatch)
        {
            return from.IsBroadcast ? Step : Impossible;
        }

        double seconds = (from.Kind, to.Kind) switch
        {
            (PlacementKind.Split, PlacementKind.Split) => CollectiveTime.AllToAll(axis.Parts, (double)bytes / axis.Parts, axis.LatencySeconds, axis.BytesPerSecond),
            (PlacementKind.Split, PlacementKind.Broadcast) or (PlacementKind.Partial, PlacementKind.Split) => CollectiveTime.Gather(axis.Parts, bytes, axis.LatencySeconds, axis.BytesPerSecond),
            (PlacementKind.Partial, PlacementKind.Broadcast) => CollectiveTime.RingAllReduce(axis.Parts, bytes, axis.LatencySeconds, axis.BytesPerSecond),
            _ => 0,
        };
        return Units(seconds) + Step;
    }

    /// <summary>The most that a single change is taken to cost, 1.76 s: more than in any plan that is worth having.</summary>
    public const long Most = Impossible / 1024;

    /// <summary>A time in units, at most <see cref="Most"/>.</summary>
    public static long Units(double seconds) => (long)Math.Min(seconds * PerSecond, Most);

    /// <summary>Time of work in units, at most half a minute: large products take longer than any change of placement, and to split one must stay worth it.</summary>
    public static long WorkUnits(double seconds) => (long)Math.Min(seconds * PerSecond, Impossible / 64);

    /// <summary>Bytes that one rank sends.</summary>
    public static long BytesPerRank(ShardAxis axis, Placement from, Placement to, long bytes)
    {
        long p = axis.Parts;
        return (from.Kind, to.Kind) switch
        {
            (PlacementKind.Split, PlacementKind.Split) => bytes / p / p * (p - 1),
            (PlacementKind.Split, PlacementKind.Broadcast) => bytes / p * (p - 1),
            (PlacementKind.Partial, PlacementKind.Split) => bytes / p * (p - 1),
            (PlacementKind.Partial, PlacementKind.Broadcast) => 2 * (bytes / p * (p - 1)),
            _ => 0,
        };
    }
}
