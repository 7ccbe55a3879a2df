using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Planning;

/// <summary>Where memory dies: after a statement, at the end of a layer, after a loop.</summary>
internal sealed partial class EntryBuilder
{
    private ILookup<int, (Storage Storage, Home Home)>? _ends;

    /// <summary>What has a buffer of its own that dies within the entry; what goes to another stage or is the result dies elsewhere.</summary>
    private ILookup<int, (Storage Storage, Home Home)> Ends => _ends ??= _homes.Values.Concat(GatheredHomes).GroupBy(h => h.Storage)
        .Where(g => g.Key is { Buffer: >= 0, Over: null, HasHead: false, HasTail: false } && !IsRingOfGradients(g.Key) && SpaceOf(g.Key) is not (MemorySpace.Output or MemorySpace.GradientOut) && !IsResult(g.Key))
        .OrderBy(g => g.Key.Buffer).ToLookup(g => g.Key.Last, g => (g.Key, g.First()));

    /// <summary>Whether its slots die where their sums end, in another layer than the one that wrote them.</summary>
    private bool IsRingOfGradients(Storage storage) => storage.Slots > 1 && _windows.Any(w => w.Key.IsGradient && w.Value == storage);

    private bool IsResult(Storage storage) => _graph.Result is { } result && _homes.TryGetValue(result.Root, out Home? home) && home.Storage.Bottom == storage;

    private IEnumerable<ProgramStatement> DyingAt(int position) => Ends[position].Where(e => e.Storage.Slots == 1).Select(e => Dies(e.Storage, SlotIndex.None, 0));

    /// <summary>Slots of the layer that has just run, of what every layer has its own and no later loop needs.</summary>
    private IEnumerable<ProgramStatement> DyingSlots(Piece piece) =>
        piece.Stack is null ? Enumerable.Empty<ProgramStatement>() : Ends[piece.End].Where(e => IsPerLayer(e.Storage, e.Home)).Select(e => Dies(e.Storage, SlotIndex.Layer, 0));

    private IEnumerable<ProgramStatement> DyingAfter(Piece piece) =>
        Ends[piece.End].Where(e => piece.Stack is null || !IsPerLayer(e.Storage, e.Home)).Select(e => Dies(e.Storage, e.Storage.Slots > 1 ? SlotIndex.First : SlotIndex.None, e.Storage.Slots > 1 ? e.Storage.Slots : 0));

    private static bool IsPerLayer(Storage storage, Home home) => storage.Slots > 1 && storage.Layers == 0 && home.Slot == SlotIndex.Layer;

    private static ProgramStatement Dies(Storage storage, SlotIndex slot, int slots) =>
        new ProgramStatement.Dies(new OperandPlan(storage.Buffer, slot, null, storage.Type.Count, storage.Slots), slots);
}
