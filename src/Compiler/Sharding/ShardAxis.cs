namespace Shardwright.Compiler.Sharding;

/// <summary>One axis as the signature search sees it.</summary>
/// <param name="Name">Name of the mesh axis; empty for the micro-batches, which slice first (outermost) and are never resharded.</param>
/// <param name="Parts">Number of ranks along it.</param>
/// <param name="LatencySeconds">Time to start a message.</param>
/// <param name="BytesPerSecond">Bandwidth of a rank's link, one way.</param>
/// <param name="IsData">Whether it splits the batch: what it has split is gathered only where an op cannot do without.</param>
public sealed record ShardAxis(string Name, int Parts, double LatencySeconds, double BytesPerSecond, bool IsData = false)
{
    /// <summary>Whether it stands for the micro-batches of a step.</summary>
    public bool IsMicroBatch => Name.Length == 0;
}
