using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>What the pieces cost.</summary>
internal sealed partial class ModelSegments
{
    /// <summary>Prices the pieces.</summary>
    /// <param name="sharded">The graph with placements, forward and backward.</param>
    /// <param name="device">Device that predicts times.</param>
    /// <param name="arithmetic">What the factors of products are.</param>
    /// <param name="stateBytes">What is kept of a parameter from step to step: itself, its gradient, the optimizer's state.</param>
    public void Price(ShardedGraph sharded, DeviceDefinition device, Arithmetic arithmetic, Func<Value, long> stateBytes)
    {
        foreach (Piece piece in _pieces)
        {
            (piece.Forward, piece.Input, piece.Weight, piece.Activations, piece.Hop) = (0, 0, 0, 0, 0);
        }

        var time = new NodeTime(sharded, device, arithmetic);
        HashSet<Node> passing = BackToTheFirst();
        foreach (Region region in _graph.Regions)
        {
            foreach (Node node in region.Nodes)
            {
                double picoseconds = Math.Round(time.Seconds(node) * 1e12);
                foreach (Piece piece in PiecesOf(region, node))
                {
                    (piece.Forward, piece.Input, piece.Weight) = !region.IsBackward ? (piece.Forward + picoseconds, piece.Input, piece.Weight)
                        : node.IsAgain || passing.Contains(node) ? (piece.Forward, piece.Input + picoseconds, piece.Weight) : (piece.Forward, piece.Input, piece.Weight + picoseconds);
                }
            }
        }

        // What backward reads of the forward pass is kept, views once.
        foreach (Value kept in _graph.Regions.Where(r => r.IsBackward).SelectMany(r => r.Nodes).SelectMany(n => n.Inputs).Select(Root)
            .Where(v => v.Kind is ValueKind.Computed or ValueKind.Carried && v.Region >= 0 && !_graph.Regions[v.Region].IsBackward).Distinct())
        {
            Region region = _graph.Regions[kept.Region];
            foreach (Piece piece in kept.Producer is { } producer ? PiecesOf(region, producer) : Layers(region))
            {
                piece.Activations = checked(piece.Activations + time.Bytes(kept));
            }
        }

        var counted = new HashSet<Value>();
        foreach (Piece piece in _pieces)
        {
            // A parameter that all layers of a stack share is counted at the first of them.
            piece.ParameterBytes = piece.Parameters.Where(p => piece.Stack < 0 || p.Stack >= 0 || counted.Add(p)).Sum(p => stateBytes(p));
        }

        Hops(time);
    }

    /// <summary>What passes from piece to piece: what the loops hand on, and what is made before them and read in them.</summary>
    private void Hops(NodeTime time)
    {
        foreach (Region loop in _graph.Regions.Where(r => !r.IsBackward && r.Stack is not null))
        {
            long bytes = loop.Carries.Sum(c => time.Bytes(c.Result))
                + loop.Nodes.SelectMany(n => n.Inputs).Where(v => v.Stack < 0 && v.Kind == ValueKind.Computed).Distinct().Sum(time.Bytes);
            List<Piece> layers = Layers(loop).ToList();
            int first = _pieces.IndexOf(layers[0]);
            foreach (Piece piece in layers.Concat(first > 0 ? new[] { _pieces[first - 1] } : Array.Empty<Piece>()))
            {
                piece.Hop = Math.Max(piece.Hop, bytes);
            }
        }

        if (_graph.Stacks.Count == 0)
        {
            for (int i = 0; i + 1 < _pieces.Count; i++)
            {
                var before = new HashSet<Piece>(_pieces.Take(i + 1));
                _pieces[i].Hop = _graph.Nodes.Where(n => !n.IsBackward && !before.Contains(_pieceOf[n])).SelectMany(n => n.Inputs)
                    .Where(v => v.Producer is { IsBackward: false } p && before.Contains(_pieceOf[p])).Distinct().Sum(time.Bytes);
            }
        }
    }

    private IEnumerable<Piece> Layers(Region loop) => _pieces.Where(p => loop.Stack is { } stack && p.Stack == stack.Id);

    private IEnumerable<Piece> PiecesOf(Region region, Node node)
    {
        if (region.Stack is not null)
        {
            return Layers(region);
        }

        if (!_pieceOf.TryGetValue(node, out Piece? piece))
        {
            // A backward node stands where its forward node does; a sum or a seed where the first of its terms is made.
            _pieceOf[node] = piece = node.Of is { } of && _pieceOf.TryGetValue(of, out Piece? known) ? known
                : node.Inputs.Where(i => i.Producer is not null && _pieceOf.ContainsKey(i.Producer)).Select(i => _pieceOf[i.Producer!]).FirstOrDefault() ?? _pieces[_pieces.Count - 1];
        }

        return new[] { piece };
    }

    private static Value Root(Value value) => value.Producer?.Op is ReshapeOp or ElementwiseOp { Function: "Reshard" } ? Root(value.Producer.Inputs[0]) : value;

    /// <summary>Backward nodes that some earlier piece waits for: all that leads to what goes from piece to piece. The others only lead to gradients of parameters.</summary>
    private HashSet<Node> BackToTheFirst()
    {
        var sums = new HashSet<Value>(_graph.Gradients.Select(g => g.Gradient));
        var waiting = new Stack<Value>();
        foreach (Carry carry in _graph.Regions.Where(r => r.IsBackward).SelectMany(r => r.Carries).Where(c => !sums.Contains(c.Final)))
        {
            waiting.Push(carry.Initial);
            waiting.Push(carry.Result);
        }

        if (_graph.Stacks.Count == 0)
        {
            foreach (Node node in _graph.Nodes.Where(n => n.IsBackward))
            {
                foreach (Value input in node.Inputs.Where(i => i.Producer is { IsBackward: true } p && PieceOf(p) != PieceOf(node)))
                {
                    waiting.Push(input);
                }
            }
        }

        var found = new HashSet<Node>();
        while (waiting.Count > 0)
        {
            if (waiting.Pop().Producer is { IsBackward: true } node && found.Add(node))
            {
                foreach (Value input in node.Inputs)
                {
                    waiting.Push(input);
                }
            }
        }

        return found;
    }

    /// <summary>Whether a node and one that reads it surely lie on one stage, wherever the model is cut.</summary>
    public bool AreTogether(Node made, Node reader) => made.Outputs[0].Stack >= 0 || PieceOf(made) == PieceOf(reader);

    /// <summary>What is computed again stands where the original does.</summary>
    public void Follow(Recomputation change)
    {
        foreach ((Node from, Node to) in change.Replaced.Where(r => r.From.Outputs[0].Stack < 0))
        {
            _pieceOf[to] = PieceOf(from);
        }
    }

    private Piece PieceOf(Node node) => PiecesOf(_graph.Regions[node.Outputs[0].Region], node).First();
}
