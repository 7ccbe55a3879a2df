namespace Shardwright.Compiler.Pipelining;

/// <summary>The schedules that come with the compiler.</summary>
public static class Schedules
{
    /// <summary>All of them, simplest first.</summary>
    public static ImmutableArray<Schedule> All { get; } = ImmutableArray.Create<Schedule>(
        new GPipe(), new OneForwardOneBackward(), new Interleaved(), new LoopedBreadthFirst(), new ZeroBubbleH1(), new ZeroBubbleV());

    /// <summary>The schedule of a name, as the command line or the PipelineSchedule enumeration has it; null if there is none.</summary>
    public static Schedule? Find(string name) =>
        All.FirstOrDefault(s => string.Equals(s.Name, name, StringComparison.OrdinalIgnoreCase) || string.Equals(s.EnumName, name, StringComparison.Ordinal));
}
