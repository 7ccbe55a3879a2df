using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Sharding;

/// <summary>A graph with a placement for every value and a signature for every node, on every axis in order (outermost slices first).</summary>
public sealed class ShardedGraph
{
    private readonly Dictionary<Value, Placement[]> _layouts = new();
    private readonly Dictionary<Node, Signature[]> _signatures = new();

    /// <summary>A graph on which no axis has been applied yet.</summary>
    public ShardedGraph(ModelGraph graph, ImmutableArray<ShardAxis> axes)
    {
        Graph = graph;
        Axes = axes;
        foreach (Value value in graph.Values)
        {
            _layouts[value] = Enumerable.Repeat(Placement.Broadcast, axes.Length).ToArray();
        }

        var whole = new Dictionary<(int Inputs, int Outputs), Signature>();
        foreach (Node node in graph.Nodes)
        {
            if (!whole.TryGetValue((node.Inputs.Length, node.Outputs.Length), out Signature? signature))
            {
                whole[(node.Inputs.Length, node.Outputs.Length)] = signature = new Signature(
                    Enumerable.Repeat(Placement.Broadcast, node.Inputs.Length).ToEquatable(),
                    Enumerable.Repeat(Placement.Broadcast, node.Outputs.Length).ToEquatable());
            }

            _signatures[node] = Enumerable.Repeat(signature, axes.Length).ToArray();
        }
    }

    /// <summary>The logical graph.</summary>
    public ModelGraph Graph { get; }

    /// <summary>The axes, in the order in which they slice.</summary>
    public ImmutableArray<ShardAxis> Axes { get; }

    /// <summary>Placements of a value, one per axis.</summary>
    public ImmutableArray<Placement> Layout(Value value) => _layouts[value].ToImmutableArray();

    /// <summary>Signature of a node on an axis.</summary>
    public Signature SignatureOf(Node node, int axis) => _signatures[node][axis];

    /// <summary>Placements of an input of a node, as the node wants it.</summary>
    public ImmutableArray<Placement> InputLayout(Node node, int input) => _signatures[node].Select(s => s.Inputs[input]).ToImmutableArray();

    /// <summary>Placements of an output of a node, as the node leaves it.</summary>
    public ImmutableArray<Placement> OutputLayout(Node node, int output) => _signatures[node].Select(s => s.Outputs[output]).ToImmutableArray();

    /// <summary>Sizes on one rank under a layout.</summary>
    public ImmutableArray<long> Local(TensorType type, IReadOnlyList<Placement> layout, int axes = int.MaxValue)
    {
        long[] dims = type.Dims.ToArray();
        for (int axis = 0; axis < Math.Min(axes, layout.Count); axis++)
        {
            if (layout[axis].IsSplit)
            {
                dims[layout[axis].Dim] /= Axes[axis].Parts;
            }
        }

        return dims.ToImmutableArray();
    }

    /// <summary>What was chosen for its values and nodes, in their order; a copy, for the graph may be changed.</summary>
    internal PlacementCache.Choices Chosen() => new(Graph.Values.Select(v => (Placement[])_layouts[v].Clone()).ToArray(), Graph.Nodes.Select(n => (Signature[])_signatures[n].Clone()).ToArray());

    /// <summary>Takes what was chosen for a graph like this one.</summary>
    internal void Take(PlacementCache.Choices choices)
    {
        for (int v = 0; v < Graph.Values.Count; v++)
        {
            _layouts[Graph.Values[v]] = (Placement[])choices.Values[v].Clone();
        }

        int at = 0;
        foreach (Node node in Graph.Nodes)
        {
            _signatures[node] = (Signature[])choices.Nodes[at++].Clone();
        }
    }

    /// <summary>Gives a value the placements of another.</summary>
    internal void Copy(Value from, Value to) => _layouts[to] = _layouts[from];

    /// <summary>Gives a node the signatures of another.</summary>
    internal void Copy(Node from, Node to) => _signatures[to] = _signatures[from];

    internal void Set(Value value, int axis, Placement placement) => _layouts[value][axis] = placement;

    internal void Set(Node node, int axis, Signature signature) => _signatures[node][axis] = signature;
}
