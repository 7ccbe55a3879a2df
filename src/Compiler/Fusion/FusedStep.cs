using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Fusion;

/// <summary>One step of a rank after fusion: the start of a collective, the wait for it, one op, or a cluster.</summary>
public sealed class FusedStep
{
    internal FusedStep(LocalStep.Collective collective) => Collective = collective;

    internal FusedStep(LocalStep.Compute first) => Ops = new List<LocalStep.Compute> { first };

    private FusedStep(LocalStep.Collective awaited, bool _) => Awaited = awaited;

    /// <summary>Set where a collective is started.</summary>
    public LocalStep.Collective? Collective { get; }

    /// <summary>Set where a collective is waited for.</summary>
    public LocalStep.Collective? Awaited { get; }

    /// <summary>Set where it is one of several chunks of a product, or of the sum of its result.</summary>
    public RowChunk? Chunk { get; init; }

    /// <summary>Either of the two; null for work.</summary>
    private LocalStep.Collective? Communicated => Collective ?? Awaited;

    /// <summary>Its place among the steps of its region, while these are grouped: larger is later.</summary>
    internal int Position { get; set; }

    /// <summary>The ops of the cluster, in order; the first may be a product, all others are elementwise.</summary>
    public List<LocalStep.Compute> Ops { get; } = new();

    /// <summary>Whether the cluster begins with a matrix product.</summary>
    public bool IsGemm => Communicated is null && Ops[0].Op is MatMulOp or WeightGradientOp;

    /// <summary>Whether everything in it is elementwise.</summary>
    public bool IsElementwise => Communicated is null && Ops[0].Op is ElementwiseOp;

    /// <summary>Everything it reads that it does not make itself.</summary>
    public IEnumerable<LocalTensor> Inputs
    {
        get
        {
            if (Communicated is { } collective)
            {
                return new[] { collective.Input };
            }

            var made = new HashSet<LocalTensor>(Ops.SelectMany(o => o.Outputs));
            return Ops.SelectMany(o => o.Inputs).Where(t => !made.Contains(t)).Distinct();
        }
    }

    /// <summary>Everything it makes, needed outside or not.</summary>
    public IEnumerable<LocalTensor> Outputs => Communicated is { } collective ? new[] { collective.Output } : Ops.SelectMany(o => o.Outputs);

    /// <summary>The wait for a collective.</summary>
    internal static FusedStep Await(LocalStep.Collective collective, RowChunk? chunk = null) => new(collective, true) { Chunk = chunk };
}
