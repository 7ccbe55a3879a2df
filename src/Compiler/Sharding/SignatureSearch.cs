using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Sharding;

/// <summary>Chooses placements and signatures, axis by axis in order: what the user wrote is fixed, between them the predicted time of
/// communication, and of matrix work that would run on every rank, is least, over forward and backward together.</summary>
public sealed partial class SignatureSearch
{
    /// <summary>Keeps a parameter where its annotation put it: moving it is possible, never attractive.</summary>
    private const long MoveParameter = 10_000_000_000_000;

    /// <summary>Keeps what a data axis split as it is: gathering a small batch, so that every rank computes all of it, would save a reduction of
    /// gradients, and is not what a data axis is for.</summary>
    private const long LeaveBatch = MoveParameter / 1024;

    /// <summary>What the signatures of a node follow from.</summary>
    private readonly record struct Question(Op Op, OperandTypes Types, OperandTypes Local, EquatableArray<int> Split);

    private readonly ShardedGraph _sharded;
    private readonly double _flopsPerSecond;
    private readonly double _bytesPerSecond;
    private readonly CancellationToken _cancellation;
    private readonly HashSet<Value> _gradients;
    private readonly PlacementFreedom _freedom;
    private HashSet<Value> _free = new();

    /// <summary>Whether the developer splits activations on the axis in question (sequence parallelism): then what is no product counts too, so that norms, dropout and sums stay split in backward as well.</summary>
    private bool _lightWorkCounts;

    /// <summary>Signatures on the axis in question: nodes that do the same on the same sizes are many, and have the same.</summary>
    private readonly Dictionary<Question, ImmutableArray<Signature>> _offered = new();

    /// <summary>Sizes of each value as the axes before the one in question leave it, by id.</summary>
    private ImmutableArray<long>[] _dims = Array.Empty<ImmutableArray<long>>();

    /// <summary>Bytes of each value under these sizes.</summary>
    private long[] _bytes = Array.Empty<long>();

    private SignatureSearch(ShardedGraph sharded, double flopsPerSecond, double bytesPerSecond, PlacementFreedom freedom, CancellationToken cancellation)
    {
        _freedom = freedom;
        _sharded = sharded;
        _flopsPerSecond = flopsPerSecond;
        _bytesPerSecond = bytesPerSecond;
        _cancellation = cancellation;
        _gradients = new HashSet<Value>(sharded.Graph.Gradients.Select(g => g.Gradient));
    }

    /// <summary>Places a graph on axes.</summary>
    /// <param name="graph">Joint graph, forward and backward.</param>
    /// <param name="axes">Axes in the order in which they slice; the micro-batches first.</param>
    /// <param name="flopsPerSecond">What a device does, for work that would be repeated.</param>
    /// <param name="bytesPerSecond">What its memory does, for light work on activations that the developer splits.</param>
    /// <param name="cancellation">Ends the search.</param>
    /// <param name="blocked">Nodes that stand in the way of an axis (they need what it separates), with the axis.</param>
    /// <param name="freedom">Parameters that it may place; null for none.</param>
    public static ShardedGraph Place(
        ModelGraph graph, ImmutableArray<ShardAxis> axes, double flopsPerSecond, double bytesPerSecond, CancellationToken cancellation, out ImmutableArray<(Node Node, ShardAxis Axis)> blocked, PlacementFreedom? freedom = null)
    {
        var sharded = new ShardedGraph(graph, axes);
        var search = new SignatureSearch(sharded, flopsPerSecond, bytesPerSecond, freedom ?? PlacementFreedom.None, cancellation);
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
        List<List<Value>> groups = _freedom.Groups(graph, along);
        _free = new HashSet<Value>(groups.SelectMany(g => g));
        _offered.Clear();
        _lightWorkCounts = !along.IsMicroBatch && !along.IsData && graph.Values.Any(v => v.Kind == ValueKind.Computed && v.Requests.Any(r => r.Axis == along.Name && r.Placement.IsSplit));
        _dims = graph.Values.Select(v => _sharded.Local(v.Type, _sharded.Layout(v), axis)).ToArray();
        _bytes = graph.Values.Select((v, i) => v.Type.With(_dims[i]).Bytes).ToArray();
        var signatures = graph.Nodes.ToDictionary(n => n, n => Signatures(n, axis));
        Dictionary<Value, List<Placement>> homes = Homes(axis, signatures);
        var nodeVariables = graph.Nodes.ToDictionary(n => n, n => network.Variable(NodeCosts(n, signatures[n], axis)));
        var valueVariables = graph.Values.ToDictionary(v => v, v => network.Variable(homes[v].Select((h, i) => Holding(v, h, axis) + i).ToArray()));
        foreach ((Value first, Value other) in groups.SelectMany(g => g.Skip(1).Select(other => (g[0], other))))
        {
            network.Pair(valueVariables[first], valueVariables[other], (a, b) => homes[first][a] == homes[other][b] ? 0 : ReshardCost.Impossible);
        }

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
                network.Pair(valueVariables[value], nodeVariables[node], (h, s) => Times(weight, InputCost(axis, node, value, homes[value][h], own[s].Inputs[input])));
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
        OperandTypes local = LocalTypes(node, types, axis);
        var question = new Question(node.Op, types, local, Enumerable.Range(0, axis).Select(earlier => _sharded.SignatureOf(node, earlier).Factor).ToEquatable());
        if (_offered.TryGetValue(question, out ImmutableArray<Signature> known))
        {
            return known;
        }

        FactorRule rule = node.Op.Factors(types);
        long[] applied = Enumerable.Repeat(1L, rule.Factors.Count).ToArray();
        for (int earlier = 0; earlier < axis; earlier++)
        {
            int factor = question.Split[earlier];
            if (factor >= 0)
            {
                applied[factor] *= _sharded.Axes[earlier].Parts;
            }
        }

        ImmutableArray<Signature> all = SignatureRules.Enumerate(node.Op, types, local, _sharded.Axes[axis].Parts, applied);

        // Two partial placements on two axes are fine where the op is linear on each; a partial integer never is.
        return _offered[question] = _sharded.Axes[axis].IsMicroBatch ? all.Where(s => !s.Communicates).ToImmutableArray() : all;
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
            else if (value.Kind == ValueKind.Parameter && !_free.Contains(value))
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
}
