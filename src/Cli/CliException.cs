namespace Shardwright.Cli;

/// <summary>Ends a command with one line on standard error. The message names the thing, the number and the way out.</summary>
internal sealed class CliException(int exitCode, string message) : Exception(message)
{
    /// <summary>One of <see cref="ExitCodes"/>.</summary>
    public int ExitCode { get; } = exitCode;

    /// <summary>The command line is wrong.</summary>
    public static CliException Usage(string message) => new(ExitCodes.Usage, message);

    /// <summary>The answer is no.</summary>
    public static CliException Refused(string message) => new(ExitCodes.Refused, message);

    /// <summary>A file cannot be used.</summary>
    public static CliException BadFile(string message) => new(ExitCodes.BadFile, message);
}
