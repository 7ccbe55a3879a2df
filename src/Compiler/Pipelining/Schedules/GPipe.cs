namespace Shardwright.Compiler.Pipelining;

/// <summary>All forward, then all backward: the simplest, and the one with the most live micro-batches.</summary>
public sealed class GPipe : Schedule
{
    /// <inheritdoc/>
    public override string Name => "gpipe";

    /// <inheritdoc/>
    public override string EnumName => "GPipe";

    /// <inheritdoc/>
    public override string Title => "GPipe (Huang et al. 2019, arXiv 1811.06965)";

    /// <inheritdoc/>
    public override int? RequiredChunks => 1;

    /// <inheritdoc/>
    public override IEnumerable<StageAction> ActionsOf(int rank, ScheduleShape shape) =>
        Enumerable.Range(0, shape.MicroBatches).Select(m => StageAction.F(rank, m))
            .Concat(Enumerable.Range(0, shape.MicroBatches).Select(m => StageAction.B(rank, m)));
}
