namespace Shardwright.Compiler.Scheduling;

/// <summary>What an engine promises about messages and collectives. A program that ends on the strict model ends on every engine that keeps at
/// least as much: buffers and lanes only let a rank go on earlier.</summary>
/// <param name="Name">Name for messages.</param>
/// <param name="Rendezvous">A send is done only when its receive is posted; else it is done at once, into a buffer of the engine.</param>
/// <param name="ChannelCapacity">Messages that may be under way on one directed edge before the next start waits; null for as many as there are.</param>
/// <param name="CollectivesBlock">A started collective holds its rank until all members are there: so all collectives of all groups keep one global order.</param>
public sealed record EngineModel(string Name, bool Rendezvous, int? ChannelCapacity, bool CollectivesBlock)
{
    /// <summary>The least that an engine may keep: rendezvous sends, blocking collectives.</summary>
    public static EngineModel Strict { get; } = new("strict", Rendezvous: true, ChannelCapacity: null, CollectivesBlock: true);

    /// <summary>Ranks as threads of one process: one ordered channel for each directed edge, a sender's buffer is free when the receiver has copied it, and collectives run on the lanes of their groups.</summary>
    public static EngineModel InProcess { get; } = new("in-process", Rendezvous: true, ChannelCapacity: null, CollectivesBlock: false);

    /// <summary>Sends into buffers of the engine, of a given number for each directed edge.</summary>
    public static EngineModel Buffered(int capacity) => new($"buffered ({capacity})", Rendezvous: false, capacity, CollectivesBlock: true);
}
