namespace Shardwright.Compiler.Planning;

/// <summary>What a plan asks of its device: whether it fits, and what a training step is predicted to take.</summary>
/// <param name="Device">Name of the device's class.</param>
/// <param name="UsableBytes">Bytes that the device leaves an arena: its usable memory less its reserve.</param>
/// <param name="StepSeconds">Predicted time of a step.</param>
/// <param name="ComputeSeconds">Kernels of the rank that is busy longest.</param>
/// <param name="CommunicationSeconds">Time that collectives of that rank are under way, beside kernels or not.</param>
/// <param name="Bubble">Share of all ranks' time in which a pipeline waits.</param>
/// <param name="ModelFlops">Operations of a step that the model needs, mean of a rank; what is computed again does not count.</param>
/// <param name="Mfu">Share of the peak that these are.</param>
/// <param name="KernelSeconds">Time of one call of each kernel.</param>
public sealed record PlanForecast(string Device, long UsableBytes, double StepSeconds, double ComputeSeconds, double CommunicationSeconds, double Bubble, double ModelFlops, double Mfu, EquatableArray<double> KernelSeconds = default)
{
    /// <summary>What the step is made of.</summary>
    public PlanTiming? Timing { get; init; }

    /// <summary>Seconds of a step in which a rank waits for communication that is under way; of the rank that waits longest.</summary>
    public double ExposedSeconds { get; init; }

    /// <summary>The same, were each collective started as soon as what it sends is made, and waited for where its result is first used: links carry one after another, the statements of
    /// a layer keep their order, and a pipeline fills and drains. No order of the program's communication waits less.</summary>
    public double LeastExposedSeconds { get; init; }

    /// <summary>What that rank waits for, the longest first.</summary>
    public EquatableArray<ExposedCollective> Exposed { get; init; }
}

/// <summary>Communication that a rank waits for.</summary>
/// <param name="Operation">AllReduce and its kin; Send between stages.</param>
/// <param name="Axis">Axes of the group.</param>
/// <param name="For">The placement change, or what is sent.</param>
/// <param name="Seconds">Seconds of a step for which the rank waits.</param>
/// <param name="Why">Why no work hides it.</param>
public sealed record ExposedCollective(string Operation, string Axis, string For, double Seconds, string Why);

/// <summary>A change that makes a plan fit, planned again.</summary>
/// <param name="Change">As it is written: <c>MicroBatches = 8</c>.</param>
/// <param name="On">The changed request.</param>
/// <param name="ArenaBytes">Bytes of the largest rank with it.</param>
/// <param name="StepSeconds">Predicted time of a step with it.</param>
public sealed record WayOut(string Change, Graph.Definitions.ShardedOnDefinition On, long ArenaBytes, double StepSeconds);
