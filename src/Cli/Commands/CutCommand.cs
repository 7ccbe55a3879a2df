using System.CommandLine;
using System.Globalization;
using Shardwright.Cli.Schedules;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;

namespace Shardwright.Cli.Commands;

/// <summary><c>cut --costs 8,11,2 --ranks P --microbatches M</c>: which segments lie on which stage, by simulating; the min-max cut beside it.</summary>
internal static class CutCommand
{
    private static readonly PipelineOptions s_options = new();
    private static readonly Option<string> s_schedule = new("--schedule") { HelpName = "KIND", Description = PipelineOptions.KindHelp, DefaultValueFactory = _ => "1f1b" };
    private static readonly Option<string> s_costs = new("--costs") { HelpName = "per-segment,…", Description = "A time for each segment (layer, embedding, head), first to last.", Required = true };
    private static readonly Option<string> s_activations = new("--activations") { HelpName = "bytes,…", Description = "Bytes that each segment keeps for a live micro-batch; one number for all." };
    private static readonly Option<string> s_parameters = new("--parameters") { HelpName = "bytes,…", Description = "Bytes that each segment keeps always; one number for all." };
    private static readonly Option<long?> s_memory = new("--memory") { HelpName = "bytes", Description = "Bytes that a rank has." };
    private static readonly Option<bool> s_json = CommonOptions.Json();

    public static Command Create()
    {
        var command = new Command("cut", "Which segments lie on which stage: the cut whose simulated step is shortest, and the one with the smallest largest stage.")
        {
            s_costs, s_schedule, s_activations, s_parameters, s_memory, s_json,
        };
        foreach (Option option in s_options.All)
        {
            command.Options.Add(option);
        }

        return command.Runs(Run);
    }

    private static int Run(CommandContext context)
    {
        Schedule schedule = PipelineOptions.Schedule(context.Get(s_schedule)!);
        double[] costs = PipelineOptions.List("--costs", context.Get(s_costs)!);
        double[] activations = Sizes(context, s_activations, costs.Length), parameters = Sizes(context, s_parameters, costs.Length);
        StageCost factors = s_options.Factors(context);
        long? memory = context.Get(s_memory) is not < 0 ? context.Get(s_memory) : throw CliException.Usage($"--memory is {context.Get(s_memory)}: give 0 or more bytes");
        var request = new CutRequest(
            costs.Select((c, i) => new SegmentCost(c * factors.Forward, c * factors.Input, c * factors.Weight, (long)activations[i], (long)parameters[i])).ToEquatable(),
            schedule, s_options.Shape(context, schedule), s_options.Link(context), memory);
        if (CutSearch.Refuse(request) is string reason)
        {
            throw CliException.Refused(reason);
        }

        CutResult result = CutSearch.Find(request, context.Cancellation);
        if (result.Best.Overflow > 0)
        {
            throw CliException.Refused($"no cut {(result.Exact ? "fits" : "was found that fits")} into {memory} bytes: the one nearest to it needs {memory + result.Best.Overflow} on its fullest rank; give --memory {memory + result.Best.Overflow}, more ranks, or a schedule that keeps less alive");
        }

        if (context.Get(s_json))
        {
            context.Output.WriteLine($"{{\"best\":{Row(result.Best)},\n\"minMax\":{Row(result.MinMax)},\n\"exact\":{Json.Line(result.Exact)},\"simulated\":{result.Simulated}}}");
            return ExitCodes.Success;
        }

        context.Output.WriteLine($"{schedule.Title}: {costs.Length} segments on {request.Shape.Stages} stages, {request.Shape.MicroBatches} micro-batches");
        Write(context.Output, "best", result.Best, costs);
        Write(context.Output, "min-max", result.MinMax, costs);
        context.Output.WriteLine(result.Exact ? "no other cut is better" : $"the best of {result.Simulated} cuts that were simulated");
        return ExitCodes.Success;
    }

    private static double[] Sizes(CommandContext context, Option<string> option, int segments)
    {
        double[] sizes = context.Get(option) is { } text ? PipelineOptions.List(option.Name, text) : [0];
        double[] all = sizes.Length == 1 ? [.. Enumerable.Repeat(sizes[0], segments)] : sizes;
        return all.Length != segments ? throw CliException.Usage($"{option.Name} has {all.Length} sizes for {segments} segments: give one for each, or one for all")
            : all.Any(s => s > 1e15) ? throw CliException.Usage($"{option.Name} has a size over 10^15 bytes") : all;
    }

    private static string Row(Cut cut) =>
        Json.Line(new { Counts = cut.Counts.ToArray(), cut.Makespan, LargestStage = cut.LargestStage, PeakBytes = cut.PeakBytes.ToArray(), Fits = cut.Overflow == 0 });

    private static void Write(TextWriter output, string name, Cut cut, double[] costs)
    {
        int at = 0;
        IEnumerable<string> stages = cut.Counts.Select(count =>
        {
            string stage = string.Join(" ", costs.Skip(at).Take(count).Select(c => c.ToString(CultureInfo.InvariantCulture)));
            at += count;
            return stage;
        });
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-8} step {cut.Makespan:0.###}, largest stage {cut.LargestStage:0.###}: {string.Join(" | ", stages)}{(cut.Overflow > 0 ? $" ({cut.Overflow} bytes over the limit)" : "")}"));
    }
}
