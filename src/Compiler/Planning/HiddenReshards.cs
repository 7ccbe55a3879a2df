using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Changes of placement that nobody has written (SW1005, SW1006), in the forward pass: what the backward pass does follows from them. The sum after a product that is split by
/// rows is what was asked for, unless what comes next is not linear.</summary>
internal sealed class HiddenReshards
{
    private readonly ShardedGraph _sharded;
    private readonly int _microBatches;
    private readonly string _site;
    private readonly Dictionary<Value, List<Node>> _readers = new();

    private HiddenReshards(ShardedGraph sharded, int microBatches, string site)
    {
        _sharded = sharded;
        _microBatches = microBatches;
        _site = site;
        foreach (Node node in sharded.Graph.Nodes.Where(n => !n.IsBackward && !n.IsAgain))
        {
            foreach (Value input in node.Inputs.Distinct())
            {
                if (!_readers.TryGetValue(input, out List<Node>? readers))
                {
                    _readers[input] = readers = new List<Node>();
                }

                readers.Add(node);
            }
        }
    }

    /// <summary>Finds them, in order of the graph.</summary>
    /// <param name="sharded">A training graph with placements.</param>
    /// <param name="microBatches">Micro-batches of a step.</param>
    /// <param name="site">Where to say what has no place of its own.</param>
    public static IEnumerable<Finding> Find(ShardedGraph sharded, int microBatches, string site) => new HiddenReshards(sharded, microBatches, site).Run().ToList();

    private IEnumerable<Finding> Run()
    {
        foreach (Node node in _sharded.Graph.Nodes.Where(n => !n.IsBackward && !n.IsAgain && !IsWritten(n)))
        {
            for (int i = 0; i < node.Inputs.Length; i++)
            {
                foreach (Finding finding in Changes(node.Inputs[i], _sharded.Layout(node.Inputs[i]), _sharded.InputLayout(node, i), new[] { node }))
                {
                    yield return finding;
                }
            }

            for (int o = 0; o < node.Outputs.Length; o++)
            {
                Value value = node.Outputs[o];
                List<Node> readers = _readers.TryGetValue(value, out List<Node>? known) ? known : new List<Node>();
                foreach (Finding finding in Changes(value, _sharded.OutputLayout(node, o), _sharded.Layout(value), readers.Where(r => !IsWritten(r)).ToList()))
                {
                    yield return finding;
                }
            }
        }
    }

    private IEnumerable<Finding> Changes(Value value, ImmutableArray<Placement> from, ImmutableArray<Placement> to, IReadOnlyList<Node> readers)
    {
        for (int a = 0; a < _sharded.Axes.Length; a++)
        {
            ShardAxis axis = _sharded.Axes[a];
            if (axis.IsMicroBatch || from[a] == to[a] || value.Requests.Any(r => r.Axis == axis.Name) && value.Kind == ValueKind.Computed || readers.Count == 0)
            {
                continue;
            }

            long whole = value.Type.With(_sharded.Local(value.Type, from, a)).Bytes;
            long bytes = ReshardCost.BytesPerRank(axis, from[a], to[a], whole);
            Node? reader = from[a].IsPartial ? readers.FirstOrDefault(r => !IsLinear(r, value)) : readers[0];
            if (bytes == 0 || reader is null || (from[a].IsPartial && IsAsked(value, a)) || reader.Outputs[0].Type.Rank == 0 && value.Type.Rank == 0)
            {
                continue;
            }

            int layers = Math.Max(value.Stack, reader.Outputs[0].Stack) is >= 0 and int stack ? _sharded.Graph.Stacks[stack].Layers : 1;
            long times = (long)layers * (value.Kind == ValueKind.Parameter && reader.Outputs[0].Stack < 0 ? 1 : _microBatches);
            long moved = (long)Math.Min((double)bytes * times, 1L << 60);
            double seconds = ReshardCost.Of(axis, from[a], to[a], whole) / ReshardCost.PerSecond * times;
            string cost = $"{Quantity.Bytes(moved)} for each rank and step, {Quantity.Time(seconds)}";
            string name = value.Parameter?.Shown ?? value.Name;
            string written = to[a].IsSplit ? $"Placement.Split(\"{axis.Name}\", {to[a].Dim})" : $"Placement.Broadcast(\"{axis.Name}\")";
            yield return Finding.At(from[a].IsPartial ? "SW1005" : "SW1006", reader.Site.Length > 0 ? reader.Site : _site, from[a].IsPartial
                ? $"'{name}' is a sum of terms on axis '{axis.Name}', and {reader.Op.Name} in '{reader.Source}' is not linear: an all-reduce comes in between that nobody asked for ({cost}); write Reshard({name}, {written}), or split the product before it by columns"
                : $"'{name}' is {from[a]} on axis '{axis.Name}', and '{reader.Source}' takes it as {to[a]}: it moves where nothing says so ({cost}); write Reshard({name}, {written}), or place both alike") with
            {
                Measure = moved,
                Fixes = Fixes(value, written, axis.Name),
            };
        }
    }

    /// <summary>The Reshard, written around the expression that makes the value, where nothing else reads it.</summary>
    private EquatableArray<Fix> Fixes(Value value, string placement, string axis)
    {
        if (value.Producer is not { IsBackward: false, Site.Length: > 0 } producer || producer.Site.EndsWith("#-1", StringComparison.Ordinal) || producer.Site.EndsWith(Finding.Elsewhere, StringComparison.Ordinal) || !_readers.TryGetValue(value, out List<Node>? readers) || readers.Count != 1)
        {
            return default;
        }

        return EquatableArray.Of(Fix.Of($"Write Reshard(…, {placement})", "SW1006/reshard/" + axis, EditKind.Wrap, producer.Site, "Reshard", ", " + placement));
    }

    /// <summary>A product by rows of what came split by columns ends in one sum: that is what it is split for. One of what was whole saves nothing and ends in a sum nonetheless.</summary>
    private bool IsAsked(Value value, int axis) =>
        value.Producer is { Op.IsHeavy: true } product && product.Inputs.Any(i => i.Kind != ValueKind.Parameter) && product.Inputs.Where(i => i.Kind != ValueKind.Parameter).All(i => CameSplit(i, axis));

    private bool CameSplit(Value value, int axis) => value.Kind switch
    {
        ValueKind.Computed => _sharded.OutputLayout(value.Producer!, value.ProducerOutput)[axis].IsSplit,
        ValueKind.Input => value.Requests.Any(r => r.Axis == _sharded.Axes[axis].Name && r.Placement.IsSplit),
        _ => _sharded.Layout(value)[axis].IsSplit,
    };

    /// <summary>A Reshard, or a parameter or result of a method with a placement: somebody asked.</summary>
    private static bool IsWritten(Node node) => node.Op is ElementwiseOp { Function: "Reshard" };

    /// <summary>Whether a partial value may pass an op: elementwise ones alone are judged, as what else needs the whole (a norm, a softmax) has no other way.</summary>
    private static bool IsLinear(Node reader, Value value) =>
        reader.Op is not ElementwiseOp || reader.Op.Factors(OperandTypes.Of(reader)).Linear.Any(g => reader.Inputs.Select((v, i) => (v, i)).Any(p => ReferenceEquals(p.v, value) && g.Inputs.Contains(p.i)));
}
