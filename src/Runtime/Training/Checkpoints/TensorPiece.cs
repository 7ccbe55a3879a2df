using Shardwright.Kernels;

namespace Shardwright.Training;

/// <summary>Neighbouring elements that two pieces of one tensor share.</summary>
/// <param name="Source">First element within the source piece.</param>
/// <param name="Target">First element within the target piece.</param>
/// <param name="Length">Number of elements.</param>
internal readonly record struct PieceRun(long Source, long Target, long Length);

/// <summary>A piece of a logical tensor: a box of it, or a range of that box's elements in row-major order (what one rank of several that share a box keeps).</summary>
internal sealed class TensorPiece
{
    /// <summary>A piece.</summary>
    /// <param name="logical">Sizes of the logical tensor.</param>
    /// <param name="start">Position of the box in it.</param>
    /// <param name="local">Sizes of the box.</param>
    /// <param name="from">First element of the range within the box.</param>
    /// <param name="count">Elements of the range; negative for the whole box.</param>
    /// <exception cref="FormatException">The box lies outside of the tensor, or the range outside of the box.</exception>
    public TensorPiece(long[] logical, long[] start, long[] local, long from = 0, long count = -1)
    {
        if (logical.Length > IndexMap.MaxDims || start.Length != logical.Length || local.Length != logical.Length)
        {
            throw new FormatException($"a piece takes up to {IndexMap.MaxDims} dims, each with a size, a start and a local size, and has {logical.Length}, {start.Length} and {local.Length}");
        }

        long box = 1, whole = 1;
        for (int dim = 0; dim < logical.Length; dim++)
        {
            if (local[dim] < 1 || start[dim] < 0 || start[dim] > logical[dim] - local[dim] || whole > long.MaxValue / 64 / logical[dim])
            {
                throw new FormatException($"a piece of {local[dim]} from {start[dim]} does not lie within dim {dim} of [{string.Join(", ", logical)}]");
            }

            box *= local[dim];
            whole *= logical[dim];
        }

        count = count < 0 ? box : count;
        if (from < 0 || count < 1 || from > box - count)
        {
            throw new FormatException($"a range of {count} from {from} does not lie within a box of {box} elements");
        }

        Logical = logical;
        Start = start;
        Local = local;
        From = from;
        Count = count;
        Box = box;
        Elements = whole;
    }

    /// <summary>Sizes of the logical tensor.</summary>
    public long[] Logical { get; }

    /// <summary>Position of the box.</summary>
    public long[] Start { get; }

    /// <summary>Sizes of the box.</summary>
    public long[] Local { get; }

    /// <summary>First element of the range within the box.</summary>
    public long From { get; }

    /// <summary>Elements of the piece.</summary>
    public long Count { get; }

    /// <summary>Elements of the box.</summary>
    public long Box { get; }

    /// <summary>Elements of the logical tensor.</summary>
    public long Elements { get; }

    /// <summary>Whether it is a range rather than a whole box.</summary>
    public bool IsRange => Count != Box;

    /// <summary>A tensor in one piece.</summary>
    public static TensorPiece Whole(long[] logical) => new(logical, new long[logical.Length], logical);

    /// <summary>Whether it has the same elements.</summary>
    public bool Same(TensorPiece other) => From == other.From && Count == other.Count && SameBox(other);

    /// <summary>Whether it is cut from the same box.</summary>
    public bool SameBox(TensorPiece other) => Start.AsSpan().SequenceEqual(other.Start) && Local.AsSpan().SequenceEqual(other.Local);

    /// <summary>Whether the boxes have an element in common.</summary>
    public bool Overlaps(TensorPiece other)
    {
        for (int dim = 0; dim < Local.Length; dim++)
        {
            if (Math.Max(Start[dim], other.Start[dim]) >= Math.Min(Start[dim] + Local[dim], other.Start[dim] + other.Local[dim]))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>What this piece takes from another one of the same tensor, rising in both.</summary>
    public IEnumerable<PieceRun> RunsFrom(TensorPiece source)
    {
        if (!Overlaps(source))
        {
            yield break;
        }

        int dims = Local.Length, inner = dims - 1;
        var low = new long[dims];
        var size = new long[dims];
        for (int dim = 0; dim < dims; dim++)
        {
            low[dim] = Math.Max(Start[dim], source.Start[dim]);
            size[dim] = Math.Min(Start[dim] + Local[dim], source.Start[dim] + source.Local[dim]) - low[dim];
        }

        // Dims that both boxes hold alike join the rows of the dim before them.
        long width = dims == 0 ? 1 : size[inner];
        for (; inner > 0 && size[inner] == Local[inner] && size[inner] == source.Local[inner]; inner--)
        {
            width *= size[inner - 1];
        }

        long rows = 1;
        for (int dim = 0; dim < inner; dim++)
        {
            rows *= size[dim];
        }

        for (long row = 0; row < rows; row++)
        {
            long from = source.Offset(low, size, row, inner), to = Offset(low, size, row, inner);
            long begin = Math.Max(0, Math.Max(source.From - from, From - to)), end = Math.Min(width, Math.Min(source.From + source.Count - from, From + Count - to));
            if (begin < end)
            {
                yield return new PieceRun(from + begin - source.From, to + begin - From, end - begin);
            }
        }
    }

    /// <summary>Why pieces are not exactly one tensor, each element once; null where they are.</summary>
    public static string? Gap(IReadOnlyList<TensorPiece> pieces)
    {
        const int MostBoxes = 4096;
        var boxes = pieces.GroupBy(p => (string.Join(',', p.Start), string.Join(',', p.Local))).Select(g => g.OrderBy(p => p.From).ToList()).ToList();
        if (boxes.Count > MostBoxes)
        {
            return $"it is cut into {boxes.Count} boxes, more than {MostBoxes}";
        }

        long left = pieces[0].Elements;
        for (int i = 0; i < boxes.Count; i++)
        {
            long next = 0;
            foreach (TensorPiece piece in boxes[i])
            {
                if (piece.From != next)
                {
                    return $"its pieces {(piece.From < next ? "overlap" : "leave a gap")} at element {Math.Min(piece.From, next)} of the box from [{string.Join(", ", piece.Start)}]";
                }

                next += piece.Count;
            }

            if (next != boxes[i][0].Box)
            {
                return $"its pieces leave a gap at element {next} of the box from [{string.Join(", ", boxes[i][0].Start)}]";
            }

            for (int j = 0; j < i; j++)
            {
                if (boxes[i][0].Overlaps(boxes[j][0]))
                {
                    return $"its pieces from [{string.Join(", ", boxes[j][0].Start)}] and [{string.Join(", ", boxes[i][0].Start)}] overlap";
                }
            }

            left -= boxes[i][0].Box;
        }

        return left == 0 ? null : $"its pieces leave out {left} of {pieces[0].Elements} elements";
    }

    /// <summary>Offset within the box of a row's first element.</summary>
    private long Offset(long[] low, long[] size, long row, int inner)
    {
        long offset = 0, stride = 1;
        for (int dim = Local.Length - 1; dim >= 0; dim--)
        {
            long at = low[dim] - Start[dim];
            if (dim < inner)
            {
                (row, long position) = Math.DivRem(row, size[dim]);
                at += position;
            }

            offset += at * stride;
            stride *= Local[dim];
        }

        return offset;
    }
}
