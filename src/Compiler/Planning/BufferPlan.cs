using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>What a buffer holds; the categories of the memory report.</summary>
public enum MemoryCategory
{
    /// <summary>Trained tensors.</summary>
    Parameters,

    /// <summary>Their gradients.</summary>
    Gradients,

    /// <summary>What the optimizer keeps.</summary>
    OptimizerState,

    /// <summary>Inputs, and values that live within a step.</summary>
    Activations,

    /// <summary>Sources and targets of collectives that cannot work in place.</summary>
    Communication,

    /// <summary>Scratch of kernels, one block per thread.</summary>
    Workspace,
}

/// <summary>Where a buffer's offset counts from. A stage names its memory by space, so that stages with one program may lie anywhere in their rank's arena.</summary>
public enum MemorySpace
{
    /// <summary>What a stage keeps from step to step: parameters, gradients, optimizer state.</summary>
    State,

    /// <summary>What lives within one action of a stage; all stages of a rank share it.</summary>
    Step,

    /// <summary>What arrives from earlier stages: one block for each micro-batch from the posting of its receive to its last gradient.</summary>
    Input,

    /// <summary>What lives from the forward to the last gradient of a micro-batch: one block for each that is in flight.</summary>
    Kept,

    /// <summary>What goes to later stages: one block for each micro-batch until it is sent.</summary>
    Output,

    /// <summary>Gradients that arrive from later stages.</summary>
    GradientIn,

    /// <summary>Gradients that go to earlier stages, until they are sent.</summary>
    GradientOut,

    /// <summary>What lives from the gradient of the inputs to that of the parameters, where the schedule splits backward.</summary>
    Deferred,

    /// <summary>Parameters that the rank's action before has begun to gather: one block of the stage, from there on to the end of the action.</summary>
    Gathered,

    /// <summary>Gradients whose last sums end beside the rank's next action: one block of the stage.</summary>
    Summed,
}

/// <summary>A named piece of the arena.</summary>
/// <param name="Id">Position in the stage's list.</param>
/// <param name="Name">Unique C# identifier in camelCase: <c>hiddenPreActivation</c>.</param>
/// <param name="Element">Element type.</param>
/// <param name="Space">Where the offset counts from.</param>
/// <param name="Offset">Bytes from the start of the space (of one block of it).</param>
/// <param name="Length">Elements of one slot.</param>
/// <param name="Stride">Bytes from slot to slot.</param>
/// <param name="Slots">1 for plain buffers; for a stack, one per layer (plus one where a carried value is kept), or 2 for a ring. The index is taken modulo this count.</param>
/// <param name="Category">For the memory report.</param>
/// <param name="Comment">Local shape and placements, for the reader: <c>[2048, 128], rows split over dp</c>.</param>
public sealed record BufferPlan(int Id, string Name, DType Element, MemorySpace Space, long Offset, long Length, long Stride, int Slots, MemoryCategory Category, string Comment)
{
    /// <summary>Entry whose memory it is; empty for what is kept from step to step.</summary>
    public string Entry { get; init; } = "";

    /// <summary>Action of a stage within which it lives, where it lives within one.</summary>
    public Phase Phase { get; init; }

    /// <summary>Where slot 0 of a stack lies that is handed from layer to layer, where it arrives from another stage: space and offset.</summary>
    public (MemorySpace Space, long Offset)? Head { get; init; }

    /// <summary>Where its last slot lies, where it goes to another stage.</summary>
    public (MemorySpace Space, long Offset)? Tail { get; init; }

    /// <summary>Slots in all of a stack with head or tail: layers + 1.</summary>
    public int Span { get; init; }

    /// <summary>Whether there is one for each micro-batch in flight.</summary>
    public bool IsPerMicroBatch => Space is not (MemorySpace.State or MemorySpace.Step) || Head is not null || Tail is not null;

    /// <summary>Whether the slot of its first layer alternates where a rank's actions repeat each other: a ring of two slots for an odd number of layers.</summary>
    public bool Alternates { get; init; }

    /// <summary>Whether it is indexed by layer.</summary>
    public bool IsStack => Slots > 1 || Span > 0;

    /// <summary>Bytes of all slots.</summary>
    public long Bytes => Slots == 1 ? Length * Width(Element) : Stride * Slots;

    /// <summary>Bytes of an element.</summary>
    public static int Width(DType element) => element is DType.BFloat16 or DType.Float16 ? 2 : 4;
}
