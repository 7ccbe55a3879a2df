using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Planning;

/// <summary>What the predicted step is made of: enough to draw it again without the compiler.</summary>
/// <param name="Links">Planned numbers of the link of each axis.</param>
/// <param name="Stages">Times of the stages, first to last; one for a model of one stage.</param>
/// <param name="Order">For each coordinate of the pipeline axis its actions, as <see cref="Pipelining.OrderText"/> writes them; empty for a model of one stage and for orders too long to look at.</param>
public sealed record PlanTiming(EquatableArray<AxisLink> Links, EquatableArray<StageTiming> Stages, EquatableArray<string> Order)
{
    /// <summary>Most actions of an order that a plan keeps.</summary>
    public const int MostActions = 8192;
}

/// <summary>The link of an axis as the forecast uses it.</summary>
/// <param name="Axis">Name of the axis.</param>
/// <param name="Name">Name of the link.</param>
/// <param name="LatencySeconds">Time to start a message.</param>
/// <param name="BytesPerSecond">Planned rate of a rank.</param>
public sealed record AxisLink(string Axis, string Name, double LatencySeconds, double BytesPerSecond);

/// <summary>Predicted times of a stage. The first three are of one micro-batch.</summary>
/// <param name="Stage">Number of the stage.</param>
/// <param name="Forward">Forward.</param>
/// <param name="Input">Gradient of the inputs; the whole backward where it is not split.</param>
/// <param name="Weight">Gradient of the weights, where it is apart.</param>
/// <param name="Update">Once per step: gradients reduced, the optimizer.</param>
/// <param name="Sends">Bytes that go to the next stage for each micro-batch.</param>
/// <param name="Returns">Bytes of gradients that go back to the stage before.</param>
public sealed record StageTiming(int Stage, WorkTime Forward, WorkTime Input, WorkTime Weight, WorkTime Update, long Sends, long Returns);

/// <summary>Seconds of kernels, and of collectives that no kernel hides.</summary>
/// <param name="Compute">Kernels.</param>
/// <param name="Communication">Waits for collectives.</param>
public readonly record struct WorkTime(double Compute, double Communication);
