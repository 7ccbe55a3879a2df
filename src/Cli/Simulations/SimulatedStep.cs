extern alias runtime;

using System.Globalization;
using System.Text;
using runtime::Shardwright;
using Shardwright.Compiler.Planning;

namespace Shardwright.Cli.Simulations;

/// <summary>What <c>simulate</c> tells of a step.</summary>
/// <param name="Program">The program of its ranks.</param>
/// <param name="Simulation">The step.</param>
internal sealed record SimulatedStep(RankProgram Program, StepSimulation Simulation)
{
    private readonly Lazy<Plan> _plan = new(() => Plan.Parse(PlanDocument.Write(Program)));

    /// <summary>The plan.</summary>
    public Plan Plan => _plan.Value;

    private bool Fits => Program.ArenaBytes <= Program.Forecast.UsableBytes;

    private long Ranks => Simulation.Ranks.Sum(r => r.Ranks);

    /// <summary>A class of equal ranks by name: <c>pp = 3, of 128 ranks</c>.</summary>
    public string Named(SimulatedRank rank) => (Program.Pipeline is { } pipeline ? $"{pipeline.Axis} = {rank.Coordinate}, of " : "all ") + (rank.Ranks == 1 ? "1 rank" : $"{rank.Ranks.ToString(CultureInfo.InvariantCulture)} ranks");

    /// <summary>The answer as JSON; its form is in docs/cli.md.</summary>
    public object Document(SimulatedTrace? trace) => new
    {
        Program.Model,
        Mesh = Program.MeshName,
        Axes = Program.Axes.Select(a => new { a.Name, a.Size }),
        Ranks,
        Program.Forecast.Device,
        Fits,
        TotalBytes = Program.ArenaBytes,
        Program.Forecast.UsableBytes,
        Program.MicroBatches,
        Program.Forecast.StepSeconds,
        ComputeSeconds = Mean(r => r.ComputeSeconds),
        ExposedSeconds = Mean(r => r.ExposedSeconds),
        Program.Forecast.LeastExposedSeconds,
        HiddenSeconds = Mean(r => r.HiddenSeconds),
        IdleSeconds = Mean(r => r.IdleSeconds),
        Program.Forecast.Bubble,
        Program.Forecast.Mfu,
        Classes = Simulation.Ranks.Select(r => new
        {
            r.Coordinate, r.Ranks, r.ComputeSeconds, r.ExposedSeconds, r.HiddenSeconds, r.IdleSeconds,
            Communication = r.Communication.Select(c => new { c.Operation, c.Group, c.Seconds, ExposedSeconds = c.Exposed }),
        }),
        Trace = trace is null ? null : new { trace.File, trace.Processes, trace.Spans, trace.Dropped, Detail = Detail },
    };

    /// <summary>The answer for people.</summary>
    public string Text(SimulatedTrace? trace)
    {
        var text = new StringBuilder();
        CultureInfo c = CultureInfo.InvariantCulture;
        text.AppendLine(c, $"{Program.Model} on {Program.MeshName}: {(Program.Axes.Count == 0 ? "one rank" : string.Join(" × ", Program.Axes.Select(a => $"{a.Name} {a.Size}")))}; {Ranks} rank(s), {Program.MicroBatches} micro-batch(es), {Program.Precision}");
        text.AppendLine(c, $"step {Time(Simulation.StepSeconds)} on {Program.Forecast.Device}: compute {Time(Mean(r => r.ComputeSeconds))}, exposed communication {Time(Mean(r => r.ExposedSeconds))}, idle {Time(Mean(r => r.IdleSeconds))} (mean of ranks); {Time(Mean(r => r.HiddenSeconds))} of communication hidden");
        text.AppendLine(c, $"bubble {100 * Program.Forecast.Bubble:0.#} %, MFU {100 * Program.Forecast.Mfu:0.#} %");
        if (!Fits)
        {
            text.AppendLine(c, $"DOES NOT FIT: a rank needs {Program.ArenaBytes / Gibi:0.##} GiB, and {Program.Forecast.Device} leaves it {Program.Forecast.UsableBytes / Gibi:0.##} GiB; `plan` names ways out");
        }

        foreach (SimulatedRank rank in Simulation.Ranks)
        {
            string open = string.Join(", ", rank.Communication.Where(x => x.Exposed > 0).Take(3).Select(x => $"{x.Operation} {x.Group} {Time(x.Exposed)}"));
            text.AppendLine(c, $"  {Named(rank)}: compute {Time(rank.ComputeSeconds)}, exposed {Time(rank.ExposedSeconds)}, idle {Time(rank.IdleSeconds)}{(open.Length > 0 ? "; exposed most: " + open : "")}");
        }

        if (trace is not null)
        {
            text.AppendLine(c, $"trace: {trace.File}, {trace.Processes} process(es), {trace.Spans} spans, {Detail}{(trace.Dropped > 0 ? $"; {trace.Dropped} later spans are left out" : "")}");
        }

        return text.Replace("\r\n", "\n").ToString();
    }

    private const double Gibi = 1L << 30;

    private string Detail => Simulation.IsInFew ? "kernels of an action as one" : "every kernel";

    private double Mean(Func<SimulatedRank, double> of) => Simulation.Ranks.Sum(r => r.Ranks * of(r)) / Ranks;

    private static string Time(double seconds) => seconds switch
    {
        < 1e-3 => Digits(seconds * 1e6) + " µs",
        < 1 => Digits(seconds * 1e3) + " ms",
        _ => Digits(seconds) + " s",
    };

    private static string Digits(double value) => value.ToString(value < 10 ? "0.##" : value < 100 ? "0.#" : "0", CultureInfo.InvariantCulture);
}
