using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Scheduling;

/// <summary>A schedule that a user has written out: read, checked and proven; what is wrong is SW2007.</summary>
public static class UserSchedule
{
    /// <summary>Reads, checks and proves.</summary>
    /// <param name="name">Name of the class, for the table.</param>
    /// <param name="ranks">Rank and actions of each attribute.</param>
    /// <param name="shape">Ranks and micro-batches that the model asks for.</param>
    /// <param name="cancellation">Ends the proof.</param>
    /// <returns>The table, or the first thing that is wrong with it and the way out.</returns>
    public static (ActionTable? Table, string? Wrong) Check(string name, IReadOnlyList<(int Rank, string Actions)> ranks, ScheduleShape shape, CancellationToken cancellation = default)
    {
        (ActionTable? table, ScheduleTextError? error) = ScheduleText.Parse(name, ranks, shape);
        if (table is null)
        {
            return (null, error!.ToString());
        }

        string? wrong = TableValidation.Check(table) ?? PipelineProof.Lower(table, cancellation: cancellation).Standstill?.Message;
        return wrong is null ? (table, null) : (null, $"schedule '{name}': {wrong}");
    }
}
