using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Compiler.Sharding;

/// <summary>Placements by all that they follow from. An edit in a layer leaves many graphs as they were in this respect: other numbers in elementwise functions, other names, other
/// comments; so do plans of one model that differ in what is computed again or cut into shards. Bounded and thread-safe.</summary>
internal sealed class PlacementCache
{
    private readonly int _mostNodes;
    private readonly object _gate = new();
    private readonly Dictionary<Key, LinkedListNode<(Key Key, Choices Choices)>> _entries = new();
    private readonly LinkedList<(Key Key, Choices Choices)> _order = new();
    private int _nodes;

    /// <summary>Makes an empty cache.</summary>
    /// <param name="mostNodes">Nodes of all graphs that are kept; the one that was used longest ago goes first.</param>
    public PlacementCache(int mostNodes) => _mostNodes = mostNodes;

    /// <summary>The one of this process.</summary>
    public static PlacementCache Shared { get; } = new(50_000);

    /// <summary>What placements follow from.</summary>
    internal sealed record Key(
        EquatableArray<ShardAxis> Axes, double FlopsPerSecond, double BytesPerSecond, EquatableArray<NodeKey> Nodes, EquatableArray<ValueKey> Values, EquatableArray<(int, int, int, int)> Carries,
        EquatableArray<(int, int)> Gradients, int Result, EquatableArray<int> Layers)
    {
        /// <summary>The key of a graph.</summary>
        public static Key Of(ModelGraph graph, ImmutableArray<ShardAxis> axes, double flopsPerSecond, double bytesPerSecond) => new(
            axes, flopsPerSecond, bytesPerSecond,
            graph.Nodes.Select(n => new NodeKey(n.Op.Placing(n.Types), n.Op is ElementwiseOp { Function: "Reshard" }, n.IsBackward, n.Inputs.Select(v => v.Id).ToEquatable(), n.Outputs.Select(v => v.Id).ToEquatable())).ToEquatable(),
            graph.Values.Select(v => new ValueKey(v.Type, v.Kind, v.Stack, v.Requests.Select(r => (r.Axis, r.Placement)).ToEquatable())).ToEquatable(),
            graph.Regions.SelectMany(r => r.Carries).Select(c => (c.Initial.Id, c.Argument.Id, c.Result.Id, c.Final.Id)).ToEquatable(),
            graph.Gradients.Select(g => (g.Parameter.Id, g.Gradient.Id)).ToEquatable(), graph.Result?.Id ?? -1, graph.Stacks.Select(s => s.Layers).ToEquatable());
    }

    /// <summary>A node: what of its op matters, whether it stands for a placement that was written, its direction, and the values that it reads and makes.</summary>
    internal sealed record NodeKey(object Op, bool IsWritten, bool IsBackward, EquatableArray<int> Inputs, EquatableArray<int> Outputs);

    /// <summary>A value: what it is, of which stack, and where it was asked for.</summary>
    internal sealed record ValueKey(TensorType Type, ValueKind Kind, int Stack, EquatableArray<(string Axis, Placement Placement)> Requests);

    /// <summary>What was chosen for a graph.</summary>
    /// <param name="Values">Placements of each value, one for each axis.</param>
    /// <param name="Nodes">Signatures of each node.</param>
    internal sealed record Choices(Placement[][] Values, Signature[][] Nodes);

    /// <summary>What was chosen for a graph like this one; null where there was none.</summary>
    public Choices? Find(Key key)
    {
        lock (_gate)
        {
            if (!_entries.TryGetValue(key, out LinkedListNode<(Key Key, Choices Choices)>? node))
            {
                return null;
            }

            _order.Remove(node);
            _order.AddFirst(node);
            return node.Value.Choices;
        }
    }

    /// <summary>Keeps what was chosen.</summary>
    public void Add(Key key, Choices choices)
    {
        var node = new LinkedListNode<(Key Key, Choices Choices)>((key, choices));
        lock (_gate)
        {
            if (_entries.ContainsKey(key) || key.Nodes.Count > _mostNodes)
            {
                return;
            }

            _order.AddFirst(node);
            _entries.Add(key, node);
            _nodes += key.Nodes.Count;
            while (_nodes > _mostNodes)
            {
                Key last = _order.Last!.Value.Key;
                _order.RemoveLast();
                _entries.Remove(last);
                _nodes -= last.Nodes.Count;
            }
        }
    }
}
