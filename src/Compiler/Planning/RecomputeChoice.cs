using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>What to compute again: orders what backward keeps by the time that each byte costs to make again, cheapest first. A value that is dropped is made from what is
/// still kept; what was never kept never becomes kept.</summary>
internal sealed class RecomputeChoice
{
    /// <summary>Choices are made one by one for this many values; of more, the rest follows in the order of the first look.</summary>
    private const int MostLooks = 200;

    /// <summary>Selective takes what costs less than this share of the time per byte that running whole layers again costs.</summary>
    private const double SelectiveShare = 0.5;

    private readonly ShardedGraph _sharded;
    private readonly NodeTime _time;
    private readonly HashSet<Value> _kept;

    private RecomputeChoice(ShardedGraph sharded, DeviceDefinition device, Arithmetic arithmetic, HashSet<Value> kept)
    {
        _sharded = sharded;
        _time = new NodeTime(sharded, device, arithmetic);
        _kept = kept;
    }

    /// <summary>A value that need not be kept.</summary>
    /// <param name="Value">The value.</param>
    /// <param name="Seconds">Predicted time to make it again, beside what was chosen before it, for one micro-batch.</param>
    /// <param name="Bytes">Bytes of it on a rank, all layers.</param>
    public sealed record Candidate(Value Value, double Seconds, long Bytes);

    /// <summary>Candidates in the order in which they are dropped.</summary>
    /// <param name="sharded">A joint graph with placements.</param>
    /// <param name="device">Device that predicts times.</param>
    /// <param name="arithmetic">What the factors of products are.</param>
    /// <param name="free">Values that may be dropped.</param>
    /// <param name="fixedAgain">Values that are made again whatever is chosen.</param>
    public static ImmutableArray<Candidate> Order(ShardedGraph sharded, DeviceDefinition device, Arithmetic arithmetic, Func<Value, bool> free, Func<Value, bool> fixedAgain)
    {
        var kept = new HashSet<Value>(Recomputation.Kept(sharded.Graph).Select(Root).Where(v => v.Kind == ValueKind.Computed && free(v)));
        var choice = new RecomputeChoice(sharded, device, arithmetic, kept);
        return choice.Run(new HashSet<Value>(Recomputation.Kept(sharded.Graph).Where(fixedAgain)));
    }

    /// <summary>How many of the ordered candidates Selective drops: those that are cheap for their bytes.</summary>
    public static int Selective(ImmutableArray<Candidate> order)
    {
        double whole = order.Sum(c => c.Seconds) / Math.Max(1, order.Sum(c => c.Bytes));
        int count = 0;
        while (count < order.Length && order[count].Seconds / Math.Max(1, order[count].Bytes) < SelectiveShare * whole)
        {
            count++;
        }

        return count;
    }

    /// <summary>The value whose memory it is: a view is never dropped alone.</summary>
    private static Value Root(Value value) =>
        value.Producer?.Op is ReshapeOp or ElementwiseOp { Function: "Reshard" } ? Root(value.Producer.Inputs[0]) : value;

    private ImmutableArray<Candidate> Run(HashSet<Value> dropped)
    {
        var order = ImmutableArray.CreateBuilder<Candidate>();
        var left = _kept.OrderBy(v => v.Id).ToList();
        var nodes = new HashSet<Node>();
        foreach (Value value in dropped)
        {
            Collect(value, dropped, nodes);
        }

        while (left.Count > 0)
        {
            var looks = left.Select(v => Look(v, dropped, nodes)).OrderBy(c => c.Seconds / Math.Max(1, c.Bytes)).ThenBy(c => c.Value.Id).ToList();
            foreach (Candidate candidate in order.Count < MostLooks ? looks.Take(1) : looks)
            {
                order.Add(candidate);
                left.Remove(candidate.Value);
                dropped.Add(candidate.Value);
                Collect(candidate.Value, dropped, nodes);
            }
        }

        return order.ToImmutable();
    }

    private Candidate Look(Value value, HashSet<Value> dropped, HashSet<Node> nodes)
    {
        dropped.Add(value);
        var more = new HashSet<Node>();
        Collect(value, dropped, more);
        dropped.Remove(value);
        return new Candidate(value, more.Where(n => !nodes.Contains(n)).Sum(Seconds), _time.Bytes(value) * Layers(value));
    }

    /// <summary>Nodes that must run to make a value from what is kept.</summary>
    private void Collect(Value value, HashSet<Value> dropped, HashSet<Node> nodes)
    {
        if (value.Kind != ValueKind.Computed || (_kept.Contains(value) && !dropped.Contains(value)) || !nodes.Add(value.Producer!))
        {
            return;
        }

        foreach (Value input in value.Producer!.Inputs.Where(i => i.Stack == value.Stack || i.Stack < 0))
        {
            Collect(input, dropped, nodes);
        }
    }

    private int Layers(Value value) => value.Stack < 0 ? 1 : _sharded.Graph.Stacks[value.Stack].Layers;

    private double Seconds(Node node) => _time.Seconds(node) * Layers(node.Outputs[0]);
}
