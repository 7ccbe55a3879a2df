using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Cli.Assemblies;

/// <summary>An assembly with those that it refers to: models, layers and devices by name.</summary>
internal sealed class AssemblySet
{
    private readonly Dictionary<string, AssemblyFile?> _files = new(StringComparer.OrdinalIgnoreCase);
    private readonly ReferenceFolders _folders;

    private AssemblySet(AssemblyFile root)
    {
        Root = root;
        _folders = new ReferenceFolders(root.Path);
        _files[root.Name] = root;
    }

    /// <summary>The assembly that was asked for.</summary>
    public AssemblyFile Root { get; }

    /// <summary>Opens an assembly.</summary>
    public static AssemblySet Open(string path) => new(AssemblyFile.Read(path));

    /// <summary>Models of the assembly; it must have one.</summary>
    public IReadOnlyList<ModelDefinition> Models()
    {
        var models = new List<ModelDefinition>();
        foreach (AssemblyClass type in Root.Classes.Where(c => c.IsModel))
        {
            DefinitionText.Result read = Read(type, Root);
            models.Add(read.Model ?? throw CliException.BadFile($"model '{type.FullName}' of '{Root.Path}' was built by a version of Shardwright that left no meshes in its graph: build it again"));
        }

        if (models.Count > 0)
        {
            return models;
        }

        string layers = string.Join(", ", Root.Classes.Where(c => c.Graph is not null).Select(c => c.FullName).Take(10));
        throw CliException.BadFile($"'{Root.Path}' has no model: none of its classes carries [ShardedOn<…>]{(layers.Length > 0 ? $"; it has the layers {layers}" : "")}; give the .dll of a project with a model");
    }

    /// <summary>All layers that a model reaches, by full name with assembly; the model itself is one of them.</summary>
    public IReadOnlyDictionary<string, LayerDefinition> Layers(ModelDefinition model)
    {
        var reached = new Dictionary<string, LayerDefinition>(StringComparer.Ordinal) { [model.Layer.Type] = model.Layer };
        var queue = new Queue<LayerDefinition>([model.Layer]);
        while (queue.TryDequeue(out LayerDefinition? holder))
        {
            foreach (string type in holder.Fields.Select(f => f switch { FieldDefinition.Layer l => l.Type, FieldDefinition.LayerStack s => s.Type, _ => "" }).Where(t => t.Length > 0 && !reached.ContainsKey(t)))
            {
                LayerDefinition layer = Layer(type, holder);
                reached[type] = layer;
                queue.Enqueue(layer);
            }
        }

        return reached;
    }

    /// <summary>Classes with [DeviceSpec], of the assembly and of all that it refers to, as far as they can be found.</summary>
    public IEnumerable<AssemblyClass> Devices()
    {
        var seen = new HashSet<string>(StringComparer.OrdinalIgnoreCase) { Root.Name };
        var queue = new Queue<AssemblyFile>([Root]);
        while (queue.TryDequeue(out AssemblyFile? file))
        {
            foreach (AssemblyClass device in file.Classes.Where(c => c.Device is not null))
            {
                yield return device;
            }

            foreach (AssemblyFile reference in file.References.Where(r => !ReferenceFolders.IsFramework(r) && seen.Add(r)).Select(Find).OfType<AssemblyFile>())
            {
                queue.Enqueue(reference);
            }
        }
    }

    private LayerDefinition Layer(string type, LayerDefinition holder)
    {
        int comma = type.LastIndexOf(", ", StringComparison.Ordinal);
        string name = type[..comma], assembly = type[(comma + 2)..];
        AssemblyFile file = Find(assembly)
            ?? throw CliException.BadFile($"'{holder.ShortName}' holds the layer '{name}' of assembly '{assembly}', which lies neither beside '{Root.Path}' nor where its .deps.json says: copy {assembly}.dll there, or publish the project");
        AssemblyClass found = file.Classes.FirstOrDefault(c => c.FullName == name && c.Graph is not null)
            ?? throw CliException.BadFile($"'{holder.ShortName}' holds the layer '{name}', and '{file.Path}' has none of that name: the two were not built together; build both again");
        return Read(found, file).Definition!;
    }

    private AssemblyFile? Find(string assembly)
    {
        if (!_files.TryGetValue(assembly, out AssemblyFile? file))
        {
            _files[assembly] = file = _folders.Find(assembly) is { } path ? AssemblyFile.Read(path) : null;
        }

        return file;
    }

    private static DefinitionText.Result Read(AssemblyClass type, AssemblyFile file)
    {
        DefinitionText.Result read = type.Graph is null
            ? throw CliException.BadFile($"model '{type.FullName}' of '{file.Path}' has no graph: that project was built without the Shardwright generator; reference the Shardwright package there and build it again")
            : DefinitionText.Read(type.Graph);
        return read.Definition is not null ? read
            : read.IsNewer ? throw CliException.BadFile($"the graph of '{type.FullName}' of '{file.Path}' needs a newer tool: {read.Error.Replace("update the Shardwright package here", "update the tool", StringComparison.Ordinal)}")
            : throw CliException.BadFile($"the graph of '{type.FullName}' of '{file.Path}' cannot be read: {read.Error}");
    }
}
