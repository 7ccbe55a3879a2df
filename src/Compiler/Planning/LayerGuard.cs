namespace Shardwright.Compiler.Planning;

/// <summary>A condition on a statement within a layer: that its loop has another layer, or two.</summary>
/// <param name="Offset">Number of the other layer less that of the current one.</param>
/// <param name="Layers">Layers of the loop.</param>
/// <param name="Second">The same of a second layer; 0 for none.</param>
public sealed record LayerGuard(int Offset, int Layers, int Second = 0)
{
    /// <summary>Whether the second layer is not asked for in the first micro-batch.</summary>
    public bool SecondIsLater { get; init; }

    /// <summary>Whether it holds for a layer.</summary>
    /// <param name="layer">The layer.</param>
    /// <param name="first">Whether the micro-batch is the first.</param>
    public bool Holds(int layer, bool first = false) => Has(layer + Offset) && ((SecondIsLater && first) || Has(layer + Second));

    /// <summary>Layers for which it holds.</summary>
    /// <param name="first">Whether the micro-batch is the first.</param>
    public int Count(bool first) => Enumerable.Range(0, Layers).Count(l => Holds(l, first));

    private bool Has(int layer) => layer >= 0 && layer < Layers;
}
