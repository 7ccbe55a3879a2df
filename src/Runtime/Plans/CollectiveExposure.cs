using System.Globalization;

namespace Shardwright.Plans;

/// <summary>A collective with the time that it takes of a step, and how much of that is waited for.</summary>
/// <param name="Collective">The row of the plan.</param>
/// <param name="Bytes">Bytes that a rank sends in a step.</param>
/// <param name="Seconds">Seconds of a step that its messages are under way, by the link of its axis; 0 where the plan has no links.</param>
/// <param name="Exposed">Seconds of it that a rank waits for; 0 where work hides it. Null for messages between stages, whose waits are the pipeline's bubble.</param>
/// <param name="Why">Why it is waited for; empty where it is not.</param>
internal sealed record CollectiveExposure(PlanCollective Collective, long Bytes, double Seconds, double? Exposed, string Why)
{
    /// <summary>All collectives of a plan, those of most bytes first.</summary>
    public static IReadOnlyList<CollectiveExposure> Of(Plan plan) => [.. plan.Collectives.Select(c => Of(plan, c)).OrderByDescending(c => c.Bytes)];

    private static CollectiveExposure Of(Plan plan, PlanCollective collective)
    {
        double seconds = collective.Times * Once(plan, collective);

        // Rows of one kind and reason, of several methods or stages of a rank, share what is waited for by their time.
        PlanExposure[] waits = [.. plan.Exposed.Where(e => e.Op == collective.Op && e.Axis == collective.Axis && e.Reason == collective.Reason)];
        double all = plan.Collectives.Where(c => c.Op == collective.Op && c.Axis == collective.Axis && c.Reason == collective.Reason && RankOf(plan, c) == RankOf(plan, collective)).Sum(c => c.Times * Once(plan, c));
        return new CollectiveExposure(collective, collective.BytesPerRank * collective.Times, seconds,
            collective.Op == "Send" ? null : all > 0 ? waits.Sum(w => w.Seconds) * seconds / all : 0, waits.Length == 0 ? "" : waits[0].Why);
    }

    /// <summary>Pipeline coordinate of a row: its place begins with its stage, where there are several.</summary>
    private static int RankOf(Plan plan, PlanCollective collective) => plan.Stages > 1 && collective.Where.Split(' ') is ["stage", var number, ..] && int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out int stage)
        ? plan.Ranks.FirstOrDefault(r => r.Stages.Contains(stage))?.Coordinate ?? -1 : -1;

    /// <summary>Time of one, as the planner predicts it: the latency of each hop, then the bytes at the rate of the slowest link; all-reduces by the faster of ring and tree.</summary>
    private static double Once(Plan plan, PlanCollective collective)
    {
        string[] axes = collective.Axis.Split('+');
        PlanLink[] links = [.. plan.Timing.Links.Where(l => axes.Contains(l.Axis))];
        if (links.Length == 0)
        {
            return 0;
        }

        double ranks = plan.Axes.Where(a => axes.Contains(a.Name)).Aggregate(1.0, (product, a) => product * a.Size);
        double latency = links.Max(l => l.LatencySeconds), sent = collective.BytesPerRank / links.Min(l => l.BytesPerSecond);
        return collective.Op switch
        {
            "Send" => latency + sent,
            _ when ranks <= 1 => 0,
            "AllReduce" => Math.Min(2 * (ranks - 1) * latency + sent, 2 * Math.Ceiling(Math.Log2(ranks)) * latency + sent * ranks / (ranks - 1)),
            _ => (ranks - 1) * latency + sent,
        };
    }
}
