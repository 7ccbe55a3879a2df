using Shardwright.Execution;

namespace Shardwright.Training;

/// <summary>What a rank holds of a logical tensor that is saved: a piece of a parameter, or of a state of it.</summary>
/// <param name="Name">Its name in checkpoints.</param>
/// <param name="Piece">Which elements.</param>
/// <param name="View">The parameter.</param>
/// <param name="State">Name of the state; null for the parameter itself.</param>
internal sealed record SavedTensor(string Name, TensorPiece Piece, ParameterView View, string? State)
{
    /// <summary>Whether it is the bf16 or fp16 rounding of a parameter, of which this rank has more than of the parameter: it is loaded, and never saved.</summary>
    public bool IsNarrow { get; init; }

    /// <summary>Some of the elements: themselves where the rank's memory is the host's, else a copy that lives until the next one.</summary>
    public ReadOnlySpan<float> Read(long at, int count) => State is null ? View.Peek(at, count) : View.PeekState(State, at, count);

    /// <summary>Sets some of the elements.</summary>
    public void Write(long at, ReadOnlySpan<float> values)
    {
        if (IsNarrow)
        {
            View.WriteNarrow(at, values);
        }
        else if (State is null)
        {
            View.WriteSome(at, values);
        }
        else
        {
            View.WriteState(State, at, values);
        }
    }

    /// <summary>All that a rank sets when it loads.</summary>
    public static IEnumerable<SavedTensor> ToLoad(RankBase rank, bool states) => Of(rank, states)
        .Concat(rank.Parameters.Where(v => v.NarrowIsWider).Select(v => new SavedTensor(v.Path, PieceOf(v, v.NarrowRange), v, null) { IsNarrow = true }));

    /// <summary>All that a rank holds.</summary>
    public static IEnumerable<SavedTensor> Of(RankBase rank, bool states)
    {
        foreach (ParameterView view in rank.Parameters)
        {
            // A shard may hold nothing of a parameter.
            if (view.ValueRange.Length > 0)
            {
                yield return new SavedTensor(view.Path, PieceOf(view, view.ValueRange), view, null);
            }

            foreach (string state in states && view.StateRange.Length > 0 ? view.StateNames : [])
            {
                yield return new SavedTensor(view.Path + "/" + state, PieceOf(view, view.StateRange), view, state);
            }
        }
    }

    private static TensorPiece PieceOf(ParameterView view, ElementRange range) => new([.. view.LogicalShape], [.. view.Start], [.. view.LocalShape], range.Start, range.Length);

    /// <summary>Whether this rank is the one that writes it: where several hold the same piece one does, each its share of all that they hold.</summary>
    public bool IsWrittenBy(RankContext context)
    {
        int replica = 0, replicas = 1;
        bool cut = State is not null || View.ValuesAreCut;
        foreach (string axis in View.Replicas.Where(a => !cut || a != View.ShardAxis))
        {
            replica = replica * context.Mesh.Size(axis) + context.Coordinate(axis);
            replicas *= context.Mesh.Size(axis);
        }

        return Crc32C.Of(System.Text.Encoding.UTF8.GetBytes(Name)) % (uint)replicas == replica;
    }
}
