using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Pipelining;

/// <summary>
/// Chooses which segments lie on which stage by simulating the schedule: the smallest largest stage is not the shortest step, because stages at
/// the ends weigh on filling and draining, hops cost time and memory is limited.
/// Up to <see cref="MaxCuts"/> cuts (or what the request says) are all looked at, cheapest lower bound first, until no bound is below the best: that is exact. Beyond, or
/// after <see cref="MaxActions"/> simulated actions, boundaries are moved, one or several neighbours at a time, from the min-max and the even
/// cut while that helps. The result is never worse than min-max.
/// </summary>
public static class CutSearch
{
    /// <summary>Most cuts that are all looked at.</summary>
    public const int MaxCuts = 50_000;

    /// <summary>Most actions that are simulated in one search.</summary>
    public const long MaxActions = 8_000_000;

    /// <summary>Why the request has no cut, with the nearest counts that have one; null if it has.</summary>
    public static string? Refuse(CutRequest request)
    {
        if (request.Table is null && request.Schedule!.Refuse(request.Shape) is string reason)
        {
            return reason;
        }

        int segments = request.Segments.Count, stages = request.Stages;
        if (segments < stages)
        {
            return $"{segments} {(segments == 1 ? "segment" : "segments")} for {stages} stages ({request.Shape.Ranks} ranks with {request.Shape.Chunks} on each): each stage needs one or more, so {(segments >= request.Shape.Ranks && request.Schedule is { RequiredChunks: null }
                ? $"{segments / request.Shape.Ranks} chunks would do" : $"{Math.Max(1, segments / request.Shape.Chunks)} ranks would do")}";
        }

        int bad = Array.FindIndex(request.Segments.ToArray(), s => !Valid(s.Forward) || !Valid(s.Input) || !Valid(s.Weight) || s.ActivationBytes < 0 || s.ParameterBytes < 0 || s.HopBytes < 0);
        return bad < 0 ? null : $"segment {bad} has a time or size that is negative or no number: {request.Segments[bad]}";
    }

    /// <summary>Searches. The request is one that is not refused.</summary>
    public static CutResult Find(CutRequest request, CancellationToken cancellation = default)
    {
        if (Refuse(request) is string reason)
        {
            throw new ArgumentException(reason, nameof(request));
        }

        return new CutSearchRun(request, cancellation).Find();
    }

    /// <summary>What a given cut costs.</summary>
    public static Cut Price(CutRequest request, IReadOnlyList<int> counts)
    {
        if (counts.Count != request.Stages || counts.Any(c => c < 1) || counts.Sum() != request.Segments.Count)
        {
            throw new ArgumentException($"a cut of {string.Join("+", counts)} segments: {request.Segments.Count} segments lie on {request.Stages} stages, one or more on each", nameof(counts));
        }

        return new CutSearchRun(request, default).Price(counts.ToArray());
    }

    private static bool Valid(double time) => time >= 0 && !double.IsInfinity(time);
}
