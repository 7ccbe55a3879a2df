using System.CommandLine;
using System.Globalization;
using Shardwright.Cli.Machines;

namespace Shardwright.Cli.Commands;

/// <summary><c>devices</c>: the accelerators of this machine, and what was looked for where there are none.</summary>
internal static class DevicesCommand
{
    private static readonly Option<string?> s_kind = new("--kind") { HelpName = "K", Description = "Only cuda, opencl or ilgpu-cpu; ends with exit code 1 where there is none." };
    private static readonly Option<string?> s_from = new("--from") { HelpName = "FOLDER", Description = "Where Shardwright.Runtime.Ilgpu.dll and ILGPU.dll lie, such as the output folder of a project; beside this tool if not given." };
    private static readonly Option<bool> s_json = CommonOptions.Json();

    public static Command Create() =>
        new Command("devices", "The accelerators of this machine: kind, number, name, memory; and what was looked for where there are none.") { s_kind, s_from, s_json }.Runs(Run);

    private static int Run(CommandContext context)
    {
        string? kind = context.Get(s_kind);
        if (kind is not null && !Accelerators.Kinds.ContainsKey(kind))
        {
            throw CliException.Usage($"--kind {kind}: it is one of {string.Join(", ", Accelerators.Kinds.Keys)}");
        }

        IReadOnlyList<AcceleratorSearch> found = Accelerators.Find(context.Get(s_from) ?? AppContext.BaseDirectory, kind is null ? Accelerators.Kinds.Keys : [kind]);
        if (kind is not null && found[0].Problem is { } problem)
        {
            throw CliException.Refused($"no {kind} device: {problem}");
        }

        if (context.Get(s_json))
        {
            Json.WriteRows(context.Output, "\"kinds\":", found);
            return ExitCodes.Success;
        }

        foreach (AcceleratorSearch search in found)
        {
            if (search.Problem is { } none)
            {
                context.Output.Write($"{search.Kind,-9}  none: {none}\n");
            }

            foreach (AcceleratorDevice device in search.Devices)
            {
                context.Output.Write(string.Create(CultureInfo.InvariantCulture, $"{search.Kind,-9}  {device.Number}: {device.Name}, {Memory(device.MemoryBytes)}, {device.Multiprocessors} multiprocessors\n"));
            }
        }

        return ExitCodes.Success;
    }

    /// <summary>ILGPU's own accelerator has the memory of the host, and says that it has no limit.</summary>
    private static string Memory(long bytes) => bytes == long.MaxValue ? "memory of the host" : string.Create(CultureInfo.InvariantCulture, $"{bytes / 1073741824.0:0.#} GiB");
}
