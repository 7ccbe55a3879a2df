namespace Shardwright.Compiler.Graph;

/// <summary>What a value is to the model.</summary>
public enum ValueKind
{
    /// <summary>Computed by a node.</summary>
    Computed,

    /// <summary>An input of a step: data. Dim 0 is the batch.</summary>
    Input,

    /// <summary>A trained tensor.</summary>
    Parameter,

    /// <summary>What a loop body receives from the iteration before (or from outside, the first time).</summary>
    Carried,
}

/// <summary>How a parameter is filled at the start.</summary>
public enum InitKind
{
    /// <summary>Normal distribution; A is the mean, B the standard deviation.</summary>
    Normal,

    /// <summary>Uniform distribution in [A, B).</summary>
    Uniform,

    /// <summary>All A.</summary>
    Constant,
}

/// <summary>How a parameter is filled at the start.</summary>
public sealed record Initializer(InitKind Kind, float A, float B);

/// <summary>A placement that the user wrote, on one axis.</summary>
/// <param name="Axis">Name of the mesh axis.</param>
/// <param name="Placement">What it says.</param>
/// <param name="Site">Where it was written: an id that the analyzers' side table maps to a location.</param>
public sealed record PlacementRequest(string Axis, Placement Placement, string Site);

/// <summary>Where the user wants a layer, or the layers of a stack, along the pipeline.</summary>
/// <param name="Path">Logical path of the field.</param>
/// <param name="Mesh">Full name of the mesh that is meant; empty for all.</param>
/// <param name="IsSingle">Whether Counts is the number of one stage, for a whole layer; else the layers of a stack on each stage.</param>
/// <param name="Counts">The numbers.</param>
/// <param name="Site">Where it was written.</param>
public sealed record StageRequest(string Path, string Mesh, bool IsSingle, EquatableArray<long> Counts, string Site);

/// <summary>Where an attribute that places a parameter is written.</summary>
/// <param name="Place">Declaration of the field: Type#site.</param>
/// <param name="Parameter">The attribute's argument Parameter; empty where it needs none.</param>
/// <param name="Written">The same as source text.</param>
public sealed record AnnotationPlace(string Place, string Parameter, string Written);

/// <summary>What is known of a parameter beyond its shape.</summary>
/// <param name="Path">Logical path; <c>{0}</c> stands for the layer index in a stack: <c>blocks.{0}.attention.query</c>.</param>
/// <param name="Init">How it is filled.</param>
/// <param name="NoDecay">Whether weight decay leaves it alone.</param>
public sealed record ParameterInfo(string Path, Initializer Init, bool NoDecay)
{
    /// <summary>Where an attribute that places it is written; null where there is no such place in the model's own source.</summary>
    public AnnotationPlace? Annotation { get; init; }

    /// <summary>The path in messages: <c>blocks.*.attention.query</c>.</summary>
    public string Shown => Path.Replace("{0}", "*");
}

/// <summary>A tensor of the graph.</summary>
public sealed class Value
{
    internal Value(int id, string name, TensorType type, ValueKind kind, int region)
    {
        Id = id;
        Name = name;
        Type = type;
        Kind = kind;
        Region = region;
    }

    /// <summary>Position in <see cref="ModelGraph.Values"/>.</summary>
    public int Id { get; }

    /// <summary>Name for people: of the local variable, the parameter or the op; not unique.</summary>
    public string Name { get; set; }

    /// <summary>Whether nobody gave it a name yet.</summary>
    public bool HasDefaultName { get; set; }

    /// <summary>Logical (global) shape of one micro-batched step: of the whole step, before micro-batches and axes divide it.</summary>
    public TensorType Type { get; }

    /// <summary>What it is to the model.</summary>
    public ValueKind Kind { get; }

    /// <summary>Region that it belongs to; −1 for inputs and parameters outside of stacks. A value of a loop region exists once per layer.</summary>
    public int Region { get; }

    /// <summary>Stack whose layers own one each; −1 outside of loops.</summary>
    public int Stack { get; internal set; } = -1;

    /// <summary>For a parameter: whether the model reads it at all. One that it never reads is SW0006 where it is declared.</summary>
    public bool IsRead { get; internal set; }

    /// <summary>Set for parameters.</summary>
    public ParameterInfo? Parameter { get; internal set; }

    /// <summary>For a parameter or input: how the size of a dim comes about; null where that is not known.</summary>
    public Func<int, Tracing.SizeTree?>? Sizes { get; internal set; }

    /// <summary>Placements that the user wrote: on inputs and parameters, and on values by <c>Reshard</c>.</summary>
    public List<PlacementRequest> Requests { get; } = new();

    /// <summary>The node that computes it, if any.</summary>
    public Node? Producer { get; internal set; }

    /// <summary>Which output of its producer it is.</summary>
    public int ProducerOutput { get; internal set; }

    /// <inheritdoc/>
    public override string ToString() => $"%{Id} {Name}: {Type}";
}

/// <summary>One op applied to values.</summary>
public sealed class Node
{
    private OperandTypes? _types;

    internal Node(int id, Op op, ImmutableArray<Value> inputs, ImmutableArray<Value> outputs, string origin, string source, string site, bool backward)
    {
        Id = id;
        Op = op;
        Inputs = inputs;
        Outputs = outputs;
        Origin = origin;
        Source = source;
        Site = site;
        IsBackward = backward;
    }

    /// <summary>Order of creation; unique in a graph.</summary>
    public int Id { get; }

    /// <summary>What it computes.</summary>
    public Op Op { get; }

    /// <summary>Operands.</summary>
    public ImmutableArray<Value> Inputs { get; }

    /// <summary>Results.</summary>
    public ImmutableArray<Value> Outputs { get; }

    /// <summary>Path of the layer whose Forward holds it: <c>blocks.{0}.feedForward</c>; empty for the model itself.</summary>
    public string Origin { get; }

    /// <summary>The expression that it came from, quoted.</summary>
    public string Source { get; }

    /// <summary>Where that stands: an id that the analyzers' side table maps to a location.</summary>
    public string Site { get; }

    /// <summary>Whether it belongs to the backward pass.</summary>
    public bool IsBackward { get; }

    /// <summary>The forward node that it is part of the gradient of; null for forward nodes, and for seeds and sums.</summary>
    public Node? Of { get; internal set; }

    /// <summary>Whether it runs a forward node again for the backward pass.</summary>
    public bool IsAgain { get; init; }

    /// <summary>Types of its operands; found once.</summary>
    internal OperandTypes Types => _types ??= new OperandTypes(Inputs.Select(v => v.Type).ToEquatable(), Outputs.Select(v => v.Type).ToEquatable());

    /// <inheritdoc/>
    public override string ToString() => $"{string.Join(", ", Outputs.Select(o => "%" + o.Id))} = {Op.Name}({string.Join(", ", Inputs.Select(i => "%" + i.Id))})";
}

/// <summary>What one iteration of a loop region hands to the next.</summary>
/// <param name="Initial">Value outside, before the loop.</param>
/// <param name="Argument">Value inside, as an iteration receives it.</param>
/// <param name="Result">Value inside, as an iteration leaves it.</param>
/// <param name="Final">Value outside, after the loop.</param>
public sealed record Carry(Value Initial, Value Argument, Value Result, Value Final);

/// <summary>A layer stack: equal layers, one after another.</summary>
/// <param name="Id">Position in <see cref="ModelGraph.Stacks"/>.</param>
/// <param name="Path">Logical path of the stack: <c>blocks</c>.</param>
/// <param name="Layers">Number of layers.</param>
/// <param name="LayerType">Type name of a layer, for people.</param>
public sealed record Stack(int Id, string Path, int Layers, string LayerType);

/// <summary>A run of nodes that is executed in order: once, or once per layer of a stack.</summary>
public sealed class Region
{
    internal Region(int id, Stack? stack, bool backward)
    {
        Id = id;
        Stack = stack;
        IsBackward = backward;
    }

    /// <summary>Position in <see cref="ModelGraph.Regions"/>, which is the order of execution.</summary>
    public int Id { get; }

    /// <summary>The stack whose layers this region runs over; null for straight code. Backward regions run from the last layer to the first.</summary>
    public Stack? Stack { get; }

    /// <summary>Whether it belongs to the backward pass.</summary>
    public bool IsBackward { get; }

    /// <summary>Nodes in order.</summary>
    public List<Node> Nodes { get; } = new();

    /// <summary>What goes from iteration to iteration.</summary>
    public List<Carry> Carries { get; } = new();
}

/// <summary>The gradient of a parameter.</summary>
/// <param name="Parameter">The parameter.</param>
/// <param name="Gradient">Its gradient, of the same logical shape; for a parameter of a stack, the value of one layer.</param>
public sealed record ParameterGradient(Value Parameter, Value Gradient);

/// <summary>A value that depends on parameters and whose gradient a node cannot give.</summary>
/// <param name="Node">The forward node.</param>
/// <param name="Input">The value.</param>
/// <param name="Reason">Why not, for people.</param>
public sealed record GradientObstacle(Node Node, Value Input, string Reason);

/// <summary>A whole model with bound sizes: forward regions, then (after Differentiation) backward regions.</summary>
public sealed class ModelGraph
{
    /// <summary>All values by id.</summary>
    public List<Value> Values { get; } = new();

    /// <summary>Regions in order of execution.</summary>
    public List<Region> Regions { get; } = new();

    /// <summary>Stacks by id.</summary>
    public List<Stack> Stacks { get; } = new();

    /// <summary>Inputs in the order of the entry method's parameters.</summary>
    public List<Value> Inputs { get; } = new();

    /// <summary>Parameters in order of their first declaration.</summary>
    public List<Value> Parameters { get; } = new();

    /// <summary>The scalars that are summed to the loss: (value, factor). The value of a cross-entropy is its sum; an auxiliary loss is a scalar sum.</summary>
    public List<(Value Sum, double Factor)> Losses { get; } = new();

    /// <summary>The scalar that the loss is divided by, once; null stands for 1.</summary>
    public Value? LossWeight { get; set; }

    /// <summary>Result of an inference entry (Forward); null for a training entry.</summary>
    public Value? Result { get; set; }

    /// <summary>Filled by Differentiation.</summary>
    public List<ParameterGradient> Gradients { get; } = new();

    /// <summary>Filled by Differentiation: where a gradient would be missing (SW0008).</summary>
    public List<GradientObstacle> Obstacles { get; } = new();

    /// <summary>Pipeline stages that the user asked for.</summary>
    public List<StageRequest> StageRequests { get; } = new();

    /// <summary>Paths of layers that keep their inputs only ([Recompute] on the class, a field or a stack), and where that was written.</summary>
    public List<(string Path, string Site)> Recompute { get; } = new();

    /// <summary>Size of the batch: dim 0 of every input.</summary>
    public long Batch => Inputs.Count == 0 ? 1 : Inputs[0].Type.Dims[0];

    /// <summary>All nodes in order of execution.</summary>
    public IEnumerable<Node> Nodes => Regions.SelectMany(r => r.Nodes);
}
