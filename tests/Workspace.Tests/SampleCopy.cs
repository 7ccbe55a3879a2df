using System.Reflection;
using System.Text.RegularExpressions;
using Shardwright.Tests;

namespace Shardwright.Workspace.Tests;

/// <summary>
/// The sample's model as somebody has it who has not placed it yet: no placements but two that misspell their axis, and a field that nobody uses. It lies two folders below the root of the repository, as the
/// sample does, so that its project file holds as it is.
/// </summary>
internal sealed class SampleCopy : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(5);

    private const string Program = """
        using System.Globalization;
        using Shardwright;
        using TinyGpt;

        Train("single", Gpt.OnSingle.Mesh, rank => new Gpt.OnSingle.Rank(rank, seed: 3), (gpt, ids, targets) => gpt.TrainStep(ids, targets, new AdamWSettings(1e-3f)));
        Train("sharded", Gpt.OnDp2Tp2.Mesh, rank => new Gpt.OnDp2Tp2.Rank(rank, seed: 3), (gpt, ids, targets) => gpt.TrainStep(ids, targets, new AdamWSettings(1e-3f)));

        static void Train<T>(string name, Mesh mesh, Func<RankContext, T> make, Func<T, TokenTensor, TokenTensor, StepResult> step) where T : IDisposable
        {
            using var world = World.InProcess(mesh, new WorldOptions { ThreadsPerRank = 1 });
            world.Run(context =>
            {
                using T gpt = make(context);
                int[] text = [.. Enumerable.Range(0, Gpt.Batch * Gpt.Context + 1).Select(i => "to be or not to be, "[i % 20] % Gpt.Vocab)];
                TokenTensor ids = TokenTensor.Of(text[..^1], Gpt.Batch, Gpt.Context), targets = TokenTensor.Of(text[1..], Gpt.Batch, Gpt.Context);
                for (int i = 0; i < 10; i++)
                {
                    double loss = step(gpt, ids, targets).Loss;
                    if (context.Rank == 0)
                    {
                        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name} {loss:F7}"));
                    }
                }
            });
        }
        """;

    private SampleCopy(string folder) => Folder = folder;

    /// <summary>Root of the repository.</summary>
    public static string Root
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

    /// <summary>Debug or Release, as these tests were built.</summary>
    public static string Configuration { get; } = typeof(SampleCopy).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "Configuration").Value!;

    public string Folder { get; }

    public string ProjectFile => Path.Combine(Folder, "TinyGpt.csproj");

    public static SampleCopy Make()
    {
        var copy = new SampleCopy(Path.Combine(Root, "obj", "sample-" + Guid.NewGuid().ToString("n")[..8]));
        string sample = Path.Combine(Root, "samples", "TinyGpt");
        Directory.CreateDirectory(copy.Folder);
        // No feed is asked about the packages, which are all there; said in the file alone, as a property on the command line would restore every project that it refers to anew.
        File.WriteAllText(copy.ProjectFile, File.ReadAllText(Path.Combine(sample, "TinyGpt.csproj")).Replace("<UseShardwright>", "<NuGetAudit>false</NuGetAudit>\n    <UseShardwright>", StringComparison.Ordinal));
        File.Copy(Path.Combine(sample, "Meshes.cs"), Path.Combine(copy.Folder, "Meshes.cs"));
        string model = File.ReadAllText(Path.Combine(sample, "Model.cs"));
        string feedForward = model[model.IndexOf("class FeedForward", StringComparison.Ordinal)..model.IndexOf("class SelfAttention", StringComparison.Ordinal)];
        string misspelled = feedForward.Replace("Split(\"tp\"", "Split(\"tpp\"", StringComparison.Ordinal);
        model = Regex.Replace(model.Replace(feedForward, "\0", StringComparison.Ordinal), @"\[Split\(""\w+"", dim: \d\)\] |, Split\(""\w+"", dim: \d\)(?=\])", "").Replace("\0", misspelled, StringComparison.Ordinal);
        model = Regex.Replace(model, @"\[ShardedOn<(?!Single>|Dp2Tp2>)[^\n]*\n", "");
        model = model.Replace("readonly LayerNorm norm = new(Hidden);", "readonly LayerNorm norm = new(Hidden);\n    readonly Tensor idle = Parameter(Hidden);", StringComparison.Ordinal);
        model = model.Replace("Layers = 4", "Layers = 2", StringComparison.Ordinal).Replace("Context = 128", "Context = 64", StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(copy.Folder, "Model.cs"), model);
        File.WriteAllText(Path.Combine(copy.Folder, "Program.cs"), Program);
        copy.Dotnet("restore");
        return copy;
    }

    public string Text(string file) => File.ReadAllText(Path.Combine(Folder, file));

    /// <summary>Builds what is on the disk, and returns the losses that it prints for a mesh.</summary>
    public Func<string, double[]> BuildAndTrain()
    {
        Dotnet("build", "--no-restore", "-c", Configuration, "-p:BuildProjectReferences=false", "-p:UseSharedCompilation=false", "-nologo");
        string output = Dotnet(Path.Combine(Folder, "bin", Configuration, "net10.0", "TinyGpt.dll"));
        return name => [.. Regex.Matches(output, name + @" ([0-9.]+)").Select(m => double.Parse(m.Groups[1].Value, System.Globalization.CultureInfo.InvariantCulture))];
    }

    /// <inheritdoc/>
    public void Dispose() => Directory.Delete(Folder, recursive: true);

    private string Dotnet(params string[] arguments)
    {
        (int exitCode, string output) = ChildProcess.Run(Folder, ChildProcess.Dotnet, arguments, s_patience);
        Assert.True(exitCode == 0, $"dotnet {string.Join(' ', arguments)} ended with {exitCode}:\n{output}");
        return output;
    }
}
