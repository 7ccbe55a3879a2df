namespace Shardwright.Compiler.Planning;

/// <summary>A condition on a statement within a layer: that its loop has another layer.</summary>
/// <param name="Offset">Number of the other layer less that of the current one: 1 or −1.</param>
/// <param name="Layers">Layers of the loop.</param>
public sealed record LayerGuard(int Offset, int Layers)
{
    /// <summary>Whether it holds for a layer.</summary>
    public bool Holds(int layer) => layer + Offset >= 0 && layer + Offset < Layers;
}
