using Shardwright.Compiler.Differentiation;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Graph.Tracing;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>From definitions to a model that is placed on its mesh, and what there can be wrong with it.</summary>
public sealed partial class Planner
{
    /// <summary>Every entry traced, cut into stages, placed on the axes.</summary>
    private PlacedModel? Place()
    {
        if (MicroBatches() is not { } microBatches || Trace("Loss", training: true) is not { } train || !CheckBatch(train, microBatches) || !CheckRequests(train, microBatches) || !CheckDataAxes(train, microBatches))
        {
            return null;
        }

        foreach (Value lost in Differentiator.Differentiate(train, scaled: _on.Precision == Scaled).Where(p => p.IsRead))
        {
            _findings.Add(new Finding("SW0008", _model.Layer.Type, -1, $"parameter '{lost.Parameter!.Shown}' has no differentiable path to the loss of '{_model.Layer.ShortName}': it would never learn; use its values in Loss, or remove it"));
        }

        foreach (GradientObstacle obstacle in train.Obstacles)
        {
            _findings.Add(Finding.At("SW0008", obstacle.Node.Site.Length > 0 ? obstacle.Node.Site : Site, $"'{obstacle.Input.Name}' depends on a parameter, but gets no gradient here: {obstacle.Reason}"));
        }

        DeadCode.Remove(train);
        if (_findings.Any(f => f.IsError) || new PipelineRequest(_model, _on, _findings, (table, segments) => Search(train, table, segments, microBatches)).Read(train, microBatches) is not { } request)
        {
            return null;
        }

        var entries = new List<TracedEntry>();
        if (!Add(entries, "Train", train, request, microBatches)
            || Trace("Loss", training: false) is not { } evaluate || !Add(entries, "Evaluate", evaluate, request, microBatches))
        {
            return null;
        }

        if (_model.Layer.Methods.Any(m => m.Name == "Forward")
            && (Trace("Forward", training: false) is not { } infer || !CheckRequests(infer, 1) || !AddInference(entries, infer, request, microBatches)))
        {
            return null;
        }

        return new PlacedModel(entries, request, _cut);
    }

    private bool Add(List<TracedEntry> entries, string name, ModelGraph graph, PipelineRequest.Answer request, int microBatches)
    {
        Narrow(graph);
        StageMap map = StageMap.Make(graph, request.Cut);
        TiedGradients.Split(graph, map);
        if (Place(graph, microBatches) is not { } sharded)
        {
            return false;
        }

        entries.Add(new TracedEntry(name, graph, sharded, map, microBatches));
        return true;
    }

    /// <summary>Inference, in as many micro-batches as training, so that it takes no more memory for a large batch; in one where its result is not made row by row.</summary>
    private bool AddInference(List<TracedEntry> entries, ModelGraph graph, PipelineRequest.Answer request, int microBatches)
    {
        Narrow(graph);
        bool cuts = microBatches > 1 && graph.Result is { Type.Rank: > 0 } result && result.Type.Dims[0] == graph.Batch && BatchFault(graph, microBatches) is null && !Indivisible(graph, microBatches).Any();
        if (cuts && TryPlace(graph, microBatches, out _) is { } sharded && sharded.Layout(graph.Result!)[0] == Placement.Split(0))
        {
            entries.Add(new TracedEntry("Infer", graph, sharded, StageMap.Make(graph, request.Cut), microBatches));
            return true;
        }

        return Add(entries, "Infer", graph, request, 1);
    }

    private int? MicroBatches()
    {
        long? count = Tracer.Number(_model, _on.MicroBatches);
        if (count is >= 1 and <= int.MaxValue)
        {
            return (int)count;
        }

        _findings.Add(Finding.At("SW2003", Site, $"MicroBatches of '{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}' is {count?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "not a constant"}: it must be a constant of 1 or more"));
        return null;
    }

    private ModelGraph? Trace(string entry, bool training)
    {
        TraceResult result = Tracer.Trace(_model, _layers, entry, training, _cancellation);
        _findings.AddRange(result.Findings);
        return result.Graph;
    }

    /// <summary>Whether the model has no fault of sizes with another value of a constant; null where the constant is no constant of the model that can be set.</summary>
    private bool? TracesWith(string constant, long value, int microBatches, string site)
    {
        string own = _model.Layer.Type.Split(',')[0] + ".";
        string name = constant.StartsWith(own, StringComparison.Ordinal) ? constant.Substring(own.Length) : constant;
        if (_model.Layer.Constants.All(c => c.Name != name || c.Value is null))
        {
            return null;
        }

        var values = new Dictionary<string, Expression> { [name.Contains(".") ? name : own + name] = new Expression.Integer(value, -1) };
        ModelDefinition model = _model with { Layer = ConstantTable.With(_model.Layer, values) };
        TraceResult result = Tracer.Trace(model, type => _layers(type) is { } layer ? ConstantTable.With(layer, values) : null, "Loss", training: true, _cancellation);
        return result.Graph is { } graph && BatchFault(graph, microBatches) is null && Indivisible(graph, microBatches).All(f => f.Request.Site != site);
    }

    private bool CheckBatch(ModelGraph graph, int microBatches)
    {
        if (BatchFault(graph, microBatches) is not { } input)
        {
            return true;
        }

        long batch = input.Type.Rank == 0 ? 1 : input.Type.Dims[0], nearest = Nearest(batch, microBatches);
        _findings.Add(Finding.At("SW2003", Site, batch != graph.Batch
            ? $"dim 0 of input '{input.Name}' is {batch} and that of '{graph.Inputs[0].Name}' is {graph.Batch}: dim 0 of every input is the batch of one step"
            : $"the batch of '{_model.Layer.ShortName}' is {batch}, which MicroBatches = {microBatches} does not divide: use {nearest}") with
        {
            Fixes = batch != graph.Batch ? default : EquatableArray.Of(SetMicroBatches(nearest)),
        });
        return false;
    }

    private Fix SetMicroBatches(long count) =>
        Fix.Of($"Set MicroBatches to {count}", "SW2003/micro-batches", EditKind.SetArgument, Site, "MicroBatches", count.ToString(System.Globalization.CultureInfo.InvariantCulture));

    private static Value? BatchFault(ModelGraph graph, int microBatches) =>
        graph.Inputs.FirstOrDefault(i => i.Type.Rank == 0 || i.Type.Dims[0] != graph.Batch || i.Type.Dims[0] % microBatches != 0);

    private static long Nearest(long batch, int wanted) => Enumerable.Range(1, (int)Math.Min(batch, 100_000)).Where(m => batch % m == 0).OrderBy(m => Math.Abs(m - wanted)).First();

    /// <summary>SW1003: what an annotation splits must divide evenly, axis by axis.</summary>
    private bool CheckRequests(ModelGraph graph, int microBatches)
    {
        bool fine = true;
        foreach ((Value value, PlacementRequest request, MeshAxisDefinition axis, long left, long multiple) in Indivisible(graph, microBatches))
        {
            int dim = request.Placement.Dim;
            long up = (left / axis.Size + 1) * axis.Size;
            string name = value.Parameter?.Shown ?? value.Name;
            _findings.Add(Finding.At("SW1003", request.Site, $"dim {dim} of '{name}' is {left}{(left == value.Type.Dims[dim] ? "" : $" on a rank (of {value.Type.Dims[dim]})")}, which axis '{axis.Name}' ({axis.Size}) does not divide; {up} would") with
            {
                Fixes = SizeFixes.For(value.Sizes?.Invoke(dim), multiple, "SW1003", (constant, size) => TracesWith(constant, size, microBatches, request.Site)),
            });
            fine = false;
        }

        return fine;
    }

    /// <summary>SW1003: an axis of the role Data splits the batch even where no input says so; one that cannot would leave each of its ranks with all of the work.</summary>
    private bool CheckDataAxes(ModelGraph graph, int microBatches)
    {
        long rows = graph.Batch / microBatches, multiple = microBatches;
        foreach (MeshAxisDefinition axis in _on.Mesh.Axes.Where(a => a.Role == "Data" && a.Size > 1 && graph.Inputs.Count > 0))
        {
            PlacementRequest[] asked = graph.Inputs.SelectMany(i => i.Requests).Where(r => r.Axis == axis.Name).ToArray();
            if (asked.Length > 0 && asked.All(r => r.Placement != Placement.Split(0)))
            {
                continue;
            }

            multiple *= axis.Size;
            if (rows % axis.Size != 0)
            {
                string micro = microBatches > 1 ? $", in {microBatches} micro-batches" : "", each = rows == graph.Batch / microBatches ? "" : $"; {rows} of it are left";
                _findings.Add(Finding.At("SW1003", Site, $"the batch of '{_model.Layer.ShortName}' is {graph.Batch}{micro}{each}, which data axis '{axis.Name}' ({axis.Size}) does not divide: each of its ranks would compute all of it; {(graph.Batch / multiple + 1) * multiple} would"));
                return false;
            }

            rows /= axis.Size;
        }

        return true;
    }

    /// <summary>What an annotation splits and an axis does not divide, with the size that the axes before have left and what the whole size must be a multiple of.</summary>
    private IEnumerable<(Value Value, PlacementRequest Request, MeshAxisDefinition Axis, long Left, long Multiple)> Indivisible(ModelGraph graph, int microBatches)
    {
        foreach (Value value in graph.Values.Where(v => v.Requests.Count > 0))
        {
            long[] left = value.Type.Dims.ToArray();
            if (value.Kind == ValueKind.Input && left.Length > 0)
            {
                left[0] /= microBatches;
            }

            foreach (MeshAxisDefinition axis in _on.Mesh.Axes)
            {
                PlacementRequest? request = value.Requests.FirstOrDefault(r => r.Axis == axis.Name && r.Placement.IsSplit);
                if (request is null)
                {
                    continue;
                }

                int dim = request.Placement.Dim;
                if (left[dim] % axis.Size != 0)
                {
                    yield return (value, request, axis, left[dim], checked(value.Type.Dims[dim] / left[dim] * axis.Size));
                    break;
                }

                left[dim] /= axis.Size;
            }
        }
    }

    private ShardedGraph? TryPlace(ModelGraph graph, int microBatches, out ImmutableArray<(Node Node, ShardAxis Axis)> blocked)
    {
        ImmutableArray<ShardAxis> axes = MachineModel.Axes(_on.Mesh, graph, microBatches);
        ShardedGraph sharded = SignatureSearch.Place(graph, axes, OpTime.PlannedRate(_on.Mesh.Device), OpTime.PlannedBandwidth(_on.Mesh.Device), _cancellation, out blocked);
        return blocked.Length > 0 ? null : sharded;
    }

    private ShardedGraph? Place(ModelGraph graph, int microBatches)
    {
        ShardedGraph? sharded = TryPlace(graph, microBatches, out ImmutableArray<(Node Node, ShardAxis Axis)> blocked);
        foreach ((Node node, ShardAxis axis) in blocked.Take(1))
        {
            _findings.Add(Finding.At("SW2003", node.Site.Length > 0 ? node.Site : Site, axis.IsMicroBatch
                ? $"'{node.Source}' ({node.Op.Name}) needs all rows of the batch at once, so the step of '{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}' cannot be cut into {axis.Parts} micro-batches: use MicroBatches = 1"
                : $"'{node.Source}' ({node.Op.Name}) cannot be brought to the placements around it on axis '{axis.Name}'") with { Fixes = axis.IsMicroBatch ? EquatableArray.Of(SetMicroBatches(1)) : default });
        }

        return sharded;
    }
}
