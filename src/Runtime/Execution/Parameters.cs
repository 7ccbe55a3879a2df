using System.ComponentModel;
using Shardwright.Kernels;

namespace Shardwright.Execution;

/// <summary>A state that the optimizer keeps for a parameter, as emitted code describes it: it lies like the parameter.</summary>
/// <param name="Name">Its name in checkpoints: <c>firstMoment</c>.</param>
/// <param name="Value">Its slots, one for each layer.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed record StateSlot(string Name, SliceStack<float> Value);

/// <summary>How a parameter is cut into shards, as emitted code describes it: it lies in a bucket that is cut into equal parts, without regard to where parameters begin.</summary>
/// <param name="Axis">Axis whose ranks hold one part each.</param>
/// <param name="Index">Number of this rank's part.</param>
/// <param name="Length">Elements of a part.</param>
/// <param name="At">First element of the parameter within its bucket, that of the first layer.</param>
/// <param name="LayerStep">Elements from one layer's to the next; 0 where each layer has a bucket of its own.</param>
/// <param name="Gradients">Whether only the part of the gradients is kept, rather than all.</param>
/// <param name="Values">Whether only the part of the parameters is kept.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed record ParameterShard(string Axis, int Index, long Length, long At, long LayerStep, bool Gradients, bool Values);

/// <summary>A parameter in bf16 or fp16, as emitted code describes it: kernels read a rounding of what the optimizer keeps.</summary>
/// <param name="Format">Which of the two.</param>
/// <param name="Value">Slots of the rounding, one for each layer; those of the shards, where only they are kept.</param>
/// <param name="Gradient">Those of the gradient, where that is of the same format.</param>
/// <param name="IsCut">Whether only a part of the rounding is kept.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed record NarrowSlot(NumberFormat Format, SliceStack<ushort> Value, SliceStack<ushort>? Gradient, bool IsCut);

/// <summary>A parameter as emitted code describes it.</summary>
/// <param name="Path">Logical path, {0} for the layer.</param>
/// <param name="Value">Its slots, one for each layer; those of the shards, where only they are kept.</param>
/// <param name="Gradient">Those of its gradient.</param>
/// <param name="States">What the optimizer keeps for it.</param>
/// <param name="Replicas">Axes along which every rank holds the same piece.</param>
/// <param name="Logical">Logical sizes.</param>
/// <param name="Local">Sizes on this rank.</param>
/// <param name="Start">Logical position of the first local element.</param>
/// <param name="Init">Normal, Uniform or Constant.</param>
/// <param name="A">Mean, lower bound or value.</param>
/// <param name="B">Deviation or upper bound.</param>
/// <param name="FirstLayer">Number of the layer of the first slot.</param>
/// <param name="Shard">How it is cut into shards; null where this rank keeps all of its piece.</param>
/// <param name="Narrow">What kernels read, where that is not the value itself.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed record ParameterSlot(
    string Path, SliceStack<float> Value, SliceStack<float> Gradient, StateSlot[] States, string[] Replicas,
    long[] Logical, long[] Local, long[] Start, string Init, float A, float B, int FirstLayer = 0, ParameterShard? Shard = null, NarrowSlot? Narrow = null);

/// <summary>Neighbouring elements of a rank's piece of a tensor, in row-major order.</summary>
/// <param name="Start">The first.</param>
/// <param name="Length">How many; 0 for none.</param>
public readonly record struct ElementRange(long Start, long Length);

/// <summary>A parameter of a rank: its piece of the logical tensor, and where that piece lies. With ZeRO ranks that have the same piece keep a range of it each.
/// Where kernels read bf16 or fp16, it is the fp32 parameter that the optimizer keeps; the rounding that kernels read follows whatever is set here.</summary>
public sealed class ParameterView
{
    private readonly Arena _arena;
    private readonly ParameterSlot _slot;
    private readonly int _layer;
    private readonly long _shardAt;
    private readonly LossScaleState _lossScale;

    internal ParameterView(Arena arena, string path, ParameterSlot slot, int layer, LossScaleState lossScale)
    {
        _arena = arena;
        _lossScale = lossScale;
        _slot = slot;
        _layer = layer;
        Path = path;
        Map = new IndexMap(slot.Local, slot.Logical, slot.Start);
        StateRange = new ElementRange(0, Map.Count);
        if (slot.Shard is { } shard)
        {
            long start = shard.At + layer * shard.LayerStep, low = shard.Index * shard.Length;
            long from = Math.Clamp(low - start, 0, Map.Count), to = Math.Clamp(low + shard.Length - start, 0, Map.Count);
            StateRange = new ElementRange(from, to - from);
            _shardAt = to > from ? start + from - low : 0;
        }

        ValueRange = slot.Shard is { Values: true } ? StateRange : new ElementRange(0, Map.Count);
        NarrowRange = slot.Narrow is null ? default : slot.Narrow.IsCut ? StateRange : new ElementRange(0, Map.Count);
    }

    /// <summary>Logical path: <c>blocks.3.attention.query</c>.</summary>
    public string Path { get; }

    /// <summary>Sizes of the logical tensor.</summary>
    public IReadOnlyList<long> LogicalShape => _slot.Logical;

    /// <summary>Sizes of this rank's piece.</summary>
    public IReadOnlyList<long> LocalShape => _slot.Local;

    /// <summary>Logical position of the first element of this rank's piece.</summary>
    public IReadOnlyList<long> Start => _slot.Start;

    /// <summary>Axes of the mesh along which every rank has the same piece.</summary>
    public IReadOnlyList<string> Replicas => _slot.Replicas;

    /// <summary>Axis along which ranks keep a range of the piece each; null where every rank keeps all of it.</summary>
    public string? ShardAxis => _slot.Shard?.Axis;

    /// <summary>Logical index of each element of the piece.</summary>
    public IndexMap Map { get; }

    /// <summary>What <see cref="Value"/> holds of the piece: all, but for ZeRO 3, and for every stage of ZeRO in bf16 and fp16, which cuts what the optimizer keeps.</summary>
    public ElementRange ValueRange { get; }

    /// <summary>What <see cref="Gradient"/> and the optimizer's states hold of the piece: all, but for ZeRO.</summary>
    public ElementRange StateRange { get; }

    /// <summary>This rank's elements: those of <see cref="ValueRange"/>.</summary>
    /// <exception cref="NotSupportedException">The rank's memory is not the host's: use <see cref="Read"/> and <see cref="Write"/>.</exception>
    public Span<float> Value => _arena.IsHost ? _arena.Span(ValueSlice) : throw new NotSupportedException($"Parameter '{Path}' is not in host memory: Read copies it, Write sets it.");

    /// <summary>Gradient of the elements of <see cref="StateRange"/>: of the loss sum, as the last step left it, reduced over ranks.</summary>
    /// <remarks>A copy, where the rank's memory is not the host's or gradients are in bf16 or fp16. The scale of a loss in fp16 is not in it.</remarks>
    public ReadOnlySpan<float> Gradient
    {
        get
        {
            if (_slot.Narrow is { Gradient: { } narrow })
            {
                Slice<ushort> elements = _slot.Shard is null or { Gradients: true } ? Kept(narrow) : narrow[_layer].Part(StateRange.Start, StateRange.Length);
                var copy = new float[elements.Length];
                NarrowNumbers.Widen(_slot.Narrow.Format, elements.Length == 0 ? [] : _arena.Read(elements), copy);
                if (_lossScale.OfGradients != 1)
                {
                    System.Numerics.Tensors.TensorPrimitives.Divide(copy, _lossScale.OfGradients, copy);
                }

                return copy;
            }

            Slice<float> slice = _slot.Shard is null or { Gradients: true } ? Kept(_slot.Gradient) : _slot.Gradient[_layer].Part(StateRange.Start, StateRange.Length);
            return slice.Length == 0 ? [] : _arena.IsHost ? _arena.Span(slice) : _arena.Read(slice).ToArray();
        }
    }

    /// <summary>What kernels read of the piece in bf16 or fp16: nothing where they read the value itself.</summary>
    internal ElementRange NarrowRange { get; }

    /// <summary>Whether the rounding covers more than the value: with ZeRO 1 and 2 it is whole, and the value this rank's range.</summary>
    internal bool NarrowIsWider => NarrowRange.Length > 0 && NarrowRange != ValueRange;

    /// <summary>Whether ranks along <see cref="ShardAxis"/> keep a range of the parameter each, rather than all of it.</summary>
    internal bool ValuesAreCut => _slot.Shard is { Values: true };

    private Slice<ushort> NarrowSlice => _slot.Narrow!.IsCut ? Kept(_slot.Narrow.Value) : _slot.Narrow.Value[_layer];

    private Slice<float> ValueSlice => _slot.Shard is { Values: true } ? Kept(_slot.Value) : _slot.Value[_layer];

    /// <summary>A copy of this rank's elements.</summary>
    public float[] Read() => ValueRange.Length == 0 ? [] : _arena.Read(ValueSlice).ToArray();

    /// <summary>Sets this rank's elements.</summary>
    /// <exception cref="ArgumentException">The number of elements is wrong.</exception>
    /// <exception cref="NotSupportedException">In bf16 or fp16 with ZeRO 1 or 2: other ranks have a rounding of these elements.</exception>
    public void Write(ReadOnlySpan<float> elements)
    {
        if (_slot is { Shard: not null, Narrow.IsCut: false })
        {
            throw new NotSupportedException($"Every rank has a {(_slot.Narrow.Format == NumberFormat.BFloat16 ? "bf16" : "fp16")} rounding of all of '{Path}', and this one sets a part: RankBase.LoadParameter sets it from all elements, on every rank.");
        }

        Slice<float> value = ValueSlice;
        if (elements.Length != value.Length)
        {
            throw new ArgumentException($"Parameter '{Path}' has {value.Length} elements on this rank, not {elements.Length}.");
        }

        WriteSome(0, elements);
    }

    /// <summary>Sets this rank's elements, and those of the rounding, from all logical elements.</summary>
    internal void WriteFrom(ReadOnlySpan<float> logical)
    {
        var elements = new float[Map.Count];
        for (int i = 0; i < elements.Length; i++)
        {
            elements[i] = logical[(int)Map[i]];
        }

        WriteSome(0, elements.AsSpan((int)ValueRange.Start, (int)ValueRange.Length));
        if (NarrowIsWider)
        {
            WriteNarrow(0, elements.AsSpan((int)NarrowRange.Start, (int)NarrowRange.Length));
        }
    }

    /// <summary>Sets some of this rank's elements.</summary>
    /// <param name="at">The first, counted from the start of <see cref="ValueRange"/>.</param>
    /// <param name="elements">Their values.</param>
    internal void WriteSome(long at, ReadOnlySpan<float> elements)
    {
        if (elements.Length == 0)
        {
            return;
        }

        Send(_arena, ValueSlice.Part(at, elements.Length), elements);
        if (NarrowRange == ValueRange)
        {
            WriteNarrow(at, elements);
        }
    }

    /// <summary>Sets some elements of the rounding.</summary>
    /// <param name="at">The first, counted from the start of <see cref="NarrowRange"/>.</param>
    /// <param name="elements">Their values.</param>
    internal void WriteNarrow(long at, ReadOnlySpan<float> elements)
    {
        Slice<ushort> target = NarrowSlice.Part(at, elements.Length);
        NarrowNumbers.Narrow(_slot.Narrow!.Format, elements, _arena.BeginWrite(target));
        _arena.EndWrite(target);
    }

    /// <summary>Sets some elements of a state.</summary>
    /// <param name="name">The state.</param>
    /// <param name="at">The first, counted from the start of <see cref="StateRange"/>.</param>
    /// <param name="elements">Their values.</param>
    internal void WriteState(string name, long at, ReadOnlySpan<float> elements) => Send(_arena, StateSlice(name).Part(at, elements.Length), elements);

    /// <summary>Some of this rank's elements: themselves where they are in host memory, else a copy that lives until the next one.</summary>
    internal ReadOnlySpan<float> Peek(long at, int count) => _arena.Read(ValueSlice.Part(at, count));

    /// <summary>Some elements of a state: see <see cref="Peek"/>.</summary>
    internal ReadOnlySpan<float> PeekState(string name, long at, int count) => _arena.Read(StateSlice(name).Part(at, count));

    /// <summary>Names of the states that the optimizer keeps: <c>firstMoment</c> and <c>secondMoment</c> for AdamW, <c>velocity</c> for momentum, none for SGD.</summary>
    public IEnumerable<string> StateNames => _slot.States.Select(s => s.Name);

    /// <summary>A state of the elements of <see cref="StateRange"/>.</summary>
    /// <param name="name">One of <see cref="StateNames"/>.</param>
    /// <exception cref="ArgumentException">The optimizer keeps no such state.</exception>
    /// <exception cref="NotSupportedException">The rank's memory is not the host's: use <see cref="ReadState"/>.</exception>
    public Span<float> State(string name) => _arena.Span(StateSlice(name));

    /// <summary>A copy of a state of the elements of <see cref="StateRange"/>.</summary>
    /// <param name="name">One of <see cref="StateNames"/>.</param>
    /// <exception cref="ArgumentException">The optimizer keeps no such state.</exception>
    public float[] ReadState(string name) => StateSlice(name) is { Length: > 0 } slice ? _arena.Read(slice).ToArray() : [];

    private Slice<float> StateSlice(string name) => _slot.States.FirstOrDefault(s => s.Name == name) is { } state
        ? Kept(state.Value)
        : throw new ArgumentException($"The optimizer keeps no state '{name}' for '{Path}'; it keeps {(_slot.States.Length == 0 ? "none" : string.Join(", ", StateNames))}.", nameof(name));

    /// <summary>Fills the parameter from seed, path and logical index.</summary>
    internal void Initialize(ulong seed)
    {
        Slice<float> value = ValueSlice;
        if (value.Length > 0)
        {
            Kernels.Initialize.Fill(ref _arena.BeginWrite(value)[0], Map, seed, Path, _slot.Init, _slot.A, _slot.B, ValueRange.Start, ValueRange.Length);
            _arena.EndWrite(value);
        }

        const int Most = 1 << 16;
        var elements = new float[Math.Min(Most, NarrowRange.Length)];
        for (long at = 0; at < NarrowRange.Length; at += Most)
        {
            int count = (int)Math.Min(Most, NarrowRange.Length - at);
            Kernels.Initialize.Fill(ref elements[0], Map, seed, Path, _slot.Init, _slot.A, _slot.B, NarrowRange.Start + at, count);
            WriteNarrow(at, elements.AsSpan(0, count));
        }
    }

    private static void Send(Arena arena, Slice<float> slice, ReadOnlySpan<float> elements)
    {
        if (slice.Length > 0)
        {
            elements.CopyTo(arena.BeginWrite(slice));
            arena.EndWrite(slice);
        }
    }

    /// <summary>The elements of this parameter within what is kept of it: all, or its part of this rank's shard of the layer's bucket.</summary>
    private Slice<T> Kept<T>(SliceStack<T> slots)
        where T : unmanaged => _slot.Shard is null ? slots[_layer] : slots[_layer].Part(_shardAt, StateRange.Length);
}
