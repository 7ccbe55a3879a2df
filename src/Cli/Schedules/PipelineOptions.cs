using System.CommandLine;
using System.Globalization;
using Shardwright.Compiler.Pipelining;

namespace Shardwright.Cli.Schedules;

/// <summary>Options that <c>schedule</c> and <c>cut</c> share, and how they are read. One instance for each command.</summary>
internal sealed class PipelineOptions
{
    private static string Kinds => string.Join(", ", Compiler.Pipelining.Schedules.All.Select(s => s.Name));

    public Option<int> Ranks { get; } = new("--ranks") { HelpName = "P", Description = "Ranks along the pipeline axis.", Required = true };

    public Option<int?> Chunks { get; } = new("--chunks") { HelpName = "V", Description = "Stages on each rank; by default what the schedule needs, or 2 where it takes any number." };

    public Option<int> MicroBatches { get; } = new("--microbatches") { HelpName = "M", Description = "Micro-batches of a step.", Required = true };

    public Option<int?> Group { get; } = new("--group") { HelpName = "N", Description = "Micro-batches that visit all chunks together (interleaved)." };

    public Option<bool> HopAware { get; } = new("--hop-aware") { Description = "Twice the warm-up of 1f1b and zb-h1: hides the time of messages, for more live micro-batches." };

    public Option<double> Forward { get; } = Time("--forward", "f", "Time of one micro-batch forward; with --costs a factor of each of them.", 1);

    public Option<double> Input { get; } = Time("--input", "i", "Time of the gradient of inputs, likewise.", 1);

    public Option<double> Weight { get; } = Time("--weight", "w", "Time of the gradient of weights, likewise.", 1);

    public Option<double> Hop { get; } = Time("--hop", "h", "Time of a message from one rank to another.", 0);

    /// <summary>All of them.</summary>
    public IEnumerable<Option> All => [Ranks, Chunks, MicroBatches, Group, HopAware, Forward, Input, Weight, Hop];

    /// <summary>The schedule of a name.</summary>
    public static Schedule Schedule(string name) =>
        Compiler.Pipelining.Schedules.Find(name) ?? throw CliException.Usage($"there is no schedule '{name}': {Suggestions.For(name, Compiler.Pipelining.Schedules.All.Select(s => s.Name), "schedules")}");

    /// <summary>What KIND may be.</summary>
    public static string KindHelp => "One of " + Kinds + ".";

    /// <summary>The counts.</summary>
    public ScheduleShape Shape(CommandContext context, Schedule schedule) =>
        new(context.Get(Ranks), context.Get(Chunks) ?? schedule.RequiredChunks ?? 2, context.Get(MicroBatches), context.Get(Group), context.Get(HopAware));

    /// <summary>The factors of the three kinds of action.</summary>
    public StageCost Factors(CommandContext context) => new(Checked(context, Forward), Checked(context, Input), Checked(context, Weight));

    /// <summary>The time of a message.</summary>
    public LinkCost Link(CommandContext context) => new(Checked(context, Hop));

    /// <summary>A list of times, or sizes, that are not negative.</summary>
    public static double[] List(string option, string text) => [.. text.Split(',').Select((part, i) =>
        double.TryParse(part, NumberStyles.Float, CultureInfo.InvariantCulture, out double time) && time >= 0 && !double.IsInfinity(time)
            ? time
            : throw CliException.Usage($"'{part}' in {option} (number {i + 1}) is none: numbers of 0 or more, with commas between"))];

    private static double Checked(CommandContext context, Option<double> option) =>
        context.Get(option) is double time && time >= 0 && !double.IsInfinity(time) ? time : throw CliException.Usage($"{option.Name} is {context.Get(option).ToString(CultureInfo.InvariantCulture)}: times are 0 or more");

    private static Option<double> Time(string name, string help, string description, double usual) => new(name) { HelpName = help, Description = description, DefaultValueFactory = _ => usual };
}
