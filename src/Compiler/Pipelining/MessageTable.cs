using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Pipelining;

/// <summary>Numbers the messages of a table, and knows which an action needs and makes.</summary>
internal sealed class MessageTable
{
    private readonly ActionTable _table;
    private readonly int[][] _into, _out;

    /// <summary>Numbers them: by edge, direction, micro-batch.</summary>
    public MessageTable(ActionTable table, EquatableArray<StageEdge> edges)
    {
        _table = table;
        List<int>[] Make() => Enumerable.Range(0, table.Stages).Select(_ => new List<int>()).ToArray();
        List<int>[] into = Make(), gradientInto = Make(), output = Make(), gradientOutput = Make();
        for (int e = 0; e < edges.Count; e++)
        {
            StageEdge edge = edges[e];
            int from = table.RankOfStage[edge.From], to = table.RankOfStage[edge.To];
            if (from == to)
            {
                continue;
            }

            into[edge.To].Add(Messages.Count);
            output[edge.From].Add(Messages.Count);
            Messages.AddRange(Enumerable.Range(0, table.Shape.MicroBatches).Select(m => new PipelineMessage(e, MessageKind.Activation, edge.From, edge.To, from, to, m, edge.Bytes)));
            if (edge.HasGradient)
            {
                gradientInto[edge.From].Add(Messages.Count);
                gradientOutput[edge.To].Add(Messages.Count);
                Messages.AddRange(Enumerable.Range(0, table.Shape.MicroBatches).Select(m => new PipelineMessage(e, MessageKind.Gradient, edge.To, edge.From, to, from, m, edge.Bytes)));
            }
        }

        // For each stage, forward and then backward: number of the first message of each edge, which is that of micro-batch 0.
        _into = into.Concat(gradientInto).Select(l => l.ToArray()).ToArray();
        _out = output.Concat(gradientOutput).Select(l => l.ToArray()).ToArray();
    }

    /// <summary>All messages.</summary>
    public List<PipelineMessage> Messages { get; } = [];

    /// <summary>Messages that an action waits for.</summary>
    public int[] NeededBy(StageAction action) => Numbers(_into, action);

    /// <summary>Messages that an action makes.</summary>
    public int[] MadeBy(StageAction action) => Numbers(_out, action);

    /// <summary>Messages that a rank sends, in the order in which it makes them.</summary>
    public List<int> SentBy(int rank) => _table.Ranks[rank].SelectMany(MadeBy).ToList();

    private int[] Numbers(int[][] edges, StageAction action)
    {
        if (action.Kind != ActionKind.Forward && !action.GivesInputGradient)
        {
            return [];
        }

        int[] first = edges[action.Kind == ActionKind.Forward ? action.Stage : _table.Stages + action.Stage];
        if (first.Length == 0)
        {
            return [];
        }

        var numbers = new int[first.Length];
        for (int i = 0; i < numbers.Length; i++)
        {
            numbers[i] = first[i] + action.MicroBatch;
        }

        return numbers;
    }
}
