namespace Shardwright.Compiler.Machine;

/// <summary>Predicted time of collectives in seconds, for n ranks, B bytes, a latency α and a rate β of each rank's link.
/// Rings: Patarasuk and Yuan 2009; trees: Thakur, Rabenseifner and Gropp 2005.</summary>
public static class CollectiveTime
{
    /// <summary>Ring: reduce-scatter, then all-gather: 2(n−1)α + 2(n−1)/n · B/β.</summary>
    public static double RingAllReduce(int ranks, double bytes, double latency, double rate) => 2 * Gather(ranks, bytes, latency, rate);

    /// <summary>Tree, up and down: 2α·⌈log₂ n⌉ + 2B/β.</summary>
    public static double TreeAllReduce(int ranks, double bytes, double latency, double rate) =>
        ranks <= 1 ? 0 : 2 * latency * Math.Ceiling(Math.Log(ranks, 2)) + 2 * bytes / rate;

    /// <summary>The faster of ring and tree: small messages climb a tree, large ones go round.</summary>
    public static double AllReduce(int ranks, double bytes, double latency, double rate) =>
        Math.Min(RingAllReduce(ranks, bytes, latency, rate), TreeAllReduce(ranks, bytes, latency, rate));

    /// <summary>All-gather or reduce-scatter by ring; bytes are those of the whole: (n−1)α + (n−1)/n · B/β.</summary>
    public static double Gather(int ranks, double bytes, double latency, double rate) =>
        ranks <= 1 ? 0 : (ranks - 1) * latency + (ranks - 1.0) / ranks * bytes / rate;

    /// <summary>All-gather of a few bytes: by ring, or by doubling, α·⌈log₂ n⌉ + (n−1)/n · B/β, whichever is faster.</summary>
    public static double SmallGather(int ranks, double bytes, double latency, double rate) =>
        ranks <= 1 ? 0 : Math.Min(Gather(ranks, bytes, latency, rate), latency * Math.Ceiling(Math.Log(ranks, 2)) + (ranks - 1.0) / ranks * bytes / rate);

    /// <summary>All-to-all; bytes are those of one rank: (n−1)α + (n−1)/n · B/β.</summary>
    public static double AllToAll(int ranks, double localBytes, double latency, double rate) => Gather(ranks, localBytes, latency, rate);

    /// <summary>All-reduce over a fast axis inside of a slow one: reduce-scatter inside, all-reduce of a piece outside, all-gather inside.</summary>
    public static double AcrossAllReduce((int Ranks, double Latency, double Rate) inside, (int Ranks, double Latency, double Rate) outside, double bytes) =>
        2 * Gather(inside.Ranks, bytes, inside.Latency, inside.Rate) + AllReduce(outside.Ranks, bytes / Math.Max(1, inside.Ranks), outside.Latency, outside.Rate);
}
