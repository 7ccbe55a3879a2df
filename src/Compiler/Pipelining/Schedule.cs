namespace Shardwright.Compiler.Pipelining;

/// <summary>A pipeline schedule: which stage lies where, and in which order a rank works. One small file each; what follows from the order
/// (validation, messages, buffers, proof, simulation) is shared.</summary>
public abstract class Schedule
{
    /// <summary>Most actions of a table: beyond it, a plan would be larger than any memory that holds it.</summary>
    public const long MaxActions = 50_000_000;

    /// <summary>Name on the command line: <c>1f1b</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Member of the PipelineSchedule enumeration that means it.</summary>
    public abstract string EnumName { get; }

    /// <summary>Name for a reader, with the source.</summary>
    public abstract string Title { get; }

    /// <summary>The only number of stages on a rank that it runs with; null if any will do.</summary>
    public abstract int? RequiredChunks { get; }

    /// <summary>Whether the gradients of inputs and of weights are actions of their own.</summary>
    public virtual bool SplitsBackward => false;

    /// <summary>Whether a group size means anything to it.</summary>
    public virtual bool TakesGroupSize => false;

    /// <summary>Whether it has a warm-up that can be made deeper to hide messages.</summary>
    public virtual bool TakesHopAware => false;

    /// <summary>The rank that a stage lies on.</summary>
    public virtual int RankOf(int stage, ScheduleShape shape) => stage % shape.Ranks;

    /// <summary>Why it cannot run with these counts, with the nearest that work; null if it can.</summary>
    public string? Refuse(ScheduleShape shape)
    {
        if (shape.Ranks < 1 || shape.MicroBatches < 1 || shape.Chunks < 1)
        {
            return $"{Name} with {shape.Ranks} ranks, {shape.Chunks} chunks and {shape.MicroBatches} micro-batches: each must be 1 or more; "
                + $"{Math.Max(1, shape.Ranks)}, {Math.Max(1, shape.Chunks)} and {Math.Max(1, shape.MicroBatches)} would do";
        }

        if (RequiredChunks is int chunks && chunks != shape.Chunks)
        {
            return $"{Name} runs {chunks} {(chunks == 1 ? "stage" : "stages")} on each rank, and {shape.Chunks} are asked for: give {chunks}"
                + (chunks == 1 ? $", or use {string.Join(" or ", Pipelining.Schedules.All.Where(s => s.RequiredChunks is null || s.RequiredChunks == shape.Chunks).Select(s => s.Name))}" : "");
        }

        if (shape.GroupSize is int group && !TakesGroupSize)
        {
            return $"{Name} has no groups of micro-batches, and a group size of {group} is asked for: leave it out, or use {string.Join(" or ", Pipelining.Schedules.All.Where(s => s.TakesGroupSize).Select(s => s.Name))}";
        }

        if (shape.HopAware && !TakesHopAware)
        {
            return $"{Name} has no hop-aware warm-up: leave it out, or use {string.Join(" or ", Pipelining.Schedules.All.Where(s => s.TakesHopAware).Select(s => s.Name))}";
        }

        if ((long)shape.Ranks * shape.Chunks * shape.MicroBatches > MaxActions / 3)
        {
            return $"{Name} with {shape.Ranks} ranks, {shape.Chunks} chunks and {shape.MicroBatches} micro-batches has more than {MaxActions} actions: "
                + $"{Math.Max(1, MaxActions / 3 / ((long)shape.Ranks * shape.Chunks))} micro-batches would do";
        }

        return RefuseCounts(shape);
    }

    /// <summary>What a rank does, in order. The shape is one that is not refused.</summary>
    public abstract IEnumerable<StageAction> ActionsOf(int rank, ScheduleShape shape);

    /// <summary>What this schedule alone refuses.</summary>
    protected virtual string? RefuseCounts(ScheduleShape shape) => null;
}
