namespace Shardwright.Compiler.Pipelining;

/// <summary>Several stages on each rank; each runs all its micro-batches before the next begins. Keeps everything alive, and touches the
/// parameters of a stage once in each direction, which is what gathered parameters want.</summary>
public sealed class LoopedBreadthFirst : Schedule
{
    /// <inheritdoc/>
    public override string Name => "bfs";

    /// <inheritdoc/>
    public override string EnumName => "LoopedBreadthFirst";

    /// <inheritdoc/>
    public override string Title => "looped breadth-first (Lamy-Poirier 2023, arXiv 2211.05953)";

    /// <inheritdoc/>
    public override int? RequiredChunks => null;

    /// <inheritdoc/>
    public override IEnumerable<StageAction> ActionsOf(int rank, ScheduleShape shape)
    {
        for (int chunk = 0; chunk < shape.Chunks; chunk++)
        {
            for (int m = 0; m < shape.MicroBatches; m++)
            {
                yield return StageAction.F(chunk * shape.Ranks + rank, m);
            }
        }

        for (int chunk = shape.Chunks - 1; chunk >= 0; chunk--)
        {
            for (int m = 0; m < shape.MicroBatches; m++)
            {
                yield return StageAction.B(chunk * shape.Ranks + rank, m);
            }
        }
    }
}
