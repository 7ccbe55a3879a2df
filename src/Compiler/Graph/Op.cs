namespace Shardwright.Compiler.Graph;

/// <summary>Logical types of the operands of a node.</summary>
/// <param name="Inputs">Types of the inputs.</param>
/// <param name="Outputs">Types of the outputs.</param>
public sealed record OperandTypes(EquatableArray<TensorType> Inputs, EquatableArray<TensorType> Outputs)
{
    /// <summary>Types of a node's operands.</summary>
    public static OperandTypes Of(Node node) => node.Types;
}

/// <summary>An op with its attributes: an immutable record, one file each. Sizes that follow from its operands are not attributes,
/// so the same op serves the logical graph and the local one of a rank.</summary>
public abstract record Op
{
    /// <summary>Name, as in docs/ops.md.</summary>
    public abstract string Name { get; }

    /// <summary>Types of the outputs for given inputs.</summary>
    /// <exception cref="ShapeException">The inputs do not fit; the message names both shapes and the dim.</exception>
    public abstract ImmutableArray<TensorType> Infer(ImmutableArray<TensorType> inputs);

    /// <summary>The factor rule for logical shapes.</summary>
    public abstract FactorRule Factors(OperandTypes types);

    /// <summary>All of it that placements and their costs depend on, beside the types of its operands: two ops that are equal in this are placed alike.</summary>
    internal virtual object Placing(OperandTypes types) => this;

    /// <summary>Signatures beyond those that follow from the factors: communicating forms, offsets.</summary>
    /// <param name="types">Logical types.</param>
    /// <param name="local">Types as the axes already applied have left them.</param>
    /// <param name="parts">Size of the axis.</param>
    public virtual IEnumerable<Signature> ExtraSignatures(OperandTypes types, OperandTypes local, int parts) => Array.Empty<Signature>();

    /// <summary>Whether a factor can still be split after the axes already applied: false where they have cut operands in a way of the op's own.</summary>
    public virtual bool CanSplit(int factor, OperandTypes types, OperandTypes local) => true;

    /// <summary>Adds the gradients of the inputs, given those of the outputs.</summary>
    public abstract void Differentiate(GradientContext context);

    /// <summary>Floating-point operations, 2 for a multiply-add, on given (local) types.</summary>
    public virtual long Flops(OperandTypes types) => types.Outputs.Aggregate(0L, (sum, t) => sum + t.Count);

    /// <summary>Names of its outputs, for the reader of emitted code; the first is named after the op itself, others are statistics.</summary>
    public virtual ImmutableArray<string> OutputNames => ImmutableArray<string>.Empty;

    /// <summary>Whether an output is a statistic that the op leaves for its gradient beside its result: it keeps its digits in every precision.</summary>
    public virtual bool IsStatistic(int output) => output > 0 && output < OutputNames.Length;

    /// <summary>Whether its cost is that of matrix products, so that running it on every rank of an axis is worth avoiding.</summary>
    public virtual bool IsHeavy => false;

    /// <summary>Kind of work, for the prediction of its time.</summary>
    public virtual WorkKind Work => IsHeavy ? WorkKind.Product : WorkKind.Elementwise;

    /// <summary>Operations of the model's own mathematics, for its utilisation: those of products; what an op computes again is not counted.</summary>
    public virtual long ModelFlops(OperandTypes types) => IsHeavy ? Flops(types) : 0;
}

/// <summary>What an op sees while it is differentiated.</summary>
public sealed class GradientContext
{
    private readonly Dictionary<Value, Value> _gradients;

    internal GradientContext(GraphBuilder graph, Node node, Dictionary<Value, Value> gradients, HashSet<Value> wanted)
    {
        Graph = graph;
        Node = node;
        _gradients = gradients;
        Wanted = wanted;
    }

    /// <summary>Where gradient nodes are added.</summary>
    public GraphBuilder Graph { get; }

    /// <summary>The forward node.</summary>
    public Node Node { get; }

    /// <summary>Values that a parameter reaches: only they need a gradient.</summary>
    public HashSet<Value> Wanted { get; }

    /// <summary>Whether an input needs a gradient.</summary>
    public bool Needs(int input) => input < Node.Inputs.Length && Wanted.Contains(Node.Inputs[input]);

    /// <summary>An operand of the forward node.</summary>
    public Value Input(int index) => Node.Inputs[index];

    /// <summary>A result of the forward node.</summary>
    public Value Output(int index = 0) => Node.Outputs[index];

    /// <summary>Gradient of an output, or null where nothing depends on it.</summary>
    public Value? OutputGradient(int index = 0) => _gradients.TryGetValue(Node.Outputs[index], out Value? gradient) ? gradient : null;

    /// <summary>Says that an input which needs a gradient gets none from this node: the planner refuses the model rather than training it wrongly.</summary>
    public void Refuse(int input, string reason) => Graph.Graph.Obstacles.Add(new GradientObstacle(Node, Node.Inputs[input], reason));

    /// <summary>Adds a term to the gradient of an input; it must have that input's shape.</summary>
    public void Add(int input, Value gradient)
    {
        if (!Needs(input))
        {
            return;
        }

        Value target = Node.Inputs[input];
        if (!gradient.Type.Equals(target.Type))
        {
            throw new InvalidOperationException($"gradient of input {input} of {Node.Op.Name} is {gradient.Type}, not {target.Type}");
        }

        _gradients[target] = _gradients.TryGetValue(target, out Value? sum) ? Graph.Add(Ops.ElementwiseOp.Sum, sum, gradient) : gradient;
    }
}
