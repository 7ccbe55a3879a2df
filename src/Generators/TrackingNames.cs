namespace Shardwright.Generators;

/// <summary>Names of the incremental steps, in the order in which data flows through them.</summary>
public static class TrackingNames
{
    /// <summary>All layers and models of the compilation as data; stands behind the comparer of compilations.</summary>
    public const string Extraction = "Shardwright.Extraction";

    /// <summary>Declarations that carry attributes: what gives each layer a step of its own. Only syntax is looked at.</summary>
    public const string Places = "Shardwright.Places";

    /// <summary>One layer or model each.</summary>
    public const string Layers = "Shardwright.Layers";

    /// <summary>One model each, with the layers that it reaches.</summary>
    public const string Models = "Shardwright.Models";

    /// <summary>One model on one mesh each, with its plan.</summary>
    public const string Plans = "Shardwright.Plans";

    /// <summary>Whether kernels for accelerators can be compiled. A run records it only where they are: nothing else depends on it.</summary>
    public const string SeesIlgpu = "Shardwright.SeesIlgpu";

    /// <summary>Those that every run records.</summary>
    public static ImmutableArray<string> All { get; } = ImmutableArray.Create(Extraction, Places, Layers, Models, Plans);
}
