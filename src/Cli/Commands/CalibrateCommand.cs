using System.CommandLine;
using System.Globalization;
using System.Text.RegularExpressions;
using Shardwright.Cli.Machines;

namespace Shardwright.Cli.Commands;

/// <summary><c>calibrate</c>: measures this machine and writes a [DeviceSpec] class for plans.</summary>
internal static class CalibrateCommand
{
    private static readonly Option<string> s_name = new("--name") { HelpName = "CLASS", Description = "Name of the class.", DefaultValueFactory = _ => "ThisMachine" };
    private static readonly Option<string> s_namespace = new("--namespace") { HelpName = "N", Description = "Its namespace; none if not given." };
    private static readonly Option<string> s_out = new("--out") { HelpName = "FILE", Description = "Source file to write; standard output if not given." };
    private static readonly Option<int> s_threads = new("--threads") { HelpName = "T", Description = "Threads of a rank; all cores if not given.", DefaultValueFactory = _ => Environment.ProcessorCount };
    private static readonly Option<double> s_seconds = new("--seconds") { HelpName = "S", Description = "Time for each of eleven measurements.", DefaultValueFactory = _ => 0.5 };
    private static readonly Option<bool> s_json = CommonOptions.Json();

    public static Command Create() =>
        new Command("calibrate", "Measures this machine (products, copies, starts of kernels) and writes a class with [DeviceSpec] that plans can use.") { s_name, s_namespace, s_out, s_threads, s_seconds, s_json }.Runs(Run);

    private static int Run(CommandContext context)
    {
        string name = context.Get(s_name)!, space = context.Get(s_namespace) ?? "";
        int threads = context.Get(s_threads);
        double seconds = context.Get(s_seconds);
        if (!Regex.IsMatch(name, @"^[A-Za-z_]\w*$"))
        {
            throw CliException.Usage($"--name {name}: it is a C# class name, such as ThisMachine");
        }

        if (space.Length > 0 && !Regex.IsMatch(space, @"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"))
        {
            throw CliException.Usage($"--namespace {space}: it is a C# namespace, such as My.Machines");
        }

        if (threads is < 1 or > 4096)
        {
            throw CliException.Usage($"--threads {threads}: it is a whole number from 1 to 4096");
        }

        if (!(seconds is > 0 and <= 600))
        {
            throw CliException.Usage($"--seconds {seconds.ToString(CultureInfo.InvariantCulture)}: it is more than 0 and at most 600");
        }

        Calibration measured = Calibration.Measure(threads, seconds, context.Cancellation);
        if (context.Get(s_out) is { } file)
        {
            File.WriteAllText(file, measured.Source(name, space));
        }

        if (context.Get(s_json))
        {
            context.Output.WriteLine(Json.Line(measured));
        }
        else
        {
            context.Output.Write(context.Get(s_out) is { } path ? $"{name}: {measured.Products.Max(p => p.PerSecond) / 1e9:0.#} GFLOP/s, {measured.Copies.Max(p => p.PerSecond) / 1e9:0.#} GB/s, written to {path}\n" : measured.Source(name, space));
        }

        return ExitCodes.Success;
    }
}
