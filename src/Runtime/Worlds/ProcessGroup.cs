using Shardwright.Execution;

namespace Shardwright.Worlds;

/// <summary>How terms are combined.</summary>
public enum ReduceKind
{
    /// <summary>Sum, element by element in rank order.</summary>
    Sum,

    /// <summary>Largest.</summary>
    Max,
}

/// <summary>A started operation, to be waited for.</summary>
/// <param name="Sequence">Its number on its lane.</param>
/// <param name="Lane">0 for the group's collectives, else the lane of an edge.</param>
public readonly record struct Ticket(long Sequence, int Lane);

/// <summary>Ranks that communicate. Operations are started on the group's lane, in the same order on every rank, and waited for; a program never blocks in between.
/// Sums go element by element in rank order, so that every rank and every run gets the same bits.</summary>
public abstract class ProcessGroup
{
    /// <summary>Number of ranks.</summary>
    public abstract int Size { get; }

    /// <summary>This rank's number in the group.</summary>
    public abstract int Rank { get; }

    /// <summary>Axes of the group, for messages.</summary>
    public abstract string Name { get; }

    /// <summary>Combines a buffer of all ranks in place: of floats, or of bf16 or fp16, whose terms are combined as floats and rounded once.</summary>
    public abstract Ticket StartAllReduce<T>(Arena arena, Slice<T> buffer, ReduceKind kind = ReduceKind.Sum)
        where T : unmanaged;

    /// <summary>Sums the source of all ranks; each keeps its own of Size equal parts, in the target. Elements as for <see cref="StartAllReduce{T}"/>.</summary>
    public abstract Ticket StartReduceScatter<T>(Arena arena, Slice<T> source, Slice<T> target)
        where T : unmanaged;

    /// <summary>Gathers the sources of all ranks, in rank order.</summary>
    public abstract Ticket StartAllGather<T>(Arena arena, Slice<T> source, Slice<T> target)
        where T : unmanaged;

    /// <summary>Part i of rank j's source becomes part j of rank i's target.</summary>
    public abstract Ticket StartAllToAll<T>(Arena arena, Slice<T> source, Slice<T> target)
        where T : unmanaged;

    /// <summary>Copies the root's buffer to all.</summary>
    public abstract Ticket StartBroadcast<T>(Arena arena, Slice<T> buffer, int root)
        where T : unmanaged;

    /// <summary>Sends a buffer to a rank of the group, which must receive it: one ordered lane for each directed edge.</summary>
    public abstract Ticket StartSend<T>(Arena arena, Slice<T> buffer, int to)
        where T : unmanaged;

    /// <summary>Receives a buffer from a rank of the group.</summary>
    public abstract Ticket StartReceive<T>(Arena arena, Slice<T> buffer, int from)
        where T : unmanaged;

    /// <summary>Waits for a started operation; its buffers may be used afterwards.</summary>
    public abstract void Wait(Ticket ticket);
}
