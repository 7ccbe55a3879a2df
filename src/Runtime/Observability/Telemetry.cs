using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Shardwright.Observability;

/// <summary>Instruments by the conventions of .NET: a <see cref="Meter"/> and an <see cref="ActivitySource"/> of one name, for OpenTelemetry, dotnet-counters and their kin. Without a listener they cost a comparison.</summary>
public static class Telemetry
{
    /// <summary>Name of the meter and of the activity source.</summary>
    public const string Name = "Shardwright";

    private static readonly Meter s_meter = new(Name);

    /// <summary>Steps as activities: <c>TrainStep</c> and its kin on every rank, with the tags of the instruments.</summary>
    internal static readonly ActivitySource Activities = new(Name);

    /// <summary>Time of a training step, in seconds, by rank.</summary>
    internal static readonly Histogram<double> StepDuration = s_meter.CreateHistogram<double>("shardwright.step.duration", "s", "Time of a training step on a rank");

    /// <summary>Tokens (the weight of the loss) trained on, counted once for the whole mesh.</summary>
    internal static readonly Counter<double> Tokens = s_meter.CreateCounter<double>("shardwright.step.tokens", "{token}", "Tokens that the loss counted, of the whole mesh");

    /// <summary>Time that a rank's thread waited for communication, in seconds, by rank and axis.</summary>
    internal static readonly Counter<double> Exposed = s_meter.CreateCounter<double>("shardwright.communication.exposed", "s", "Time that a rank waited for communication");

    /// <summary>Bytes that a rank sent, by rank, axis and operation.</summary>
    internal static readonly Counter<long> Sent = s_meter.CreateCounter<long>("shardwright.communication.sent", "By", "Bytes that a rank sent");
}
