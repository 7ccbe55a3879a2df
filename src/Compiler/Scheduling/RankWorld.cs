using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Scheduling;

/// <summary>What an instruction of a rank does, as far as the others can notice.</summary>
public enum LaneKind
{
    /// <summary>Works alone.</summary>
    Compute,

    /// <summary>Starts to send a message.</summary>
    StartSend,

    /// <summary>Waits until a message is sent.</summary>
    AwaitSend,

    /// <summary>Posts the receive of a message.</summary>
    StartReceive,

    /// <summary>Waits until a message is there.</summary>
    AwaitReceive,

    /// <summary>Takes part in a collective of a group, and waits for its end.</summary>
    Collective,

    /// <summary>Starts a collective on the lane of its group.</summary>
    StartCollective,

    /// <summary>Waits for the oldest collective of a group that was started and not waited for.</summary>
    AwaitCollective,
}

/// <summary>One instruction of a rank.</summary>
/// <param name="Kind">What it does.</param>
/// <param name="Number">Sends and receives: the message. Collectives: the group. Else nothing.</param>
/// <param name="Text">Collectives: which one it is, the same on all members. Else a name for the reader, or null.</param>
/// <param name="Time">Time that it takes, for timed runs.</param>
public readonly record struct LaneInstruction(LaneKind Kind, int Number, string? Text = null, double Time = 0);

/// <summary>A message from one rank to another.</summary>
/// <param name="From">Rank that sends.</param>
/// <param name="To">Rank that receives.</param>
/// <param name="Bytes">Size.</param>
public readonly record struct LaneMessage(int From, int To, long Bytes = 0);

/// <summary>Ranks that have collectives together.</summary>
/// <param name="Name">Name for messages: <c>tp of rank 3</c>.</param>
/// <param name="Members">Ranks.</param>
public sealed record LaneGroup(string Name, EquatableArray<int> Members);

/// <summary>The programs of all ranks, with the messages and groups that they name.</summary>
/// <param name="Programs">Instructions of each rank.</param>
/// <param name="Messages">All messages. Those of one pair of ranks and direction share one ordered channel.</param>
/// <param name="Groups">All groups.</param>
public sealed record RankWorld(EquatableArray<EquatableArray<LaneInstruction>> Programs, EquatableArray<LaneMessage> Messages, EquatableArray<LaneGroup> Groups)
{
    /// <summary>What a rank is called in messages; "rank 3" if null.</summary>
    public Func<int, string>? RankName { get; init; }

    /// <summary>What a message is called in messages; its number and ranks if null.</summary>
    public Func<int, string>? MessageName { get; init; }

    /// <summary>Time of messages, for timed runs.</summary>
    public LinkCost Link { get; init; }

    /// <summary>Name of a rank.</summary>
    internal string Rank(int rank) => RankName?.Invoke(rank) ?? $"rank {rank}";

    /// <summary>Name of a message.</summary>
    internal string Message(int message) => MessageName?.Invoke(message) ?? $"message {message} from {Rank(Messages[message].From)} to {Rank(Messages[message].To)}";
}
