using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Pipelining;

/// <summary>A piece of a model that lies on one stage as a whole: a layer, the embedding, the head with the loss.</summary>
/// <param name="Forward">Time of one micro-batch forward.</param>
/// <param name="Input">Time of the gradient of its inputs.</param>
/// <param name="Weight">Time of the gradient of its weights.</param>
/// <param name="ActivationBytes">Bytes that it keeps for each live micro-batch.</param>
/// <param name="ParameterBytes">Bytes that it keeps always: parameters, gradients, optimizer state.</param>
/// <param name="HopBytes">Bytes of a micro-batch that pass to the segment after it.</param>
public sealed record SegmentCost(double Forward, double Input, double Weight, long ActivationBytes = 0, long ParameterBytes = 0, long HopBytes = 0);

/// <summary>What is to be cut.</summary>
/// <param name="Segments">Pieces in order.</param>
/// <param name="Schedule">Schedule of the step; null with a <see cref="Table"/>.</param>
/// <param name="Shape">Its counts.</param>
/// <param name="Link">Time of messages between stages.</param>
/// <param name="MemoryLimit">Bytes that a rank has; null for no limit.</param>
public sealed record CutRequest(EquatableArray<SegmentCost> Segments, Schedule? Schedule, ScheduleShape Shape, LinkCost Link = default, long? MemoryLimit = null)
{
    /// <summary>The order, where it is built already or no schedule of the compiler; else null.</summary>
    public ActionTable? Table { get; init; }

    /// <summary>Number of stages.</summary>
    public int Stages => Table?.Stages ?? Shape.Stages;

    /// <summary>Up to this many cuts are all looked at.</summary>
    public int MaxCuts { get; init; } = CutSearch.MaxCuts;

    /// <summary>Most actions that are simulated.</summary>
    public long MaxActions { get; init; } = CutSearch.MaxActions;
}

/// <summary>A cut and what it costs.</summary>
/// <param name="Counts">Segments on each stage.</param>
/// <param name="Makespan">Simulated time of a step.</param>
/// <param name="LargestStage">Time of a micro-batch on the slowest stage, in both directions.</param>
/// <param name="PeakBytes">Most bytes that each rank keeps.</param>
/// <param name="Overflow">Bytes over the limit on the fullest rank; 0 if it fits.</param>
public sealed record Cut(EquatableArray<int> Counts, double Makespan, double LargestStage, EquatableArray<long> PeakBytes, long Overflow);

/// <summary>What a search has found.</summary>
/// <param name="Best">The fastest cut that fits; if none does, the one that is least over the limit.</param>
/// <param name="MinMax">The cut with the smallest largest stage, for comparison; it need not fit.</param>
/// <param name="Exact">Whether no cut is better than the best one.</param>
/// <param name="Simulated">Number of cuts that were simulated.</param>
public sealed record CutResult(Cut Best, Cut MinMax, bool Exact, int Simulated);
