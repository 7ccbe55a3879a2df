using System.Globalization;
using Shardwright.Compiler.Differentiation;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Graph.Tracing;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>What a search has found.</summary>
/// <param name="Annotations">What to write; none where nothing is better than what is there.</param>
/// <param name="Before">Predicted step of the model as it is; null where it has no plan.</param>
/// <param name="After">Predicted step with the annotations.</param>
/// <param name="ArenaBytes">Bytes of the largest rank with them.</param>
/// <param name="Plans">Plans that were made to find it.</param>
public sealed record PlacementChoice(EquatableArray<Annotation> Annotations, double? Before, double After, long ArenaBytes, int Plans)
{
    /// <summary>The edits that write it.</summary>
    public EquatableArray<FixEdit> Edits => Annotations.Select(a => a.Edit).ToEquatable();
}

/// <summary>Looks for placements of parameters and inputs that nobody has placed, by the predicted step of the whole plan under the memory of the device. The signature search
/// proposes: it is exact for communication and matrix work on an axis, parameters of one field alike. Its proposals, and what is near them, are planned and priced as a build would.
/// What is written stays as it is.</summary>
public sealed class PlacementSearch
{
    /// <summary>Most plans of a search.</summary>
    private const int MostPlans = 64;

    /// <summary>Parameters that are tried to be split beyond what was proposed.</summary>
    private const int MostAdded = 6;

    /// <summary>Axes without a role that may split the batch or the layers; of more, the outer ones split the batch.</summary>
    private const int MostOpenAxes = 3;

    private readonly ModelDefinition _model;
    private readonly Func<string, LayerDefinition?> _layers;
    private readonly ShardedOnDefinition _on;
    private readonly Func<string, bool> _isFree;
    private readonly CancellationToken _cancellation;
    private readonly Dictionary<string, Priced?> _known = new();
    private int _plans;

    private PlacementSearch(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, Func<string, bool> isFree, CancellationToken cancellation)
    {
        _model = model;
        _layers = layers;
        _on = on;
        _isFree = isFree;
        _cancellation = cancellation;
    }

    private sealed record Priced(ImmutableArray<Annotation> Annotations, double Seconds, long Bytes, bool Fits)
    {
        public bool IsBetterThan(Priced? other) => other is null || (Fits != other.Fits ? Fits : !Fits && Bytes != other.Bytes ? Bytes < other.Bytes : Seconds < other.Seconds * (1 - 1e-9));
    }

    /// <summary>Searches for one mesh of a model; null where the model cannot be planned on it, whatever the placements.</summary>
    /// <param name="model">The model.</param>
    /// <param name="layers">Layers that it reaches.</param>
    /// <param name="on">The mesh.</param>
    /// <param name="mayEdit">Whether attributes may be written into a type, by full name with assembly.</param>
    /// <param name="cancellation">Ends it.</param>
    public static PlacementChoice? Find(ModelDefinition model, EquatableArray<LayerDefinition> layers, ShardedOnDefinition on, Func<string, bool> mayEdit, CancellationToken cancellation) =>
        new PlacementSearch(model, type => layers.FirstOrDefault(l => l.Type == type), on, place => mayEdit(place.Substring(0, place.LastIndexOf('#'))), cancellation).Run();

    /// <summary>What the signature search alone would split of parameters at some places; nothing is planned.</summary>
    internal static ImmutableArray<Annotation> Proposal(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, Func<string, bool> isFree, CancellationToken cancellation) =>
        new PlacementSearch(model, layers, on, isFree, cancellation).Propose(ImmutableArray<Annotation>.Empty, 1) ?? ImmutableArray<Annotation>.Empty;

    /// <summary>The plan with annotations; null where there is none.</summary>
    internal static RankProgram? Try(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, IReadOnlyList<Annotation> annotations, CancellationToken cancellation)
    {
        (ModelDefinition written, Func<string, LayerDefinition?> found) = new PlacementSearch(model, layers, on, _ => false, cancellation).Written(annotations.ToImmutableArray());
        return Planner.Try(written, found, on, cancellation);
    }

    private PlacementChoice? Run()
    {
        Priced? before = Price(ImmutableArray<Annotation>.Empty), best = before;
        foreach (ImmutableArray<Annotation> inputs in InputChoices())
        {
            foreach (double weight in new[] { 1.0, 0, 8, 64 })
            {
                if (Propose(inputs, weight) is { } proposed && Price(proposed) is { } priced && priced.IsBetterThan(best))
                {
                    best = priced;
                }
            }
        }

        if (best is null)
        {
            return null;
        }

        best = Improve(best);
        return new PlacementChoice(best.Annotations.ToEquatable(), before?.Seconds, best.Seconds, best.Bytes, _plans);
    }

    /// <summary>Which axes split the batch: those that say so, and each choice for those that say nothing.</summary>
    private IEnumerable<ImmutableArray<Annotation>> InputChoices()
    {
        List<MeshAxisDefinition> axes = _on.Mesh.Axes.Where(a => a.Size > 1 && a.Role is "Data" or "Auto").ToList();
        List<MeshAxisDefinition> open = axes.Where(a => a.Role == "Auto" && Inputs().All(i => i.Parameter.Placements.All(p => p.Axis != a.Name))).ToList();
        List<MeshAxisDefinition> chosen = open.Skip(Math.Max(0, open.Count - MostOpenAxes)).ToList();
        for (int choice = (1 << chosen.Count) - 1; choice >= 0; choice--)
        {
            var batch = new HashSet<string>(axes.Where(a => a.Role == "Data").Concat(open.Except(chosen)).Concat(chosen.Where((_, i) => (choice >> i & 1) == 1)).Select(a => a.Name));
            yield return Inputs().Where(i => _isFree(i.Place))
                .SelectMany(i => axes.Where(a => batch.Contains(a.Name) && i.Parameter.Placements.All(p => p.Axis != a.Name)).Select(a => new Annotation(i.Place, a.Name, 0))).ToImmutableArray();
        }
    }

    private IEnumerable<(ParameterDefinition Parameter, string Place)> Inputs() => _model.Layer.Methods.Where(m => m.Name is "Loss" or "Forward").SelectMany(m => m.Parameters)
        .Where(p => p.Shape.Count > 0 && p.Site >= 0).Select(p => (p, _model.Layer.Type + "#" + p.Site.ToString(CultureInfo.InvariantCulture)));

    /// <summary>What the signature search makes of the parameters that nobody has placed.</summary>
    /// <param name="inputs">Placements of the inputs.</param>
    /// <param name="weight">How much a byte on a rank counts: 1 for the time that the optimizer takes for it, more where memory is short.</param>
    private ImmutableArray<Annotation>? Propose(ImmutableArray<Annotation> inputs, double weight)
    {
        _cancellation.ThrowIfCancellationRequested();
        (ModelDefinition model, Func<string, LayerDefinition?> layers) = Written(inputs);
        TraceResult trace = Tracer.Trace(model, layers, "Loss", training: true, _cancellation);
        if (trace.Graph is not { } graph || Tracer.Number(model, _on.MicroBatches) is not (>= 1 and <= int.MaxValue and long microBatches) || graph.Batch % microBatches != 0)
        {
            return null;
        }

        Differentiator.Differentiate(graph);
        DeadCode.Remove(graph);
        ImmutableArray<ShardAxis> axes = MachineModel.Axes(_on.Mesh, graph, (int)microBatches);

        // Parameter, gradient and states are read, and all but the gradient written.
        int states = _on.Optimizer switch { "AdamW" => 2, "Momentum" => 1, _ => 0 };
        double perByte = weight * (3 + 2 * states) / Math.Max(1, _on.Mesh.Device.BandwidthGBs * 1e9) / microBatches;
        var freedom = new PlacementFreedom(Group, perByte);
        ShardedGraph placed = SignatureSearch.Place(graph, axes, OpTime.PlannedRate(_on.Mesh.Device), OpTime.PlannedBandwidth(_on.Mesh.Device), _cancellation, out ImmutableArray<(Node Node, ShardAxis Axis)> blocked, freedom);
        if (blocked.Length > 0)
        {
            return null;
        }

        var found = new List<Annotation>(inputs);
        foreach (Value parameter in graph.Parameters.Where(p => Group(p) is not null))
        {
            ImmutableArray<Placement> layout = placed.Layout(parameter);
            for (int axis = 0; axis < axes.Length; axis++)
            {
                if (layout[axis].IsSplit && parameter.Requests.All(r => r.Axis != axes[axis].Name))
                {
                    AnnotationPlace place = parameter.Parameter!.Annotation!;
                    var annotation = new Annotation(place.Place, axes[axis].Name, layout[axis].Dim, place.Parameter, place.Written);
                    if (!found.Contains(annotation))
                    {
                        found.Add(annotation);
                    }
                }
            }
        }

        return found.ToImmutableArray();
    }

    private string? Group(Value parameter) =>
        parameter.Parameter?.Annotation is { } place && _isFree(place.Place) ? place.Place + "/" + place.Parameter : null;

    /// <summary>Takes away what the whole plan would rather be without, one by one and all of a class together, adds large parameters, and splits large ones along another dim, as long as that helps.</summary>
    private Priced Improve(Priced best)
    {
        bool changed = true;
        while (changed && _plans < MostPlans)
        {
            changed = false;
            foreach (ImmutableArray<Annotation> next in Without(best.Annotations).Concat(With(best.Annotations)).Concat(Turned(best.Annotations)).TakeWhile(_ => _plans < MostPlans))
            {
                if (Price(next) is { } other && other.IsBetterThan(best))
                {
                    best = other;
                    changed = true;
                    break;
                }
            }
        }

        return best;
    }

    private IEnumerable<ImmutableArray<Annotation>> Without(ImmutableArray<Annotation> annotations)
    {
        // How the batch is split is one decision for all inputs, and was looked at as one.
        var inputs = new HashSet<string>(Inputs().Select(i => i.Place));
        List<Annotation> own = annotations.Where(a => !inputs.Contains(a.Place)).ToList();
        return own.Select(a => new[] { a }).Concat(own.GroupBy(a => (a.Place.Substring(0, a.Place.LastIndexOf('#')), a.Axis)).Where(g => g.Count() > 1).Select(g => g.ToArray())).Select(p => annotations.RemoveRange(p));
    }

    /// <summary>One more parameter that is split, the largest first.</summary>
    private IEnumerable<ImmutableArray<Annotation>> With(ImmutableArray<Annotation> annotations)
    {
        if (Tracer.Trace(_model, _layers, "Loss", training: true, _cancellation).Graph is not { } graph)
        {
            return Array.Empty<ImmutableArray<Annotation>>();
        }

        var inputs = new HashSet<string>(Inputs().Select(i => i.Place));
        return from parameter in Largest(graph)
               from axis in _on.Mesh.Axes.Where(a => a.Size > 1 && a.Role is not ("Pipeline" or "Data") && annotations.All(x => x.Axis != a.Name || !inputs.Contains(x.Place)))
               let place = parameter.Parameter!.Annotation!
               where parameter.Requests.All(r => r.Axis != axis.Name) && annotations.All(a => a.Axis != axis.Name || a.Place != place.Place || a.Parameter != place.Parameter)
               from dim in Enumerable.Range(0, parameter.Type.Rank).Where(d => parameter.Type.Dims[d] % axis.Size == 0)
               select annotations.Add(new Annotation(place.Place, axis.Name, dim, place.Parameter, place.Written));
    }

    /// <summary>One large parameter that is split along another dim of it: the rows of a table in place of its columns.</summary>
    private IEnumerable<ImmutableArray<Annotation>> Turned(ImmutableArray<Annotation> annotations)
    {
        if (Tracer.Trace(_model, _layers, "Loss", training: true, _cancellation).Graph is not { } graph)
        {
            return Array.Empty<ImmutableArray<Annotation>>();
        }

        return from parameter in Largest(graph)
               let place = parameter.Parameter!.Annotation!
               from own in annotations.Where(a => a.Place == place.Place && a.Parameter == place.Parameter)
               from dim in Enumerable.Range(0, parameter.Type.Rank).Where(d => d != own.Dim && parameter.Type.Dims[d] % _on.Mesh.Axes.First(x => x.Name == own.Axis).Size == 0)
               select annotations.Replace(own, own with { Dim = dim });
    }

    /// <summary>One parameter of each field that nobody has placed, those that take most bytes first.</summary>
    private IEnumerable<Value> Largest(ModelGraph graph)
    {
        long Bytes(Value p) => checked(p.Type.Bytes * (p.Stack < 0 ? 1 : graph.Stacks[p.Stack].Layers));
        return graph.Parameters.Where(p => Group(p) is not null).GroupBy(p => Group(p)!).OrderByDescending(g => g.Sum(Bytes)).ThenBy(g => g.Key, StringComparer.Ordinal).Take(MostAdded).Select(g => g.First());
    }

    /// <summary>Plans with annotations; null where that cannot be planned, or another mesh of the model could no longer be.</summary>
    private Priced? Price(ImmutableArray<Annotation> annotations)
    {
        string key = string.Join(";", annotations.Select(a => a.ToString()).OrderBy(a => a, StringComparer.Ordinal));
        if (_known.TryGetValue(key, out Priced? known))
        {
            return known;
        }

        _plans++;
        (ModelDefinition model, Func<string, LayerDefinition?> layers) = Written(annotations);
        Priced? priced = null;
        if (Planner.Try(model, layers, _on, _cancellation) is { } program && _model.Meshes.Where(m => m != _on && annotations.Any(a => m.Mesh.Axes.Any(x => x.Name == a.Axis)))
            .All(m => Planner.Try(_model, _layers, m, _cancellation) is null || Planner.Try(model, layers, m, _cancellation) is not null))
        {
            priced = new Priced(annotations, program.Forecast.StepSeconds, program.ArenaBytes, program.ArenaBytes <= program.Forecast.UsableBytes);
        }

        return _known[key] = priced;
    }

    private (ModelDefinition, Func<string, LayerDefinition?>) Written(ImmutableArray<Annotation> annotations)
    {
        return annotations.Length == 0
            ? (_model, _layers)
            : (_model with { Layer = Annotation.Write(_model.Layer, annotations) }, type => _layers(type) is { } layer ? Annotation.Write(layer, annotations) : null);
    }
}
