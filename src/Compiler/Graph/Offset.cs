namespace Shardwright.Compiler.Graph;

/// <summary>An integer that a rank computes from its coordinates: constant + Σ coordinate(axis) · step. Axis "" stands for the micro-batch.</summary>
/// <param name="Constant">The part that is the same for all ranks.</param>
/// <param name="Terms">Axis names with steps; no zero steps.</param>
public sealed record Offset(long Constant, EquatableArray<(string Axis, long Step)> Terms)
{
    /// <summary>Zero.</summary>
    public static Offset Zero { get; } = new(0, EquatableArray<(string, long)>.Empty);

    /// <summary>Whether it is the same number on every rank and micro-batch.</summary>
    public bool IsConstant => Terms.Count == 0;

    /// <summary>Whether it depends on the micro-batch.</summary>
    public bool UsesMicroBatch => Terms.Any(t => t.Axis.Length == 0);
}
