namespace Shardwright.Compiler.Pipelining;

/// <summary>Two stages on each rank, laid out as a V: rank 0 holds the first and the last. No rank ever idles between its first and last
/// action, and every rank keeps the same amount alive.</summary>
public sealed class ZeroBubbleV : Schedule
{
    /// <inheritdoc/>
    public override string Name => "zb-v";

    /// <inheritdoc/>
    public override string EnumName => "ZeroBubbleV";

    /// <inheritdoc/>
    public override string Title => "ZB-V (Qi et al. 2024, arXiv 2405.15362)";

    /// <inheritdoc/>
    public override int? RequiredChunks => 2;

    /// <inheritdoc/>
    public override bool SplitsBackward => true;

    /// <inheritdoc/>
    public override int RankOf(int stage, ScheduleShape shape) => stage < shape.Ranks ? stage : 2 * shape.Ranks - 1 - stage;

    /// <inheritdoc/>
    /// <remarks>The pattern needs 2P − 1 micro-batches; with fewer, those that are not there are left out of it.</remarks>
    public override IEnumerable<StageAction> ActionsOf(int rank, ScheduleShape shape) =>
        Pattern(rank, shape.Ranks, Math.Max(shape.MicroBatches, 2 * shape.Ranks - 1)).Where(a => a.MicroBatch < shape.MicroBatches);

    private static IEnumerable<StageAction> Pattern(int rank, int ranks, int count)
    {
        int down = rank, up = 2 * ranks - 1 - rank;
        int forwardDown = 0, forwardUp = 0, inputDown = 0, inputUp = 0, weightDown = 0, weightUp = 0;
        while (forwardDown < 2 * (ranks - rank) - 1)
        {
            yield return StageAction.F(down, forwardDown++);
        }

        for (int i = 0; i < rank; i++)
        {
            yield return StageAction.F(up, forwardUp++);
            yield return StageAction.F(down, forwardDown++);
        }

        for (int i = rank; i < ranks; i++)
        {
            yield return StageAction.F(up, forwardUp++);
            yield return StageAction.I(up, inputUp++);
            yield return StageAction.W(up, weightUp++);
        }

        while (forwardUp < count)
        {
            if (forwardDown < count)
            {
                yield return StageAction.F(down, forwardDown++);
            }

            yield return StageAction.I(down, inputDown++);
            yield return StageAction.W(down, weightDown++);
            yield return StageAction.F(up, forwardUp++);
            yield return StageAction.I(up, inputUp++);
            yield return StageAction.W(up, weightUp++);
        }

        for (int i = 0; i < rank; i++)
        {
            yield return StageAction.I(down, inputDown++);
            yield return StageAction.I(up, inputUp++);
        }

        for (int i = rank; i < ranks; i++)
        {
            yield return StageAction.I(down, inputDown++);
            yield return StageAction.W(down, weightDown++);
        }

        while (weightUp < count)
        {
            yield return StageAction.W(up, weightUp++);
        }

        while (weightDown < count)
        {
            yield return StageAction.W(down, weightDown++);
        }
    }
}
