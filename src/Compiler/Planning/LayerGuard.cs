namespace Shardwright.Compiler.Planning;

/// <summary>A condition on a statement within a layer: that its loop has another layer, or two.</summary>
/// <param name="Offset">Number of the other layer less that of the current one.</param>
/// <param name="Layers">Layers of the loop.</param>
/// <param name="Second">The same of a second layer; 0 for none.</param>
public sealed record LayerGuard(int Offset, int Layers, int Second = 0)
{
    /// <summary>Layers for which it holds.</summary>
    public int Count => Math.Max(0, Layers - Math.Max(0, Math.Max(Offset, Second)) + Math.Min(0, Math.Min(Offset, Second)));

    /// <summary>Whether it holds for a layer.</summary>
    public bool Holds(int layer) => Has(layer + Offset) && Has(layer + Second);

    private bool Has(int layer) => layer >= 0 && layer < Layers;
}
