using Shardwright.Compiler.Differentiation;
using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Graph.Tracing;
using Shardwright.Compiler.Memory;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>What planning yields: a program, or why there is none.</summary>
/// <param name="Program">The program of a rank; null where there is no valid plan.</param>
/// <param name="Findings">What was found on the way.</param>
public sealed record PlanResult(RankProgram? Program, ImmutableArray<Finding> Findings);

/// <summary>Drives the passes for one model on one mesh: trace, differentiate, place, lower, fuse, lay out.</summary>
public sealed class Planner
{
    /// <summary>Scratch of one thread, as Shardwright.Execution.ThreadTeam.ScratchBytes.</summary>
    public const long ScratchBytesPerThread = 2 << 20;

    private readonly ModelDefinition _model;
    private readonly Func<string, LayerDefinition?> _layers;
    private readonly ShardedOnDefinition _on;
    private readonly IReadOnlyDictionary<string, long> _overrides;
    private readonly CancellationToken _cancellation;
    private readonly List<Finding> _findings = new();

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
    public static PlanResult Plan(ModelDefinition model, Func<string, LayerDefinition?> layers, ShardedOnDefinition on, IReadOnlyDictionary<string, long> overrides, CancellationToken cancellation)
    {
        var planner = new Planner(model, layers, on, overrides, cancellation);
        RankProgram? program = planner.Run();
        return new PlanResult(planner._findings.Any(f => f.IsError) ? null : program, planner._findings.Distinct().ToImmutableArray());
    }

    private string Place => _model.Layer.Type + "#" + _on.Site;

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
            _findings.Add(Finding.At("SW0008", obstacle.Node.Site.Length > 0 ? obstacle.Node.Site : Place, $"'{obstacle.Input.Name}' depends on a parameter, but gets no gradient here: {obstacle.Reason}"));
        }

        DeadCode.Remove(train);
        if (_findings.Any(f => f.IsError) || Lower(train, microBatches) is not { } trainLocal)
        {
            return null;
        }

        var kernels = new KernelBuilder();
        var buffers = new BufferTable();
        ParameterLayout parameters = ParameterLayout.Make(trainLocal, buffers, _on.Optimizer);
        var entries = new List<EntryPlan>();
        long step = 0, bound = 0;
        void Add(string name, LocalGraph local, int micro)
        {
            var builder = new EntryBuilder(name, local, kernels, buffers, parameters.Parameters, micro);
            entries.Add(builder.Build());
            step = Math.Max(step, builder.Bytes);
            bound = Math.Max(bound, builder.LowerBound);
        }

        Add("Train", trainLocal, microBatches);
        if (Trace("Loss", training: false) is not { } evaluate || Lower(evaluate, microBatches) is not { } evaluateLocal)
        {
            return null;
        }

        Add("Evaluate", evaluateLocal, microBatches);
        if (_model.Layer.Methods.Any(m => m.Name == "Forward"))
        {
            if (Trace("Forward", training: false) is not { } infer || !CheckRequests(infer, 1) || Lower(infer, 1) is not { } inferLocal)
            {
                return null;
            }

            Add("Infer", inferLocal, 1);
        }

        var stage = new StageProgram(
            "Stage0", buffers.Buffers, entries.ToEquatable(), parameters.Parameters.ToEquatable(), parameters.Groups.ToEquatable(), parameters.Bytes, step, bound);
        int threads = Math.Max(1, _on.Mesh.Device.MaxThreads);
        string full = _model.Layer.Type.Split(',')[0];
        int dot = full.LastIndexOf('.');
        return new RankProgram(
            full, dot < 0 ? "" : full.Substring(0, dot), _on.NestedName, _on.Mesh.ShortName, _on.Mesh.Axes.Select(a => (a.Name, a.Size)).ToEquatable(),
            _on.Optimizer, microBatches, kernels.Kernels.ToEquatable(), EquatableArray.Of(stage), EquatableArray.Of(Arena(stage, threads)), ScratchBytesPerThread, threads);
    }

    /// <summary>State of each stage, the step's scalars, scratch, and the space that all stages share, one after another.</summary>
    private RankPlan Arena(StageProgram stage, int threads)
    {
        // Doubles of this rank and of all ranks of a group: sum and weight of the loss, a squared norm for each parameter group.
        int ranks = _on.Mesh.Axes.Aggregate(1, (product, axis) => checked(product * axis.Size));
        long scalars = stage.StateBytes, scalarBytes = ArenaLayout.Align(8L * (stage.Groups.Count + 4) * (ranks + 1));
        long scratch = scalars + scalarBytes, step = scratch + ScratchBytesPerThread * threads;
        return new RankPlan(EquatableArray.Of(new ChunkPlan(0, 0, 0)), scalars, scalarBytes, scratch, step, stage.StepBytes, step + stage.StepBytes);
    }

    private bool Unsupported()
    {
        MeshAxisDefinition? pipeline = _on.Mesh.Axes.FirstOrDefault(a => a.Role == "Pipeline" && a.Size > 1);
        string? what = pipeline is not null ? $"axis '{pipeline.Name}' of '{_on.Mesh.ShortName}' has the role Pipeline and size {pipeline.Size}, and this version schedules one stage: give the axis size 1, or the role Data or Tensor"
            : _on.Zero != "None" ? $"Zero = {_on.Zero} is not planned by this version: leave it out, and every rank keeps the whole optimizer state"
            : _on.Recompute != "None" ? $"Recompute = {_on.Recompute} is not planned by this version: leave it out"
            : _on.Precision != "Float32" ? $"Precision = {_on.Precision} does not run on '{_on.Mesh.Device.Name}': use Float32"
            : null;
        if (what is not null)
        {
            _findings.Add(Finding.At("SW2003", Place, what));
        }

        return what is not null;
    }

    private int? MicroBatches()
    {
        long? count = Tracer.Number(_model, _on.MicroBatches, _overrides);
        if (count is >= 1 and <= int.MaxValue)
        {
            return (int)count;
        }

        _findings.Add(Finding.At("SW2003", Place, $"MicroBatches of '{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}' is {count?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? "not a constant"}: it must be a constant of 1 or more"));
        return null;
    }

    private ModelGraph? Trace(string entry, bool training)
    {
        TraceResult result = Tracer.Trace(_model, _layers, entry, training, _overrides, _cancellation);
        _findings.AddRange(result.Findings);
        return result.Graph;
    }

    private bool CheckBatch(ModelGraph graph, int microBatches)
    {
        foreach (Value input in graph.Inputs)
        {
            long batch = input.Type.Rank == 0 ? 1 : input.Type.Dims[0];
            if (input.Type.Rank == 0 || batch != graph.Batch || batch % microBatches != 0)
            {
                _findings.Add(Finding.At("SW2003", Place, batch != graph.Batch
                    ? $"dim 0 of input '{input.Name}' is {batch} and that of '{graph.Inputs[0].Name}' is {graph.Batch}: dim 0 of every input is the batch of one step"
                    : $"the batch of '{_model.Layer.ShortName}' is {batch}, which MicroBatches = {microBatches} does not divide: use {Nearest(batch, microBatches)}"));
                return false;
            }
        }

        return true;
    }

    private static long Nearest(long batch, int wanted) => Enumerable.Range(1, (int)Math.Min(batch, 100_000)).Where(m => batch % m == 0).OrderBy(m => Math.Abs(m - wanted)).First();

    /// <summary>SW1003: what an annotation splits must divide evenly, axis by axis.</summary>
    private bool CheckRequests(ModelGraph graph, int microBatches)
    {
        bool fine = true;
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
                    long up = (left[dim] / axis.Size + 1) * axis.Size;
                    string name = value.Parameter?.Shown ?? value.Name;
                    _findings.Add(Finding.At("SW1003", request.Site, $"dim {dim} of '{name}' is {left[dim]}{(left[dim] == value.Type.Dims[dim] ? "" : $" on a rank (of {value.Type.Dims[dim]})")}, which axis '{axis.Name}' ({axis.Size}) does not divide; {up} would"));
                    fine = false;
                    break;
                }

                left[dim] /= axis.Size;
            }
        }

        return fine;
    }

    private LocalGraph? Lower(ModelGraph graph, int microBatches)
    {
        ImmutableArray<ShardAxis> axes = MachineModel.Axes(_on.Mesh, graph, microBatches);
        ShardedGraph sharded = SignatureSearch.Place(graph, axes, MachineModel.FlopsPerSecond(_on.Mesh.Device), _cancellation, out ImmutableArray<(Node Node, ShardAxis Axis)> blocked);
        foreach ((Node node, ShardAxis axis) in blocked.Take(1))
        {
            _findings.Add(Finding.At("SW2003", node.Site.Length > 0 ? node.Site : Place, axis.IsMicroBatch
                ? $"'{node.Source}' ({node.Op.Name}) needs all rows of the batch at once, so the step of '{_model.Layer.ShortName}' on '{_on.Mesh.ShortName}' cannot be cut into {axis.Parts} micro-batches: use MicroBatches = 1"
                : $"'{node.Source}' ({node.Op.Name}) cannot be brought to the placements around it on axis '{axis.Name}'"));
        }

        return blocked.Length > 0 ? null : Lowering.Lower(sharded);
    }
}
