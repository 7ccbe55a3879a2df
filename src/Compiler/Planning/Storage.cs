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

    /// <summary>Set where the space does not follow from the lifetime: what passes between stages.</summary>
    public MemorySpace? Space { get; set; }

    /// <summary>Actions of its stage in which it is needed, as bits.</summary>
    public int Phases { get; set; }

    /// <summary>Whether the slot of the first layer alternates from action to action.</summary>
    public bool Alternates { get; set; }

    /// <summary>Whether slot 0 of a stack that is handed from layer to layer arrives from another stage.</summary>
    public bool HasHead { get; set; }

    /// <summary>Whether its last slot goes to another stage.</summary>
    public bool HasTail { get; set; }

    /// <summary>Layers of the loop that hands it on.</summary>
    public int Layers { get; set; }

    /// <summary>Whether what arrives and goes is a gradient.</summary>
    public bool IsGradient { get; set; }

    /// <summary>The storage that it lies over: one of the same size that dies where this one begins.</summary>
    public Storage? Over { get; private set; }

    /// <summary>The storage at the bottom, which has the memory.</summary>
    public Storage Bottom => Over?.Bottom ?? this;

    /// <summary>Lays it over another storage, which then lives as long as both.</summary>
    public void LieOver(Storage dying)
    {
        Over = dying;
        Bottom.Touch(First, Last);
    }

    public void Touch(int first, int last)
    {
        First = Math.Min(First, first);
        Last = Math.Max(Last, last);
    }
}

/// <summary>Where a root tensor lies: which storage, which slot, for how many layers.</summary>
/// <param name="Storage">The storage.</param>
/// <param name="Slot">Which slot of it.</param>
/// <param name="Layers">Layers that own one each.</param>
/// <param name="At">First element within the slot, where tensors share it.</param>
internal sealed record Home(Storage Storage, SlotIndex Slot, int Layers, long At = 0);
