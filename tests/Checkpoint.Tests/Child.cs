using System.Diagnostics;
using System.Globalization;

namespace Shardwright.Tests;

/// <summary>A training run in a process of its own.</summary>
public sealed class Child : IDisposable
{
    private readonly Process _process;

    /// <param name="before">Shell commands that set limits first; none runs the process without a shell.</param>
    public Child(string subject, string folder, int steps, string? before = null)
    {
        string host = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet", assembly = typeof(Program).Assembly.Location;
        string[] command = [host, "exec", assembly, "train", subject, folder, steps.ToString(CultureInfo.InvariantCulture)];
        var start = new ProcessStartInfo { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false, FileName = before is null ? host : "/bin/sh" };
        foreach (string argument in before is null ? command[1..] : ["-c", before + " exec \"$@\"", "sh", .. command])
        {
            start.ArgumentList.Add(argument);
        }

        _process = Process.Start(start)!;
    }

    /// <summary>Next line that it says; null where it has ended.</summary>
    public string? Line() => _process.StandardOutput.ReadLine();

    public string Errors() => _process.StandardError.ReadToEnd();

    public int ExitCode()
    {
        Assert.True(_process.WaitForExit(60_000), "the child hangs");
        return _process.ExitCode;
    }

    /// <summary>Ends it at once, as kill −9 does: nothing in it runs any more.</summary>
    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            Kill();
        }

        _process.Dispose();
    }
}
