using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Results in place of inputs, and how much is live where.</summary>
internal sealed partial class EntryBuilder
{
    /// <summary>An elementwise kernel reads an element and writes the one at the same place: its result may lie over an input that nobody needs afterwards.</summary>
    private void Overlay()
    {
        foreach (Piece piece in _pieces)
        {
            for (int i = 0; i < piece.Steps.Count; i++)
            {
                if (!piece.Steps[i].IsElementwise)
                {
                    continue;
                }

                int at = piece.Start + 1 + i;
                ImmutableArray<LocalTensor> inputs = piece.Steps[i].Inputs.ToImmutableArray();
                foreach (LocalTensor output in piece.Steps[i].Outputs)
                {
                    if (Passing(output) is { } result && result.First == at && result.Over is null
                        && inputs.FirstOrDefault(input => Passing(input)?.Bottom.Last == at && Alike(input, output, inputs)) is { } dying)
                    {
                        result.LieOver(_homes[dying.Root].Storage.Bottom);
                    }
                }
            }
        }
    }

    /// <summary>The storage of a tensor that is one block of the space Step, alone in it; null for others.</summary>
    private Storage? Passing(LocalTensor tensor) =>
        _homes.TryGetValue(tensor.Root, out Home? home) && home.Slot == SlotIndex.None && home.Storage is { Slots: 1, HasHead: false, HasTail: false } storage && SpaceOf(storage) == MemorySpace.Step ? storage : null;

    /// <summary>Whether element i of one is read only where element i of the other is written.</summary>
    private static bool Alike(LocalTensor input, LocalTensor output, ImmutableArray<LocalTensor> inputs) =>
        ReferenceEquals(output, output.Root) && output.Local.IsFloat && input.Root.Local.Element == output.Local.Element && input.Root.Local.Count == output.Local.Count
        && inputs.Where(t => t.Root == input.Root).All(t => t.Local.Dims == output.Local.Dims && IsWhole(t));

    private void MakeProfile(List<Storage> step)
    {
        int end = _pieces.Count == 0 ? 0 : _pieces[_pieces.Count - 1].End;
        var change = new long[end + 2];
        foreach (Storage storage in step)
        {
            change[storage.First] += Size(storage) * BodySlots(storage);
            change[storage.Last + 1] -= Size(storage) * BodySlots(storage);
        }

        long live = 0;
        foreach (Piece piece in _pieces)
        {
            string where = piece.Steps.Count == 0 ? "" : Describe(piece).Name;
            for (int at = piece.Start; at <= piece.End; at++)
            {
                live += change[at];
                Profile.Add(new ProfilePoint(_entry, piece.Phase, where, live));
            }
        }
    }
}
