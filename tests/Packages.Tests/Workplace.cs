using System.Reflection;
using Shardwright.Tests;

namespace Shardwright.Packages.Tests;

/// <summary>
/// A folder outside of the repository with a feed of the packages that this build makes, and an empty package cache: what a user's machine sees.
/// Packages of others come from those that this repository has restored.
/// </summary>
public sealed class Workplace : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(10);

    /// <summary>Packs the solution as it was built.</summary>
    public Workplace()
    {
        Folder = Directory.CreateTempSubdirectory("shardwright-packages-").FullName;
        Directory.CreateDirectory(Feed);
        File.WriteAllText(Path.Combine(Folder, "nuget.config"), $"""
            <configuration>
              <packageSources>
                <clear />
                <add key="ours" value="feed" />
                <add key="installed" value="{Metadata("InstalledPackages")}" />
              </packageSources>
              <packageSourceMapping>
                <packageSource key="ours"><package pattern="Shardwright" /><package pattern="Shardwright.*" /></packageSource>
                <packageSource key="installed"><package pattern="*" /></packageSource>
              </packageSourceMapping>
            </configuration>
            """);
        Dotnet(Root, "pack", "Generators.sln", "--no-build", "-c", Metadata("Configuration"), "-o", Feed).Succeeds();
    }

    /// <summary>The folder that holds everything.</summary>
    public string Folder { get; }

    /// <summary>Where the packages are.</summary>
    public string Feed => Path.Combine(Folder, "feed");

    /// <summary>Where restored packages go.</summary>
    public string Cache => Path.Combine(Folder, "cache");

    /// <summary>A package by its name; its version is the rest of the file's name.</summary>
    public (string File, string Version) Package(string name)
    {
        string file = Assert.Single(Directory.GetFiles(Feed, name + ".*.nupkg"), f => char.IsAsciiDigit(Path.GetFileName(f)[name.Length + 1]));
        return (file, Path.GetFileNameWithoutExtension(file)[(name.Length + 1)..]);
    }

    /// <summary>Writes a file below the folder.</summary>
    public void Write(string path, string text)
    {
        string file = Path.Combine(Folder, path);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, text);
    }

    /// <summary>Builds a project below the folder.</summary>
    public Outcome Build(string project, params string[] more) => Dotnet(Path.Combine(Folder, project), ["build", "-c", "Release", "-p:UseSharedCompilation=false", "-nologo", .. more]);

    /// <summary>Builds a project below the folder with a compiler server of this workplace's own, which goes on living: what a user's second build meets.</summary>
    public Outcome BuildWithServer(string project, params string[] more) =>
        Dotnet(Path.Combine(Folder, project), ["build", "-c", "Release", "-p:UseSharedCompilation=true", "-p:SharedCompilationId=" + ServerName, "-nologo", .. more]);

    /// <summary>Ends the compiler server, if there is one, and returns what it logged.</summary>
    public string EndServer()
    {
        string server = Path.Combine(Metadata("Compilers"), "bincore", "VBCSCompiler.dll");
        Dotnet(Folder, "exec", server, "-shutdown", "-pipename:" + ServerName).Succeeds();
        return File.Exists(ServerLog) ? File.ReadAllText(ServerLog) : "";
    }

    /// <summary>Runs dotnet with the arguments given.</summary>
    public Outcome Dotnet(string folder, params string[] arguments) => Run(folder, ChildProcess.Dotnet, arguments);

    /// <summary>Runs a program and waits for its end.</summary>
    public Outcome Run(string folder, string program, params string[] arguments)
    {
        (int exitCode, string output) = ChildProcess.Run(
            folder, program, arguments, s_patience,
            ("NUGET_PACKAGES", Cache),
            ("RoslynCommandLineLogFile", ServerLog),
            ("DOTNET_CLI_HOME", Path.Combine(Folder, "home")),
            ("DOTNET_SKIP_FIRST_TIME_EXPERIENCE", "1"),
            ("DOTNET_GENERATE_ASPNET_CERTIFICATE", "false"),
            ("DOTNET_CLI_UI_LANGUAGE", "en"),
            ("DOTNET_ROOT", Path.GetDirectoryName(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH")) ?? Environment.GetEnvironmentVariable("DOTNET_ROOT")));
        return new Outcome($"{program} {string.Join(' ', arguments)}", exitCode, output);
    }

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(Folder, recursive: true);

    // On Unix this is the name of a socket beside the folder, so it must not be that of the folder.
    private string ServerName => Path.GetFileName(Folder) + "-csc";

    private string ServerLog => Path.Combine(Folder, "compiler-server.log");

    private static string Root
    {
        get
        {
            DirectoryInfo? folder = new(AppContext.BaseDirectory);
            while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Generators.sln")))
            {
                folder = folder.Parent;
            }

            return folder?.FullName ?? throw new InvalidOperationException("the repository was not found above the tests");
        }
    }

    private static string Metadata(string key) => typeof(Workplace).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == key).Value!;
}

/// <summary>How a command ended.</summary>
/// <param name="Command">The command.</param>
/// <param name="Code">Exit code.</param>
/// <param name="Output">What it wrote, errors included.</param>
public sealed record Outcome(string Command, int Code, string Output)
{
    /// <summary>Checks that the command did what it should.</summary>
    public Outcome Succeeds()
    {
        Assert.True(Code == 0, $"'{Command}' ended with {Code}:\n{Output}");
        return this;
    }

    /// <summary>Checks that the command refused.</summary>
    public Outcome Fails()
    {
        Assert.True(Code != 0, $"'{Command}' should have failed:\n{Output}");
        return this;
    }

    /// <summary>Numbers after a word, in order.</summary>
    public double[] Numbers(string word) =>
        [.. System.Text.RegularExpressions.Regex.Matches(Output, word + @" +([0-9.]+)").Select(m => double.Parse(m.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture))];
}
