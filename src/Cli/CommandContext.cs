using System.CommandLine;

namespace Shardwright.Cli;

/// <summary>What a running command sees: its arguments, where it writes, and when it must end.</summary>
internal sealed record CommandContext(ParseResult Arguments, TextWriter Output, CancellationToken Cancellation)
{
    /// <summary>Value of an option.</summary>
    public T? Get<T>(Option<T> option) => Arguments.GetValue(option);

    /// <summary>Value of an argument.</summary>
    public T? Get<T>(Argument<T> argument) => Arguments.GetValue(argument);
}
