using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Hands out buffer ids and unique names; offsets may be set once the layout is known.</summary>
internal sealed class BufferTable
{
    private readonly List<BufferPlan> _buffers = new();
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _tried = new(StringComparer.Ordinal);

    public EquatableArray<BufferPlan> Buffers => _buffers.ToEquatable();

    public BufferPlan this[int id] => _buffers[id];

    public int Add(string name, DType element, MemorySpace space, long offset, long length, long stride, int slots, MemoryCategory category, string comment)
    {
        string identifier = KernelBuilder.Identifier(name), unique = identifier;
        if (!_names.Add(unique))
        {
            // Names are never given back: the search goes on where it ended for this one.
            int n = _tried.TryGetValue(identifier, out int tried) ? tried : 1;
            do
            {
                unique = identifier + ++n;
            }
            while (!_names.Add(unique));
            _tried[identifier] = n;
        }

        _buffers.Add(new BufferPlan(_buffers.Count, unique, element, space, offset, length, stride, slots, category, comment));
        return _buffers.Count - 1;
    }

    /// <summary>Says whose memory a buffer is.</summary>
    public void Own(int id, string entry, Phase phase) => _buffers[id] = _buffers[id] with { Entry = entry, Phase = phase };

    /// <summary>Says that the first or last slot of a stack lies elsewhere.</summary>
    public void Join(int id, (MemorySpace, long)? head, (MemorySpace, long)? tail, int span) => _buffers[id] = _buffers[id] with { Head = head, Tail = tail, Span = span };

    /// <summary>Says that the slot of the first layer alternates.</summary>
    public void Alternate(int id) => _buffers[id] = _buffers[id] with { Alternates = true };

    public OperandPlan Whole(int id) => new(id, SlotIndex.None, null, _buffers[id].Length, 0);
}
