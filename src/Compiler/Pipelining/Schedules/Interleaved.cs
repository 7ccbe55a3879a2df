namespace Shardwright.Compiler.Pipelining;

/// <summary>Several stages on each rank, visited in turn by groups of micro-batches: the bubble of 1F1B divided by the number of chunks, for
/// more messages and more live chunks. Its warm-up of two forwards for each rank behind hides hops already.</summary>
public sealed class Interleaved : Schedule
{
    /// <inheritdoc/>
    public override string Name => "interleaved";

    /// <inheritdoc/>
    public override string EnumName => "Interleaved";

    /// <inheritdoc/>
    public override string Title => "interleaved 1F1B (Narayanan et al. 2021, arXiv 2104.04473)";

    /// <inheritdoc/>
    public override int? RequiredChunks => null;

    /// <inheritdoc/>
    public override bool TakesGroupSize => true;

    /// <summary>Micro-batches that visit all chunks together: as asked, or all of them in as many groups of P or more as there can be.</summary>
    public static int GroupSize(ScheduleShape shape) => shape.GroupSize ?? shape.MicroBatches / Math.Max(1, shape.MicroBatches / shape.Ranks);

    /// <inheritdoc/>
    public override IEnumerable<StageAction> ActionsOf(int rank, ScheduleShape shape)
    {
        int group = GroupSize(shape), steps = shape.MicroBatches * shape.Chunks;
        int warmUp = WarmUp(rank, shape, group);
        for (int step = 0; step < steps + warmUp; step++)
        {
            if (step < steps)
            {
                yield return Step(ActionKind.Forward, step, rank, shape, group);
            }

            if (step >= warmUp)
            {
                yield return Step(ActionKind.Backward, step - warmUp, rank, shape, group);
            }
        }
    }

    /// <inheritdoc/>
    protected override string? RefuseCounts(ScheduleShape shape)
    {
        int count = shape.MicroBatches, ranks = shape.Ranks;
        if (shape.GroupSize is int asked)
        {
            int[] valid = Enumerable.Range(1, count).Where(n => count % n == 0 && Orders(shape, n)).ToArray();
            if (valid.Contains(asked))
            {
                return null;
            }

            string nearest = string.Join(" or ", Nearest(valid, asked));
            return asked >= 1 && count % asked == 0
                ? $"groups of {asked} micro-batches are too small for {ranks} ranks with {shape.Chunks} chunks: the first backward of the last rank would wait for a forward that waits for it; groups of {nearest} would do"
                : $"{count} micro-batches are not divisible by the group size {asked}: a group size of {nearest} would do";
        }

        int groups = Math.Max(1, count / ranks);
        if (count % groups == 0)
        {
            return null;
        }

        int below = count, above = count;
        while (below % Math.Max(1, below / ranks) != 0)
        {
            below--;
        }

        while (above % Math.Max(1, above / ranks) != 0)
        {
            above++;
        }

        return $"{count} micro-batches do not make {groups} equal groups of {ranks} or more (one for each {ranks} ranks): {below} or {above} micro-batches would, "
            + $"or a group size of {string.Join(" or ", Nearest(Enumerable.Range(1, count).Where(n => count % n == 0 && Orders(shape, n)).ToArray(), ranks))}";
    }

    /// <summary>Whether groups of this size can be ordered: a rank must be able to fill its warm-up from what the last rank can do before the first gradient comes back.</summary>
    private static bool Orders(ScheduleShape shape, int group) => group >= Math.Min(shape.Ranks, shape.MicroBatches);

    private static IEnumerable<int> Nearest(int[] valid, int wanted)
    {
        int[] below = valid.Where(n => n <= wanted).ToArray(), above = valid.Where(n => n > wanted).ToArray();
        return below.Skip(Math.Max(0, below.Length - 1)).Concat(above.Take(1));
    }

    private static int WarmUp(int rank, ScheduleShape shape, int group) =>
        (int)Math.Min((long)shape.MicroBatches * shape.Chunks, (long)(shape.Chunks - 1) * group + 2L * (shape.Ranks - 1 - rank));

    private static StageAction Step(ActionKind kind, int step, int rank, ScheduleShape shape, int group)
    {
        int round = step / (group * shape.Chunks), chunk = step / group % shape.Chunks;
        chunk = kind == ActionKind.Forward ? chunk : shape.Chunks - 1 - chunk;
        return new StageAction(kind, chunk * shape.Ranks + rank, round * group + step % group);
    }
}
