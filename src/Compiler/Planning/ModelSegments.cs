using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Planning;

/// <summary>A model as pieces in a row, each of which lies on one stage as a whole: what stands before the layers of its stacks, each layer, what stands after them; where it has
/// no stack, its own layers. What has no parameters belongs to its neighbour, so that every stage has something to train.</summary>
internal sealed partial class ModelSegments
{
    private readonly ModelGraph _graph;
    private readonly List<Piece> _pieces = new();
    private readonly Dictionary<Node, Piece> _pieceOf = new();

    private ModelSegments(ModelGraph graph) => _graph = graph;

    /// <summary>A piece.</summary>
    private sealed class Piece
    {
        /// <summary>Stack of its layer; −1 for what stands outside.</summary>
        public int Stack { get; set; } = -1;

        /// <summary>Paths of the layers that it is made of, where the model has no stacks.</summary>
        public List<string> Paths { get; } = new();

        /// <summary>Parameters that it reads.</summary>
        public HashSet<Value> Parameters { get; } = new();

        public double Forward { get; set; }

        public double Input { get; set; }

        public double Weight { get; set; }

        public long Activations { get; set; }

        public long ParameterBytes { get; set; }

        public long Hop { get; set; }
    }

    /// <summary>Number of pieces.</summary>
    public int Count => _pieces.Count;

    /// <summary>What they cost; empty without prices. Times are whole picoseconds, so that sums are the same on every machine.</summary>
    public EquatableArray<SegmentCost> Costs => _pieces.Select(p => new SegmentCost(p.Forward, p.Input, p.Weight, Bounded(p.Activations), Bounded(p.ParameterBytes), Bounded(p.Hop))).ToEquatable();

    /// <summary>Cuts a model into pieces without prices.</summary>
    public static ModelSegments Of(ModelGraph graph)
    {
        var segments = new ModelSegments(graph);
        if (graph.Stacks.Count > 0)
        {
            segments.Stacked();
        }
        else
        {
            segments.Layered();
        }

        segments.Join();
        return segments;
    }

    /// <summary>The cut with so many pieces on each stage.</summary>
    public StageCut Cut(IReadOnlyList<int> counts)
    {
        var layers = _graph.Stacks.Select(_ => new int[counts.Count]).ToArray();
        var single = new List<(string, int)>();
        for (int stage = 0, at = 0; stage < counts.Count; stage++)
        {
            for (int i = 0; i < counts[stage]; i++, at++)
            {
                if (_pieces[at].Stack >= 0)
                {
                    layers[_pieces[at].Stack][stage]++;
                }

                single.AddRange(_pieces[at].Paths.Select(p => (p, stage)));
            }
        }

        return new StageCut(counts.Count, _graph.Stacks.Select(s => (s.Path, layers[s.Id].ToEquatable())).ToEquatable(), single.ToEquatable());
    }

    /// <summary>Whether the layer of a path stands before all stacks (first) or after all of them (last), as a whole.</summary>
    public bool StandsAt(string path, bool first) => _graph.Stacks.Count > 0 && _graph.Regions.Where(r => !r.IsBackward && r.Stack is null).SelectMany(r => r.Nodes.Select(n => (r.Id, Node: n)))
        .Where(n => n.Node.Origin == path || n.Node.Origin.StartsWith(path + ".", StringComparison.Ordinal))
        .All(n => first ? n.Id < _graph.Regions.First(r => r.Stack is not null).Id : n.Id > _graph.Regions.Last(r => r.Stack is not null && !r.IsBackward).Id);

    /// <summary>No more than any device has, so that sums over pieces and micro-batches stay in range.</summary>
    private static long Bounded(long bytes) => Math.Min(bytes, 1L << 44);

    private Piece Add(int stack = -1)
    {
        _pieces.Add(new Piece { Stack = stack });
        return _pieces[_pieces.Count - 1];
    }

    private void Stacked()
    {
        Piece piece = Add();
        int lastLoop = _graph.Regions.FindLastIndex(r => !r.IsBackward && r.Stack is not null);
        foreach (Region region in _graph.Regions.Where(r => !r.IsBackward))
        {
            if (region.Stack is { } stack)
            {
                for (int layer = 0; layer < stack.Layers; layer++)
                {
                    piece = Add(stack.Id);
                    piece.Parameters.UnionWith(ParametersOf(region.Nodes));
                }

                piece = region.Id == lastLoop ? Add() : piece;
                continue;
            }

            Take(piece, region.Nodes);
        }
    }

    /// <summary>A model without stacks: a piece for each of its layers, in the order of their first use. A layer that comes again joins all between.</summary>
    private void Layered()
    {
        var first = new Dictionary<string, int>();
        foreach (Node node in _graph.Regions.Where(r => !r.IsBackward).SelectMany(r => r.Nodes))
        {
            string path = node.Origin.Split('.')[0];
            if (path.Length > 0 && !first.ContainsKey(path))
            {
                Piece piece = _pieces.Count > 0 && _pieces[_pieces.Count - 1].Paths.Count == 0 ? _pieces[_pieces.Count - 1] : Add();
                piece.Paths.Add(path);
                first[path] = _pieces.Count - 1;
            }
            else if (path.Length > 0)
            {
                for (int at = first[path]; _pieces.Count - 1 > at;)
                {
                    Merge(at, at + 1);
                }

                foreach (string joined in _pieces[_pieces.Count - 1].Paths)
                {
                    first[joined] = _pieces.Count - 1;
                }
            }

            Take(_pieces.Count == 0 ? Add() : _pieces[_pieces.Count - 1], new[] { node });
        }
    }

    private void Take(Piece piece, IEnumerable<Node> nodes)
    {
        foreach (Node node in nodes)
        {
            _pieceOf[node] = piece;
        }

        piece.Parameters.UnionWith(ParametersOf(nodes));
    }

    private static IEnumerable<Value> ParametersOf(IEnumerable<Node> nodes) => nodes.SelectMany(n => n.Inputs).Where(v => v.Kind == ValueKind.Parameter);

    /// <summary>Pieces without parameters join the one after them, the last ones the one before.</summary>
    private void Join()
    {
        for (int i = 0; i < _pieces.Count && _pieces.Count > 1;)
        {
            if (_pieces[i].Parameters.Count > 0)
            {
                i++;
            }
            else if (i + 1 < _pieces.Count)
            {
                Merge(i + 1, i);
            }
            else
            {
                Merge(i - 1, i);
            }
        }
    }

    private void Merge(int into, int from)
    {
        (Piece kept, Piece gone) = (_pieces[into], _pieces[from]);
        kept.Parameters.UnionWith(gone.Parameters);
        kept.Paths.AddRange(gone.Paths);
        kept.Stack = Math.Max(kept.Stack, gone.Stack);
        foreach (Node node in _pieceOf.Where(p => p.Value == gone).Select(p => p.Key).ToList())
        {
            _pieceOf[node] = kept;
        }

        _pieces.RemoveAt(from);
    }
}
