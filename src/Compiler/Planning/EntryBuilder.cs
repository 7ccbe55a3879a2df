using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Memory;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Turns the local graph of one entry into methods of statements over buffers: decides which memory each tensor has, and for how long.</summary>
internal sealed partial class EntryBuilder
{
    private sealed class Piece
    {
        public Piece(LocalRegion region, List<FusedStep> steps)
        {
            Region = region;
            Steps = steps;
        }

        public LocalRegion Region { get; }

        public List<FusedStep> Steps { get; }

        public int Start { get; set; }

        public int End { get; set; }

        public int Id => Region.Region.Id;

        public Stack? Stack => Region.Region.Stack;

        public Phase Phase => Region.Phase;
    }

    private readonly string _entry;
    private readonly LocalGraph _graph;
    private readonly KernelBuilder _kernels;
    private readonly BufferTable _buffers;
    private readonly Dictionary<string, ParameterPlan> _parameters = new(StringComparer.Ordinal);
    private readonly IReadOnlyList<ParameterGroup> _groups;
    private readonly IReadOnlyList<int> _regions;
    private readonly int _microBatches;
    private readonly MeshDefinition _mesh;
    private readonly Arithmetic _arithmetic;
    private readonly CancellationToken _cancellation;
    private readonly List<Piece> _pieces = new();
    private readonly Dictionary<LocalTensor, Home> _homes = new();
    private readonly Dictionary<LocalTensor, List<(int Region, int Position)>> _uses = new();
    private readonly Dictionary<LocalTensor, (int Region, int Position)> _writes = new();
    private readonly List<(OperandPlan Gradient, LocalTensor Contribution, bool OnlyFirst)> _accumulated = new();
    private readonly HashSet<LocalTensor> _accumulatingProducts = new();
    private readonly Dictionary<LocalTensor, OperandPlan> _fixed = new();
    private readonly HashSet<LocalTensor> _needed = new();
    private readonly List<Storage> _storages = new();
    private readonly HashSet<LocalTensor> _arrivals;
    private readonly HashSet<LocalTensor> _departures;

    public EntryBuilder(string entry, LocalGraph graph, KernelBuilder kernels, BufferTable buffers, ParameterLayout layout, int microBatches, MeshDefinition mesh, Arithmetic arithmetic, CancellationToken cancellation)
    {
        _entry = entry;
        _graph = graph;
        _kernels = kernels;
        _buffers = buffers;
        _groups = layout.Groups;
        _regions = layout.Regions;
        foreach (ParameterPlan parameter in layout.Parameters.Reverse())
        {
            _parameters[parameter.Path] = parameter;
        }

        _microBatches = microBatches;
        _mesh = mesh;
        _arithmetic = arithmetic;
        _cancellation = cancellation;
        _arrivals = new HashSet<LocalTensor>(graph.Boundaries.Where(b => b.Arrives).Select(b => b.Tensor));
        _departures = new HashSet<LocalTensor>(graph.Boundaries.Where(b => !b.Arrives).Select(b => b.Tensor.Root));
    }

    private ModelGraph Logical => _graph.Sharded.Graph;

    /// <summary>Bytes that this entry needs of the space Step; set by <see cref="Build"/>.</summary>
    public long Bytes { get; private set; }

    /// <summary>Lower bound on them.</summary>
    public long LowerBound { get; private set; }

    /// <summary>Bytes that each action needs of the space Step.</summary>
    public List<(Phase Phase, long Bytes)> Steps { get; } = new();

    /// <summary>Live bytes of the space Step along the entry.</summary>
    public List<ProfilePoint> Profile { get; } = new();

    /// <summary>Bytes of one micro-batch in the other spaces.</summary>
    public Dictionary<MemorySpace, long> Blocks { get; } = new();

    /// <summary>Builds the entry.</summary>
    public EntryPlan Build()
    {
        new ReductionSeparator(_graph).Run();

        OverwriteLogits();

        foreach (LocalRegion region in _graph.Regions)
        {
            _pieces.Add(new Piece(region, Clusterer.Fuse(region).SelectMany(s => s.Collective is { } collective ? new[] { s, FusedStep.Await(collective) } : new[] { s }).ToList()));
        }

        FixParameters();
        Number();
        CollectUses();
        foreach (Piece piece in _pieces.Where(p => p.Stack is not null))
        {
            PlaceCarries(piece);
        }

        PlaceGradients();
        PlaceRest();
        Number();
        CollectUses();
        if (Order())
        {
            Number();
            CollectUses();
        }

        PlaceGathered();
        Lifetimes();
        Overlay();
        LayOut();
        return Emit();
    }

    /// <summary>The gradient of a cross-entropy takes the place of its logits where nothing reads them afterwards: they are the largest tensors of many a model, and are never kept twice.</summary>
    private void OverwriteLogits()
    {
        List<LocalStep> steps = _graph.Regions.SelectMany(r => r.Steps).ToList();
        for (int i = 0; i < steps.Count; i++)
        {
            if (steps[i] is not LocalStep.Compute { Op: CrossEntropyGradientOp } gradient)
            {
                continue;
            }

            LocalTensor logits = gradient.Inputs[0], root = logits.Root, output = gradient.Outputs[0];
            bool Is(LocalTensor t) => t.Root == root;
            bool free = root.Region >= 0 && root.Stack < 0 && output.Stack < 0 && output.AliasOf is null && IsWhole(logits) && root.Local.Count == output.Local.Count
                && !steps.Skip(i + 1).SelectMany(InputsOf).Any(Is) && steps.Take(i).SelectMany(OutputsOf).Any(Is)
                && !_graph.Parameters.Any(p => Is(p.Tensor)) && !_graph.Gradients.Any(g => Is(g.Gradient) || g.Gradient.Root == output)
                && !_graph.Carries.SelectMany(c => c.Value).Any(c => Is(c.Result) || Is(c.Initial))
                && !_graph.Boundaries.Any(b => Is(b.Tensor) || b.Tensor.Root == output) && !_graph.Losses.Any(l => Is(l.Sum)) && (_graph.Result is not { } result || !Is(result))
                && !_graph.Regions.Any(r => r.Phase is Phase.InputGradient or Phase.WeightGradient);
            if (free)
            {
                output.AliasOf = logits;
            }
        }
    }

    private static IEnumerable<LocalTensor> OutputsOf(LocalStep step) => step is LocalStep.Compute c ? c.Outputs : new[] { ((LocalStep.Collective)step).Output };

    private static IEnumerable<LocalTensor> InputsOf(LocalStep step) => step is LocalStep.Compute c ? c.Inputs : new[] { ((LocalStep.Collective)step).Input };

    private void FixParameters()
    {
        foreach ((Value parameter, LocalTensor tensor) in _graph.Parameters)
        {
            bool known = _parameters.TryGetValue(parameter.Parameter!.Path, out ParameterPlan? plan);
            if (known && _groups[plan!.Group].Shards is { Stage: > 2 })
            {
                _gathered[tensor] = plan;
            }
            else if (known)
            {
                _fixed[tensor] = new OperandPlan(plan!.Value, plan.Layers > 1 ? SlotIndex.Layer : SlotIndex.None, null, tensor.Local.Count, plan.Layers);
            }
        }
    }

    private void Number()
    {
        int position = 0;
        foreach (Piece piece in _pieces)
        {
            piece.Start = position++;
            position += piece.Steps.Count;
            piece.End = position++;
        }
    }

    private void CollectUses()
    {
        _uses.Clear();
        _writes.Clear();
        _needed.Clear();
        foreach (Piece piece in _pieces)
        {
            for (int i = 0; i < piece.Steps.Count; i++)
            {
                int at = piece.Start + 1 + i;
                foreach (LocalTensor input in piece.Steps[i].Inputs)
                {
                    Use(input, piece.Id, at);
                }

                foreach (LocalTensor output in piece.Steps[i].Outputs)
                {
                    if (!_writes.ContainsKey(output.Root))
                    {
                        _writes[output.Root] = (piece.Id, at);
                    }

                    if (piece.Steps[i].Ops.Count == 0)
                    {
                        Use(output, piece.Id, at);
                    }
                }
            }

            foreach (LocalCarry carry in _graph.Carries[piece.Region.Region])
            {
                Use(carry.Initial, piece.Id - 1, piece.Start);
                Use(carry.Result, piece.Id, piece.End);
            }
        }

        foreach (LocalTensor sum in _graph.Losses.Select(l => l.Sum).Concat(_graph.LossWeight is { } weight ? new[] { weight } : Array.Empty<LocalTensor>()))
        {
            Piece piece = PieceOf(sum);
            Use(sum, piece.Id, piece.End);
        }

        foreach (Boundary boundary in _graph.Boundaries)
        {
            Piece piece = boundary.Arrives ? FirstOf(boundary) : LastOf(boundary);
            Use(boundary.Tensor, piece.Id, boundary.Arrives ? piece.Start : piece.End);
        }

        foreach ((Value _, LocalTensor gradient) in _graph.Gradients)
        {
            Piece piece = PieceOf(gradient);
            Use(gradient, piece.Id, piece.End);
        }

        if (_graph.Result is { } result)
        {
            Use(result, _pieces[_pieces.Count - 1].Id, _pieces[_pieces.Count - 1].End);
        }
    }

    private void Use(LocalTensor tensor, int region, int position)
    {
        for (LocalTensor? t = tensor; t is not null; t = t.AliasOf)
        {
            _needed.Add(t);
        }

        if (!_uses.TryGetValue(tensor.Root, out List<(int, int)>? uses))
        {
            _uses[tensor.Root] = uses = new List<(int, int)>();
        }

        uses.Add((region, position));
    }

    /// <summary>The action at whose start a tensor arrives.</summary>
    private Piece FirstOf(Boundary boundary) => _pieces.First(p => boundary.IsGradient ? p.Phase is not Phase.Forward : p.Phase is Phase.Forward);

    /// <summary>The action at whose end a tensor goes.</summary>
    private Piece LastOf(Boundary boundary) => _pieces.Last(p => boundary.IsGradient ? p.Phase is Phase.Backward or Phase.InputGradient : p.Phase is Phase.Forward);

    private Piece PieceOf(LocalTensor tensor) => _pieces[Math.Max(0, tensor.Region)];
}
