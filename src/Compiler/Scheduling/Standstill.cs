using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Scheduling;

/// <summary>A rank that waits for ever.</summary>
/// <param name="Rank">The rank.</param>
/// <param name="Position">Position of the instruction that it waits at; its length if it has ended.</param>
/// <param name="Text">Where it waits and for whom.</param>
public sealed record WaitingRank(int Rank, int Position, string Text);

/// <summary>Why a program is refused.</summary>
/// <param name="Message">The whole story: the waiting cycle, rank by rank.</param>
/// <param name="Cycle">Ranks that wait for each other, each for the next and the last for the first; a chain to a rank that has ended, or two that disagree, where it is no cycle.</param>
public sealed record Standstill(string Message, EquatableArray<WaitingRank> Cycle);

/// <summary>How a run of all ranks ended.</summary>
/// <param name="Standstill">Why it did not end; null if it did.</param>
/// <param name="Makespan">When the last rank ended.</param>
/// <param name="Ends">End of each instruction of each rank, up to where it came.</param>
public sealed record RankWorldRun(Standstill? Standstill, double Makespan, EquatableArray<EquatableArray<double>> Ends);
