namespace Shardwright.Observability;

/// <summary>A process of a trace: a rank, or a class of equal ranks.</summary>
/// <param name="Number">Its number in the file.</param>
/// <param name="Name">Its name for the reader.</param>
/// <param name="Entries">Spans; looked at once.</param>
internal sealed record TraceProcess(int Number, string Name, IEnumerable<TraceEntry> Entries);
