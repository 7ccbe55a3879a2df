extern alias runtime;

using System.Diagnostics;
using runtime::Shardwright.Observability;
using Shardwright.Compiler.Planning;

namespace Shardwright.Cli.Simulations;

/// <summary>A simulated step as a trace: a process for each pipeline coordinate, which stands for all ranks that have it, so that a file does not grow with the ranks.</summary>
/// <param name="File">Where it lies.</param>
/// <param name="Processes">Its processes.</param>
/// <param name="Spans">Spans in it.</param>
/// <param name="Dropped">Spans that were left out.</param>
internal sealed record SimulatedTrace(string File, int Processes, long Spans, long Dropped)
{
    /// <summary>Spans up to which every kernel has its own.</summary>
    public const long MostDetailed = 300_000;

    /// <summary>Spans that are written at most.</summary>
    public const long Most = 1_000_000;

    /// <summary>Writes a step.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static SimulatedTrace Write(string file, SimulatedStep step, CancellationToken cancellation)
    {
        using FileStream stream = TraceFile.Create(file);
        StepSimulation simulation = step.Simulation;
        long each = Math.Max(1, Most / simulation.Ranks.Count), dropped = simulation.Ranks.Sum(r => Math.Max(0, r.Spans - each));
        TraceFile.Write(stream, simulation.Ranks.Select(r => new TraceProcess(r.Coordinate, step.Named(r), Entries(simulation.SpansOf(r.Coordinate).Take((int)each), cancellation))), step.Plan, dropped);
        return new SimulatedTrace(file, simulation.Ranks.Count, simulation.Spans - dropped, dropped);
    }

    private static IEnumerable<TraceEntry> Entries(IEnumerable<SimulatedSpan> spans, CancellationToken cancellation)
    {
        foreach (SimulatedSpan span in spans)
        {
            cancellation.ThrowIfCancellationRequested();
            yield return new TraceEntry(Kind(span.Kind), span.Lane, span.Name, Ticks(span.Start), Ticks(span.End), span.Bytes);
        }
    }

    private static long Ticks(double seconds) => (long)(seconds * Stopwatch.Frequency);

    private static SpanKind Kind(SimulatedKind kind) => kind switch
    {
        SimulatedKind.Step => SpanKind.Step,
        SimulatedKind.Action => SpanKind.Action,
        SimulatedKind.Kernel => SpanKind.Kernel,
        SimulatedKind.Wait => SpanKind.Wait,
        _ => SpanKind.Communication,
    };
}
