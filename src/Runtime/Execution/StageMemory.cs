using System.ComponentModel;

namespace Shardwright.Execution;

/// <summary>Where the spaces of a stage start in its rank's arena, in bytes. Emitted code names its memory by space and offset, so that equal stages share it.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed class StageMemory
{
    private readonly long _state;
    private readonly long _step;
    private readonly EntryMemory[] _entries;
    private readonly int[] _firstLayers;

    /// <summary>Names the places of a model of one stage.</summary>
    /// <param name="state">Parameters, gradients and optimizer state.</param>
    /// <param name="step">What lives within a micro-batch.</param>
    public StageMemory(long state, long step)
        : this(state, null) => _step = step;

    /// <summary>Names the places of a stage of a pipeline.</summary>
    /// <param name="state">Parameters, gradients and optimizer state.</param>
    /// <param name="firstLayers">For each stack, number of the first layer that the stage runs.</param>
    /// <param name="entries">Memory of each entry, in the order of <see cref="PipelineEntry"/>.</param>
    public StageMemory(long state, int[]? firstLayers, params EntryMemory[] entries)
    {
        _state = state;
        _firstLayers = firstLayers ?? [];
        _entries = entries;
    }

    /// <summary>Number of the first layer of a stack on the stage.</summary>
    public int FirstLayer(int stack) => _firstLayers[stack];

    /// <summary>A tensor that is kept from step to step.</summary>
    public Slice<T> State<T>(long offset, long length) where T : unmanaged => new(_state + offset, length);

    /// <summary>A tensor for each layer that is kept from step to step.</summary>
    public SliceStack<T> State<T>(long offset, long length, long stride, int count) where T : unmanaged => new(_state + offset, length, stride, count);

    /// <summary>A tensor that lives within a micro-batch.</summary>
    public Slice<T> Step<T>(long offset, long length) where T : unmanaged => new(_step + offset, length);

    /// <summary>A tensor for each layer that lives within a micro-batch.</summary>
    public SliceStack<T> Step<T>(long offset, long length, long stride, int count) where T : unmanaged => new(_step + offset, length, stride, count);

    /// <summary>A tensor that lives within an action.</summary>
    public Slice<T> Step<T>(PipelineEntry entry, PipelinePhase phase, long offset, long length) where T : unmanaged => new(_entries[(int)entry].Steps[(int)phase] + offset, length);

    /// <summary>A tensor for each layer that lives within an action.</summary>
    public SliceStack<T> Step<T>(PipelineEntry entry, PipelinePhase phase, long offset, long length, long stride, int count) where T : unmanaged => new(_entries[(int)entry].Steps[(int)phase] + offset, length, stride, count);

    /// <summary>A tensor of each micro-batch that is under way.</summary>
    public SlotSlice<T> Slots<T>(PipelineEntry entry, SlotKind kind, long offset, long length) where T : unmanaged => Slots<T>(entry, kind, offset, length, 0, 1);

    /// <summary>A tensor for each layer and micro-batch.</summary>
    public SlotSlice<T> Slots<T>(PipelineEntry entry, SlotKind kind, long offset, long length, long stride, int count) where T : unmanaged =>
        new(kind, offset, _entries[(int)entry].Spaces[(int)kind].Blocks, length, stride, count);

    /// <summary>What layers hand on within an action, its ends elsewhere.</summary>
    /// <param name="head">Slot 0, where it arrives from another stage.</param>
    /// <param name="body">Slots between.</param>
    /// <param name="tail">The last slot, where it goes to another stage.</param>
    /// <param name="span">Layers + 1.</param>
    public static CarrySlice<T> Carry<T>(SlotSlice<T>? head, SlotSlice<T> body, SlotSlice<T>? tail, int span) where T : unmanaged => new(head, body, tail, span);

    /// <summary>The body of a carried value that lives within an action.</summary>
    public SlotSlice<T> StepBody<T>(PipelineEntry entry, PipelinePhase phase, long offset, long length, long stride, int count) where T : unmanaged =>
        new(SlotKind.Input, _entries[(int)entry].Steps[(int)phase] + offset, null, length, stride, count);
}

/// <summary>Memory of an entry on a stage.</summary>
/// <param name="Steps">Where what lives within an action starts, by <see cref="PipelinePhase"/>.</param>
/// <param name="Spaces">Spaces with a block for each micro-batch in flight, in the order of <see cref="SlotKind"/>.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public readonly record struct EntryMemory(long[] Steps, params SlotSpace[] Spaces);

/// <summary>A space with a block for each micro-batch in flight.</summary>
/// <param name="Blocks">Bytes from the start of the arena to each block; blocks that are never in use at the same time may share memory.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public readonly record struct SlotSpace(params long[] Blocks);

/// <summary>Kinds of memory that a stage has for each micro-batch in flight.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public enum SlotKind
{
    /// <summary>What arrives from earlier stages.</summary>
    Input,

    /// <summary>What lives from forward to the last gradient.</summary>
    Kept,

    /// <summary>What goes to later stages.</summary>
    Output,

    /// <summary>Gradients that arrive.</summary>
    GradientIn,

    /// <summary>Gradients that go.</summary>
    GradientOut,

    /// <summary>What lives from the gradient of the inputs to that of the parameters.</summary>
    Deferred,

    /// <summary>Parameters that are gathered from the action before on: one block for all micro-batches.</summary>
    Gathered,

    /// <summary>Gradients whose sums end in the next action: one block for all micro-batches.</summary>
    Summed,
}

/// <summary>The blocks that a micro-batch has on a stage.</summary>
/// <param name="Input">Block of what arrives.</param>
/// <param name="Kept">Block of what is kept for backward.</param>
/// <param name="Output">Block of what goes.</param>
/// <param name="GradientIn">Block of gradients that arrive.</param>
/// <param name="GradientOut">Block of gradients that go.</param>
/// <param name="Deferred">Block of what waits for the gradient of the parameters.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public readonly record struct SlotSet(int Input, int Kept, int Output, int GradientIn, int GradientOut, int Deferred)
{
    /// <summary>Whether the micro-batch is the last whose gradients the stage adds up: the sums of its parameters' gradients are complete with it.</summary>
    public bool IsLast { get; init; }

    /// <summary>Of an action: whether the rank's action before, gradients of weights aside, was of the same stage.</summary>
    public bool Stays { get; init; }

    /// <summary>Of an action: whether that one went the other way, too, and has ended with the layers that this one begins with.</summary>
    public bool Turns { get; init; }

    /// <summary>Of an action: the slot of layer 0 in rings of parameters that have two for an odd number of layers.</summary>
    public int GatheredFrom { get; init; }

    /// <summary>Of an action: the same in rings of gradients.</summary>
    public int SummedFrom { get; init; }

    /// <summary>The block of a kind.</summary>
    public int Of(SlotKind kind) => kind switch
    {
        SlotKind.Input => Input,
        SlotKind.Kept => Kept,
        SlotKind.Output => Output,
        SlotKind.GradientIn => GradientIn,
        SlotKind.GradientOut => GradientOut,
        SlotKind.Deferred => Deferred,
        _ => 0,
    };
}

/// <summary>A tensor (or one for each layer) of each micro-batch in flight.</summary>
/// <typeparam name="T">Element type.</typeparam>
/// <param name="Kind">Which block of a micro-batch it lies in.</param>
/// <param name="Offset">Bytes from the start of the block to the first.</param>
/// <param name="Blocks">Where the blocks start in the arena; null where there is one for all, and Offset counts from the start of the arena.</param>
/// <param name="Length">Elements.</param>
/// <param name="Stride">Bytes from one layer to the next.</param>
/// <param name="Count">Layers; an index is taken modulo this count.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public readonly record struct SlotSlice<T>(SlotKind Kind, long Offset, long[]? Blocks, long Length, long Stride, int Count) where T : unmanaged
{
    /// <summary>The tensor of a micro-batch.</summary>
    public Slice<T> this[in SlotSet m] => new(Offset + Block(m), Length);

    /// <summary>The tensor of a micro-batch and layer.</summary>
    public Slice<T> this[in SlotSet m, int layer] => new(Offset + Block(m) + layer % Count * Stride, Length);

    private long Block(in SlotSet m) => Blocks is null ? 0 : Blocks[m.Of(Kind)];
}

/// <summary>What layers hand on: slot i is what enters layer i, and the last slot what leaves the last layer.</summary>
/// <typeparam name="T">Element type.</typeparam>
/// <param name="Head">Slot 0, where it arrives from another stage.</param>
/// <param name="Body">Slots between.</param>
/// <param name="Tail">The last slot, where it goes to another stage.</param>
/// <param name="Span">Number of slots.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public readonly record struct CarrySlice<T>(SlotSlice<T>? Head, SlotSlice<T> Body, SlotSlice<T>? Tail, int Span) where T : unmanaged
{
    /// <summary>The slot of a micro-batch.</summary>
    public Slice<T> this[in SlotSet m, int slot] =>
        slot == 0 && Head is { } head ? head[m]
        : slot == Span - 1 && Tail is { } tail ? tail[m]
        : Body[m, Head is null ? slot : slot - 1];
}
