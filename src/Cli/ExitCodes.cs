namespace Shardwright.Cli;

/// <summary>Exit codes of every command, as in docs/cli.md: a contract.</summary>
internal static class ExitCodes
{
    /// <summary>The question was answered.</summary>
    public const int Success = 0;

    /// <summary>The question was understood, and the answer is no: no valid plan, shapes that an op refuses.</summary>
    public const int Refused = 1;

    /// <summary>The command line is wrong: an unknown name, a number that makes no sense.</summary>
    public const int Usage = 2;

    /// <summary>A file cannot be used: missing, no assembly, without a model, of a newer format.</summary>
    public const int BadFile = 3;

    /// <summary>A fault of this tool.</summary>
    public const int Fault = 4;

    /// <summary>Ended by Ctrl-C.</summary>
    public const int Cancelled = 130;
}
