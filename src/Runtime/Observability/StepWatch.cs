using System.Diagnostics;

namespace Shardwright.Observability;

/// <summary>What a rank tells of its training steps.</summary>
internal sealed class StepWatch(RankContext context)
{
    private readonly int _rank = context.Rank;
    private readonly RankTrace? _trace = context.Trace;
    private Activity? _activity;
    private long _since;

    /// <summary>A step begins.</summary>
    public void Begin()
    {
        _since = Stopwatch.GetTimestamp();
        _trace?.BeginStep();
        _activity = Telemetry.Activities.StartActivity("TrainStep");
        _activity?.SetTag("shardwright.rank", _rank);
    }

    /// <summary>A step has ended. One that was broken off is not told.</summary>
    /// <param name="step">Its number.</param>
    /// <param name="weight">What its loss is divided by, of the whole mesh.</param>
    public void End(int step, double weight)
    {
        long now = Stopwatch.GetTimestamp();
        _trace?.Add(SpanKind.Step, "", $"step {step}", _since, now);
        _trace?.EndStep();
        _activity?.SetTag("shardwright.step", step);
        _activity?.Dispose();
        _activity = null;
        if (Telemetry.StepDuration.Enabled)
        {
            Telemetry.StepDuration.Record((now - _since) / (double)Stopwatch.Frequency, new KeyValuePair<string, object?>("shardwright.rank", _rank));
        }

        if (_rank == 0 && Telemetry.Tokens.Enabled)
        {
            Telemetry.Tokens.Add(weight);
        }
    }
}
