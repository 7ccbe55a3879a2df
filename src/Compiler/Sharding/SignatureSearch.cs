using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Sharding;

/// <summary>Chooses placements and signatures, axis by axis in order: what the user wrote is fixed, between them the predicted time of
/// communication, and of matrix work that would run on every rank, is least, over forward and backward together.</summary>
public sealed partial class SignatureSearch
{
    /// <summary>Keeps a parameter where its annotation put it: moving it is possible, never attractive.</summary>
    private const long MoveParameter = 10_000_000_000_000;

    /// <summary>Keeps what a data axis split as it is.</summary>
    private const long LeaveBatch = MoveParameter / 1024;

    /// <summary>Keeps every rank of a data axis at its own rows: gathering a batch, so that every rank computes all of it, would save a reduction of gradients, and is not what a data axis is for,
    /// however large the gradient is.</summary>
    private const long GatherBatch = ReshardCost.Most + 2 * ReshardCost.Step;

    /// <summary>What the signatures of a node and their costs follow from.</summary>
    private readonly record struct Question(Op Op, OperandTypes Types, EquatableArray<Signature> Earlier);

    /// <summary>Signatures that a node may have on the axis in question.</summary>
    /// <param name="Signatures">They.</param>
    /// <param name="Inputs">For each input the placements that they ask for, as numbers.</param>
    /// <param name="Outputs">For each output the placements that they leave.</param>
    /// <param name="Costs">Cost of each, once.</param>
    private sealed record Offered(ImmutableArray<Signature> Signatures, int[][] Inputs, int[][] Outputs, long[] Costs);

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
    private readonly Dictionary<Question, Offered> _offered = new();

    /// <summary>Costs of every change of placement on the axis in question: values of one size have the same.</summary>
    private readonly Dictionary<(long Bytes, int Rank, bool IsParameter, bool IsGradient), long[]> _changes = new();

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
        PlacementCache.Key? key = freedom is null ? PlacementCache.Key.Of(graph, axes, flopsPerSecond, bytesPerSecond) : null;
        if (key is not null && PlacementCache.Shared.Find(key) is { } known)
        {
            sharded.Take(known);
            blocked = ImmutableArray<(Node, ShardAxis)>.Empty;
            return sharded;
        }

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
        if (key is not null && blocked.Length == 0)
        {
            PlacementCache.Shared.Add(key, sharded.Chosen());
        }

        return sharded;
    }

    private void Solve(int axis, ImmutableArray<(Node, ShardAxis)>.Builder obstacles)
    {
        ShardAxis along = _sharded.Axes[axis];
        ModelGraph graph = _sharded.Graph;
        Node[] nodes = graph.Nodes.ToArray();
        var network = new CostNetwork();
        List<List<Value>> groups = _freedom.Groups(graph, along);
        _free = new HashSet<Value>(groups.SelectMany(g => g));
        _offered.Clear();
        _changes.Clear();
        _lightWorkCounts = !along.IsMicroBatch && !along.IsData && graph.Values.Any(v => v.Kind == ValueKind.Computed && v.Requests.Any(r => r.Axis == along.Name && r.Placement.IsSplit));
        _dims = graph.Values.Select(v => _sharded.Local(v.Type, _sharded.Layout(v), axis)).ToArray();
        _bytes = graph.Values.Select((v, i) => v.Type.With(_dims[i]).Bytes).ToArray();
        Offered[] offers = Array.ConvertAll(nodes, n => OfferOf(n, axis));
        List<Placement>[] homes = Homes(axis, nodes, offers);
        for (int n = 0; n < nodes.Length; n++)
        {
            long weight = along.IsMicroBatch ? 1 : Weight(nodes[n]);
            network.Variable(offers[n].Costs.Select((cost, i) => Times(weight, cost) + i).ToArray());
        }

        int[] variables = graph.Values.Select(v => network.Variable(homes[v.Id].Select((h, i) => Holding(v, h, axis) + i).ToArray())).ToArray();
        foreach ((Value first, Value other) in groups.SelectMany(g => g.Skip(1).Select(other => (g[0], other))))
        {
            network.Pair(variables[first.Id], variables[other.Id], (a, b) => homes[first.Id][a] == homes[other.Id][b] ? 0 : ReshardCost.Impossible);
        }

        foreach (Carry carry in graph.Regions.SelectMany(r => r.Carries))
        {
            variables[carry.Final.Id] = variables[carry.Argument.Id];
            homes[carry.Final.Id] = homes[carry.Argument.Id];
        }

        int[][] numbers = Array.ConvertAll(homes, h => h.Select(Number).ToArray());
        for (int n = 0; n < nodes.Length; n++)
        {
            Node node = nodes[n];
            long weight = Weight(node);
            for (int o = 0; o < node.Outputs.Length; o++)
            {
                Edge(n, node.Outputs[o], offers[n].Outputs[o], weight, makes: true);
            }

            for (int i = 0; i < node.Inputs.Length; i++)
            {
                Edge(n, node.Inputs[i], offers[n].Inputs[i], weight, makes: false);
            }
        }

        foreach (Carry carry in graph.Regions.SelectMany(r => r.Carries))
        {
            Connect(carry.Initial, carry.Argument, 1);
            Connect(carry.Result, carry.Argument, Weight(carry.Result.Stack));
        }

        foreach (ParameterGradient pair in graph.Gradients)
        {
            network.Pair(variables[pair.Gradient.Id], variables[pair.Parameter.Id], (g, p) => GradientCost(axis, pair, homes[pair.Gradient.Id][g], homes[pair.Parameter.Id][p]));
        }

        if (graph.Result is { } result)
        {
            Placement whole = along.IsMicroBatch ? Placement.Split(0) : Placement.Broadcast;
            network.Pair(variables[result.Id], variables[result.Id], (h, _) => Cost(axis, result, homes[result.Id][h], whole));
        }

        int[] solution = network.Solve(along.IsData ? FollowBatch(axis, nodes, offers, variables, numbers, network.Count) : null, _cancellation);
        Placement Home(Value value) => homes[value.Id][solution[variables[value.Id]]];
        foreach (Value value in graph.Values)
        {
            _sharded.Set(value, axis, Home(value));
        }

        for (int n = 0; n < nodes.Length; n++)
        {
            Node node = nodes[n];
            Signature chosen = offers[n].Signatures[solution[n]];
            _sharded.Set(node, axis, chosen);
            bool impossible = false;
            for (int i = 0; i < node.Inputs.Length; i++)
            {
                impossible |= Cost(axis, node.Inputs[i], Home(node.Inputs[i]), chosen.Inputs[i]) >= ReshardCost.Impossible;
            }

            for (int o = 0; o < node.Outputs.Length; o++)
            {
                impossible |= Cost(axis, node.Outputs[o], chosen.Outputs[o], Home(node.Outputs[o])) >= ReshardCost.Impossible;
            }

            if (impossible)
            {
                obstacles.Add((node, along));
            }
        }

        foreach (ParameterGradient pair in graph.Gradients)
        {
            if (pair.Gradient.Producer is { } producer && GradientCost(axis, pair, Home(pair.Gradient), Home(pair.Parameter)) >= ReshardCost.Impossible)
            {
                obstacles.Add((producer, along));
            }
        }

        void Connect(Value from, Value to, long weight) =>
            network.Pair(variables[from.Id], variables[to.Id], (f, t) => Times(weight, Cost(axis, from, homes[from.Id][f], homes[to.Id][t])));

        // Between what a node's signatures make or take and where the value may lie.
        void Edge(int node, Value value, int[] own, long weight, bool makes)
        {
            long[] changes = Changes(axis, value);
            int[] lies = numbers[value.Id];
            int width = Width(value);
            bool unasked = _lightWorkCounts && !makes && IsUnasked(nodes[node], value);
            var table = new long[own.Length * lies.Length];
            for (int s = 0; s < own.Length; s++)
            {
                for (int h = 0; h < lies.Length; h++)
                {
                    long change = makes ? changes[own[s] * width + lies[h]] : changes[lies[h] * width + own[s]];
                    table[s * lies.Length + h] = Times(weight, unasked && lies[h] >= FirstSplit && own[s] == Whole ? Surcharged(change) : change);
                }
            }

            network.Pair(node, variables[value.Id], table);
        }
    }

    private Offered OfferOf(Node node, int axis)
    {
        var question = new Question(node.Op, OperandTypes.Of(node), Enumerable.Range(0, axis).Select(earlier => _sharded.SignatureOf(node, earlier)).ToEquatable());
        if (_offered.TryGetValue(question, out Offered? known))
        {
            return known;
        }

        OperandTypes types = question.Types, local = LocalTypes(node, types, axis);
        FactorRule rule = node.Op.Factors(types);
        long[] applied = Enumerable.Repeat(1L, rule.Factors.Count).ToArray();
        for (int earlier = 0; earlier < axis; earlier++)
        {
            int factor = question.Earlier[earlier].Factor;
            if (factor >= 0)
            {
                applied[factor] *= _sharded.Axes[earlier].Parts;
            }
        }

        ImmutableArray<Signature> all = SignatureRules.Enumerate(node.Op, types, local, _sharded.Axes[axis].Parts, applied);

        // Two partial placements on two axes are fine where the op is linear on each; a partial integer never is.
        ImmutableArray<Signature> offered = _sharded.Axes[axis].IsMicroBatch ? all.Where(s => !s.Communicates).ToImmutableArray() : all;
        return _offered[question] = new Offered(
            offered,
            Enumerable.Range(0, types.Inputs.Count).Select(i => offered.Select(s => Number(s.Inputs[i])).ToArray()).ToArray(),
            Enumerable.Range(0, types.Outputs.Count).Select(o => offered.Select(s => Number(s.Outputs[o])).ToArray()).ToArray(),
            offered.Select(s => NodeCost(node.Op, s, _sharded.Axes[axis], local)).ToArray());
    }

    private List<Placement>[] Homes(int axis, Node[] nodes, Offered[] offers)
    {
        ShardAxis along = _sharded.Axes[axis];
        List<Placement>[] homes = _sharded.Graph.Values.Select(_ => new List<Placement> { Placement.Broadcast }).ToArray();
        for (int n = 0; n < nodes.Length; n++)
        {
            foreach (Signature signature in offers[n].Signatures)
            {
                for (int i = 0; i < nodes[n].Inputs.Length; i++)
                {
                    Offer(nodes[n].Inputs[i], signature.Inputs[i]);
                }

                for (int o = 0; o < nodes[n].Outputs.Length; o++)
                {
                    Offer(nodes[n].Outputs[o], signature.Outputs[o]);
                }
            }
        }

        foreach (Carry carry in _sharded.Graph.Regions.SelectMany(r => r.Carries))
        {
            foreach (Placement placement in homes[carry.Result.Id].Concat(homes[carry.Initial.Id]).ToList())
            {
                Offer(carry.Argument, placement);
            }
        }

        foreach (Value value in _sharded.Graph.Values)
        {
            PlacementRequest? request = value.Requests.FirstOrDefault(r => r.Axis == along.Name);
            if (along.IsMicroBatch && value.Kind == ValueKind.Input)
            {
                homes[value.Id] = new List<Placement> { Placement.Split(0) };
            }
            else if (!along.IsMicroBatch && request is not null)
            {
                homes[value.Id] = new List<Placement> { request.Placement };
            }
            else if (value.Kind == ValueKind.Parameter && !_free.Contains(value))
            {
                homes[value.Id] = new List<Placement> { Placement.Broadcast };
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

            if (!homes[value.Id].Contains(placement))
            {
                homes[value.Id].Add(placement);
            }
        }
    }
}
