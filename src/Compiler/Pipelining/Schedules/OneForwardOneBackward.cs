namespace Shardwright.Compiler.Pipelining;

/// <summary>Warm-up forwards, then one forward and one backward in turn: the time of GPipe, with at most P live micro-batches.
/// Hop-aware, the warm-up is twice as deep: a micro-batch has then as much time on its way as it spends in the stages after this one.</summary>
public sealed class OneForwardOneBackward : Schedule
{
    /// <inheritdoc/>
    public override string Name => "1f1b";

    /// <inheritdoc/>
    public override string EnumName => "OneForwardOneBackward";

    /// <inheritdoc/>
    public override string Title => "1F1B (PipeDream-Flush; Narayanan et al. 2021, arXiv 2006.09503)";

    /// <inheritdoc/>
    public override int? RequiredChunks => 1;

    /// <inheritdoc/>
    public override bool TakesHopAware => true;

    /// <inheritdoc/>
    public override IEnumerable<StageAction> ActionsOf(int rank, ScheduleShape shape)
    {
        int behind = shape.Ranks - rank - 1;
        int warmUp = Math.Min(shape.MicroBatches, shape.HopAware ? 2 * behind : behind);
        for (int m = 0; m < warmUp; m++)
        {
            yield return StageAction.F(rank, m);
        }

        for (int m = warmUp; m < shape.MicroBatches; m++)
        {
            yield return StageAction.F(rank, m);
            yield return StageAction.B(rank, m - warmUp);
        }

        for (int m = shape.MicroBatches - warmUp; m < shape.MicroBatches; m++)
        {
            yield return StageAction.B(rank, m);
        }
    }
}
