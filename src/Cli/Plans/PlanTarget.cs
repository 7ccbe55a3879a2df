using Shardwright.Cli.Assemblies;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Cli.Plans;

/// <summary>A model on one of its meshes, with the layers that it reaches.</summary>
internal sealed record PlanTarget(ModelDefinition Model, ShardedOnDefinition On, IReadOnlyDictionary<string, LayerDefinition> Layers)
{
    /// <summary>For messages: <c>Gpt on Dp2Tp2</c>.</summary>
    public string Shown => $"{Model.Layer.ShortName} on {On.Mesh.ShortName}";

    /// <summary>The models and meshes that names mean; all where there is none.</summary>
    /// <param name="set">Where to look.</param>
    /// <param name="model">Short or full name of the model; null for all.</param>
    /// <param name="mesh">Name of the mesh, or of the nested class (OnLab); null for all.</param>
    /// <param name="axes">Axes that a mesh must have where none is named.</param>
    public static IReadOnlyList<PlanTarget> Find(AssemblySet set, string? model, string? mesh, IReadOnlyList<string> axes)
    {
        IReadOnlyList<ModelDefinition> models = set.Models();
        var chosen = models.Where(m => model is null || FullName(m.Layer.Type) == model || m.Layer.ShortName == model).ToList();
        if (chosen.Count == 0)
        {
            throw CliException.Usage($"'{set.Root.Path}' has no model '{model}': {Suggestions.For(model!, models.Select(m => FullName(m.Layer.Type)), "models")}");
        }

        if (model is not null && chosen.Count > 1)
        {
            throw CliException.Usage($"'{model}' may be {string.Join(" or ", chosen.Select(m => $"'{FullName(m.Layer.Type)}'"))}: write the full name");
        }

        var targets = new List<PlanTarget>();
        foreach (ModelDefinition one in chosen)
        {
            IReadOnlyList<ShardedOnDefinition> meshes = Meshes(one, mesh, axes);
            if (meshes.Count > 0)
            {
                IReadOnlyDictionary<string, LayerDefinition> layers = set.Layers(one);
                targets.AddRange(meshes.Select(on => new PlanTarget(one, on, layers)));
            }
        }

        if (targets.Count > 0)
        {
            return targets;
        }

        var all = chosen.SelectMany(m => m.Meshes).ToList();
        throw CliException.Usage(mesh is not null
            ? $"no mesh '{mesh}' carries {(chosen.Count == 1 ? $"'{chosen[0].Layer.ShortName}'" : "a model there")}: {Suggestions.For(mesh, all.Select(m => m.Mesh.ShortName), "meshes")}"
            : $"no mesh has the axis {string.Join(" and ", axes.Select(a => $"'{a}'"))}: {Suggestions.For(axes[0], all.SelectMany(m => m.Mesh.Axes).Select(a => a.Name), "axes")}");
    }

    private static IReadOnlyList<ShardedOnDefinition> Meshes(ModelDefinition model, string? mesh, IReadOnlyList<string> axes)
    {
        if (mesh is null)
        {
            return [.. model.Meshes.Where(on => axes.All(axis => on.Mesh.Axes.Any(a => a.Name == axis)))];
        }

        var nested = model.Meshes.Where(on => on.NestedName == mesh).ToList();
        var found = nested.Count > 0 ? nested : model.Meshes.Where(on => on.Mesh.ShortName == mesh || FullName(on.Mesh.Type) == mesh).ToList();
        return found.Count <= 1
            ? found
            : throw CliException.Usage($"'{model.Layer.ShortName}' stands on mesh '{mesh}' more than once: name the nested class, {string.Join(" or ", found.Select(on => on.NestedName))}");
    }

    private static string FullName(string type) => type[..type.LastIndexOf(", ", StringComparison.Ordinal)];
}
