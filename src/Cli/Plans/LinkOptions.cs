extern alias runtime;

using runtime::Shardwright;

namespace Shardwright.Cli.Plans;

/// <summary>--link: other links for the axes of a mesh, written as for a world in one process.</summary>
internal static class LinkOptions
{
    /// <summary>The axes with these links. The rate that is given is the one that messages reach.</summary>
    /// <param name="mesh">Name of the mesh, for messages.</param>
    /// <param name="axes">Its axes.</param>
    /// <param name="links">What was given, the last for an axis counts.</param>
    public static EquatableArray<MeshAxisDefinition> With(string mesh, EquatableArray<MeshAxisDefinition> axes, IReadOnlyList<string> links)
    {
        var shape = new Mesh(mesh, [.. axes.Select(a => new MeshAxisInfo(a.Name, a.Size))]);
        foreach (string text in links)
        {
            IReadOnlyDictionary<string, LinkModel> models;
            try
            {
                models = LinkText.Parse(text, shape);
            }
            catch (FormatException fault)
            {
                throw CliException.Usage($"--link: {fault.Message}");
            }

            if (models.Values.Any(m => m.Sharing == LinkSharing.Shared))
            {
                throw CliException.Usage($"--link {text}: a plan gives each rank a link of its own; leave 'shared' out, and divide the rate by the ranks that share it");
            }

            axes = axes.Select(a => models.TryGetValue(a.Name, out LinkModel? model) ? a with { Link = new LinkDefinition(text, model.BytesPerSecond / (1e9 * LinkDefinition.PlannedShare), model.Latency.TotalMicroseconds) } : a).ToEquatable();
        }

        return axes;
    }
}
