namespace Shardwright.Compiler.Scheduling;

/// <summary>What a step of a straight program does.</summary>
public enum StepRole
{
    /// <summary>Work.</summary>
    Compute,

    /// <summary>Starts a collective.</summary>
    Start,

    /// <summary>Waits for one.</summary>
    Wait,
}

/// <summary>A step of a straight program, as the search of its order sees it.</summary>
/// <param name="Role">What it does.</param>
/// <param name="Seconds">Time of the work; of a start, that of its collective on the link.</param>
/// <param name="Needs">Steps before it that must stay before it.</param>
public sealed record OrderedStep(StepRole Role, double Seconds, EquatableArray<int> Needs)
{
    /// <summary>Of a start: the lane that its collective takes, one after another.</summary>
    public string Lane { get; init; } = "";

    /// <summary>Of a wait: its start.</summary>
    public int Of { get; init; } = -1;

    /// <summary>Whether a result may lie over an input of the same size that dies in it.</summary>
    public bool WorksInPlace { get; init; }
}

/// <summary>Memory that steps share.</summary>
/// <param name="Bytes">Its size.</param>
/// <param name="Steps">Steps that touch it.</param>
/// <param name="IsLiveBefore">Whether it holds something before the first step.</param>
/// <param name="IsLiveAfter">Whether it is needed after the last.</param>
public sealed record OrderedBlock(long Bytes, EquatableArray<int> Steps, bool IsLiveBefore, bool IsLiveAfter);

/// <summary>An order of steps.</summary>
/// <param name="Steps">The steps, first to last.</param>
/// <param name="Seconds">Time of the program.</param>
/// <param name="Bytes">The most bytes that are live at once.</param>
/// <param name="Exposed">For each step that is a start: how long its wait waits.</param>
public sealed record FoundOrder(IReadOnlyList<int> Steps, double Seconds, long Bytes, IReadOnlyList<double> Exposed);
