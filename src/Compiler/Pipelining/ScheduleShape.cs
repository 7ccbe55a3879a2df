namespace Shardwright.Compiler.Pipelining;

/// <summary>The counts that a schedule is built for.</summary>
/// <param name="Ranks">Ranks along the pipeline axis, P.</param>
/// <param name="Chunks">Stages on each rank, V.</param>
/// <param name="MicroBatches">Micro-batches of a step, M.</param>
/// <param name="GroupSize">Micro-batches that visit all chunks together (interleaved only), N; chosen if null.</param>
/// <param name="HopAware">Runs more forwards ahead, so that the time of a message is hidden in the steady state, for more live micro-batches.</param>
public sealed record ScheduleShape(int Ranks, int Chunks, int MicroBatches, int? GroupSize = null, bool HopAware = false)
{
    /// <summary>Number of stages.</summary>
    public int Stages => Ranks * Chunks;

    /// <summary>Actions of all ranks together, at most.</summary>
    public long Actions => 3L * Stages * MicroBatches;
}
