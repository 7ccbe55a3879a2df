using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Pipelining;

/// <summary>Time of the actions of a stage, in any unit; Backward is the sum of the last two.</summary>
/// <param name="Forward">One micro-batch forward.</param>
/// <param name="Input">Gradient of the inputs.</param>
/// <param name="Weight">Gradient of the weights.</param>
public readonly record struct StageCost(double Forward, double Input, double Weight)
{
    /// <summary>Time of an action.</summary>
    public double Of(ActionKind kind) => kind switch
    {
        ActionKind.Forward => Forward, ActionKind.InputGradient => Input, ActionKind.WeightGradient => Weight, _ => Input + Weight,
    };

    /// <summary>All three.</summary>
    public double Total => Forward + Input + Weight;
}

/// <summary>Time of a message: latency, and the time for each byte, during which the channel between the two ranks takes no other.</summary>
/// <param name="Latency">Time on its way, α.</param>
/// <param name="PerByte">Time for each byte, 1/β.</param>
public readonly record struct LinkCost(double Latency, double PerByte = 0)
{
    /// <summary>Time that a message keeps the channel.</summary>
    public double Transfer(long bytes) => bytes * PerByte;
}

/// <summary>How a step would run.</summary>
/// <param name="Makespan">From the first action to the end of the last.</param>
/// <param name="Busy">Time that each rank computes.</param>
/// <param name="Peak">Most micro-batches that each rank keeps alive, counted over its chunks.</param>
/// <param name="Starts">For each rank the start of each of its actions, in the table's order.</param>
/// <param name="Ends">And their ends.</param>
public sealed record Simulation(double Makespan, EquatableArray<double> Busy, EquatableArray<int> Peak, EquatableArray<EquatableArray<double>> Starts, EquatableArray<EquatableArray<double>> Ends)
{
    /// <summary>For each rank the time in which it waits for a message that is under way.</summary>
    public EquatableArray<double> Exposed { get; init; }

    /// <summary>The share of all ranks' time in which they do not compute.</summary>
    public double Bubble => Makespan > 0 ? Math.Max(0, 1 - Busy.Sum() / (Makespan * Busy.Count)) : 0;

    /// <summary>Time in which a rank does not compute.</summary>
    public double Idle(int rank) => Makespan - Busy[rank];
}

/// <summary>Runs a table with times: each rank in its order, each action when its rank is free and what it needs has arrived.</summary>
public static class Simulator
{
    /// <summary>Runs it. The table is valid and can progress; one that stands still is an error here and named by the proof.</summary>
    /// <param name="table">The order.</param>
    /// <param name="costs">Times of each stage.</param>
    /// <param name="link">Time of messages between ranks.</param>
    /// <param name="edges">What passes between stages; each stage to the next if null.</param>
    /// <param name="times">For each rank the time of each of its actions, where these differ from those of their stages.</param>
    public static Simulation Run(ActionTable table, IReadOnlyList<StageCost> costs, LinkCost link = default, IReadOnlyList<StageEdge>? edges = null, IReadOnlyList<double[]>? times = null)
    {
        if (costs.Count != table.Stages)
        {
            throw new ArgumentException($"{costs.Count} stage times for {table.Stages} stages: give one for each", nameof(costs));
        }

        return new SimulatorRun(table, costs, link, edges ?? StageEdge.Chain(table.Stages), each: times).Run();
    }

    /// <summary>Runs it with equal stages.</summary>
    public static Simulation Run(ActionTable table, StageCost cost, LinkCost link = default) => Run(table, Enumerable.Repeat(cost, table.Stages).ToArray(), link);
}
