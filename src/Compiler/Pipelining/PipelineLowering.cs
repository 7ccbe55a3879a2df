using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Pipelining;

/// <summary>Turns an order of actions into the program of each rank: receives are posted ahead of their consumer and in the order in which the
/// sender sends (the channel between two ranks is ordered), sends start right after their producer and are waited for late.</summary>
public static class PipelineLowering
{
    /// <summary>Lowers a valid table.</summary>
    /// <param name="table">The order.</param>
    /// <param name="edges">What passes between stages; each stage to the next if null.</param>
    /// <param name="options">How.</param>
    public static LoweredPipeline Lower(ActionTable table, IReadOnlyList<StageEdge>? edges = null, LoweringOptions? options = null)
    {
        options ??= new LoweringOptions();
        if (options.SendDepth < 1 || options.ReceiveDepth < 0 || options.GradientWindow < 1)
        {
            throw new ArgumentException($"SendDepth {options.SendDepth} and GradientWindow {options.GradientWindow} must be 1 or more, ReceiveDepth {options.ReceiveDepth} 0 or more", nameof(options));
        }

        EquatableArray<StageEdge> all = edges is null ? StageEdge.Chain(table.Stages) : edges.ToEquatable();
        foreach (StageEdge edge in all)
        {
            if (edge.From < 0 || edge.From >= edge.To || edge.To >= table.Stages)
            {
                throw new ArgumentException($"an edge goes from stage {edge.From} to stage {edge.To}: edges go to a later one of the stages 0 to {table.Stages - 1}", nameof(edges));
            }
        }

        var messages = new MessageTable(table, all);
        List<int>[] sent = Enumerable.Range(0, table.Ranks.Count).Select(r => messages.SentBy(r)).ToArray();
        var ranks = new EquatableArray<LoweredAction>[table.Ranks.Count];
        for (int rank = 0; rank < ranks.Length; rank++)
        {
            ranks[rank] = new RankLowering(table, messages, rank, options, sent).Lines().ToEquatable();
        }

        return new LoweredPipeline(table, all, messages.Messages.ToEquatable(), ranks.ToEquatable(), options);
    }
}
