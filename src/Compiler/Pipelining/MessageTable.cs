using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Pipelining;

/// <summary>Numbers the messages of a table, and knows which an action needs and makes.</summary>
internal sealed class MessageTable
{
    private readonly ActionTable _table;
    private readonly EquatableArray<StageEdge> _edges;
    private readonly int[] _first;
    private readonly List<int>[] _into, _out;

    /// <summary>Numbers them: by edge, direction, micro-batch.</summary>
    public MessageTable(ActionTable table, EquatableArray<StageEdge> edges)
    {
        (_table, _edges) = (table, edges);
        _first = new int[2 * edges.Count];
        _into = Enumerable.Range(0, table.Stages).Select(_ => new List<int>()).ToArray();
        _out = Enumerable.Range(0, table.Stages).Select(_ => new List<int>()).ToArray();
        for (int e = 0; e < edges.Count; e++)
        {
            StageEdge edge = edges[e];
            int from = table.RankOfStage[edge.From], to = table.RankOfStage[edge.To];
            (_first[2 * e], _first[2 * e + 1]) = (-1, -1);
            if (from == to)
            {
                continue;
            }

            _into[edge.To].Add(e);
            _out[edge.From].Add(e);
            _first[2 * e] = Messages.Count;
            Messages.AddRange(Enumerable.Range(0, table.Shape.MicroBatches).Select(m => new PipelineMessage(e, MessageKind.Activation, edge.From, edge.To, from, to, m, edge.Bytes)));
            if (edge.HasGradient)
            {
                _first[2 * e + 1] = Messages.Count;
                Messages.AddRange(Enumerable.Range(0, table.Shape.MicroBatches).Select(m => new PipelineMessage(e, MessageKind.Gradient, edge.To, edge.From, to, from, m, edge.Bytes)));
            }
        }
    }

    /// <summary>All messages.</summary>
    public List<PipelineMessage> Messages { get; } = [];

    /// <summary>Messages that an action waits for.</summary>
    public IEnumerable<int> NeededBy(StageAction action) =>
        action.Kind == ActionKind.Forward ? Numbers(_into[action.Stage], 0, action.MicroBatch)
        : action.GivesInputGradient ? Numbers(_out[action.Stage], 1, action.MicroBatch) : [];

    /// <summary>Messages that an action makes.</summary>
    public IEnumerable<int> MadeBy(StageAction action) =>
        action.Kind == ActionKind.Forward ? Numbers(_out[action.Stage], 0, action.MicroBatch)
        : action.GivesInputGradient ? Numbers(_into[action.Stage], 1, action.MicroBatch) : [];

    /// <summary>Messages that a rank sends, in the order in which it makes them.</summary>
    public List<int> SentBy(int rank) => _table.Ranks[rank].SelectMany(MadeBy).ToList();

    private IEnumerable<int> Numbers(List<int> edges, int direction, int microBatch) =>
        edges.Select(e => _first[2 * e + direction]).Where(first => first >= 0).Select(first => first + microBatch);
}
