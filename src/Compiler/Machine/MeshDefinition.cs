namespace Shardwright.Compiler.Machine;

/// <summary>A mesh class as data.</summary>
/// <param name="Type">Full name with assembly.</param>
/// <param name="Axes">Outermost (slowest) first.</param>
/// <param name="Device">Numbers of its device.</param>
public sealed record MeshDefinition(string Type, EquatableArray<MeshAxisDefinition> Axes, DeviceDefinition Device)
{
    /// <summary>Name without namespace and assembly.</summary>
    public string ShortName
    {
        get
        {
            string full = Type.Split(',')[0];
            return full.Substring(full.LastIndexOf('.') + 1);
        }
    }

    /// <summary>Number of ranks.</summary>
    public int Ranks => Axes.Aggregate(1, (product, axis) => checked(product * axis.Size));
}

/// <summary>One axis of a mesh. Role is Auto, Data, Tensor or Pipeline.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Size">Ranks along it.</param>
/// <param name="Role">What it may split.</param>
/// <param name="Link">What joins neighbours along it.</param>
/// <param name="Site">Place of its attribute, as a number of the model that names the mesh; −1 where it lies in no source.</param>
/// <param name="LinkText">Its link as it is written there: <c>typeof(Links.NvLink3)</c>.</param>
public sealed record MeshAxisDefinition(string Name, int Size, string Role, LinkDefinition Link, int Site = -1, string LinkText = "");

/// <summary>Numbers of a link.</summary>
/// <param name="Name">Name of its class.</param>
/// <param name="BandwidthGBs">Bandwidth of a rank, one way, 10⁹ bytes per second.</param>
/// <param name="LatencyMicroseconds">Time to start a message.</param>
public sealed record LinkDefinition(string Name, double BandwidthGBs, double LatencyMicroseconds)
{
    /// <summary>Share of the nominal rate that a planned message reaches.</summary>
    public const double PlannedShare = 0.8;

    /// <summary>Planned rate, bytes per second.</summary>
    public double BytesPerSecond => Math.Max(1, BandwidthGBs * 1e9 * PlannedShare);

    /// <summary>Time to start a message, seconds.</summary>
    public double LatencySeconds => LatencyMicroseconds * 1e-6;
}
