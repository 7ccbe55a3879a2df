using System.ComponentModel;

namespace Shardwright;

/// <summary>Marks a sealed class as a machine: a mesh of devices with named axes.</summary>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class DeviceMeshAttribute : Attribute
{
    /// <summary>A class with a <see cref="DeviceSpecAttribute"/>, of <see cref="Devices"/> or your own; <see cref="Devices.LocalCpu"/> by default.</summary>
    public Type? Device { get; set; }
}

/// <summary>What an axis is for.</summary>
public enum AxisRole
{
    /// <summary>Decided by the placements that name it.</summary>
    Auto,

    /// <summary>Splits the batch.</summary>
    Data,

    /// <summary>Splits tensors of layers.</summary>
    Tensor,

    /// <summary>Splits the layers into stages.</summary>
    Pipeline,
}

/// <summary>An axis of a mesh; axes are given outermost (slowest) first.</summary>
/// <param name="name">Name that placements use.</param>
/// <param name="size">Number of ranks along the axis, 1 or more.</param>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true, Inherited = false)]
public sealed class MeshAxisAttribute(string name, int size) : Attribute
{
    /// <summary>Name that placements use.</summary>
    public string Name { get; } = name;

    /// <summary>Number of ranks along the axis.</summary>
    public int Size { get; } = size;

    /// <summary>What the axis is for.</summary>
    public AxisRole Role { get; set; }

    /// <summary>A class with a <see cref="LinkSpecAttribute"/>, of <see cref="Links"/> or your own.</summary>
    public Type? Link { get; set; }
}

/// <summary>Numbers of a device.</summary>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class DeviceSpecAttribute : Attribute
{
    /// <summary>Memory, bytes; must be given.</summary>
    public long MemoryBytes { get; set; }

    /// <summary>Memory that a program gets, bytes; all of it where this is left out.</summary>
    public long UsableBytes { get; set; }

    /// <summary>Memory outside of the arena (runtime, driver), bytes.</summary>
    public long ReserveBytes { get; set; }

    /// <summary>Memory bandwidth, 10⁹ bytes per second.</summary>
    public double BandwidthGBs { get; set; }

    /// <summary>fp32 peak, 10¹² operations per second.</summary>
    public double Fp32TFlops { get; set; }

    /// <summary>bf16 peak, 10¹² operations per second.</summary>
    public double Bf16TFlops { get; set; }

    /// <summary>fp16 peak with fp32 sums, 10¹² operations per second.</summary>
    public double Fp16TFlops { get; set; }

    /// <summary>Time to launch a kernel, microseconds.</summary>
    public double LaunchMicroseconds { get; set; }

    /// <summary>Most threads that a rank may use; scratch is planned for them.</summary>
    public int MaxThreads { get; set; } = 1;

    /// <summary>Fixed cost of a step beside its kernels and collectives, microseconds.</summary>
    public double StepMicroseconds { get; set; }
}

/// <summary>Kinds of work that a device does at different shares of its peak.</summary>
public enum WorkKind
{
    /// <summary>Matrix products; the size is the edge of a cube of as many multiply-adds: 1024 for a product of two matrices of 1024 × 1024.</summary>
    Product,

    /// <summary>Attention; the size is that of a product of as many operations.</summary>
    Attention,

    /// <summary>Everything else that computes; the size is that of a product of as many operations.</summary>
    Elementwise,

    /// <summary>Reading and writing memory, as a share of the bandwidth; the size is bytes.</summary>
    Memory,
}

/// <summary>One point of a device's efficiency table: the share of the peak that work of a kind reaches at a size. Between points the share is linear in the
/// logarithm of the size, outside of them that of the nearest; a kind without points has a planned share.</summary>
/// <param name="kind">Kind of work.</param>
/// <param name="size">Edge of an equal cube of multiply-adds, or bytes.</param>
/// <param name="share">Share of the peak, more than 0 and at most 1.</param>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true, Inherited = false)]
public sealed class DeviceEfficiencyAttribute(WorkKind kind, double size, double share) : Attribute
{
    /// <summary>Kind of work.</summary>
    public WorkKind Kind { get; } = kind;

    /// <summary>Edge of an equal cube of multiply-adds, or bytes.</summary>
    public double Size { get; } = size;

    /// <summary>Share of the peak.</summary>
    public double Share { get; } = share;
}

/// <summary>Numbers of a link.</summary>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class LinkSpecAttribute : Attribute
{
    /// <summary>Bandwidth of a rank, one way, 10⁹ bytes per second.</summary>
    public double BandwidthGBs { get; set; }

    /// <summary>Time to start a message, microseconds.</summary>
    public double LatencyMicroseconds { get; set; }
}

/// <summary>Marks a partial class as a layer: its Forward is compiled.</summary>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class ShardedLayerAttribute : Attribute;

/// <summary>Optimizers that are emitted.</summary>
public enum OptimizerKind
{
    /// <summary>AdamW (Loshchilov and Hutter, arXiv 1711.05101).</summary>
    AdamW,

    /// <summary>Gradient descent with momentum.</summary>
    Momentum,

    /// <summary>Plain gradient descent.</summary>
    Sgd,
}

/// <summary>Pipeline schedules. P is the number of ranks along the pipeline axis, M the number of micro-batches.</summary>
public enum PipelineSchedule
{
    /// <summary>One forward and one backward in turn, at most P micro-batches alive (Narayanan et al., arXiv 2006.09503).</summary>
    OneForwardOneBackward,

    /// <summary>All forward, then all backward, M micro-batches alive (Huang et al., arXiv 1811.06965).</summary>
    GPipe,

    /// <summary>Several stages a rank, visited in turn by groups of micro-batches (Narayanan et al., arXiv 2104.04473).</summary>
    Interleaved,

    /// <summary>Several stages a rank, each with all micro-batches before the next begins (Lamy-Poirier, arXiv 2211.05953).</summary>
    LoopedBreadthFirst,

    /// <summary>One forward and one backward in turn, gradients of weights where a rank would wait (Qi et al., arXiv 2401.10241).</summary>
    ZeroBubbleH1,

    /// <summary>Two stages a rank laid out as a V, no rank waits between its first and last action (Qi et al., arXiv 2405.15362).</summary>
    ZeroBubbleV,

    /// <summary>One that is written out: OwnSchedule names the class with a <see cref="RankActionsAttribute"/> for each rank.</summary>
    Custom,
}

/// <summary>What one rank of a pipeline does in a step, in order. A class with one of these for each rank is a schedule of your own:
/// it is checked when the model is compiled, and one that is no whole step or could stand still is SW2007.</summary>
/// <param name="rank">Rank along the pipeline axis, 0 first.</param>
/// <param name="actions">Actions with spaces between: stage, letter, micro-batch. F is forward, B backward; or I for the gradient of the inputs
/// and W for that of the weights. <c>"0F0 0F1 0B0 0B1"</c>.</param>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true, Inherited = false)]
public sealed class RankActionsAttribute(int rank, string actions) : Attribute
{
    /// <summary>Rank along the pipeline axis.</summary>
    public int Rank { get; } = rank;

    /// <summary>Actions of the rank.</summary>
    public string Actions { get; } = actions;
}

/// <summary>What is split over the ZeRO axis (Rajbhandari et al., arXiv 1910.02054).</summary>
public enum ZeroStage
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Optimizer state.</summary>
    OptimizerState,

    /// <summary>And gradients.</summary>
    Gradients,

    /// <summary>And parameters.</summary>
    Parameters,
}

/// <summary>What is computed again in backward instead of kept.</summary>
public enum RecomputeMode
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>What is cheap to compute again.</summary>
    Selective,

    /// <summary>Whole layers.</summary>
    Full,

    /// <summary>As much as it takes to fit.</summary>
    Auto,
}

/// <summary>Element types of a step.</summary>
public enum Precision
{
    /// <summary>fp32 throughout.</summary>
    Float32,

    /// <summary>bf16 with fp32 master weights and optimizer state, for devices that compute in it: accelerators run it. With several micro-batches the sum of a gradient is rounded at each.</summary>
    BFloat16Mixed,

    /// <summary>The same, with gradients summed in fp32.</summary>
    BFloat16MixedFloat32Gradients,

    /// <summary>fp16 with fp32 master weights and optimizer state, for devices that compute in it: accelerators run it. The loss is scaled as <see cref="LossScaling"/> of the settings says, and steps that overflow
    /// are left out (Micikevicius et al., arXiv 1710.03740). With several micro-batches the sum of a gradient is rounded at each.</summary>
    Float16Mixed,
}

/// <summary>Marks a partial class as a model that runs on a mesh; one for each mesh.</summary>
/// <typeparam name="TMesh">A class with <see cref="DeviceMeshAttribute"/>.</typeparam>
[AttributeUsage(AttributeTargets.Class, AllowMultiple = true, Inherited = false)]
public sealed class ShardedOnAttribute<TMesh> : Attribute
{
    /// <summary>Name of the nested class; On + the mesh's name by default.</summary>
    public string? Name { get; set; }

    /// <summary>Number of micro-batches that a step is cut into.</summary>
    public int MicroBatches { get; set; } = 1;

    /// <summary>Pipeline schedule.</summary>
    public PipelineSchedule Schedule { get; set; }

    /// <summary>With <see cref="PipelineSchedule.Custom"/>: the class with a <see cref="RankActionsAttribute"/> for each rank.</summary>
    public Type? OwnSchedule { get; set; }

    /// <summary>Pipeline stages on each rank, for schedules that take any number (interleaved, breadth first). By default what [Stages] says, else 2.</summary>
    public int Chunks { get; set; }

    /// <summary>Interleaved: micro-batches that visit all chunks of a rank before the next ones begin; it divides <see cref="MicroBatches"/>. By default as few as the ranks allow.</summary>
    public int GroupSize { get; set; }

    /// <summary>1F1B and ZB-H1: runs up to twice as many forwards ahead, so that the time of messages is hidden, for as many more live micro-batches.</summary>
    public bool HopAwareWarmUp { get; set; }

    /// <summary>Optimizer of the step.</summary>
    public OptimizerKind Optimizer { get; set; }

    /// <summary>What is split over <see cref="ZeroAxis"/>.</summary>
    public ZeroStage Zero { get; set; }

    /// <summary>Axis of <see cref="Zero"/>.</summary>
    public string? ZeroAxis { get; set; }

    /// <summary>What is computed again in backward.</summary>
    public RecomputeMode Recompute { get; set; }

    /// <summary>Element types.</summary>
    public Precision Precision { get; set; }
}

/// <summary>Splits a dim evenly over an axis.</summary>
/// <param name="axis">Name of a mesh axis.</param>
/// <param name="dim">Dim that is split.</param>
[AttributeUsage(AttributeTargets.Field | AttributeTargets.Parameter | AttributeTargets.ReturnValue, AllowMultiple = true)]
public sealed class SplitAttribute(string axis, int dim) : Attribute
{
    /// <summary>Name of a mesh axis.</summary>
    public string Axis { get; } = axis;

    /// <summary>Dim that is split.</summary>
    public int Dim { get; } = dim;

    /// <summary>On a field that holds a layer: the layer's parameter that is meant.</summary>
    public string? Parameter { get; set; }
}

/// <summary>Each rank along the axis holds the whole tensor.</summary>
/// <param name="axis">Name of a mesh axis.</param>
[AttributeUsage(AttributeTargets.Field | AttributeTargets.Parameter | AttributeTargets.ReturnValue, AllowMultiple = true)]
public sealed class BroadcastAttribute(string axis) : Attribute
{
    /// <summary>Name of a mesh axis.</summary>
    public string Axis { get; } = axis;

    /// <summary>On a field that holds a layer: the layer's parameter that is meant.</summary>
    public string? Parameter { get; set; }
}

/// <summary>Each rank along the axis holds a term of a sum.</summary>
/// <param name="axis">Name of a mesh axis.</param>
[AttributeUsage(AttributeTargets.Field | AttributeTargets.Parameter | AttributeTargets.ReturnValue, AllowMultiple = true)]
public sealed class PartialAttribute(string axis) : Attribute
{
    /// <summary>Name of a mesh axis.</summary>
    public string Axis { get; } = axis;

    /// <summary>On a field that holds a layer: the layer's parameter that is meant.</summary>
    public string? Parameter { get; set; }
}

/// <summary>Global shape of a model input; dim 0 is the batch of one step.</summary>
/// <param name="dims">Sizes, compile-time constants.</param>
[AttributeUsage(AttributeTargets.Parameter)]
public sealed class ShapeAttribute(params int[] dims) : Attribute
{
    /// <summary>Sizes.</summary>
    public int[] Dims { get; } = dims;
}

/// <summary>Layers of a stack on each pipeline stage, for all meshes with that number of chunks.</summary>
/// <param name="counts">Layers per stage.</param>
[AttributeUsage(AttributeTargets.Field)]
public sealed class StagesAttribute(params int[] counts) : Attribute
{
    /// <summary>Layers per stage.</summary>
    public int[] Counts { get; } = counts;
}

/// <summary>Layers of a stack on each pipeline stage of one mesh.</summary>
/// <typeparam name="TMesh">The mesh.</typeparam>
/// <param name="counts">Layers per stage.</param>
[AttributeUsage(AttributeTargets.Field, AllowMultiple = true)]
public sealed class StagesAttribute<TMesh>(params int[] counts) : Attribute
{
    /// <summary>Layers per stage.</summary>
    public int[] Counts { get; } = counts;
}

/// <summary>The pipeline stage of a layer.</summary>
/// <param name="index">Number of the stage.</param>
[AttributeUsage(AttributeTargets.Field)]
public sealed class StageAttribute(int index) : Attribute
{
    /// <summary>Number of the stage.</summary>
    public int Index { get; } = index;
}

/// <summary>Keeps a layer's inputs only and runs it again in backward.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Field, Inherited = false)]
public sealed class RecomputeAttribute : Attribute;

/// <summary>Marks a static float method of one to three floats as a scalar function for <see cref="Ops.Map(Tensor, Func{float, float})"/>:
/// it is differentiated symbolically and fused like a built-in.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class ElementwiseAttribute : Attribute;

/// <summary>Weight decay leaves the parameter, or all parameters of the layer, alone.</summary>
[AttributeUsage(AttributeTargets.Class | AttributeTargets.Field, Inherited = false)]
public sealed class NoDecayAttribute : Attribute;

/// <summary>Carries a layer's graph across assemblies; written by the generator.</summary>
/// <param name="text">The graph.</param>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class ShardwrightGraphAttribute(string text) : Attribute
{
    /// <summary>The graph, beginning with the format version.</summary>
    public string Text { get; } = text;
}
