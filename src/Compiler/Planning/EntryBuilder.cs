using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Memory;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Turns the local graph of one entry into methods of statements over buffers: decides which memory each tensor has, and for how long.</summary>
internal sealed class EntryBuilder
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
    }

    private readonly string _entry;
    private readonly LocalGraph _graph;
    private readonly KernelBuilder _kernels;
    private readonly BufferTable _buffers;
    private readonly ImmutableArray<ParameterPlan> _parameters;
    private readonly int _microBatches;
    private readonly List<Piece> _pieces = new();
    private readonly Dictionary<LocalTensor, Home> _homes = new();
    private readonly Dictionary<LocalTensor, List<(int Region, int Position)>> _uses = new();
    private readonly Dictionary<LocalTensor, (int Region, int Position)> _writes = new();
    private readonly List<(OperandPlan Gradient, LocalTensor Contribution, bool OnlyFirst)> _accumulated = new();
    private readonly HashSet<LocalTensor> _accumulatingProducts = new();
    private readonly Dictionary<LocalTensor, OperandPlan> _fixed = new();
    private readonly HashSet<LocalTensor> _needed = new();
    private readonly List<Storage> _storages = new();

    public EntryBuilder(string entry, LocalGraph graph, KernelBuilder kernels, BufferTable buffers, ImmutableArray<ParameterPlan> parameters, int microBatches)
    {
        _entry = entry;
        _graph = graph;
        _kernels = kernels;
        _buffers = buffers;
        _parameters = parameters;
        _microBatches = microBatches;
    }

    private ModelGraph Logical => _graph.Sharded.Graph;

    /// <summary>Bytes of this entry's activations; set by <see cref="Build"/>.</summary>
    public long Bytes { get; private set; }

    /// <summary>Lower bound on them.</summary>
    public long LowerBound { get; private set; }

    /// <summary>Builds the entry; its buffers start at the given offset.</summary>
    public EntryPlan Build(long offset)
    {
        foreach (LocalRegion region in _graph.Regions)
        {
            SeparateReductions(region);
        }

        foreach (LocalRegion region in _graph.Regions)
        {
            _pieces.Add(new Piece(region, Clusterer.Fuse(region)));
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
        Lifetimes();
        LayOut(offset);
        return Emit();
    }

    /// <summary>An all-reduce works in place. Where the partial value is still needed as it was, it works on a copy.</summary>
    private void SeparateReductions(LocalRegion region)
    {
        for (int i = 0; i < region.Steps.Count; i++)
        {
            if (region.Steps[i] is not LocalStep.Collective { Kind: CollectiveKind.AllReduce or CollectiveKind.AllReduceMax } reduce || reduce.Output.AliasOf is null)
            {
                continue;
            }

            bool shared = _graph.Regions.SelectMany(r => r.Steps.Select((s, at) => (r, s, at))).Any(x =>
                !ReferenceEquals(x.s, reduce) && (x.r != region || x.at > i) && InputsOf(x.s).Any(t => Reaches(t, reduce.Input, reduce.Output)))
                || _graph.Carries.SelectMany(c => c.Value).Any(c => Reaches(c.Result, reduce.Input, reduce.Output) || Reaches(c.Initial, reduce.Input, reduce.Output))
                || _graph.Gradients.Any(g => Reaches(g.Gradient, reduce.Input, reduce.Output))
                || Logical.Losses.Any(l => Reaches(_graph.Homes[l.Sum], reduce.Input, reduce.Output));
            if (shared || reduce.Input.Root.Stack != reduce.Output.Stack)
            {
                reduce.Output.AliasOf = null;
                region.Steps[i] = reduce with { Input = reduce.Output };
                region.Steps.Insert(i, new LocalStep.Compute(null, new CopyOp(), ImmutableArray.Create(reduce.Input), ImmutableArray.Create(reduce.Output)));
                i++;
            }
        }
    }

    private static IEnumerable<LocalTensor> InputsOf(LocalStep step) => step is LocalStep.Compute c ? c.Inputs : new[] { ((LocalStep.Collective)step).Input };

    /// <summary>Whether a tensor is a view of another, not by way of a third.</summary>
    private static bool Reaches(LocalTensor tensor, LocalTensor target, LocalTensor except)
    {
        for (LocalTensor? t = tensor; t is not null && t != except; t = t.AliasOf)
        {
            if (t == target)
            {
                return true;
            }
        }

        return false;
    }

    private void FixParameters()
    {
        foreach (Value parameter in Logical.Parameters)
        {
            ParameterPlan? plan = _parameters.FirstOrDefault(p => p.Path == parameter.Parameter!.Path);
            if (plan is not null)
            {
                _fixed[_graph.Homes[parameter]] = new OperandPlan(plan.Value, plan.Layers > 1 ? SlotIndex.Layer : SlotIndex.None, null, _graph.Homes[parameter].Local.Count, plan.Layers);
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

                    if (piece.Steps[i].Collective is not null)
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

        foreach ((Value sum, double _) in Losses())
        {
            Piece piece = PieceOf(_graph.Homes[sum]);
            Use(_graph.Homes[sum], piece.Id, piece.End);
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

    private IEnumerable<(Value Sum, double Factor)> Losses() =>
        Logical.LossWeight is { } weight ? Logical.Losses.Append((weight, 1)) : Logical.Losses;

    private Piece PieceOf(LocalTensor tensor) => _pieces[Math.Max(0, tensor.Region)];

    private void PlaceCarries(Piece piece)
    {
        int layers = piece.Stack!.Layers;
        bool backward = piece.Region.Region.IsBackward;
        List<LocalCarry> carries = _graph.Carries[piece.Region.Region];
        for (int i = 0; i < carries.Count; i++)
        {
            LocalCarry carry = carries[i];
            bool saved = UsedOutside(carry.Argument, piece) || (carry.Result.Root.Region == piece.Id && UsedOutside(carry.Result, piece));
            var storage = new Storage(carry.Argument.Name, carry.Argument.Local, saved ? layers + 1 : 2, Comment(carry.Argument) + (saved ? "; what enters each layer, and what leaves the last" : "; handed from layer to layer"));
            _storages.Add(storage);
            _homes[carry.Argument] = new Home(storage, backward ? SlotIndex.Iteration : SlotIndex.Layer, layers);
            _homes[carry.Final] = new Home(storage, SlotIndex.Last, layers);
            storage.Touch(piece.Start, piece.End);

            if (carry.Result.Root is { } result && result.Region == piece.Id && !_homes.ContainsKey(result) && !_fixed.ContainsKey(result) && IsWhole(carry.Result) && result.Stack == piece.Stack.Id)
            {
                _homes[result] = new Home(storage, backward ? SlotIndex.NextIteration : SlotIndex.NextLayer, layers);
            }
            else
            {
                Copy(carry.Result, piece, storage, backward ? SlotIndex.NextIteration : SlotIndex.NextLayer, layers);
            }

            Piece before = _pieces[piece.Id - 1];
            LocalTensor initial = carry.Initial.Root;
            bool free = initial.Region >= 0 && initial.Stack < 0 && !_homes.ContainsKey(initial) && !_fixed.ContainsKey(initial) && IsWhole(carry.Initial) && initial.Region == before.Id
                && !carries.Skip(i + 1).Any(c => c.Initial.Root == initial);
            if (free && (saved || _uses[initial].All(u => u.Position <= piece.Start)))
            {
                _homes[initial] = new Home(storage, SlotIndex.First, layers);
            }
            else
            {
                Copy(carry.Initial, before, storage, SlotIndex.First, layers);
            }
        }
    }

    private bool UsedOutside(LocalTensor tensor, Piece piece) =>
        _uses.TryGetValue(tensor.Root, out List<(int Region, int Position)>? uses) && uses.Any(u => u.Region != piece.Id && u.Region != piece.Id - 1 && _pieces[u.Region].Stack == piece.Stack);

    private static bool IsWhole(LocalTensor tensor)
    {
        for (LocalTensor? t = tensor; t is not null; t = t.AliasOf)
        {
            if (t.AliasStart is not null)
            {
                return false;
            }
        }

        return true;
    }

    private void Copy(LocalTensor source, Piece piece, Storage storage, SlotIndex slot, int layers)
    {
        var target = new LocalTensor(_graph.Tensors.Count, source.Name, source.Local, source.Logical, source.Start, source.Layout, piece.Id, piece.Stack?.Id ?? -1);
        _graph.Tensors.Add(target);
        piece.Steps.Add(new FusedStep(new LocalStep.Compute(null, new CopyOp(), ImmutableArray.Create(source), ImmutableArray.Create(target))));
        _homes[target] = new Home(storage, slot, layers);
        _extra.Add(target);
    }

    private readonly HashSet<LocalTensor> _extra = new();

    private void PlaceGradients()
    {
        foreach ((Value parameter, LocalTensor gradient) in _graph.Gradients)
        {
            ParameterPlan plan = _parameters.First(p => p.Path == parameter.Parameter!.Path);
            var target = new OperandPlan(plan.Gradient, plan.Layers > 1 ? SlotIndex.Layer : SlotIndex.None, null, gradient.Local.Count, plan.Layers);
            LocalTensor root = gradient.Root;
            bool onlyFirst = _microBatches > 1 && !gradient.Layout[0].IsPartial;
            bool own = root.Region >= 0 && root.Stack == parameter.Stack && !_homes.ContainsKey(root) && !_fixed.ContainsKey(root) && IsWhole(gradient) && _writes.ContainsKey(root);
            FusedStep? producer = own ? _pieces[root.Region].Steps.FirstOrDefault(s => s.Outputs.Contains(root)) : null;
            bool product = producer is { IsGemm: true, Ops.Count: 1 } && _uses[root].All(u => u.Position == _pieces[root.Region].End) && ReferenceEquals(gradient, root);
            if (own && _microBatches == 1)
            {
                _fixed[root] = target;
            }
            else if (own && product && !onlyFirst)
            {
                _fixed[root] = target;
                _accumulatingProducts.Add(root);
            }
            else
            {
                _accumulated.Add((target, gradient, onlyFirst));
            }
        }
    }

    private void PlaceRest()
    {
        foreach (Piece piece in _pieces)
        {
            // A block of the runtime writes all its results, also those that nobody reads.
            foreach (LocalTensor root in piece.Steps.SelectMany(s => s.Outputs.Where(t => _needed.Contains(t) || (s.Ops.Count == 1 && !s.IsElementwise))).Select(t => t.Root).Distinct())
            {
                Place(root, piece);
            }
        }

        foreach (Value input in Logical.Inputs)
        {
            Place(_graph.Homes[input], _pieces[0]);
        }
    }

    private void Place(LocalTensor root, Piece piece)
    {
        if (_homes.ContainsKey(root) || _fixed.ContainsKey(root))
        {
            return;
        }

        bool perLayer = root.Stack >= 0 && _uses.TryGetValue(root, out List<(int Region, int Position)>? uses) && uses.Any(u => u.Region != root.Region);
        int layers = perLayer ? Logical.Stacks[root.Stack].Layers : 0;
        var storage = new Storage(root.Region < 0 ? root.Name + "Local" : root.Name, root.Local, Math.Max(1, layers), Comment(root) + (perLayer ? "; kept for backward" : ""));
        if (root.Layout.IsEmpty && root.Name.EndsWith("Pieces", StringComparison.Ordinal))
        {
            storage.Category = MemoryCategory.Communication;
        }

        _storages.Add(storage);
        _homes[root] = new Home(storage, layers > 1 ? SlotIndex.Layer : SlotIndex.None, layers);
    }

    private string Comment(LocalTensor tensor) => tensor.Layout.IsEmpty ? tensor.Local.ShapeText : ParameterLayout.Comment(tensor, _graph.Sharded.Axes);

    private void Lifetimes()
    {
        foreach (KeyValuePair<LocalTensor, Home> pair in _homes)
        {
            LocalTensor root = pair.Key;
            Storage storage = pair.Value.Storage;
            if (root.Region < 0)
            {
                storage.Touch(0, 0);
            }

            if (_writes.TryGetValue(root, out (int Region, int Position) write))
            {
                Touch(storage, write.Region, write.Position, root);
            }

            if (_uses.TryGetValue(root, out List<(int Region, int Position)>? uses))
            {
                foreach ((int region, int position) in uses)
                {
                    Touch(storage, region, position, root);
                }
            }
        }
    }

    /// <summary>Within a loop body, what only one iteration knows lives from step to step; everything else lives through the whole loop.</summary>
    private void Touch(Storage storage, int region, int position, LocalTensor root)
    {
        Piece piece = _pieces[Math.Max(0, region)];
        bool inside = piece.Stack is null || (storage.Slots == 1 && root.Region == piece.Id && root.Stack >= 0);
        storage.Touch(inside ? position : Math.Min(position, piece.Start), inside ? position : piece.End);
    }

    private void LayOut(long offset)
    {
        List<Storage> used = _storages.Where(s => s.Last >= 0).ToList();
        var layout = ArenaLayout.Place(used.Select(s => new Block(ArenaLayout.Align(s.Type.Bytes) * s.Slots, s.First, s.Last)).ToList());
        Bytes = layout.Bytes;
        LowerBound = layout.LowerBound;
        string prefix = _entry == "Train" ? "" : _entry.ToLowerInvariant();
        for (int i = 0; i < used.Count; i++)
        {
            string name = prefix.Length == 0 ? used[i].Name : prefix + char.ToUpperInvariant(used[i].Name[0]) + used[i].Name.Substring(1);
            used[i].Buffer = _buffers.Add(name, used[i].Type.Element, offset + layout.Offsets[i], used[i].Type.Count, ArenaLayout.Align(used[i].Type.Bytes), used[i].Slots, used[i].Category, used[i].Comment);
        }
    }

    private OperandPlan Operand(LocalTensor tensor)
    {
        Offset? start = null;
        for (LocalTensor? t = tensor; t is not null; t = t.AliasOf)
        {
            if (t.AliasStart is { } own)
            {
                start = start is null ? own : new Offset(start.Constant + own.Constant, start.Terms.Concat(own.Terms).ToEquatable());
            }
        }

        LocalTensor root = tensor.Root;
        if (_fixed.TryGetValue(root, out OperandPlan? plan))
        {
            return plan with { Start = start, Length = tensor.Local.Count };
        }

        Home home = _homes[root];
        return new OperandPlan(home.Storage.Buffer, home.Storage.Slots > 1 ? home.Slot : SlotIndex.None, start, tensor.Local.Count, home.Layers);
    }

    private EntryPlan Emit()
    {
        var main = new List<ProgramStatement>();
        var methods = new List<MethodPlan>();
        for (int i = 0; i < Logical.Inputs.Count; i++)
        {
            if (_uses.ContainsKey(_graph.Homes[Logical.Inputs[i]]))
            {
                main.Add(new ProgramStatement.Load(i, Operand(_graph.Homes[Logical.Inputs[i]])));
            }
        }

        foreach (Piece piece in _pieces)
        {
            List<ProgramStatement> statements = Statements(piece);
            if (statements.Count == 0)
            {
                continue;
            }

            (string name, string summary) = Describe(piece);
            methods.Add(new MethodPlan(name, summary, piece.Stack is not null, statements.ToEquatable()));
            main.Add(new ProgramStatement.Call(methods.Count - 1, piece.Stack?.Layers ?? 0, piece.Region.Region.IsBackward));
        }

        EquatableArray<InputPlan> inputs = Logical.Inputs.Select(v => new InputPlan(v.Name, v.Type.Element, v.Type.Dims, _graph.Homes[v].Local.Dims, _graph.Homes[v].Start.ToEquatable())).ToEquatable();
        return new EntryPlan(_entry, inputs, main.ToEquatable(), methods.ToEquatable(), _graph.Result is { } r ? Operand(r) : null, _graph.Result?.Local.Dims ?? default, _microBatches);
    }

    private List<ProgramStatement> Statements(Piece piece)
    {
        var result = new List<ProgramStatement>();
        foreach (FusedStep step in piece.Steps)
        {
            if (step.Collective is { } collective)
            {
                string ticket = KernelBuilder.Identifier(collective.Output.Name) + "Ready" + result.Count;
                OperandPlan source = Operand(collective.Input);
                bool inPlace = collective.Kind is CollectiveKind.AllReduce or CollectiveKind.AllReduceMax;
                EquatableArray<string> axes = EquatableArray.Of(collective.Axis.Name);
                result.Add(new ProgramStatement.Start(ticket, collective.Kind, axes, source, inPlace ? null : Operand(collective.Output), collective.Bytes, collective.Reason));
                result.Add(new ProgramStatement.Wait(ticket, axes));
                continue;
            }

            bool accumulates = step.IsGemm && _accumulatingProducts.Contains(step.Ops[0].Outputs[0]);
            (int kernel, ImmutableArray<LocalTensor> tensors) = _kernels.Add(step, t => _needed.Contains(t) || _extra.Contains(t) || step.Ops.Count == 1 && !step.IsElementwise, accumulates);
            LocalTensor output = tensors[_kernels.Kernels[kernel].Tensors.Items.IndexOf(_kernels.Kernels[kernel].Tensors.First(t => t.IsOutput))];
            result.Add(new ProgramStatement.Run(kernel, tensors.Select(Operand).ToEquatable(), Comment(output), false));
        }

        foreach ((Value sum, double factor) in Logical.Losses)
        {
            if (PieceOf(_graph.Homes[sum]) == piece)
            {
                result.Add(Loss(sum, factor, weight: false));
            }
        }

        if (Logical.LossWeight is { } total && PieceOf(_graph.Homes[total]) == piece)
        {
            result.Add(Loss(total, 1, weight: true));
        }

        foreach ((OperandPlan gradient, LocalTensor contribution, bool onlyFirst) in _accumulated)
        {
            if (PieceOf(contribution) == piece)
            {
                result.Add(new ProgramStatement.Accumulate(gradient, Operand(contribution), onlyFirst, Comment(contribution)));
            }
        }

        return result;
    }

    private ProgramStatement Loss(Value value, double factor, bool weight)
    {
        LocalTensor tensor = _graph.Homes[value];
        ImmutableArray<ShardAxis> axes = _graph.Sharded.Axes;
        var reduce = Enumerable.Range(0, axes.Length).Where(a => axes[a].Parts > 1 && !axes[a].IsMicroBatch && tensor.Layout[a].IsPartial).Select(a => axes[a].Name).ToEquatable();
        var once = Enumerable.Range(0, axes.Length).Where(a => axes[a].Parts > 1 && axes[a].IsMicroBatch && !tensor.Layout[a].IsPartial).Select(a => axes[a].Name).ToEquatable();
        return new ProgramStatement.AddLoss(Operand(tensor), factor, weight, once, reduce);
    }

    private (string Name, string Summary) Describe(Piece piece)
    {
        bool backward = piece.Region.Region.IsBackward;
        string direction = backward ? "Backward" : "Forward", prefix = _entry == "Train" ? "" : _entry;
        string Pascal(string path) => string.Concat(path.Split('.').Select(p => char.ToUpperInvariant(p[0]) + p.Substring(1)));
        if (piece.Stack is { } stack)
        {
            return (prefix + direction + Pascal(stack.Path), $"{direction} of one layer of {stack.Path} ({stack.LayerType}), of {stack.Layers}.");
        }

        Piece? next = _pieces.Skip(piece.Id + 1).FirstOrDefault(p => p.Stack is not null && p.Region.Region.IsBackward == backward);
        Piece? previous = _pieces.Take(piece.Id).LastOrDefault(p => p.Stack is not null && p.Region.Region.IsBackward == backward);
        return next is not null && previous is null ? (prefix + direction + "Before" + Pascal(next.Stack!.Path), $"{direction} of what comes before {next.Stack.Path} in this direction.")
            : previous is not null ? (prefix + direction + "After" + Pascal(previous.Stack!.Path), $"{direction} of what comes after {previous.Stack.Path} in this direction.")
            : (prefix + direction + "All", $"{direction} of the whole model.");
    }
}
