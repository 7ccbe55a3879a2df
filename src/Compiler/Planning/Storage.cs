using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Memory that one or more tensors of an entry share, with its lifetime.</summary>
internal sealed class Storage
{
    public Storage(string name, TensorType type, int slots, string comment)
    {
        Name = name;
        Type = type;
        Slots = slots;
        Comment = comment;
    }

    public string Name { get; }

    public TensorType Type { get; }

    public int Slots { get; }

    public string Comment { get; }

    public int First { get; set; } = int.MaxValue;

    public int Last { get; set; } = -1;

    /// <summary>Id of its buffer, once there is one.</summary>
    public int Buffer { get; set; } = -1;

    public MemoryCategory Category { get; set; } = MemoryCategory.Activations;

    public void Touch(int first, int last)
    {
        First = Math.Min(First, first);
        Last = Math.Max(Last, last);
    }
}

/// <summary>Where a root tensor lies: which storage, which slot, for how many layers.</summary>
internal sealed record Home(Storage Storage, SlotIndex Slot, int Layers);
