using System.ComponentModel;
using Shardwright.Kernels;

namespace Shardwright.Execution;

/// <summary>A state that the optimizer keeps for a parameter, as emitted code describes it: it lies like the parameter.</summary>
/// <param name="Name">Its name in checkpoints: <c>firstMoment</c>.</param>
/// <param name="Value">Its slots, one for each layer.</param>
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed record StateSlot(string Name, SliceStack<float> Value);

/// <summary>A parameter as emitted code describes it.</summary>
/// <param name="Path">Logical path, {0} for the layer.</param>
/// <param name="Value">Its slots, one for each layer.</param>
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
[EditorBrowsable(EditorBrowsableState.Never)]
public sealed record ParameterSlot(
    string Path, SliceStack<float> Value, SliceStack<float> Gradient, StateSlot[] States, string[] Replicas,
    long[] Logical, long[] Local, long[] Start, string Init, float A, float B, int FirstLayer = 0);

/// <summary>A parameter of a rank: its piece of the logical tensor, and where that piece lies.</summary>
public sealed class ParameterView
{
    private readonly Arena _arena;
    private readonly ParameterSlot _slot;
    private readonly int _layer;

    internal ParameterView(Arena arena, string path, ParameterSlot slot, int layer)
    {
        _arena = arena;
        _slot = slot;
        _layer = layer;
        Path = path;
        Map = new IndexMap(slot.Local, slot.Logical, slot.Start);
    }

    /// <summary>Logical path: <c>blocks.3.attention.query</c>.</summary>
    public string Path { get; }

    /// <summary>Sizes of the logical tensor.</summary>
    public IReadOnlyList<long> LogicalShape => _slot.Logical;

    /// <summary>Sizes on this rank.</summary>
    public IReadOnlyList<long> LocalShape => _slot.Local;

    /// <summary>Logical position of this rank's first element.</summary>
    public IReadOnlyList<long> Start => _slot.Start;

    /// <summary>Axes of the mesh along which every rank holds the same piece.</summary>
    public IReadOnlyList<string> Replicas => _slot.Replicas;

    /// <summary>Logical index of each local element.</summary>
    public IndexMap Map { get; }

    /// <summary>This rank's elements.</summary>
    /// <exception cref="NotSupportedException">The rank's memory is not the host's: use <see cref="Read"/> and <see cref="Write"/>.</exception>
    public Span<float> Value => _arena.IsHost ? _arena.Span(_slot.Value[_layer]) : throw new NotSupportedException($"Parameter '{Path}' is not in host memory: Read copies it, Write sets it.");

    /// <summary>Gradient of this rank's elements: of the loss sum, as the last step left it, reduced over ranks.</summary>
    /// <remarks>A copy, where the rank's memory is not the host's.</remarks>
    public ReadOnlySpan<float> Gradient => _arena.IsHost ? _arena.Span(_slot.Gradient[_layer]) : _arena.Read(_slot.Gradient[_layer]).ToArray();

    /// <summary>A copy of this rank's elements.</summary>
    public float[] Read() => _arena.Read(_slot.Value[_layer]).ToArray();

    /// <summary>Sets this rank's elements.</summary>
    /// <exception cref="ArgumentException">The number of elements is wrong.</exception>
    public void Write(ReadOnlySpan<float> elements)
    {
        Slice<float> value = _slot.Value[_layer];
        if (elements.Length != value.Length)
        {
            throw new ArgumentException($"Parameter '{Path}' has {value.Length} elements on this rank, not {elements.Length}.");
        }

        elements.CopyTo(_arena.BeginWrite(value));
        _arena.EndWrite(value);
    }

    /// <summary>Names of the states that the optimizer keeps: <c>firstMoment</c> and <c>secondMoment</c> for AdamW, <c>velocity</c> for momentum, none for SGD.</summary>
    public IEnumerable<string> StateNames => _slot.States.Select(s => s.Name);

    /// <summary>A state of this rank's elements.</summary>
    /// <param name="name">One of <see cref="StateNames"/>.</param>
    /// <exception cref="ArgumentException">The optimizer keeps no such state.</exception>
    public Span<float> State(string name) => _slot.States.FirstOrDefault(s => s.Name == name) is { } state
        ? _arena.Span(state.Value[_layer])
        : throw new ArgumentException($"The optimizer keeps no state '{name}' for '{Path}'; it keeps {(_slot.States.Length == 0 ? "none" : string.Join(", ", StateNames))}.", nameof(name));
}
