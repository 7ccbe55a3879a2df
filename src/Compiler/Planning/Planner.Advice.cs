using System.Globalization;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Planning;

/// <summary>What would be better: findings beside a plan that is valid. Each measures; from where on it is said is for the editor's thresholds.</summary>
public sealed partial class Planner
{
    /// <summary>Shorter steps are not judged: they are the fixed costs of a toy.</summary>
    private const double LeastSeconds = 1e-2;

    /// <summary>Bubbles below this share are not worth looking for fewer.</summary>
    private const double LeastBubble = 0.05;

    /// <summary>Ops of a training graph beyond which no further plan is made only to have something better to offer: a plan then takes seconds, and there would be several.</summary>
    private const int MostOpsForOffers = 1000;

    /// <summary>Share of the step that other links must save.</summary>
    private const double LinkSaves = 0.1;

    private void Advise(RankProgram program)
    {
        if (_train is not { } train)
        {
            return;
        }

        _findings.AddRange(HiddenReshards.Find(train, program.MicroBatches, Site));
        Tied(program, train.Graph);
        if (WholeParameters.Exist(train.Graph, _on.Mesh, axis => train.Axes.Any(a => a.Name == axis && a.IsData)))
        {
            _findings.AddRange(WholeParameters.Find(_model, _layers, _on, program, train.Graph, _cancellation));
        }

        if (program.Forecast.StepSeconds >= LeastSeconds)
        {
            Bubble(program, train.Graph.Batch);
            Balance(program, train.Graph);
            Links(program);
            Exposed(program);
        }
    }

    private bool MayOffer => _train is { } train && train.Graph.Nodes.Count() <= MostOpsForOffers;

    private static bool Fits(RankProgram program) => program.ArenaBytes <= program.Forecast.UsableBytes;

    /// <summary>SW2005.</summary>
    private void Tied(RankProgram program, ModelGraph graph)
    {
        foreach (TiedPlan tied in (program.Pipeline?.Tied ?? default).Where(t => t.Ranks.Count > 1))
        {
            string place = graph.Parameters.FirstOrDefault(p => p.Parameter!.Path == tied.Path)?.Parameter!.Annotation?.Place ?? Site;
            _findings.Add(Finding.At("SW2005", place, $"'{tied.Path.Replace("{0}", "*")}' lies on the stages {string.Join(", ", tied.Stages)} of '{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}': each keeps a copy of {Quantity.Bytes(tied.Bytes)}, and their gradients are summed over '{program.Pipeline!.Axis}' once per step"));
        }
    }

    /// <summary>SW2002: a cut that was written by hand, against the one that is searched.</summary>
    private void Balance(RankProgram program, ModelGraph graph)
    {
        if (program.Pipeline is not { Layers.Count: 1 } pipeline
            || graph.StageRequests.Where(r => !r.IsSingle && r.Counts.Count == pipeline.Stages && (r.Mesh.Length == 0 || r.Mesh == _on.Mesh.Type)).OrderByDescending(r => r.Mesh.Length > 0).FirstOrDefault() is not { } request)
        {
            return;
        }

        ShardedOnDefinition on = Schedules.Find(_on.Schedule) is { RequiredChunks: null } ? _on with { Chunks = pipeline.Stages / pipeline.Ranks } : _on;
        ModelDefinition free = _model with { Layer = WithoutStages(_model.Layer) };
        if (Try(free, type => _layers(type) is { } layer ? WithoutStages(layer) : null, on, _cancellation) is not { Pipeline: { } better } other
            || other.Forecast.StepSeconds >= program.Forecast.StepSeconds || better.Layers[0].Layers.Count != pipeline.Stages || (Fits(program) && !Fits(other)))
        {
            return;
        }

        string cut = string.Join(", ", better.Layers[0].Layers);
        _findings.Add(Finding.At("SW2002", request.Site, $"stages of '{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}' are out of balance: with [Stages({cut})] on '{request.Path}' a step takes {Quantity.Time(other.Forecast.StepSeconds)} instead of {Quantity.Time(program.Forecast.StepSeconds)} with [Stages({string.Join(", ", request.Counts)})]") with
        {
            Measure = 100 * (program.Forecast.StepSeconds / other.Forecast.StepSeconds - 1),
            Fixes = EquatableArray.Of(Fix.Of($"Rebalance stages: [Stages({cut})]", "SW2002/rebalance", EditKind.SetArgument, request.Site, "", cut)),
        });

        LayerDefinition WithoutStages(LayerDefinition layer) => request.Site.StartsWith(layer.Type + "#", StringComparison.Ordinal)
            ? layer with { Fields = layer.Fields.Select(f => f is FieldDefinition.LayerStack stack ? stack with { Stages = stack.Stages.Where(s => s.IsSingle).ToEquatable() } : f).ToEquatable() }
            : layer;
    }

    /// <summary>SW1008: an axis that moves much over a slow link, beside one that moves little over a fast one.</summary>
    private void Links(RankProgram program)
    {
        List<MeshAxisDefinition> axes = _on.Mesh.Axes.Where(a => a.Size > 1 && a.Role != "Pipeline").ToList();
        foreach (MeshAxisDefinition slow in axes)
        {
            long moved = Moved(program, slow.Name);
            foreach (MeshAxisDefinition fast in axes.Where(a => a.Link.BytesPerSecond > slow.Link.BytesPerSecond && slow.Size <= a.Size && Moved(program, a.Name) < moved))
            {
                var mesh = _on.Mesh with { Axes = _on.Mesh.Axes.Select(a => a == slow ? a with { Link = fast.Link } : a == fast ? a with { Link = slow.Link } : a).ToEquatable() };
                if (Try(_model, _layers, _on with { Mesh = mesh }, _cancellation) is { } other && other.Forecast.StepSeconds < program.Forecast.StepSeconds * (1 - LinkSaves))
                {
                    _findings.Add(Finding.At("SW1008", Site, $"axis '{slow.Name}' of '{_on.Mesh.ShortName}' moves {Quantity.Bytes(moved)} for each rank and step over {slow.Link.Name}, and '{fast.Name}' {Quantity.Bytes(Moved(program, fast.Name))} over {fast.Link.Name}, which is faster: with their links swapped a step of '{_model.Layer.ShortName}' takes {Quantity.Time(other.Forecast.StepSeconds)} instead of {Quantity.Time(program.Forecast.StepSeconds)}; let the neighbours along '{slow.Name}' be those that {fast.Link.Name} joins") with { Fixes = Swap(slow, fast) });
                    return;
                }
            }
        }
    }

    /// <summary>The links of two axes, each written at the other; that says how ranks lie on the machine, and whoever starts them has to place them so.</summary>
    private EquatableArray<Fix> Swap(MeshAxisDefinition slow, MeshAxisDefinition fast) => slow.Site < 0 || fast.Site < 0 ? default : EquatableArray.Of(new Fix(
        $"Let {fast.Link.Name} join the neighbours along '{slow.Name}', and {slow.Link.Name} those along '{fast.Name}' (place the ranks so)", "SW1008/swap",
        EquatableArray.Of(
            new FixEdit(EditKind.SetArgument, _model.Layer.Type + "#" + slow.Site.ToString(CultureInfo.InvariantCulture), "Link", fast.LinkText),
            new FixEdit(EditKind.SetArgument, _model.Layer.Type + "#" + fast.Site.ToString(CultureInfo.InvariantCulture), "Link", slow.LinkText))));

    /// <summary>Bytes that a rank sends along an axis in a step.</summary>
    private static long Moved(RankProgram program, string axis) => program.Ranks.Max(r => r.Chunks.Sum(chunk =>
    {
        StageProgram stage = program.Stages[chunk.Program];
        return chunk.Collectives(stage).Where(c => c.Start.Axes.Contains(axis)).Sum(c => (double)c.Times * c.Start.Bytes)
            + stage.Groups.Sum(g => g.Reductions.Where(r => r.Axis == axis).Sum(r => (double)r.Bytes * g.Buckets) + (g.Shards is { } shards && shards.Axis == axis ? (double)shards.Buckets * shards.GatherBytes : 0));
    })) is var bytes && bytes < long.MaxValue ? (long)bytes : long.MaxValue;

    /// <summary>Messages that a rank sends along an axis in the micro-batches of a step.</summary>
    private static double Messages(RankProgram program, string axis) =>
        program.Ranks.Max(r => r.Chunks.Sum(chunk => chunk.Collectives(program.Stages[chunk.Program]).Where(c => c.Start.Axes.Contains(axis)).Sum(c => (double)c.Times)));

    /// <summary>SW4001.</summary>
    private void Exposed(RankProgram program)
    {
        PlanForecast forecast = program.Forecast;
        double share = forecast.ExposedSeconds / forecast.StepSeconds;
        if (share < LeastBubble)
        {
            return;
        }

        string axes = string.Join(", ", _on.Mesh.Axes.Where(a => a.Size > 1).Select(a => (a, Bytes: Moved(program, a.Name))).Where(a => a.Bytes > 0).OrderByDescending(a => a.Bytes / a.a.Link.BytesPerSecond)
            .Select(a => $"{Quantity.Bytes(a.Bytes)} over '{a.a.Name}' ({a.a.Link.Name})"));
        string longest = string.Join(", ", forecast.Exposed.Take(2).Select(e => $"{e.Operation} over '{e.Axis}' ({e.For}) {Quantity.Time(e.Seconds)}, {e.Why}"));
        List<Quieter> ways = share > _limits.Exposed && MayOffer && Fits(program) ? Quieters(program) : new List<Quieter>();
        string offered = !Fits(program) ? "what makes it fit comes first (SW3001)" : ways.Count == 0 ? "a larger batch has less to move for its work, and so have fewer ranks along the first of these axes"
            : string.Join("; or ", ways.Take(2).Select(w => $"{w.Change}: {Quantity.Share(w.Share)}, step {Quantity.Time(w.Seconds)}"));
        _findings.Add(Finding.At("SW4001", Site, $"ranks of '{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}' wait for the network for {Quantity.Share(share)} of a step, {Quantity.Time(forecast.ExposedSeconds)} of {Quantity.Time(forecast.StepSeconds)} (at least {Quantity.Time(forecast.LeastExposedSeconds)} by what depends on what): {longest}; a rank moves {axes}; {offered}") with
        {
            Measure = 100 * share,
            Fixes = ways.Take(2).Select(w => w.Fix).ToEquatable(),
        });
    }
}
