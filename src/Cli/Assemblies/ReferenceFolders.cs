using System.Text.Json;

namespace Shardwright.Cli.Assemblies;

/// <summary>Where the assemblies lie that another one refers to: beside it, or in the package folder as its .deps.json says.</summary>
internal sealed class ReferenceFolders
{
    private readonly string _folder;
    private readonly Lazy<IReadOnlyDictionary<string, string>> _packages;

    /// <summary>For an assembly.</summary>
    public ReferenceFolders(string path)
    {
        _folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        _packages = new(() => Packages(Path.ChangeExtension(Path.GetFullPath(path), ".deps.json")));
    }

    /// <summary>Whether an assembly is one of the framework's: it holds nothing of ours.</summary>
    public static bool IsFramework(string name) =>
        name is "mscorlib" or "netstandard" || name == "System" || name.StartsWith("System.", StringComparison.Ordinal) || name.StartsWith("Microsoft.", StringComparison.Ordinal);

    /// <summary>The file of an assembly, or null.</summary>
    public string? Find(string name)
    {
        string beside = Path.Combine(_folder, name + ".dll");
        return File.Exists(beside) ? beside : _packages.Value.GetValueOrDefault(name);
    }

    /// <summary>Files of packages by name of the assembly. A library's packages are not copied beside it: its .deps.json names them.</summary>
    private static IReadOnlyDictionary<string, string> Packages(string deps)
    {
        var files = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        if (!File.Exists(deps))
        {
            return files;
        }

        string root = Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } set
            ? set
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllText(deps));
            JsonElement libraries = document.RootElement.GetProperty("libraries");
            foreach (JsonProperty library in document.RootElement.GetProperty("targets").EnumerateObject().SelectMany(t => t.Value.EnumerateObject()))
            {
                if (!library.Value.TryGetProperty("runtime", out JsonElement runtime) || !libraries.TryGetProperty(library.Name, out JsonElement described) || !described.TryGetProperty("path", out JsonElement path))
                {
                    continue;
                }

                foreach (JsonProperty file in runtime.EnumerateObject())
                {
                    string full = Path.Combine(root, path.GetString()!, file.Name.Replace('/', Path.DirectorySeparatorChar));
                    if (File.Exists(full))
                    {
                        files[Path.GetFileNameWithoutExtension(full)] = full;
                    }
                }
            }
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            // A damaged .deps.json: what is missing will be named.
        }

        return files;
    }
}
