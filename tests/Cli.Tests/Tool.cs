using System.Text.Json;

namespace Shardwright.Cli.Tests;

/// <summary>Runs the tool in this process.</summary>
internal static class Tool
{
    /// <summary>Runs one command line.</summary>
    public static (int Code, string Output, string Error) Run(params string[] arguments)
    {
        var output = new StringWriter();
        var error = new StringWriter();
        int code = CommandLine.Run(arguments, output, error);
        return (code, output.ToString(), error.ToString());
    }

    /// <summary>Runs one that must succeed, and reads its JSON.</summary>
    public static JsonElement Json(params string[] arguments)
    {
        (int code, string output, string error) = Run([.. arguments, "--json"]);
        Assert.True(code == ExitCodes.Success, $"exit code {code}: {error}");
        using JsonDocument document = JsonDocument.Parse(output);
        return document.RootElement.Clone();
    }

    /// <summary>Runs one that must fail, with one line that starts with the tool's name.</summary>
    public static string Refusal(int code, params string[] arguments)
    {
        (int actual, string output, string error) = Run(arguments);
        Assert.Equal((code, ""), (actual, output));
        string line = Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("shardwright: ", line, StringComparison.Ordinal);
        return line;
    }
}
