using Shardwright.Compiler.Differentiation;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Graph.Tracing;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Scheduling;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>What planning yields: a program, or why there is none.</summary>
/// <param name="Program">The program of a rank; null where there is no valid plan.</param>
/// <param name="Findings">What was found on the way.</param>
public sealed record PlanResult(RankProgram? Program, ImmutableArray<Finding> Findings)
{
    /// <summary>Changes that make a plan fit which does not, the shortest step first.</summary>
    public ImmutableArray<WayOut> WaysOut { get; init; } = ImmutableArray<WayOut>.Empty;
}

/// <summary>Drives the passes for one model on one mesh: trace, differentiate, place, lower, fuse, lay out.</summary>
public sealed partial class Planner
{
    /// <summary>Scratch of one thread, as Shardwright.Execution.ThreadTeam.ScratchBytes.</summary>
    public const long ScratchBytesPerThread = 2 << 20;

    private static readonly LoweringOptions s_lowering = new(ShareLoss: false);

    private readonly ModelDefinition _model;
    private readonly Func<string, LayerDefinition?> _layers;
    private readonly ShardedOnDefinition _on;
    private readonly IReadOnlyDictionary<string, long> _overrides;
    private readonly CancellationToken _cancellation;
    private readonly List<Finding> _findings = new();
    private ZeroRequest? _zero;

    private Planner(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, IReadOnlyDictionary<string, long> overrides, CancellationToken cancellation)
    {
        _model = model;
        _layers = layers;
        _on = on;
        _overrides = overrides;
        _cancellation = cancellation;
    }

    /// <summary>Plans a model on one of its meshes.</summary>
    /// <param name="model">The model.</param>
    /// <param name="layers">Definitions of the layers it holds, by full name with assembly.</param>
    /// <param name="on">The mesh.</param>
    /// <param name="overrides">Other numbers for constants, by name.</param>
    /// <param name="cancellation">Ends every search.</param>
    public static PlanResult Plan(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, IReadOnlyDictionary<string, long> overrides, CancellationToken cancellation) =>
        Plan(model, layers, on, overrides, proposes: true, cancellation);

    /// <summary>Plans without proposals: nothing is said about whether it fits, and no ways out are looked for.</summary>
    /// <inheritdoc cref="Plan(ModelDefinition, Func{string, LayerDefinition?}, ShardedOnDefinition, IReadOnlyDictionary{string, long}, CancellationToken)"/>
    public static PlanResult Bare(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, CancellationToken cancellation) =>
        Plan(model, layers, on, new Dictionary<string, long>(), proposes: false, cancellation);

    /// <summary>Plans for a search, which wants no proposals of its own.</summary>
    internal static RankProgram? Try(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, CancellationToken cancellation) =>
        Plan(model, layers, on, new Dictionary<string, long>(), proposes: false, cancellation).Program;

    private static PlanResult Plan(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, IReadOnlyDictionary<string, long> overrides, bool proposes, CancellationToken cancellation)
    {
        var planner = new Planner(model, layers, on, overrides, cancellation);
        RankProgram? program = null;
        try
        {
            program = planner.Run();
            for (int again = 0; again < MostCuts && program is not null && planner.NextSpare(program) is long spare and > 0; again++)
            {
                // The pieces were priced before their memory was laid out. What was too little is taken off the limit, and the model is cut again.
                var next = new Planner(model, layers, on, overrides, cancellation) { _spare = spare };
                if (next.Run() is not { } other || other.ArenaBytes >= program.ArenaBytes)
                {
                    break;
                }

                (planner, program) = (next, other);
            }

            if (program is not null && proposes)
            {
                planner.CheckFit(program);
                planner.Advise(program);
            }
        }
        catch (OverflowException)
        {
            planner._findings.Add(Finding.At("SW0003", planner.Site, $"sizes of '{model.Layer.ShortName}' on '{on.Mesh.ShortName}' overflow: a rank would need more than 2^63 bytes, or the mesh has more than 2^31 ranks; use fewer layers, smaller sizes or smaller axes"));
        }

        return new PlanResult(planner._findings.Any(f => f.IsError) ? null : program, planner._findings.Distinct().ToImmutableArray()) { WaysOut = planner._waysOut };
    }

    private string Site => _model.Layer.Type + "#" + _on.Site;

    private RankProgram? Run()
    {
        if (Unsupported() || MicroBatches() is not { } microBatches || Trace("Loss", training: true) is not { } train)
        {
            return null;
        }

        if (!CheckBatch(train, microBatches) || !CheckRequests(train, microBatches))
        {
            return null;
        }

        foreach (Value lost in Differentiator.Differentiate(train).Where(p => p.IsRead))
        {
            _findings.Add(new Finding("SW0008", _model.Layer.Type, -1, $"parameter '{lost.Parameter!.Shown}' has no differentiable path to the loss of '{_model.Layer.ShortName}': it would never learn; use its values in Loss, or remove it"));
        }

        foreach (GradientObstacle obstacle in train.Obstacles)
        {
            _findings.Add(Finding.At("SW0008", obstacle.Node.Site.Length > 0 ? obstacle.Node.Site : Site, $"'{obstacle.Input.Name}' depends on a parameter, but gets no gradient here: {obstacle.Reason}"));
        }

        _batch = train.Batch;
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
            && (Trace("Forward", training: false) is not { } infer || !CheckRequests(infer, 1) || !Add(entries, "Infer", infer, request, 1)))
        {
            return null;
        }

        return Assemble(entries, request, microBatches);
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

        if (name == "Train")
        {
            if (!ReadZero(sharded))
            {
                return false;
            }

            Recompute(sharded, map, request, microBatches);
            _train = sharded;
        }

        entries.Add(new TracedEntry(name, graph, sharded, map, microBatches));
        return true;
    }

    private RankProgram? Assemble(List<TracedEntry> entries, PipelineRequest.Answer request, int microBatches)
    {
        bool pipelined = request.Table is not null;
        var stages = new StagePlanner(entries, _on.Optimizer, _on.Precision, _zero, pipelined, request.Table?.SplitsBackward ?? false);
        int[] programOf = Enumerable.Range(0, request.Cut.Stages).Select(stages.Plan).ToArray();
        if (stages.Unroutable.Count > 0)
        {
            Unroutable lost = stages.Unroutable[0];
            _findings.Add(Finding.At("SW2006", Site, $"'{lost.Tensor}' is made on stage {lost.From} of '{_model.Layer.ShortName}' and needed on stage {lost.To}, against the direction of its pass: put the layers that share it on one stage, or in the order of the stages"));
            return null;
        }

        int threads = Math.Max(1, _on.Mesh.Device.MaxThreads), world = _on.Mesh.Axes.Aggregate(1, (product, axis) => checked(product * axis.Size));
        var arenas = new ArenaPlanner(stages.Programs, world, ScratchBytesPerThread * threads);
        string full = _model.Layer.Type.Split(',')[0];
        int dot = full.LastIndexOf('.');
        (EquatableArray<RankPlan> ranks, PipelinePlan? pipeline) = (default, null);
        LoweredPipeline? order = null;
        if (!pipelined)
        {
            ranks = EquatableArray.Of(arenas.Single());
        }
        else if (Pipeline(entries, request, stages, programOf, arenas) is (EquatableArray<RankPlan> placed, PipelinePlan proven, LoweredPipeline lowered))
        {
            (ranks, pipeline, order) = (placed, proven, lowered);
        }
        else
        {
            return null;
        }

        var program = new RankProgram(
            full, dot < 0 ? "" : full.Substring(0, dot), _on.NestedName, _on.Mesh.ShortName, _on.Mesh.Axes.Select(a => (a.Name, a.Size)).ToEquatable(),
            _on.Optimizer, microBatches, stages.Kernels.Kernels.ToEquatable(), stages.Programs.ToEquatable(), ranks, ScratchBytesPerThread, threads, pipeline);
        return program with { Precision = _on.Precision, Order = order, Forecast = StepTime.Of(program, _on.Mesh, IsHalf, order) };
    }

    private (EquatableArray<RankPlan>, PipelinePlan, LoweredPipeline)? Pipeline(List<TracedEntry> entries, PipelineRequest.Answer request, StagePlanner stages, int[] programOf, ArenaPlanner arenas)
    {
        ActionTable table = request.Table!;
        var tied = stages.Tied.OrderBy(t => t.Key, StringComparer.Ordinal).Select(t => new TiedPlan(
            t.Key, t.Value, t.Value.Select(s => table.RankOfStage[s]).Distinct().OrderBy(r => r).ToEquatable(),
            TiedBytes(stages.Programs[programOf[t.Value[0]]], t.Key))).ToEquatable();
        var world = new StepWorld(_on.Mesh.Axes.Select(a => (a.Name, a.Size)).ToEquatable(), request.Axis, stages.Programs, programOf, tied);
        var orders = new List<(string, LoweredPipeline)>();
        foreach (TracedEntry entry in entries)
        {
            ActionTable order = entry.Name == "Train" ? table : ForwardOnly(table, entry.MicroBatches);
            (LoweredPipeline? proven, Standstill? standstill) = PipelineProof.Lower(order, Edges(entry, stages, programOf), s_lowering, _cancellation, l => world.Check(entry.Name, l, _cancellation));
            if (proven is null)
            {
                _findings.Add(Finding.At("SW2007", Site, $"{entry.Name} of '{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}' would stand still with schedule '{table.Name}': {standstill!.Message}"));
                return null;
            }

            orders.Add((entry.Name, proven));
        }

        int ResultStage()
        {
            TracedEntry? infer = entries.FirstOrDefault(e => e.Graph.Result is not null);
            return infer is null ? -1 : Enumerable.Range(0, table.Stages).First(s => stages.Programs[programOf[s]].Entries.First(e => e.Name == "Infer").Result is not null);
        }

        int result = ResultStage();
        long bytes = result < 0 ? 0 : entries.First(e => e.Name == "Infer").Graph.Result!.Type.Bytes;
        var plan = new PipelinePlan(
            request.Axis, table.Name, table.Ranks.Count, table.Stages, table.RankOfStage,
            entries[0].Graph.Stacks.Select(k => (k.Path, Enumerable.Range(0, table.Stages).Select(s => entries[0].Map.Layers(k.Id, s)).ToEquatable())).ToEquatable(), tied, result, bytes);
        return (arenas.Pipeline(programOf, entries[0].Map, orders, bytes), plan, orders[0].Item2);
    }

    private static long TiedBytes(StageProgram stage, string path) => stage.Groups.Where(g => g.Tied == path).Sum(g => g.Gradients.Length * BufferPlan.Width(stage.Buffers[g.Gradients.Buffer].Element));

    /// <summary>What passes from each stage to the next.</summary>
    private static List<StageEdge> Edges(TracedEntry entry, StagePlanner stages, int[] programOf) => Enumerable.Range(0, programOf.Length - 1).Select(s =>
    {
        EquatableArray<BoundaryPlan> passing = stages.Programs[programOf[s]].Entries.First(e => e.Name == entry.Name).Boundaries;
        return new StageEdge(s, s + 1, passing.Where(b => !b.Arrives && !b.IsGradient).Sum(b => b.Bytes), passing.Any(b => b.Arrives && b.IsGradient));
    }).ToList();

    /// <summary>The order of a pass without backward: the forward actions of the schedule, or, for one micro-batch, stage after stage.</summary>
    private static ActionTable ForwardOnly(ActionTable table, int microBatches) => table with
    {
        Shape = table.Shape with { MicroBatches = microBatches },
        Ranks = table.Ranks.Select((actions, rank) => (microBatches == table.Shape.MicroBatches
            ? actions.Where(a => a.Kind == ActionKind.Forward)
            : Enumerable.Range(0, microBatches).SelectMany(m => table.StagesOf(rank).Select(s => StageAction.F(s, m)))).ToEquatable()).ToEquatable(),
    };

    private bool Unsupported()
    {
        foreach (string fault in SpecCheck.Faults(_on.Mesh))
        {
            _findings.Add(Finding.At("SW3003", Site, fault));
        }

        string? what = !s_recomputeModes.Contains(_on.Recompute) ? $"Recompute = {_on.Recompute} is no mode: use {string.Join(", ", s_recomputeModes)}"
            : PrecisionFault();
        if (what is not null)
        {
            _findings.Add(Finding.At("SW2003", Site, what));
        }

        return _findings.Count > 0;
    }

    private int? MicroBatches()
    {
        long? count = Tracer.Number(_model, _on.MicroBatches, _overrides);
        if (count is >= 1 and <= int.MaxValue)
        {
            return (int)count;
        }

        _findings.Add(Finding.At("SW2003", Site, $"MicroBatches of '{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}' is {count?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "not a constant"}: it must be a constant of 1 or more"));
        return null;
    }

    private ModelGraph? Trace(string entry, bool training)
    {
        TraceResult result = Tracer.Trace(_model, _layers, entry, training, _overrides, _cancellation);
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

        var overrides = _overrides.ToDictionary(o => o.Key, o => o.Value);
        overrides[name] = value;
        TraceResult result = Tracer.Trace(_model, _layers, "Loss", training: true, overrides, _cancellation);
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

    private ShardedGraph? Place(ModelGraph graph, int microBatches)
    {
        ImmutableArray<ShardAxis> axes = MachineModel.Axes(_on.Mesh, graph, microBatches);
        ShardedGraph sharded = SignatureSearch.Place(graph, axes, OpTime.PlannedRate(_on.Mesh.Device), _cancellation, out ImmutableArray<(Node Node, ShardAxis Axis)> blocked);
        foreach ((Node node, ShardAxis axis) in blocked.Take(1))
        {
            _findings.Add(Finding.At("SW2003", node.Site.Length > 0 ? node.Site : Site, axis.IsMicroBatch
                ? $"'{node.Source}' ({node.Op.Name}) needs all rows of the batch at once, so the step of '{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}' cannot be cut into {axis.Parts} micro-batches: use MicroBatches = 1"
                : $"'{node.Source}' ({node.Op.Name}) cannot be brought to the placements around it on axis '{axis.Name}'") with { Fixes = axis.IsMicroBatch ? EquatableArray.Of(SetMicroBatches(1)) : default });
        }

        return blocked.Length > 0 ? null : sharded;
    }
}
