using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Planning;

/// <summary>SW1007: large parameters that are whole on every rank of an axis that could split them, with the split that makes the step shortest; parameters of one class together, for they are
/// split as a pair or not at all.</summary>
internal static class WholeParameters
{
    /// <summary>Smaller ones are not worth a word.</summary>
    private const long Large = 1 << 20;

    /// <summary>And so are those that are less than this share of all parameters.</summary>
    private const double LargeShare = 0.01;

    /// <summary>Share of the step that a split must save.</summary>
    private const double Saves = 0.01;

    /// <summary>Whether a model has such parameters on an axis that splits no batch.</summary>
    public static bool Exist(ModelGraph graph, MeshDefinition mesh, Func<string, bool> splitsBatch)
    {
        long all = graph.Parameters.Sum(p => Bytes(graph, p));
        return mesh.Axes.Any(a => a.Size > 1 && a.Role is "Tensor" or "Auto" && !splitsBatch(a.Name) && graph.Parameters.Any(p =>
            p.Parameter?.Annotation is not null && p.Requests.All(r => r.Axis != a.Name) && Bytes(graph, p) is var bytes && bytes >= Large && bytes >= LargeShare * all));
    }

    /// <summary>Finds them.</summary>
    public static IEnumerable<Finding> Find(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, RankProgram program, ModelGraph graph, CancellationToken cancellation)
    {
        long all = graph.Parameters.Sum(p => Bytes(graph, p));
        var large = new HashSet<string>(graph.Parameters.Where(p => p.Parameter?.Annotation is not null && Bytes(graph, p) is var bytes && bytes >= Large && bytes >= LargeShare * all).Select(p => p.Parameter!.Annotation!.Place));
        foreach (IGrouping<string, Annotation> owner in PlacementSearch.Proposal(model, layers, on, large.Contains, cancellation).GroupBy(a => a.Place.Substring(0, a.Place.LastIndexOf('#')) + "#" + a.Axis))
        {
            List<Annotation> found = owner.ToList();
            if (PlacementSearch.Try(model, layers, on, found, cancellation) is not { } other || other.Forecast.StepSeconds > program.Forecast.StepSeconds * (1 - Saves))
            {
                continue;
            }

            List<string> names = found.Select(a => graph.Parameters.First(p => p.Parameter?.Annotation?.Place == a.Place).Parameter!.Shown).Distinct().ToList();
            string splits = string.Join(" and ", found.Select(a => $"[{a.Edit.Value}]").Distinct());
            yield return Finding.At("SW1007", found[0].Place, $"{string.Join(", ", names.Select(n => $"'{n}'"))} {(names.Count == 1 ? "is" : "are")} whole on every rank of axis '{found[0].Axis}': with {splits} a rank keeps {Quantity.Bytes(other.ArenaBytes)} instead of {Quantity.Bytes(program.ArenaBytes)}, and a step takes {Quantity.Time(other.Forecast.StepSeconds)} instead of {Quantity.Time(program.Forecast.StepSeconds)}") with
            {
                Fixes = EquatableArray.Of(new Fix("Write " + splits, "SW1007/split", found.Select(a => a.Edit).ToEquatable())),
            };
        }
    }

    private static long Bytes(ModelGraph graph, Value parameter) => checked(parameter.Type.Bytes * (parameter.Stack < 0 ? 1 : graph.Stacks[parameter.Stack].Layers));
}
