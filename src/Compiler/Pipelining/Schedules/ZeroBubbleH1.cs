namespace Shardwright.Compiler.Pipelining;

/// <summary>1F1B with the backward split: the gradient of the inputs goes on at once, that of the weights fills the gaps. The memory of 1F1B
/// on rank 0, on every rank, for a third of its bubble. Hop-aware, the warm-up is twice as deep, as in 1F1B.</summary>
public sealed class ZeroBubbleH1 : Schedule
{
    /// <inheritdoc/>
    public override string Name => "zb-h1";

    /// <inheritdoc/>
    public override string EnumName => "ZeroBubbleH1";

    /// <inheritdoc/>
    public override string Title => "ZB-H1 (Qi et al. 2023, arXiv 2401.10241)";

    /// <inheritdoc/>
    public override int? RequiredChunks => 1;

    /// <inheritdoc/>
    public override bool TakesHopAware => true;

    /// <inheritdoc/>
    public override bool SplitsBackward => true;

    /// <inheritdoc/>
    public override IEnumerable<StageAction> ActionsOf(int rank, ScheduleShape shape)
    {
        int count = shape.MicroBatches, behind = shape.Ranks - rank - 1;
        int warmUp = Math.Min(count, shape.HopAware ? 2 * behind : behind), weights = 0;
        for (int m = 0; m < warmUp; m++)
        {
            yield return StageAction.F(rank, m);
        }

        for (int m = 0; m < count; m++)
        {
            if (warmUp + m < count)
            {
                yield return StageAction.F(rank, warmUp + m);
            }

            yield return StageAction.I(rank, m);
            if (m + 1 > rank)
            {
                yield return StageAction.W(rank, weights++);
            }
        }

        while (weights < count)
        {
            yield return StageAction.W(rank, weights++);
        }
    }
}
