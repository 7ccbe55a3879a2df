using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Sharding;

/// <summary>A tensor as one rank holds it.</summary>
public sealed class LocalTensor
{
    internal LocalTensor(int id, string name, TensorType local, TensorType logical, ImmutableArray<Offset> start, ImmutableArray<Placement> layout, int region, int stack)
    {
        Id = id;
        Name = name;
        Local = local;
        Logical = logical;
        Start = start;
        Layout = layout;
        Region = region;
        Stack = stack;
    }

    /// <summary>Unique in the graph, in order of creation.</summary>
    public int Id { get; }

    /// <summary>For the reader.</summary>
    public string Name { get; internal set; }

    /// <summary>Sizes on a rank, for one micro-batch.</summary>
    public TensorType Local { get; }

    /// <summary>Logical sizes; equal to <see cref="Local"/> for what only exists on a rank.</summary>
    public TensorType Logical { get; }

    /// <summary>Logical position of the first local element in each dim.</summary>
    public ImmutableArray<Offset> Start { get; }

    /// <summary>Placements on all axes.</summary>
    public ImmutableArray<Placement> Layout { get; }

    /// <summary>Region that makes it; −1 for parameters, inputs, and what arrives from another stage.</summary>
    public int Region { get; internal set; }

    /// <summary>Stack of which each layer owns one; −1 for none.</summary>
    public int Stack { get; }

    /// <summary>The tensor whose memory this one is a view of.</summary>
    public LocalTensor? AliasOf { get; internal set; }

    /// <summary>First element of the view within the tensor viewed; null for 0.</summary>
    public Offset? AliasStart { get; internal set; }

    /// <summary>The tensor that owns the memory.</summary>
    public LocalTensor Root => AliasOf?.Root ?? this;

    /// <inheritdoc/>
    public override string ToString() => $"#{Id} {Name} {Local.ShapeText}";
}

/// <summary>One step of a rank, before fusion.</summary>
public abstract record LocalStep
{
    /// <summary>The node that it was lowered for; null where a value is brought to the placement that a loop, a gradient or the result wants.</summary>
    public Node? Owner { get; init; }

    /// <summary>What it reads.</summary>
    public abstract IEnumerable<LocalTensor> Reads { get; }

    /// <summary>What it makes.</summary>
    public abstract IEnumerable<LocalTensor> Makes { get; }

    /// <summary>An op on local tensors.</summary>
    /// <param name="Node">The node it stems from; null for movement that lowering added.</param>
    public sealed record Compute(Node? Node, Op Op, ImmutableArray<LocalTensor> Inputs, ImmutableArray<LocalTensor> Outputs) : LocalStep
    {
        /// <inheritdoc/>
        public override IEnumerable<LocalTensor> Reads => Inputs;

        /// <inheritdoc/>
        public override IEnumerable<LocalTensor> Makes => Outputs;
    }

    /// <summary>A collective along one axis. All-reduces work in place: their output is a view of their input.</summary>
    public sealed record Collective(CollectiveKind Kind, ShardAxis Axis, LocalTensor Input, LocalTensor Output, long Bytes, string Reason) : LocalStep
    {
        /// <inheritdoc/>
        public override IEnumerable<LocalTensor> Reads => new[] { Input };

        /// <inheritdoc/>
        public override IEnumerable<LocalTensor> Makes => new[] { Output };
    }
}

/// <summary>The action of a pipeline stage that a region belongs to.</summary>
public enum Phase
{
    /// <summary>Forward and backward of one micro-batch in one go: a model of one stage.</summary>
    Whole,

    /// <summary>Forward.</summary>
    Forward,

    /// <summary>Backward.</summary>
    Backward,

    /// <summary>The gradient of what the stage received, where the schedule splits backward.</summary>
    InputGradient,

    /// <summary>The gradients of its parameters, where the schedule splits backward.</summary>
    WeightGradient,
}

/// <summary>A region of a rank.</summary>
/// <param name="Region">The logical region.</param>
/// <param name="Steps">Steps in order.</param>
/// <param name="Phase">The action of its stage that it belongs to.</param>
public sealed record LocalRegion(Region Region, List<LocalStep> Steps, Phase Phase = Phase.Whole);

/// <summary>A tensor that passes between a stage and a neighbour.</summary>
/// <param name="Tensor">The tensor.</param>
/// <param name="Arrives">Whether it comes or goes.</param>
/// <param name="IsGradient">Whether it travels backward.</param>
public sealed record Boundary(LocalTensor Tensor, bool Arrives, bool IsGradient);

/// <summary>What a loop hands on, as local tensors of one layout.</summary>
public sealed record LocalCarry(Carry Carry, LocalTensor Initial, LocalTensor Argument, LocalTensor Result, LocalTensor Final);

/// <summary>The program of a rank as local tensors and steps: placements have become sizes, offsets and collectives.</summary>
public sealed class LocalGraph
{
    internal LocalGraph(ShardedGraph sharded) => Sharded = sharded;

    /// <summary>Where it comes from.</summary>
    public ShardedGraph Sharded { get; }

    /// <summary>All tensors by id.</summary>
    public List<LocalTensor> Tensors { get; } = new();

    /// <summary>Regions in order.</summary>
    public List<LocalRegion> Regions { get; } = new();

    /// <summary>Carries of each loop region.</summary>
    public Dictionary<Region, List<LocalCarry>> Carries { get; } = new();

    /// <summary>The tensor of a value in its own placement.</summary>
    public Dictionary<Value, LocalTensor> Homes { get; } = new();

    /// <summary>For each parameter: its gradient as it is accumulated. On axes where it is partial and the parameter whole, it is reduced once per step.</summary>
    public List<(Value Parameter, LocalTensor Gradient)> Gradients { get; } = new();

    /// <summary>The result of an inference entry, whole on every rank.</summary>
    public LocalTensor? Result { get; internal set; }

    /// <summary>Model inputs that are read, by position, as this rank holds them.</summary>
    public List<(int Input, LocalTensor Tensor)> Inputs { get; } = new();

    /// <summary>Parameters as this rank holds them.</summary>
    public List<(Value Parameter, LocalTensor Tensor)> Parameters { get; } = new();

    /// <summary>Scalars that are summed to the loss, with factors.</summary>
    public List<(LocalTensor Sum, double Factor)> Losses { get; } = new();

    /// <summary>The scalar that the loss is divided by.</summary>
    public LocalTensor? LossWeight { get; internal set; }

    /// <summary>Layers of each stack that this rank runs, by stack id.</summary>
    public List<int> Layers { get; } = new();

    /// <summary>What comes from neighbouring stages, and what goes to them, in the order of the messages.</summary>
    public List<Boundary> Boundaries { get; } = new();
}
