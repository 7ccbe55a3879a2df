using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>What a rank does once per step: gradients reduced, their norm, the optimizer, parameters gathered.</summary>
internal sealed partial class StepTime
{
    /// <summary>A piece of it.</summary>
    /// <param name="Order">Pieces of a lower number come first.</param>
    /// <param name="Lane">The group that communicates; empty for a kernel.</param>
    /// <param name="Name">Kernel or operation.</param>
    /// <param name="Seconds">Its time.</param>
    /// <param name="Bytes">Bytes that the rank sends.</param>
    private readonly record struct UpdatePiece(int Order, string Lane, string Name, double Seconds, long Bytes);

    private Time LongestUpdate() => Enumerable.Range(0, _program.Ranks.Count).Select(Update).OrderByDescending(t => t.Total).First();

    private Time Update(int rank) => Sum(UpdatePieces(rank));

    private Time Update(StageProgram stage) => Sum(UpdatePieces(stage));

    private static Time Sum(IEnumerable<UpdatePiece> pieces) => pieces.Aggregate(default(Time), (sum, p) => sum + (p.Lane.Length > 0 ? new Time(0, p.Seconds) : new Time(p.Seconds, 0)));

    /// <summary>What the ranks with one pipeline coordinate do, in order.</summary>
    private IEnumerable<UpdatePiece> UpdatePieces(int rank) =>
        _program.Ranks[rank].Chunks.SelectMany(c => UpdatePieces(_program.Stages[c.Program])).Concat(Tied(rank)).OrderBy(p => p.Order);

    private IEnumerable<UpdatePiece> UpdatePieces(StageProgram stage)
    {
        foreach (ParameterGroup group in stage.Groups)
        {
            // What a rank updates; and what it sends, which is summed in whole buckets and gathered in as many.
            long Bytes(OperandPlan operand) => group.Buckets * operand.Length * BufferPlan.Width(stage.Buffers[operand.Buffer].Element);
            long kept = Bytes(group.Updated) + group.States.Sum(Bytes), elements = group.Buckets * group.Updated.Length;
            foreach (ReductionPlan reduction in group.Reductions)
            {
                double seconds = Collective(reduction.Kind, new[] { reduction.Axis }, Bytes(reduction.Source) / group.Buckets, 0);
                for (int bucket = 0; bucket < group.Buckets; bucket++)
                {
                    yield return new UpdatePiece(0, reduction.Axis, reduction.Kind.ToString(), seconds, reduction.Bytes);
                }
            }

            yield return new UpdatePiece(2, "", $"norm of {group.Name}", OpTime.Seconds(Device, WorkKind.Elementwise, 2 * elements, Bytes(group.Gradients), _half), 0);
            yield return new UpdatePiece(3, "", $"{_program.Optimizer} of {group.Name}", OpTime.Seconds(Device, WorkKind.Elementwise, 12 * elements, 2 * kept + Bytes(group.Gradients), _half), 0);
            for (int bucket = 0; group.Shards is { Stage: < 3 } shards && bucket < shards.Buckets; bucket++)
            {
                double seconds = Collective(CollectiveKind.AllGather, new[] { shards.Axis }, 0, Bytes(group.Parameters) / shards.Buckets);
                yield return new UpdatePiece(4, shards.Axis, nameof(CollectiveKind.AllGather), seconds, shards.GatherBytes);
            }
        }
    }

    /// <summary>Gradients of parameters that several ranks of the pipeline hold.</summary>
    private IEnumerable<UpdatePiece> Tied(int rank)
    {
        if (_program.Pipeline is not { } pipeline)
        {
            yield break;
        }

        LinkDefinition link = LinkOf(pipeline.Axis);
        foreach (TiedPlan tied in pipeline.Tied.Where(t => t.Ranks.Count > 1 && t.Ranks.Contains(rank)))
        {
            yield return new UpdatePiece(1, pipeline.Axis, nameof(CollectiveKind.AllReduce), CollectiveTime.AllReduce(tied.Ranks.Count, tied.Bytes, link.LatencySeconds, link.BytesPerSecond), tied.Bytes);
        }
    }
}
