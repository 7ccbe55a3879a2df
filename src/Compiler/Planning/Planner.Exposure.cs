using System.Globalization;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Planning;

/// <summary>SW4001: what an edit can do about ranks that wait for the network. Each way was planned: it waits less than the threshold, the step is shorter, and it fits, as the plan does.</summary>
public sealed partial class Planner
{
    /// <summary>Share of the waiting that must be the start of messages before fewer of them are looked for.</summary>
    private const double LatencyCounts = 0.25;

    /// <summary>A plan that waits less.</summary>
    private sealed record Quieter(string Change, Fix Fix, double Share, double Seconds);

    private List<Quieter> Quieters(RankProgram program)
    {
        var found = new List<Quieter>();
        bool Look(string change, string key, EquatableArray<FixEdit> edits, Func<RankProgram?> plan)
        {
            if (plan() is not { } other || other.Forecast.StepSeconds >= program.Forecast.StepSeconds || !Fits(other)
                || other.Forecast.ExposedSeconds / other.Forecast.StepSeconds is var share && share > _limits.Exposed)
            {
                return false;
            }

            found.Add(new Quieter(change, new Fix($"Write {change} (waits {Quantity.Share(share)} of a step of {Quantity.Time(other.Forecast.StepSeconds)})", key, edits), share, other.Forecast.StepSeconds));
            return true;
        }

        bool Asked(ShardedOnDefinition on, string change, string key) => Look(change, key, Edits(on), () => Try(_model, _layers, on, _cancellation));

        // Fewer micro-batches gather parameters less often, and send fewer messages: where neither is what is waited for, no plan is spent on it.
        PlanForecast forecast = program.Forecast;
        bool gathers = _on.Zero == "Parameters";
        if (program.MicroBatches > 1 && (gathers || _on.Mesh.Axes.Sum(a => Messages(program, a.Name) * 2 * (a.Size - 1) * a.Link.LatencySeconds) > LatencyCounts * forecast.ExposedSeconds))
        {
            _ = (program.MicroBatches % 2 == 0 && Asked(With(_on, program.MicroBatches / 2), $"MicroBatches = {program.MicroBatches / 2}", "SW4001/micro-batches")) || Asked(With(_on, 1), "MicroBatches = 1", "SW4001/micro-batches");
        }

        _ = _on.Zero != "None" && ((gathers && Asked(_on with { Zero = "Gradients" }, "Zero = ZeroStage.Gradients", "SW4001/zero")) || Asked(_on with { Zero = "None" }, "Zero = ZeroStage.None", "SW4001/zero"));
        double Seconds(MeshAxisDefinition axis) => Moved(program, axis.Name) / axis.Link.BytesPerSecond;
        MeshAxisDefinition? costly = _on.Mesh.Axes.Where(a => a.Size > 1 && a.Role is "Tensor" or "Auto").OrderByDescending(Seconds).FirstOrDefault();
        if (costly is not null && _model.Meshes.All(m => m == _on || m.Mesh.Axes.All(x => x.Name != costly.Name))
            && _on.Mesh.Axes.Where(a => a != costly).Sum(Seconds) is var rest && rest <= _limits.Exposed * (forecast.ComputeSeconds + rest))
        {
            BatchAlong(costly, Look);
        }

        return found.OrderBy(w => w.Seconds).ToList();
    }

    /// <summary>An axis that splits layers, made one that splits the batch: its written placements are taken away, and the inputs split along it.</summary>
    private void BatchAlong(MeshAxisDefinition axis, Func<string, string, EquatableArray<FixEdit>, Func<RankProgram?>, bool> look)
    {
        // Where a body or a result says a placement on that axis, somebody has thought about it.
        var edits = new List<FixEdit>();
        foreach (LayerDefinition layer in Reached())
        {
            if (layer.Methods.Any(m => m.ReturnPlacements.Any(p => p.Axis == axis.Name)))
            {
                return;
            }

            edits.AddRange(layer.Fields.SelectMany(f => f.Placements).Where(p => p.Axis == axis.Name).Select(p => new FixEdit(EditKind.RemoveAttribute, At(layer, p.Site), "", "")));
        }

        List<ParameterDefinition> inputs = _model.Layer.Methods.Where(m => m.Name is "Loss" or "Forward").SelectMany(m => m.Parameters).Where(p => p.Shape.Count > 0 && p.Site >= 0).ToList();
        if (edits.Count == 0 || inputs.Any(i => i.Placements.Any(p => p.Axis == axis.Name)))
        {
            return;
        }

        List<Annotation> batch = inputs.Select(i => new Annotation(At(_model.Layer, i.Site), axis.Name, 0)).ToList();
        edits.AddRange(batch.Select(a => a.Edit));
        LayerDefinition Changed(LayerDefinition layer) => Annotation.Write(Without(layer, axis.Name), batch);
        look($"[Split(\"{axis.Name}\", dim: 0)] on the inputs, and no placement of parameters along '{axis.Name}'", "SW4001/batch", edits.ToEquatable(),
            () => Try(_model with { Layer = Changed(_model.Layer) }, type => _layers(type) is { } layer ? Changed(layer) : null, _on, _cancellation));
    }

    private static string At(LayerDefinition layer, int site) => layer.Type + "#" + site.ToString(CultureInfo.InvariantCulture);

    /// <summary>The model and the layers that it holds, each once.</summary>
    private IEnumerable<LayerDefinition> Reached()
    {
        var known = new HashSet<string> { _model.Layer.Type };
        var queue = new Queue<LayerDefinition>();
        queue.Enqueue(_model.Layer);
        while (queue.Count > 0)
        {
            LayerDefinition layer = queue.Dequeue();
            yield return layer;
            foreach (string type in layer.Fields.Select(f => f switch { FieldDefinition.Layer inner => inner.Type, FieldDefinition.LayerStack stack => stack.Type, _ => "" }).Where(t => t.Length > 0 && known.Add(t)))
            {
                if (_layers(type) is { } inner)
                {
                    queue.Enqueue(inner);
                }
            }
        }
    }

    private static LayerDefinition Without(LayerDefinition layer, string axis)
    {
        EquatableArray<PlacementAttribute> Left(EquatableArray<PlacementAttribute> placements) => placements.Where(p => p.Axis != axis).ToEquatable();
        return layer with
        {
            Fields = layer.Fields.Select(f => f switch
            {
                FieldDefinition.Parameter parameter => parameter with { Placements = Left(f.Placements) },
                FieldDefinition.Layer inner => inner with { Placements = Left(f.Placements) },
                FieldDefinition.LayerStack stack => stack with { Placements = Left(f.Placements) },
                _ => f,
            }).ToEquatable(),
        };
    }
}
