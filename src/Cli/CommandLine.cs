using System.CommandLine;
using Shardwright.Cli.Commands;

namespace Shardwright.Cli;

/// <summary>The tool: its commands, and how every one of them ends.</summary>
internal static class CommandLine
{
    /// <summary>Every command, in the order of the help text. A new command is one file in Commands and one line here.</summary>
    private static readonly Func<Command>[] s_commands =
    [
        PlanCommand.Create,
        ReportCommand.Create,
        ShowCommand.Create,
        SimulateCommand.Create,
        SbpCommand.Create,
        ScheduleCommand.Create,
        CutCommand.Create,
        CalibrateCommand.Create,
        DevicesCommand.Create,
    ];

    /// <summary>Runs one command line.</summary>
    /// <returns>One of <see cref="ExitCodes"/>.</returns>
    public static int Run(IReadOnlyList<string> arguments, TextWriter output, TextWriter error, CancellationToken cancellation = default)
    {
        ParseResult parsed = Root().Parse(arguments);
        if (parsed.Errors.Count > 0)
        {
            return End(error, ExitCodes.Usage, $"{parsed.Errors[0].Message.TrimEnd('.')}; '{Name(parsed)} --help' says what is allowed");
        }

        try
        {
            var configuration = new InvocationConfiguration { Output = output, Error = error, EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null };
            return parsed.InvokeAsync(configuration, cancellation).GetAwaiter().GetResult();
        }
        catch (CliException refusal)
        {
            return End(error, refusal.ExitCode, refusal.Message);
        }
        catch (OperationCanceledException)
        {
            return ExitCodes.Cancelled;
        }
        catch (Exception refusal) when (refusal is IOException or UnauthorizedAccessException)
        {
            return End(error, ExitCodes.BadFile, refusal.Message);
        }
        catch (Exception fault)
        {
            return End(error, ExitCodes.Fault, $"a fault of this tool, please report it: {fault.GetType().Name}: {fault.Message}{fault.StackTrace?.Split('\n')[0].TrimEnd().Insert(0, " ")}");
        }
    }

    /// <summary>Gives a command its body. It returns one of <see cref="ExitCodes"/>, or throws <see cref="CliException"/>.</summary>
    public static Command Runs(this Command command, Func<CommandContext, int> body)
    {
        command.SetAction((parsed, cancellation) => Task.FromResult(body(new CommandContext(parsed, parsed.InvocationConfiguration.Output, cancellation))));
        return command;
    }

    private static RootCommand Root()
    {
        var root = new RootCommand("Shardwright: plans of sharded models, and how each op may be sharded.");
        foreach (Func<Command> create in s_commands)
        {
            root.Subcommands.Add(create());
        }

        return root;
    }

    private static string Name(ParseResult parsed) => parsed.CommandResult.Command is RootCommand ? "shardwright" : "shardwright " + parsed.CommandResult.Command.Name;

    private static int End(TextWriter error, int code, string message)
    {
        error.WriteLine("shardwright: " + message.ReplaceLineEndings(" "));
        return code;
    }
}
