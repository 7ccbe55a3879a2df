using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Compiler.Sharding;

/// <summary>Turns a graph with placements into the steps of a rank: local sizes, offsets, collectives where placements change.</summary>
public sealed class Lowering
{
    private readonly ShardedGraph _sharded;
    private readonly LocalGraph _local;
    private readonly Dictionary<(int Tensor, string Layout, int Region), LocalTensor> _resharded = new();
    private LocalRegion _region = null!;
    private Node? _node;

    private Lowering(ShardedGraph sharded)
    {
        _sharded = sharded;
        _local = new LocalGraph(sharded);
    }

    private ImmutableArray<ShardAxis> Axes => _sharded.Axes;

    /// <summary>Lowers a whole graph.</summary>
    public static LocalGraph Lower(ShardedGraph sharded)
    {
        var lowering = new Lowering(sharded);
        lowering.Run();
        return lowering._local;
    }

    private void Run()
    {
        ModelGraph graph = _sharded.Graph;
        foreach (Value value in graph.Inputs.Concat(graph.Parameters))
        {
            _local.Homes[value] = Make(value.Name, value, _sharded.Layout(value), -1, value.Stack);
        }

        foreach (Region region in graph.Regions)
        {
            var initial = new Dictionary<Carry, LocalTensor>();
            foreach (Carry carry in region.Carries)
            {
                // Before the loop: brought to the placement in which layers hand it on.
                initial[carry] = Get(carry.Initial, _sharded.Layout(carry.Argument));
                _local.Homes[carry.Argument] = Make(carry.Argument.Name, carry.Argument, _sharded.Layout(carry.Argument), region.Id, region.Stack!.Id);
            }

            _region = new LocalRegion(region, new List<LocalStep>());
            _local.Regions.Add(_region);
            foreach (Node node in region.Nodes)
            {
                _node = node;
                Lower(node);
            }

            _node = null;

            var carries = new List<LocalCarry>();
            foreach (Carry carry in region.Carries)
            {
                LocalTensor result = Get(carry.Result, _sharded.Layout(carry.Argument));
                LocalTensor final = Make(carry.Final.Name, carry.Final, _sharded.Layout(carry.Argument), region.Id + 1, -1);
                _local.Homes[carry.Final] = final;
                carries.Add(new LocalCarry(carry, initial[carry], _local.Homes[carry.Argument], result, final));
            }

            _local.Carries[region] = carries;
            foreach (ParameterGradient pair in graph.Gradients.Where(g => g.Gradient.Region == region.Id))
            {
                _local.Gradients.Add((pair.Parameter, Get(pair.Gradient, GradientLayout(pair))));
            }
        }

        if (graph.Result is { } result2)
        {
            // Whole on every rank; of each micro-batch its rows.
            _local.Result = Get(result2, Axes.Select((a, i) => a.IsMicroBatch ? _sharded.Layout(result2)[i] : Placement.Broadcast).ToImmutableArray());
        }

        Collect();
    }

    private void Add(LocalStep step) => _region.Steps.Add(step with { Owner = _node });

    /// <summary>What a step takes and yields, as local tensors.</summary>
    private void Collect()
    {
        ModelGraph graph = _sharded.Graph;
        _local.Inputs.AddRange(graph.Inputs.Select((v, i) => (i, _local.Homes[v])));
        _local.Parameters.AddRange(graph.Parameters.Select(v => (v, _local.Homes[v])));
        _local.Losses.AddRange(graph.Losses.Select(l => (_local.Homes[l.Sum], l.Factor)));
        _local.LossWeight = graph.LossWeight is { } weight ? _local.Homes[weight] : null;
        _local.Layers.AddRange(graph.Stacks.Select(s => s.Layers));
    }

    /// <summary>Where a gradient is accumulated: like its parameter, but still a sum of terms where the parameter is whole.</summary>
    private ImmutableArray<Placement> GradientLayout(ParameterGradient pair)
    {
        ImmutableArray<Placement> gradient = _sharded.Layout(pair.Gradient), parameter = _sharded.Layout(pair.Parameter);
        return gradient.Select((g, axis) => g.IsPartial && parameter[axis].IsBroadcast ? g : Axes[axis].IsMicroBatch ? g : parameter[axis]).ToImmutableArray();
    }

    private void Lower(Node node)
    {
        ImmutableArray<LocalTensor> inputs = node.Inputs.Select((v, i) => Get(v, _sharded.InputLayout(node, i))).ToImmutableArray();
        ImmutableArray<LocalTensor> outputs = node.Outputs.Select((v, o) => Make(v.Name, v, _sharded.OutputLayout(node, o), _region.Region.Id, v.Stack)).ToImmutableArray();
        var communicating = Enumerable.Range(0, Axes.Length).Where(a => _sharded.SignatureOf(node, a).Communicates).ToList();
        if (node.Op is ReshapeOp || node.Op is ElementwiseOp { Function: "Reshard" })
        {
            if (inputs[0].Local.Element == outputs[0].Local.Element)
            {
                outputs[0].AliasOf = inputs[0];
            }
            else
            {
                // A number without dims keeps digits that a tensor of one element does not.
                Add(new LocalStep.Compute(node, new CopyOp(), inputs, outputs));
            }
        }
        else if (node.Op is CrossEntropyOp crossEntropy && communicating.Count > 0)
        {
            LowerCrossEntropy(node, crossEntropy, inputs, outputs, communicating);
        }
        else
        {
            Add(new LocalStep.Compute(node, node.Op, inputs, outputs));
        }

        for (int o = 0; o < outputs.Length; o++)
        {
            Value value = node.Outputs[o];
            _local.Homes[value] = Reshard(outputs[o], _sharded.Layout(value), value);
        }
    }

    /// <summary>Class dim split: local maximum, reduced; local sums and picked logits, reduced packed; then each rank knows all rows.</summary>
    private void LowerCrossEntropy(Node node, CrossEntropyOp op, ImmutableArray<LocalTensor> inputs, ImmutableArray<LocalTensor> outputs, List<int> axes)
    {
        TensorType rows = outputs[2].Local;
        LocalTensor max = Temporary("max", rows), packed = Temporary("sums", rows.With(new[] { 2L }.Concat(rows.Dims)));
        Add(new LocalStep.Compute(node, new CrossEntropyMaxOp(), ImmutableArray.Create(inputs[0]), ImmutableArray.Create(max)));
        foreach (int axis in axes)
        {
            max = AllReduce(CollectiveKind.AllReduceMax, axis, max, $"largest logit of each row, classes split over {Axes[axis].Name}");
        }

        Add(new LocalStep.Compute(node, new CrossEntropySumsOp(), ImmutableArray.Create(inputs[0], max, inputs[1]), ImmutableArray.Create(packed)));
        foreach (int axis in axes)
        {
            packed = AllReduce(CollectiveKind.AllReduce, axis, packed, $"sum of exponentials and the target's logit of each row, classes split over {Axes[axis].Name}");
        }

        var finish = ImmutableArray.Create(packed, max, inputs[1]);
        long classes = node.Inputs[0].Type.Dims[node.Inputs[0].Type.Rank - 1];
        Add(new LocalStep.Compute(node, new CrossEntropyFinishOp(op.IgnoreIndex, op.HasWeights, classes), op.HasWeights ? finish.Add(inputs[2]) : finish, outputs));
    }

    private LocalTensor Get(Value value, ImmutableArray<Placement> layout) => Reshard(_local.Homes[value], layout, value);

    /// <summary>Brings a tensor to another layout. Slices are undone from the inside out and made from the outside in; a slice that stands inside of a changing one is
    /// undone first and made again after.</summary>
    private LocalTensor Reshard(LocalTensor tensor, ImmutableArray<Placement> target, Value value)
    {
        if (tensor.Layout.SequenceEqual(target))
        {
            return tensor;
        }

        // The way to a layout is the same wherever it is asked for: made once in a region.
        var key = (tensor.Id, string.Join(",", target), _region.Region.Id);
        if (_resharded.TryGetValue(key, out LocalTensor? known))
        {
            return known;
        }

        LocalTensor current = tensor;
        bool[] conflicted = Conflicts(tensor.Layout, target);
        for (int axis = Axes.Length - 1; axis >= 0; axis--)
        {
            Placement from = current.Layout[axis], to = target[axis];
            if (from == to && !conflicted[axis])
            {
                continue;
            }

            if (from.IsPartial)
            {
                bool direct = to.IsSplit && !conflicted[axis] && InnermostOf(current.Layout, to.Dim, axis) && !PendingOuter(current.Layout, target, to.Dim, axis);
                current = direct ? ReduceScatter(axis, current, to.Dim, value) : AllReduce(CollectiveKind.AllReduce, axis, current, $"P -> B of {value.Name}");
            }
            else if (from.IsSplit)
            {
                bool innermost = !conflicted[axis] && InnermostOf(current.Layout, from.Dim, axis);
                bool exchange = innermost && to.IsSplit && InnermostOf(current.Layout, to.Dim, axis) && !PendingOuter(current.Layout, target, to.Dim, axis);
                current = exchange ? AllToAll(axis, current, from.Dim, to.Dim, value)
                    : to.IsPartial && innermost ? Pad(axis, current, from.Dim, value)
                    : AllGather(axis, current, from.Dim, value);
            }
        }

        for (int axis = 0; axis < Axes.Length; axis++)
        {
            Placement from = current.Layout[axis], to = target[axis];
            if (from == to)
            {
                continue;
            }

            if (to.IsSplit)
            {
                current = Slice(axis, current, to.Dim, value);
            }
            else if (to.IsPartial)
            {
                LocalTensor kept = With(current, axis, Placement.Partial, value);
                Add(new LocalStep.Compute(null, new KeepFirstOp(Axes[axis].Name), ImmutableArray.Create(current), ImmutableArray.Create(kept)));
                current = kept;
            }
        }

        _resharded[key] = current;
        return current;
    }

    /// <summary>Axes whose slice of a dim stands inside of another axis' slice of that dim which changes.</summary>
    private bool[] Conflicts(ImmutableArray<Placement> from, ImmutableArray<Placement> to)
    {
        var result = new bool[Axes.Length];
        for (int inner = 1; inner < Axes.Length; inner++)
        {
            for (int outer = 0; outer < inner && from[inner].IsSplit; outer++)
            {
                bool changes = from[outer] != to[outer] || result[outer];
                bool same = (from[outer].IsSplit && from[outer].Dim == from[inner].Dim) || (to[outer].IsSplit && to[outer].Dim == from[inner].Dim);
                result[inner] |= changes && same;
            }
        }

        return result;
    }

    private static bool InnermostOf(ImmutableArray<Placement> layout, int dim, int axis) =>
        !layout.Where((p, a) => a > axis && p.IsSplit && p.Dim == dim).Any();

    /// <summary>Whether an outer slice of the dim has still to come or to go: an inner one made now would lie elsewhere.</summary>
    private static bool PendingOuter(ImmutableArray<Placement> current, ImmutableArray<Placement> target, int dim, int axis) =>
        Enumerable.Range(0, axis).Any(a => current[a] != target[a] && (Slices(current[a], dim) || Slices(target[a], dim)));

    private static bool Slices(Placement placement, int dim) => placement.IsSplit && placement.Dim == dim;

    private LocalTensor AllReduce(CollectiveKind kind, int axis, LocalTensor input, string reason)
    {
        LocalTensor output = new(_local.Tensors.Count, input.Name, input.Local, input.Logical, input.Start, input.Layout.IsEmpty ? input.Layout : input.Layout.SetItem(axis, Placement.Broadcast), _region.Region.Id, StackOf(_region)) { AliasOf = input };
        _local.Tensors.Add(output);
        Add(new LocalStep.Collective(kind, Axes[axis], input, output, ReshardCost.BytesPerRank(Axes[axis], Placement.Partial, Placement.Broadcast, input.Local.Bytes), reason));
        return output;
    }

    private LocalTensor AllGather(int axis, LocalTensor input, int dim, Value value)
    {
        LocalTensor output = With(input, axis, Placement.Broadcast, value);
        int parts = Axes[axis].Parts;
        long before = Before(input, dim);
        LocalTensor gathered = before == 1 ? output : Temporary(value.Name + "Pieces", input.Local.With(new long[] { parts }.Concat(input.Local.Dims)));
        Add(CollectiveKind.AllGather, axis, input, gathered, Placement.Split(dim), Placement.Broadcast, output.Local.Bytes, $"S({dim}) -> B of {value.Name}");
        if (before != 1)
        {
            // [p, before, n/p, after] -> [before, p, n/p, after]
            Move(gathered, new[] { parts, before, input.Local.Dims[dim], After(input, dim) }, new[] { 1, 0, 2, 3 }, output);
        }

        return output;
    }

    private LocalTensor ReduceScatter(int axis, LocalTensor input, int dim, Value value)
    {
        LocalTensor output = With(input, axis, Placement.Split(dim), value);
        int parts = Axes[axis].Parts;
        LocalTensor source = input;
        if (Before(input, dim) != 1)
        {
            source = Temporary(value.Name + "Pieces", input.Local);
            Move(input, new[] { Before(input, dim), parts, input.Local.Dims[dim] / parts, After(input, dim) }, new[] { 1, 0, 2, 3 }, source);
        }

        Add(CollectiveKind.ReduceScatter, axis, source, output, Placement.Partial, Placement.Split(dim), input.Local.Bytes, $"P -> S({dim}) of {value.Name}");
        return output;
    }

    private LocalTensor AllToAll(int axis, LocalTensor input, int from, int to, Value value)
    {
        // Pieces of the dim that will be split go out; pieces of the dim that was split come in.
        LocalTensor output = With(input, axis, Placement.Split(to), value);
        int parts = Axes[axis].Parts;
        LocalTensor source = Temporary(value.Name + "Out", input.Local), target = Temporary(value.Name + "In", input.Local);
        Move(input, new[] { Before(input, to), parts, input.Local.Dims[to] / parts, After(input, to) }, new[] { 1, 0, 2, 3 }, source);
        Add(CollectiveKind.AllToAll, axis, source, target, Placement.Split(from), Placement.Split(to), input.Local.Bytes * parts, $"S({from}) -> S({to}) of {value.Name}");
        long[] piece = input.Local.Dims.Select((size, d) => d == to ? size / parts : size).ToArray();
        long before = piece.Take(from).Aggregate(1L, (a, b) => a * b), after = piece.Skip(from + 1).Aggregate(1L, (a, b) => a * b);
        Move(target, new[] { parts, before, piece[from], after }, new[] { 1, 0, 2, 3 }, output);
        return output;
    }

    private LocalTensor Slice(int axis, LocalTensor input, int dim, Value value)
    {
        LocalTensor output = With(input, axis, Placement.Split(dim), value);
        long step = output.Local.Dims[dim];
        var start = new Offset(0, EquatableArray.Of((Axes[axis].Name, step)));
        if (Before(input, dim) == 1)
        {
            output.AliasOf = input;
            output.AliasStart = new Offset(0, EquatableArray.Of((Axes[axis].Name, step * After(input, dim))));
        }
        else
        {
            Add(new LocalStep.Compute(null, new LocalSliceOp(dim, start), ImmutableArray.Create(input), ImmutableArray.Create(output)));
        }

        return output;
    }

    private LocalTensor Pad(int axis, LocalTensor input, int dim, Value value)
    {
        LocalTensor output = With(input, axis, Placement.Partial, value);
        var start = new Offset(0, EquatableArray.Of((Axes[axis].Name, input.Local.Dims[dim])));
        Add(new LocalStep.Compute(null, new LocalPadOp(dim, start), ImmutableArray.Create(input), ImmutableArray.Create(output)));
        return output;
    }

    private void Add(CollectiveKind kind, int axis, LocalTensor input, LocalTensor output, Placement from, Placement to, long bytes, string reason) =>
        Add(new LocalStep.Collective(kind, Axes[axis], input, output, ReshardCost.BytesPerRank(Axes[axis], from, to, bytes), reason));

    /// <summary>Reorders local data seen as other dims.</summary>
    private void Move(LocalTensor input, long[] dims, int[] order, LocalTensor output)
    {
        LocalTensor from = Temporary(input.Name, input.Local.With(dims)), to = Temporary(output.Name, input.Local.With(order.Select(d => dims[d])));
        from.AliasOf = input;
        to.AliasOf = output;
        Add(new LocalStep.Compute(null, new PermuteOp(EquatableArray.Of(order)), ImmutableArray.Create(from), ImmutableArray.Create(to)));
    }

    private static long Before(LocalTensor tensor, int dim) => tensor.Local.Dims.Take(dim).Aggregate(1L, (a, b) => a * b);

    private static long After(LocalTensor tensor, int dim) => tensor.Local.Dims.Skip(dim + 1).Aggregate(1L, (a, b) => a * b);

    private LocalTensor With(LocalTensor tensor, int axis, Placement placement, Value value) =>
        Make(tensor.Name, value, tensor.Layout.SetItem(axis, placement), _region.Region.Id, StackOf(_region));

    private static int StackOf(LocalRegion region) => region.Region.Stack?.Id ?? -1;

    private LocalTensor Temporary(string name, TensorType type)
    {
        var tensor = new LocalTensor(
            _local.Tensors.Count, name, type, type, type.Dims.Select(_ => Offset.Zero).ToImmutableArray(), ImmutableArray<Placement>.Empty, _region.Region.Id, StackOf(_region));
        _local.Tensors.Add(tensor);
        return tensor;
    }

    private LocalTensor Make(string name, Value value, ImmutableArray<Placement> layout, int region, int stack)
    {
        long[] size = value.Type.Dims.ToArray();
        var terms = size.Select(_ => new List<(string, long)>()).ToArray();
        for (int axis = 0; axis < Axes.Length; axis++)
        {
            if (layout[axis].IsSplit && Axes[axis].Parts > 1)
            {
                int dim = layout[axis].Dim;
                size[dim] /= Axes[axis].Parts;
                terms[dim].Add((Axes[axis].Name, size[dim]));
            }
        }

        var tensor = new LocalTensor(_local.Tensors.Count, name, value.Type.With(size), value.Type, terms.Select(t => new Offset(0, t.ToEquatable())).ToImmutableArray(), layout, region, stack);
        _local.Tensors.Add(tensor);
        return tensor;
    }
}
