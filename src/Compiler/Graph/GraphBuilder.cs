namespace Shardwright.Compiler.Graph;

/// <summary>Adds regions, values and nodes to a graph; shapes are inferred as nodes are added.</summary>
public sealed class GraphBuilder
{
    private int _nextNode;

    /// <summary>Starts an empty graph, or goes on with one.</summary>
    public GraphBuilder(ModelGraph? graph = null)
    {
        Graph = graph ?? new ModelGraph();
        _nextNode = Graph.Nodes.Select(n => n.Id + 1).DefaultIfEmpty(0).Max();
        Region = Graph.Regions.LastOrDefault() ?? Begin(null, backward: false);
    }

    /// <summary>The graph being built.</summary>
    public ModelGraph Graph { get; }

    /// <summary>The region that nodes are added to.</summary>
    public Region Region { get; private set; }

    /// <summary>Path of the layer that nodes are added for.</summary>
    public string Origin { get; set; } = "";

    /// <summary>Quoted expression that nodes are added for.</summary>
    public string Source { get; set; } = "";

    /// <summary>Location id that nodes are added for.</summary>
    public string Site { get; set; } = "";

    /// <summary>Forward node whose gradient nodes are added for.</summary>
    public Node? Of { get; set; }

    /// <summary>Starts a new region; a stack makes it a loop.</summary>
    public Region Begin(Stack? stack, bool backward)
    {
        Region = new Region(Graph.Regions.Count, stack, backward);
        Graph.Regions.Add(Region);
        return Region;
    }

    /// <summary>Adds a stack.</summary>
    public Stack AddStack(string path, int layers, string layerType)
    {
        var stack = new Stack(Graph.Stacks.Count, path, layers, layerType);
        Graph.Stacks.Add(stack);
        return stack;
    }

    /// <summary>Adds an input of the model.</summary>
    public Value AddInput(string name, TensorType type)
    {
        Value value = New(name, type, ValueKind.Input, -1, -1);
        Graph.Inputs.Add(value);
        return value;
    }

    /// <summary>Adds a parameter; inside a loop region it belongs to each layer of the stack.</summary>
    public Value AddParameter(string name, TensorType type, ParameterInfo info)
    {
        Value value = New(name, type, ValueKind.Parameter, Region.Stack is null ? -1 : Region.Id, Region.Stack?.Id ?? -1);
        value.Parameter = info;
        Graph.Parameters.Add(value);
        return value;
    }

    /// <summary>Adds the value that a loop body receives.</summary>
    public Value AddCarried(string name, TensorType type) => New(name, type, ValueKind.Carried, Region.Id, Region.Stack?.Id ?? -1);

    /// <summary>Adds a value that a loop leaves behind in the region after it.</summary>
    public Value AddFinal(string name, TensorType type) => New(name, type, ValueKind.Carried, Region.Id, Region.Stack?.Id ?? -1);

    /// <summary>Adds a node with one output.</summary>
    /// <exception cref="ShapeException">The inputs do not fit the op.</exception>
    public Value Add(Op op, params Value[] inputs) => AddNode(op, inputs).Outputs[0];

    /// <summary>Adds a node.</summary>
    /// <exception cref="ShapeException">The inputs do not fit the op.</exception>
    public Node AddNode(Op op, params Value[] inputs)
    {
        ImmutableArray<TensorType> types = op.Infer(inputs.Select(v => v.Type).ToImmutableArray());
        ImmutableArray<Value> outputs = types.Select((t, i) => New(DefaultName(op, i), t, ValueKind.Computed, Region.Id, Region.Stack?.Id ?? -1)).ToImmutableArray();
        var node = new Node(_nextNode++, op, inputs.ToImmutableArray(), outputs, Origin, Source, Site, Region.IsBackward) { Of = Of };
        for (int i = 0; i < outputs.Length; i++)
        {
            outputs[i].Producer = node;
            outputs[i].ProducerOutput = i;
            outputs[i].HasDefaultName = true;
        }

        Region.Nodes.Add(node);
        return node;
    }

    /// <summary>Layer, op, and what the output is: <c>attentionNormLayerNormMean</c>.</summary>
    private string DefaultName(Op op, int output)
    {
        string layer = Origin.Split('.').LastOrDefault(p => p.Length > 0 && p[0] != '{' && !char.IsDigit(p[0])) ?? "";
        string name = layer.Length == 0 || op.Name.StartsWith(layer, StringComparison.OrdinalIgnoreCase) ? op.Name : layer + op.Name;
        return char.ToLowerInvariant(name[0]) + name.Substring(1) + (output < op.OutputNames.Length ? op.OutputNames[output] : output == 0 ? "" : output.ToString(System.Globalization.CultureInfo.InvariantCulture));
    }

    private Value New(string name, TensorType type, ValueKind kind, int region, int stack)
    {
        var value = new Value(Graph.Values.Count, name, type, kind, region) { Stack = stack };
        Graph.Values.Add(value);
        return value;
    }
}
