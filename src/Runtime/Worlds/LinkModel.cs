using System.Reflection;

namespace Shardwright;

/// <summary>Who has to wait for whom on a link.</summary>
public enum LinkSharing
{
    /// <summary>Each ordered pair of ranks has a link of its own: messages queue behind those of the same pair and direction.</summary>
    PerPair,

    /// <summary>All ranks of the world share one link along the axis: every message queues behind every other.</summary>
    Shared,
}

/// <summary>
/// How long messages between the ranks of a process take, so that a program behaves as on a network: a message keeps its link for bytes / <see cref="BytesPerSecond"/>,
/// after those that were there before it, and arrives <see cref="Latency"/> later. Nobody computes meanwhile: waiting ranks sleep, and what is started and not yet waited for travels while its rank works.
/// </summary>
/// <remarks>
/// A message leaves when both sides are there: the one has sent, the other posted its receive. Collectives of n ranks and B bytes go round a ring, as
/// <c>2(n−1)α + 2(n−1)/n · B/β</c> for an all-reduce, half of it for its two halves, <c>(n−1)α + B/β</c> for a broadcast. Between ranks that differ in several axes, the link of the
/// outermost one that has a model counts. Delays end within a tenth of a millisecond of their time where the machine has nothing else to do.
/// </remarks>
/// <param name="Latency">Time on the way, α.</param>
/// <param name="BytesPerSecond">Rate β, one way; infinite where only the latency counts.</param>
/// <param name="Sharing">Which messages queue behind each other.</param>
public sealed record LinkModel(TimeSpan Latency, double BytesPerSecond = double.PositiveInfinity, LinkSharing Sharing = LinkSharing.PerPair)
{
    /// <summary>The figures of a link class.</summary>
    /// <param name="link">A class with <see cref="LinkSpecAttribute"/>: one of <see cref="Links"/> or your own.</param>
    /// <param name="sharing">Which messages queue behind each other.</param>
    /// <exception cref="ArgumentException">It has no such attribute.</exception>
    public static LinkModel Of(Type link, LinkSharing sharing = LinkSharing.PerPair) => link.GetCustomAttribute<LinkSpecAttribute>() is { } spec
        ? new LinkModel(TimeSpan.FromMicroseconds(spec.LatencyMicroseconds), spec.BandwidthGBs * 1e9, sharing)
        : throw new ArgumentException($"'{link.Name}' has no [LinkSpec]: use a class of Links, or add [LinkSpec(BandwidthGBs = …, LatencyMicroseconds = …)].");

    /// <summary>What is wrong with the numbers; null if nothing is.</summary>
    internal string? Fault =>
        Latency < TimeSpan.Zero || Latency > TimeSpan.FromMinutes(1) ? $"a latency of {Latency.TotalSeconds:G4} s: it lies between 0 and 60 s"
        : !(BytesPerSecond > 0) ? $"a rate of {BytesPerSecond:G4} bytes per second: it must be more than 0; leave it out where only the latency counts"
        : null;
}
