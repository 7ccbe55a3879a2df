namespace Shardwright.Generators;

/// <summary>Names of the incremental steps.</summary>
public static class TrackingNames
{
    /// <summary>Layers as data.</summary>
    public const string Layers = "Shardwright.Layers";

    /// <summary>Models as data.</summary>
    public const string Models = "Shardwright.Models";

    /// <summary>All definitions of the compilation.</summary>
    public const string Library = "Shardwright.Library";
}
