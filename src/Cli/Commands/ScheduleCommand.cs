using System.CommandLine;
using System.Globalization;
using Shardwright.Cli.Schedules;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Scheduling;

namespace Shardwright.Cli.Commands;

/// <summary><c>schedule KIND --ranks P --microbatches M</c>: what each rank does, how long a step takes, what is alive; as text, picture, JSON.</summary>
internal static class ScheduleCommand
{
    /// <summary>Most actions of a table that is also lowered and proven here.</summary>
    private const int MostProven = 400_000;

    private static readonly Argument<string> s_kind = new("KIND") { Description = PipelineOptions.KindHelp };
    private static readonly PipelineOptions s_options = new();
    private static readonly Option<string> s_costs = new("--costs") { HelpName = "per-stage,…", Description = "A time for each stage, first to last." };
    private static readonly Option<string> s_svg = new("--svg") { HelpName = "FILE", Description = "Draws the step into a file." };
    private static readonly Option<bool> s_json = CommonOptions.Json();

    public static Command Create()
    {
        var command = new Command("schedule", "A pipeline schedule: the actions of each rank, the time of a step, the bubble, live micro-batches.") { s_kind, s_costs, s_svg, s_json };
        foreach (Option option in s_options.All)
        {
            command.Options.Add(option);
        }

        return command.Runs(Run);
    }

    private static int Run(CommandContext context)
    {
        Schedule schedule = PipelineOptions.Schedule(context.Get(s_kind)!);
        ScheduleShape shape = s_options.Shape(context, schedule);
        if (schedule.Refuse(shape) is string reason)
        {
            throw CliException.Refused(reason);
        }

        ActionTable table = ActionTable.Build(schedule, shape);
        Simulation run = Simulator.Run(table, Costs(context, shape), s_options.Link(context));
        if (context.Get(s_svg) is { } file)
        {
            if (table.Ranks.Sum(r => (long)r.Count) is long boxes and > ScheduleSvg.MostActions)
            {
                throw CliException.Refused($"a picture of {boxes} actions is too large to look at: up to {ScheduleSvg.MostActions} are drawn, so give fewer ranks or micro-batches");
            }

            File.WriteAllText(file, ScheduleSvg.Draw(table, run, schedule.Title));
        }

        if (context.Get(s_json))
        {
            WriteJson(context.Output, table, run);
        }
        else
        {
            WriteText(context, schedule, table, run);
        }

        return ExitCodes.Success;
    }

    private static StageCost[] Costs(CommandContext context, ScheduleShape shape)
    {
        StageCost factors = s_options.Factors(context);
        double[] costs = context.Get(s_costs) is { } text ? PipelineOptions.List("--costs", text) : [.. Enumerable.Repeat(1.0, shape.Stages)];
        return costs.Length == shape.Stages
            ? [.. costs.Select(c => new StageCost(c * factors.Forward, c * factors.Input, c * factors.Weight))]
            : throw CliException.Usage($"--costs has {costs.Length} times for {shape.Stages} stages ({shape.Ranks} ranks with {shape.Chunks} on each): give one for each stage");
    }

    private static void WriteJson(TextWriter output, ActionTable table, Simulation run)
    {
        output.Write("{\"ranks\":[");
        for (int rank = 0; rank < table.Ranks.Count; rank++)
        {
            output.Write((rank == 0 ? "\n[" : ",\n[") + string.Join(",", table.Ranks[rank].Select(a => $"\"{a}\"")) + "]");
        }

        output.WriteLine($"],\n\"makespan\":{Json.Line(run.Makespan)},\"bubble\":{Json.Line(run.Bubble)},\"peak\":{Json.Line(run.Peak.ToArray())}}}");
    }

    private static void WriteText(CommandContext context, Schedule schedule, ActionTable table, Simulation run)
    {
        TextWriter output = context.Output;
        ScheduleShape shape = table.Shape;
        output.WriteLine($"{schedule.Title}: {shape.Ranks} ranks, {shape.Chunks} {(shape.Chunks == 1 ? "stage" : "stages")} on each, {shape.MicroBatches} micro-batches");
        int width = (shape.Ranks - 1).ToString(CultureInfo.InvariantCulture).Length;
        for (int rank = 0; rank < shape.Ranks; rank++)
        {
            output.WriteLine($"rank {rank.ToString(CultureInfo.InvariantCulture).PadLeft(width)}: {string.Join(" ", table.Ranks[rank])}");
        }

        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"makespan {run.Makespan:0.###}, bubble {100 * run.Bubble:0.#} %, live micro-batches at most {(shape.Chunks == 1 ? "" : "(over the chunks of a rank) ")}{string.Join(" ", run.Peak)}"));
        if (table.Ranks.Sum(r => (long)r.Count) <= MostProven)
        {
            (LoweredPipeline? lowered, Standstill? standstill) = PipelineProof.Lower(table, cancellation: context.Cancellation);
            output.WriteLine(standstill is null
                ? $"proven to end, with rendezvous sends and {lowered!.Options.SendDepth} send buffers for each edge between ranks"
                : throw CliException.Refused(standstill.Message));
        }
    }
}
