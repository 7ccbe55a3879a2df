using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
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
    private readonly CancellationToken _cancellation;
    private readonly List<Finding> _findings = new();
    private ZeroRequest? _zero;
    private PlacedModel? _placed;
    private Recomputation? _change;

    private OfferLimits _limits = OfferLimits.Usual;

    /// <summary>Whether only a plan that fits is of interest.</summary>
    private bool _probes;

    /// <summary>Whether training alone is known not to fit, and a plan that does not is of no interest.</summary>
    private bool _isTooLarge;

    /// <summary>What training takes that is too large.</summary>
    private long _tooLarge = long.MaxValue;

    private Planner(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, CancellationToken cancellation)
    {
        _model = model;
        _layers = layers;
        _on = on;
        _cancellation = cancellation;
    }

    /// <summary>Plans a model on one of its meshes.</summary>
    /// <param name="model">The model.</param>
    /// <param name="layers">Definitions of the layers it holds, by full name with assembly.</param>
    /// <param name="on">The mesh.</param>
    /// <param name="cancellation">Ends every search.</param>
    public static PlanResult Plan(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, CancellationToken cancellation) =>
        Plan(model, layers, on, proposes: true, cancellation);

    /// <summary>Plans with offers that stay below other limits than the usual ones.</summary>
    /// <inheritdoc cref="Plan(ModelDefinition, Func{string, LayerDefinition?}, ShardedOnDefinition, CancellationToken)"/>
    internal static PlanResult Plan(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, OfferLimits limits, CancellationToken cancellation) =>
        Plan(model, layers, on, proposes: true, probes: false, cancellation, null, out _, limits);

    /// <summary>Plans without proposals: nothing is said about whether it fits, and no ways out are looked for.</summary>
    /// <inheritdoc cref="Plan(ModelDefinition, Func{string, LayerDefinition?}, ShardedOnDefinition, CancellationToken)"/>
    public static PlanResult Bare(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, CancellationToken cancellation) =>
        Plan(model, layers, on, proposes: false, cancellation);

    /// <summary>Plans for a search, which wants no proposals of its own.</summary>
    internal static RankProgram? Try(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, CancellationToken cancellation) =>
        Plan(model, layers, on, proposes: false, cancellation).Program;

    /// <summary>Plans for a search of other attributes of the same model on the same mesh in as many micro-batches: a model that another such plan has placed is used again, and left as it was.</summary>
    /// <param name="on">The request.</param>
    /// <param name="placed">The placed model; where there is none yet, it is made.</param>
    /// <returns>Whether it fits, null where there is no valid plan; and its program, which one that does not fit may lack.</returns>
    private (bool? Fits, RankProgram? Program) Try(ShardedOnDefinition on, ref PlacedModel? placed)
    {
        RankProgram? program = Plan(_model, _layers, on, proposes: false, probes: true, _cancellation, placed, out Planner planner).Program;
        bool? fits = program is not null ? Fits(program) : planner._isTooLarge ? false : null;
        planner._change?.Undo();

        // What ended on the way may have left a change behind.
        placed = fits is null ? null : placed ?? planner._placed;
        return (fits, program);
    }

    private static PlanResult Plan(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, bool proposes, CancellationToken cancellation) =>
        Plan(model, layers, on, proposes, probes: false, cancellation, null, out _);

    private static PlanResult Plan(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, bool proposes, bool probes, CancellationToken cancellation, PlacedModel? placed, out Planner first, OfferLimits? limits = null)
    {
        Planner planner = first = new Planner(model, layers, on, cancellation) { _probes = probes, _limits = limits ?? OfferLimits.Usual };
        RankProgram? program = null;
        try
        {
            program = planner.Run(placed);
            for (int again = 0; again < MostCuts && planner.NextSpare(program) is long spare and > 0; again++)
            {
                // The pieces were priced before their memory was laid out. What was too little is taken off the limit, and the model is cut again.
                var next = new Planner(model, layers, on, cancellation) { _spare = spare, _limits = planner._limits, _probes = probes };
                RankProgram? other = next.Run();
                if (next.TrainingBytes(other) >= planner.TrainingBytes(program))
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

    private RankProgram? Run(PlacedModel? placed = null)
    {
        if (Unsupported() || (placed ?? Place()) is not { } model)
        {
            return null;
        }

        (_placed, _batch, _cut, _train) = (model, model.Entries[0].Graph.Batch, model.SearchedCut, model.Entries[0].Sharded);
        if (!ReadZero(_train))
        {
            return null;
        }

        _change = Recompute(_train, model.Entries[0].Map, model.Request, model.Entries[0].MicroBatches);
        return _isTooLarge || (_probes && IsTooLarge(model)) ? null : Assemble(model.Entries, model.Request, model.Entries[0].MicroBatches);
    }

    /// <summary>Windows of ZeRO span the actions of a pipeline where they fit that way.</summary>
    private RankProgram? Assemble(IReadOnlyList<TracedEntry> entries, PipelineRequest.Answer request, int microBatches)
    {
        bool spans = request.Table is not null && _zero is { Stage: > 1 };
        RankProgram? program = Assemble(entries, request, microBatches, spans);
        return spans && program is not null && program.ArenaBytes > Budget ? Assemble(entries, request, microBatches, spans: false) : program;
    }

    private RankProgram? Assemble(IReadOnlyList<TracedEntry> entries, PipelineRequest.Answer request, int microBatches, bool spans)
    {
        bool pipelined = request.Table is not null;
        var stages = new StagePlanner(entries, _on.Optimizer, _on.Precision, _zero, pipelined, request.Table?.SplitsBackward ?? false, _on.Mesh, Arithmetic, spans, _cancellation);
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
        var program = new RankProgram(
            full, dot < 0 ? "" : full.Substring(0, dot), _on.NestedName, _on.Mesh.ShortName, _on.Mesh.Axes.Select(a => (a.Name, a.Size)).ToEquatable(),
            _on.Optimizer, microBatches, stages.Kernels.Kernels.ToEquatable(), stages.Programs.ToEquatable(), default, ScratchBytesPerThread, threads, null);
        if (!pipelined)
        {
            ranks = EquatableArray.Of(arenas.Single());
        }
        else if (Pipeline(entries, request, stages, programOf, arenas, new StepTime(program, _on.Mesh, Arithmetic)) is (EquatableArray<RankPlan> placed, PipelinePlan proven, LoweredPipeline lowered))
        {
            (ranks, pipeline, order) = (placed, proven, lowered);
        }
        else
        {
            return null;
        }

        program = program with { Ranks = ranks, Pipeline = pipeline, Order = order };
        return program with { Precision = _on.Precision, Forecast = StepTime.Of(program, _on.Mesh, Arithmetic, order) };
    }

    private (EquatableArray<RankPlan>, PipelinePlan, LoweredPipeline)? Pipeline(IReadOnlyList<TracedEntry> entries, PipelineRequest.Answer request, StagePlanner stages, int[] programOf, ArenaPlanner arenas, StepTime time)
    {
        ActionTable table = request.Table!;
        var tied = stages.Tied.OrderBy(t => t.Key, StringComparer.Ordinal).Select(t => new TiedPlan(
            t.Key, t.Value, t.Value.Select(s => table.RankOfStage[s]).Distinct().OrderBy(r => r).ToEquatable(),
            TiedBytes(stages.Programs[programOf[t.Value[0]]], t.Key))).ToEquatable();
        var world = new StepWorld(_on.Mesh.Axes.Select(a => (a.Name, a.Size)).ToEquatable(), request.Axis, stages.Programs, programOf, tied);
        var orders = new List<(string, LoweredPipeline)>();
        foreach (TracedEntry entry in entries)
        {
            ActionTable order = entry.Name == "Train" ? table : ForwardOnly(table, EntryPlan.MicroBatchesOfARun(entry.Name, entry.MicroBatches));
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
        long bytes = result < 0 ? 0 : entries.First(e => e.Name == "Infer").ResultBytes;
        var plan = new PipelinePlan(
            request.Axis, table.Name, table.Ranks.Count, table.Stages, table.RankOfStage,
            entries[0].Graph.Stacks.Select(k => (k.Path, Enumerable.Range(0, table.Stages).Select(s => entries[0].Map.Layers(k.Id, s)).ToEquatable())).ToEquatable(), tied, result, bytes);
        LoweredPipeline train = orders[0].Item2, ahead = Ahead(train, time, programOf, l => world.Check("Train", l, _cancellation));
        if (ahead != train && arenas.Pipeline(programOf, entries[0].Map, [("Train", ahead), .. orders.Skip(1)], bytes) is var deeper && deeper.Max(r => r.ArenaBytes) <= Budget)
        {
            return (deeper, plan, ahead);
        }

        return (arenas.Pipeline(programOf, entries[0].Map, orders, bytes), plan, train);
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
}
