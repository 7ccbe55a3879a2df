namespace Shardwright.Compiler.Planning;

/// <summary>What tells whether a loop finds its first layers in their ring.</summary>
public enum RingFind
{
    /// <summary>That the micro-batch is not the first: programs that run one after another.</summary>
    Later,

    /// <summary>That the rank's action before went the other way through the same layers.</summary>
    Turns,

    /// <summary>That the rank's action before was of the same stage, whose layers the ring holds all.</summary>
    Stays,
}

/// <summary>A condition on a statement within a layer: that its loop has another layer, or two.</summary>
/// <param name="Offset">Number of the other layer less that of the current one.</param>
/// <param name="Layers">Layers of the loop.</param>
/// <param name="Second">The same of a second layer; 0 for none.</param>
public sealed record LayerGuard(int Offset, int Layers, int Second = 0)
{
    /// <summary>Whether the second layer is not asked for where the loop finds nothing in its ring.</summary>
    public bool SecondIsLater { get; init; }

    /// <summary>With it: what tells whether the loop finds something.</summary>
    public RingFind By { get; init; }

    /// <summary>Whether it holds where the first layer's condition does not: in the first or the last layer of a loop.</summary>
    public bool IsNot { get; init; }

    /// <summary>Whether it holds for a layer.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="first">Whether the loop finds nothing in its ring, as in the first micro-batch.</param>
    public bool Holds(int layer, bool first = false) => IsNot ? !Has(layer + Offset) : Has(layer + Offset) && ((SecondIsLater && first) || Has(layer + Second));

    /// <summary>Layers for which it holds.</summary>
    /// <param name="first">Whether the loop finds nothing in its ring.</param>
    public int Count(bool first) => Enumerable.Range(0, Layers).Count(l => Holds(l, first));

    private bool Has(int layer) => layer >= 0 && layer < Layers;
}
