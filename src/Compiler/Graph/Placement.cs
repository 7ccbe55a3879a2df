namespace Shardwright.Compiler.Graph;

/// <summary>How a tensor lies along one mesh axis.</summary>
public enum PlacementKind
{
    /// <summary>Each rank holds the whole value.</summary>
    Broadcast,

    /// <summary>The ranks hold equal slices of one dim.</summary>
    Split,

    /// <summary>Each rank holds a term; the value is their sum.</summary>
    Partial,
}

/// <summary>Placement of a tensor on one mesh axis (SBP; Yuan et al., OneFlow, arXiv 2110.15032).</summary>
/// <param name="Kind">Broadcast, split or partial.</param>
/// <param name="Dim">The dim that is split; 0 otherwise.</param>
public readonly record struct Placement(PlacementKind Kind, int Dim)
{
    /// <summary>Each rank holds the whole value.</summary>
    public static Placement Broadcast => new(PlacementKind.Broadcast, 0);

    /// <summary>Each rank holds a term of a sum.</summary>
    public static Placement Partial => new(PlacementKind.Partial, 0);

    /// <summary>Equal slices of a dim.</summary>
    public static Placement Split(int dim) => new(PlacementKind.Split, dim);

    /// <summary>Whether it is a split (of any dim).</summary>
    public bool IsSplit => Kind == PlacementKind.Split;

    /// <summary>Whether it is a sum of terms.</summary>
    public bool IsPartial => Kind == PlacementKind.Partial;

    /// <summary>Whether each rank holds the whole.</summary>
    public bool IsBroadcast => Kind == PlacementKind.Broadcast;

    /// <inheritdoc/>
    public override string ToString() => Kind switch { PlacementKind.Split => $"S({Dim})", PlacementKind.Partial => "P", _ => "B" };
}
