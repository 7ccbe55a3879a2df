using System.Text.Json;

namespace Shardwright;

/// <summary>The link of an axis, as the forecast uses it.</summary>
/// <param name="Axis">Name of the axis.</param>
/// <param name="Name">Name of the link.</param>
/// <param name="LatencySeconds">Time to start a message.</param>
/// <param name="BytesPerSecond">Planned rate of a rank, one way.</param>
public sealed record PlanLink(string Axis, string Name, double LatencySeconds, double BytesPerSecond);

/// <summary>Seconds of kernels and of collectives.</summary>
/// <param name="Compute">Kernels.</param>
/// <param name="Communication">Collectives.</param>
public readonly record struct PlanTime(double Compute, double Communication)
{
    /// <summary>Both, one after the other.</summary>
    public double Total => Compute + Communication;

    /// <summary>One after the other.</summary>
    public static PlanTime operator +(PlanTime a, PlanTime b) => new(a.Compute + b.Compute, a.Communication + b.Communication);
}

/// <summary>Predicted times of a stage; the first three are of one micro-batch.</summary>
/// <param name="Forward">Forward.</param>
/// <param name="Input">Gradient of the inputs; the whole backward where it is not split.</param>
/// <param name="Weight">Gradient of the weights, where it is apart.</param>
/// <param name="Update">Once per step: gradients reduced, the optimizer.</param>
/// <param name="Sends">Bytes that go to the next stage for each micro-batch.</param>
/// <param name="Returns">Bytes of gradients that go back to the stage before.</param>
public sealed record PlanStageTime(PlanTime Forward, PlanTime Input, PlanTime Weight, PlanTime Update, long Sends, long Returns);

/// <summary>What a predicted step is made of.</summary>
/// <param name="Links">Links of the axes.</param>
/// <param name="Stages">Times of the stages, first to last.</param>
/// <param name="Order">For each coordinate of the pipeline axis its actions: <c>0F0x3 (0F3 0B0)x5 0B5x3</c>, where x says how often an action or a group is done, each time for the next micro-batch; empty for a model of one stage and for orders of many thousand actions.</param>
public sealed record PlanTiming(IReadOnlyList<PlanLink> Links, IReadOnlyList<PlanStageTime> Stages, IReadOnlyList<string> Order)
{
    internal static PlanTiming Read(JsonElement root)
    {
        if (!root.TryGetProperty("timing", out JsonElement timing))
        {
            return new PlanTiming([], [], []);
        }

        static PlanTime Time(JsonElement of, string name) => new(of.GetProperty(name)[0].GetDouble(), of.GetProperty(name)[1].GetDouble());
        return new PlanTiming(
            [.. timing.GetProperty("links").EnumerateArray().Select(l => new PlanLink(l.GetProperty("axis").GetString()!, l.GetProperty("name").GetString()!, l.GetProperty("latency").GetDouble(), l.GetProperty("rate").GetDouble()))],
            [.. timing.GetProperty("stages").EnumerateArray().Select(s => new PlanStageTime(Time(s, "forward"), Time(s, "input"), Time(s, "weight"), Time(s, "update"), s.GetProperty("sends").GetInt64(), s.GetProperty("returns").GetInt64()))],
            [.. timing.GetProperty("order").EnumerateArray().Select(o => o.GetString()!)]);
    }
}
