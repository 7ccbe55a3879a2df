namespace Shardwright.Compiler.Planning;

/// <summary>What a simulated span is; the kinds of a recorded one.</summary>
public enum SimulatedKind
{
    /// <summary>The step, which all else lies in.</summary>
    Step,

    /// <summary>A stage's part of a micro-batch, in one direction.</summary>
    Action,

    /// <summary>A kernel.</summary>
    Kernel,

    /// <summary>The rank waits.</summary>
    Wait,

    /// <summary>Communication under way.</summary>
    Communication,
}

/// <summary>A span of a simulated rank.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Lane">The group that communicates; empty for what the rank's own thread does.</param>
/// <param name="Name">Kernel, action or operation.</param>
/// <param name="Start">Seconds since the step began.</param>
/// <param name="End">The same, at its end.</param>
/// <param name="Bytes">Bytes that the rank sends.</param>
public readonly record struct SimulatedSpan(SimulatedKind Kind, string Lane, string Name, double Start, double End, long Bytes)
{
    /// <summary>Of communication: the time that the rank has waited for it while it was under way.</summary>
    public double Exposed { get; init; }

    /// <summary>Its length.</summary>
    public double Seconds => End - Start;
}

/// <summary>Communication of one kind along a step of a rank.</summary>
/// <param name="Operation">AllReduce and its kin; SendReceive between stages.</param>
/// <param name="Group">The axes.</param>
/// <param name="Seconds">Time under way.</param>
/// <param name="Exposed">Of it, what the rank waits for.</param>
public sealed record SimulatedCommunication(string Operation, string Group, double Seconds, double Exposed);

/// <summary>The step of all ranks with one pipeline coordinate. Compute, exposed and idle time, and the start of a step on the host, add up to it.</summary>
/// <param name="Coordinate">The coordinate; 0 without a pipeline.</param>
/// <param name="Ranks">Ranks that it stands for.</param>
/// <param name="ComputeSeconds">Kernels.</param>
/// <param name="ExposedSeconds">Waits for communication that is under way: what no compute hides.</param>
/// <param name="HiddenSeconds">Communication beside which the rank computes, or waits for another rank.</param>
/// <param name="IdleSeconds">Waits for work of other ranks: the bubble.</param>
/// <param name="Communication">Communication by operation and group, the most exposed first.</param>
/// <param name="Spans">Spans of its trace.</param>
public sealed record SimulatedRank(
    int Coordinate, long Ranks, double ComputeSeconds, double ExposedSeconds, double HiddenSeconds, double IdleSeconds, EquatableArray<SimulatedCommunication> Communication, long Spans);

/// <summary>A simulated training step. Ranks that differ in coordinates off the pipeline axis do the same at the same time, and are simulated once.</summary>
public sealed class StepSimulation
{
    private readonly StepTime _time;
    private readonly RankProgram _program;

    private StepSimulation(StepTime time, RankProgram program, bool inFew)
    {
        (_time, _program, IsInFew) = (time, program, inFew);
        Ranks = time.Ranks(inFew);
    }

    /// <summary>Time of the step, as the plan predicts it.</summary>
    public double StepSeconds => _program.Forecast.StepSeconds;

    /// <summary>One for each pipeline coordinate.</summary>
    public EquatableArray<SimulatedRank> Ranks { get; }

    /// <summary>Whether the spans of an action are one for its kernels, and one for each operation of each group.</summary>
    public bool IsInFew { get; }

    /// <summary>Spans of all ranks.</summary>
    public long Spans => Ranks.Sum(r => r.Spans);

    /// <summary>Simulates a step.</summary>
    /// <param name="program">The program, which may be one that does not fit its device.</param>
    /// <param name="mesh">Its mesh.</param>
    /// <param name="mostSpans">Where spans would be more than this, those of an action are drawn together.</param>
    public static StepSimulation Of(RankProgram program, MeshDefinition mesh, long mostSpans)
    {
        var time = new StepTime(program, mesh, Planner.ArithmeticOf(program.Precision));
        var whole = new StepSimulation(time, program, inFew: false);
        return whole.Spans <= mostSpans ? whole : new StepSimulation(time, program, inFew: true);
    }

    /// <summary>Spans of the ranks with one pipeline coordinate: the step first, then in order of their starts on each lane.</summary>
    public IEnumerable<SimulatedSpan> SpansOf(int coordinate) => _time.Spans(coordinate, IsInFew);
}
