using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Sharding;

/// <summary>Chooses placements and signatures, axis by axis in order: what the user wrote is fixed, between them the predicted time of
/// communication, and of matrix work that would run on every rank, is least, over forward and backward together.</summary>
public sealed class SignatureSearch
{
    /// <summary>Keeps a parameter where its annotation put it: moving it is possible, never attractive.</summary>
    private const long MoveParameter = 1_000_000_000_000_000;

    /// <summary>Keeps what a data axis split as it is: gathering a small batch, so that every rank computes all of it, would save a reduction of
    /// gradients, and is not what a data axis is for.</summary>
    private const long LeaveBatch = MoveParameter / 1024;

    private readonly ShardedGraph _sharded;
    private readonly double _flopsPerSecond;
    private readonly CancellationToken _cancellation;
    private readonly HashSet<Value> _gradients;

    /// <summary>Sizes of each value as the axes before the one in question leave it, by id.</summary>
    private ImmutableArray<long>[] _dims = Array.Empty<ImmutableArray<long>>();

    /// <summary>Bytes of each value under these sizes.</summary>
    private long[] _bytes = Array.Empty<long>();

    private SignatureSearch(ShardedGraph sharded, double flopsPerSecond, CancellationToken cancellation)
    {
        _sharded = sharded;
        _flopsPerSecond = flopsPerSecond;
        _cancellation = cancellation;
        _gradients = new HashSet<Value>(sharded.Graph.Gradients.Select(g => g.Gradient));
    }

    /// <summary>Places a graph on axes.</summary>
    /// <param name="graph">Joint graph, forward and backward.</param>
    /// <param name="axes">Axes in the order in which they slice; the micro-batches first.</param>
    /// <param name="flopsPerSecond">What a device does, for work that would be repeated.</param>
    /// <param name="cancellation">Ends the search.</param>
    /// <param name="blocked">Nodes that stand in the way of an axis (they need what it separates), with the axis.</param>
    public static ShardedGraph Place(ModelGraph graph, ImmutableArray<ShardAxis> axes, double flopsPerSecond, CancellationToken cancellation, out ImmutableArray<(Node Node, ShardAxis Axis)> blocked)
    {
        var sharded = new ShardedGraph(graph, axes);
        var search = new SignatureSearch(sharded, flopsPerSecond, cancellation);
        var obstacles = ImmutableArray.CreateBuilder<(Node, ShardAxis)>();
        for (int axis = 0; axis < axes.Length; axis++)
        {
            if (axes[axis].Parts > 1)
            {
                search.Solve(axis, obstacles);
            }
        }

        blocked = obstacles.ToImmutable();
        return sharded;
    }

    private void Solve(int axis, ImmutableArray<(Node, ShardAxis)>.Builder obstacles)
    {
        ShardAxis along = _sharded.Axes[axis];
        ModelGraph graph = _sharded.Graph;
        var network = new CostNetwork();
        _dims = graph.Values.Select(v => _sharded.Local(v.Type, _sharded.Layout(v), axis)).ToArray();
        _bytes = graph.Values.Select((v, i) => v.Type.With(_dims[i]).Bytes).ToArray();
        var signatures = graph.Nodes.ToDictionary(n => n, n => Signatures(n, axis));
        Dictionary<Value, List<Placement>> homes = Homes(axis, signatures);
        var nodeVariables = graph.Nodes.ToDictionary(n => n, n => network.Variable(signatures[n].Select((s, i) => NodeCost(n, s, axis) + i).ToArray()));
        var valueVariables = graph.Values.ToDictionary(v => v, v => network.Variable(homes[v].Select((_, i) => (long)i).ToArray()));
        foreach (Carry carry in graph.Regions.SelectMany(r => r.Carries))
        {
            valueVariables[carry.Final] = valueVariables[carry.Argument];
            homes[carry.Final] = homes[carry.Argument];
        }

        foreach (Node node in graph.Nodes)
        {
            ImmutableArray<Signature> own = signatures[node];
            long weight = Weight(node.Inputs.Concat(node.Outputs));
            for (int o = 0; o < node.Outputs.Length; o++)
            {
                Value value = node.Outputs[o];
                int output = o;
                network.Pair(nodeVariables[node], valueVariables[value], (s, h) => Times(weight, Cost(axis, value, own[s].Outputs[output], homes[value][h])));
            }

            for (int i = 0; i < node.Inputs.Length; i++)
            {
                Value value = node.Inputs[i];
                int input = i;
                network.Pair(valueVariables[value], nodeVariables[node], (h, s) => Times(weight, Cost(axis, value, homes[value][h], own[s].Inputs[input])));
            }
        }

        foreach (Carry carry in graph.Regions.SelectMany(r => r.Carries))
        {
            Connect(carry.Initial, carry.Argument, 1);
            Connect(carry.Result, carry.Argument, Weight(new[] { carry.Result }));
        }

        foreach (ParameterGradient pair in graph.Gradients)
        {
            network.Pair(valueVariables[pair.Gradient], valueVariables[pair.Parameter], (g, p) => GradientCost(axis, pair, homes[pair.Gradient][g], homes[pair.Parameter][p]));
        }

        if (graph.Result is { } result)
        {
            Placement whole = along.IsMicroBatch ? Placement.Split(0) : Placement.Broadcast;
            network.Pair(valueVariables[result], valueVariables[result], (h, _) => Cost(axis, result, homes[result][h], whole));
        }

        int[] solution = network.Solve(null, _cancellation);
        foreach (Value value in graph.Values)
        {
            _sharded.Set(value, axis, homes[value][solution[valueVariables[value]]]);
        }

        foreach (Node node in graph.Nodes)
        {
            Signature chosen = signatures[node][solution[nodeVariables[node]]];
            _sharded.Set(node, axis, chosen);
            bool impossible = node.Inputs.Select((v, i) => Cost(axis, v, homes[v][solution[valueVariables[v]]], chosen.Inputs[i])).Any(c => c >= ReshardCost.Impossible)
                || node.Outputs.Select((v, o) => Cost(axis, v, chosen.Outputs[o], homes[v][solution[valueVariables[v]]])).Any(c => c >= ReshardCost.Impossible);
            if (impossible)
            {
                obstacles.Add((node, along));
            }
        }

        foreach (ParameterGradient pair in graph.Gradients)
        {
            if (pair.Gradient.Producer is { } producer &&
                GradientCost(axis, pair, homes[pair.Gradient][solution[valueVariables[pair.Gradient]]], homes[pair.Parameter][solution[valueVariables[pair.Parameter]]]) >= ReshardCost.Impossible)
            {
                obstacles.Add((producer, along));
            }
        }

        void Connect(Value from, Value to, long weight) =>
            network.Pair(valueVariables[from], valueVariables[to], (f, t) => Times(weight, Cost(axis, from, homes[from][f], homes[to][t])));
    }

    private ImmutableArray<Signature> Signatures(Node node, int axis)
    {
        OperandTypes types = OperandTypes.Of(node);
        var local = new OperandTypes(
            node.Inputs.Select((v, i) => v.Type.With(_sharded.Local(v.Type, _sharded.InputLayout(node, i), axis))).ToEquatable(),
            node.Outputs.Select((v, o) => v.Type.With(_sharded.Local(v.Type, _sharded.OutputLayout(node, o), axis))).ToEquatable());
        FactorRule rule = node.Op.Factors(types);
        long[] applied = Enumerable.Repeat(1L, rule.Factors.Count).ToArray();
        for (int earlier = 0; earlier < axis; earlier++)
        {
            int factor = _sharded.SignatureOf(node, earlier).Factor;
            if (factor >= 0)
            {
                applied[factor] *= _sharded.Axes[earlier].Parts;
            }
        }

        ImmutableArray<Signature> all = SignatureRules.Enumerate(node.Op, types, local, _sharded.Axes[axis].Parts, applied);

        // Two partial placements on two axes are fine where the op is linear on each; a partial integer never is.
        return _sharded.Axes[axis].IsMicroBatch ? all.Where(s => !s.Communicates).ToImmutableArray() : all;
    }

    private Dictionary<Value, List<Placement>> Homes(int axis, Dictionary<Node, ImmutableArray<Signature>> signatures)
    {
        ShardAxis along = _sharded.Axes[axis];
        var homes = _sharded.Graph.Values.ToDictionary(v => v, _ => new List<Placement> { Placement.Broadcast });
        foreach (KeyValuePair<Node, ImmutableArray<Signature>> pair in signatures)
        {
            foreach (Signature signature in pair.Value)
            {
                for (int i = 0; i < pair.Key.Inputs.Length; i++)
                {
                    Offer(pair.Key.Inputs[i], signature.Inputs[i]);
                }

                for (int o = 0; o < pair.Key.Outputs.Length; o++)
                {
                    Offer(pair.Key.Outputs[o], signature.Outputs[o]);
                }
            }
        }

        foreach (Carry carry in _sharded.Graph.Regions.SelectMany(r => r.Carries))
        {
            foreach (Placement placement in homes[carry.Result].Concat(homes[carry.Initial]).ToList())
            {
                Offer(carry.Argument, placement);
            }
        }

        foreach (Value value in _sharded.Graph.Values)
        {
            PlacementRequest? request = value.Requests.FirstOrDefault(r => r.Axis == along.Name);
            if (along.IsMicroBatch && value.Kind == ValueKind.Input)
            {
                homes[value] = new List<Placement> { Placement.Split(0) };
            }
            else if (!along.IsMicroBatch && request is not null)
            {
                homes[value] = new List<Placement> { request.Placement };
            }
            else if (value.Kind == ValueKind.Parameter)
            {
                homes[value] = new List<Placement> { Placement.Broadcast };
            }
        }

        return homes;

        void Offer(Value value, Placement placement)
        {
            if (placement.IsPartial && (value.Kind is ValueKind.Input or ValueKind.Parameter || !value.Type.IsFloat))
            {
                return;
            }

            if (placement.IsSplit && _dims[value.Id][placement.Dim] % along.Parts != 0)
            {
                return;
            }

            if (!homes[value].Contains(placement))
            {
                homes[value].Add(placement);
            }
        }
    }

    private long NodeCost(Node node, Signature signature, int axis)
    {
        ShardAxis along = _sharded.Axes[axis];
        if (along.IsMicroBatch)
        {
            // What can be cut into micro-batches is cut, so that an op which cannot is the one that is named; less than a change of placement costs.
            return signature.Inputs.Concat(signature.Outputs).All(p => p.IsBroadcast) ? ReshardCost.Step / 16 : 0;
        }

        if (!node.Op.IsHeavy && !signature.Communicates)
        {
            return 0;
        }

        long cost = 0;
        var local = new OperandTypes(
            node.Inputs.Select((v, i) => v.Type.With(_sharded.Local(v.Type, _sharded.InputLayout(node, i), axis))).ToEquatable(),
            node.Outputs.Select((v, o) => v.Type.With(_sharded.Local(v.Type, _sharded.OutputLayout(node, o), axis))).ToEquatable());
        if (node.Op.IsHeavy)
        {
            bool split = signature.Inputs.Concat(signature.Outputs).Any(p => p.IsSplit);
            double seconds = node.Op.Flops(local) / _flopsPerSecond / (split ? along.Parts : 1);
            cost = (long)Math.Min(seconds * 1e15, ReshardCost.Impossible / 1024);
        }

        if (signature.Communicates)
        {
            // Two small all-reduces over the rows: a maximum, then sum and picked value packed.
            long rows = local.Outputs[local.Outputs.Count - 1].Bytes;
            cost += ReshardCost.Of(along, Placement.Partial, Placement.Broadcast, rows) + ReshardCost.Of(along, Placement.Partial, Placement.Broadcast, 2 * rows);
        }

        return Weight(node.Inputs.Concat(node.Outputs)) * cost;
    }

    private long Cost(int axis, Value value, Placement from, Placement to)
    {
        if (from == to)
        {
            return 0;
        }

        ShardAxis along = _sharded.Axes[axis];
        long cost = ReshardCost.Of(along, from, to, _bytes[value.Id]);
        if (value.Kind == ValueKind.Parameter && from.IsSplit && cost < ReshardCost.Impossible)
        {
            cost += MoveParameter / 1024;
        }
        else if (along.IsData && from.IsSplit && cost < ReshardCost.Impossible && !_gradients.Contains(value))
        {
            cost += LeaveBatch;
        }

        return cost;
    }

    private long GradientCost(int axis, ParameterGradient pair, Placement gradient, Placement parameter)
    {
        ShardAxis along = _sharded.Axes[axis];
        long layers = pair.Parameter.Stack < 0 ? 1 : _sharded.Graph.Stacks[pair.Parameter.Stack].Layers;
        if (along.IsMicroBatch)
        {
            return gradient.IsSplit ? ReshardCost.Impossible : 0;
        }

        // The reduction of all gradients waits for the end of the step, where it is one large collective instead of many small ones.
        long cost = layers * Cost(axis, pair.Gradient, gradient, parameter);
        return gradient.IsPartial && parameter.IsBroadcast ? Math.Max(0, cost - 2 * layers * ReshardCost.Step) : cost;
    }

    /// <summary>What cannot be is not more so for many layers: sums of it must not wrap around.</summary>
    private static long Times(long weight, long cost) => cost >= ReshardCost.Impossible ? ReshardCost.Impossible : weight * cost;

    /// <summary>How often an edge is paid per step: once per layer of its stack.</summary>
    private long Weight(IEnumerable<Value> values)
    {
        int stack = values.Select(v => v.Stack).DefaultIfEmpty(-1).Max();
        return stack < 0 ? 1 : _sharded.Graph.Stacks[stack].Layers;
    }
}
