namespace Shardwright.Compiler.Planning;

/// <summary>What a plan asks of its device: whether it fits, and what a training step is predicted to take.</summary>
/// <param name="Device">Name of the device's class.</param>
/// <param name="UsableBytes">Bytes that the device leaves an arena: its usable memory less its reserve.</param>
/// <param name="StepSeconds">Predicted time of a step.</param>
/// <param name="ComputeSeconds">Of it, kernels of the rank that computes longest.</param>
/// <param name="CommunicationSeconds">Of it, collectives of that rank.</param>
/// <param name="Bubble">Share of all ranks' time in which a pipeline waits.</param>
/// <param name="ModelFlops">Operations of a step that the model needs, mean of a rank; what is computed again does not count.</param>
/// <param name="Mfu">Share of the peak that these are.</param>
/// <param name="KernelSeconds">Time of one call of each kernel.</param>
public sealed record PlanForecast(string Device, long UsableBytes, double StepSeconds, double ComputeSeconds, double CommunicationSeconds, double Bubble, double ModelFlops, double Mfu, EquatableArray<double> KernelSeconds = default)
{
    /// <summary>What the step is made of.</summary>
    public PlanTiming? Timing { get; init; }
}

/// <summary>A change that makes a plan fit, planned again.</summary>
/// <param name="Change">As it is written: <c>MicroBatches = 8</c>.</param>
/// <param name="On">The changed request.</param>
/// <param name="ArenaBytes">Bytes of the largest rank with it.</param>
/// <param name="StepSeconds">Predicted time of a step with it.</param>
public sealed record WayOut(string Change, Graph.Definitions.ShardedOnDefinition On, long ArenaBytes, double StepSeconds);
