using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Compiler.Sharding;

/// <summary>What signatures and changes of placement cost.</summary>
public sealed partial class SignatureSearch
{
    private const int Whole = 0, FirstSplit = 2;

    /// <summary>What a free parameter costs where it lies.</summary>
    private long Holding(Value value, Placement home, int axis)
    {
        if (!_free.Contains(value))
        {
            return 0;
        }

        double bytes = (double)_bytes[value.Id] / (home.IsSplit ? _sharded.Axes[axis].Parts : 1);
        return Times(Weight(value.Stack), ReshardCost.Units(bytes * _freedom.SecondsPerByte));
    }

    /// <summary>A placement as a number: whole, partial, split along the first dim, and so on.</summary>
    private static int Number(Placement placement) => placement.IsSplit ? FirstSplit + placement.Dim : placement.IsPartial ? 1 : Whole;

    private static Placement PlacementOf(int number) => number switch { Whole => Placement.Broadcast, 1 => Placement.Partial, _ => Placement.Split(number - FirstSplit) };

    /// <summary>Placements that a value may have.</summary>
    private static int Width(Value value) => 2 + value.Type.Rank;

    /// <summary>What it costs once to bring a value from each placement to each other one.</summary>
    private long[] Changes(int axis, Value value)
    {
        var key = (_bytes[value.Id], value.Type.Rank, value.Kind == ValueKind.Parameter, _gradients.Contains(value));
        if (_changes.TryGetValue(key, out long[]? known))
        {
            return known;
        }

        int width = Width(value);
        return _changes[key] = Enumerable.Range(0, width * width).Select(i => Cost(axis, value, PlacementOf(i / width), PlacementOf(i % width))).ToArray();
    }

    /// <summary>Types of a node's operands as the axes before one leave them.</summary>
    private OperandTypes LocalTypes(Node node, OperandTypes types, int axis)
    {
        bool split = false;
        for (int earlier = 0; earlier < axis && !split; earlier++)
        {
            split = _sharded.SignatureOf(node, earlier).Factor >= 0 || _sharded.SignatureOf(node, earlier).Inputs.Any(p => p.IsSplit) || _sharded.SignatureOf(node, earlier).Outputs.Any(p => p.IsSplit);
        }

        return !split ? types : new OperandTypes(
            node.Inputs.Select((v, i) => v.Type.With(_sharded.Local(v.Type, _sharded.InputLayout(node, i), axis))).ToEquatable(),
            node.Outputs.Select((v, o) => v.Type.With(_sharded.Local(v.Type, _sharded.OutputLayout(node, o), axis))).ToEquatable());
    }

    /// <summary>Time of the op itself, once.</summary>
    private long NodeCost(Op op, Signature signature, ShardAxis along, OperandTypes local)
    {
        if (along.IsMicroBatch)
        {
            // What can be cut into micro-batches is cut, so that an op which cannot is the one that is named; less than a change of placement costs.
            return signature.Inputs.Concat(signature.Outputs).All(p => p.IsBroadcast) ? ReshardCost.Step / 16 : 0;
        }

        // Elementwise work is taken for free: it is done in the kernel of its neighbours.
        long cost = 0;
        double seconds = op.IsHeavy ? op.Flops(local) / _flopsPerSecond
            : _lightWorkCounts && op is not (ReshapeOp or ElementwiseOp) ? (local.Inputs.Sum(t => t.Bytes) + local.Outputs.Sum(t => t.Bytes)) / _bytesPerSecond
            : 0;
        if (seconds > 0)
        {
            bool split = signature.Inputs.Concat(signature.Outputs).Any(p => p.IsSplit);
            cost = ReshardCost.WorkUnits(seconds / (split ? along.Parts : 1));
        }

        if (signature.Communicates)
        {
            // Two small all-reduces over the rows: a maximum, then sum and picked value packed.
            long rows = local.Outputs[local.Outputs.Count - 1].Bytes;
            cost += ReshardCost.Of(along, Placement.Partial, Placement.Broadcast, rows) + ReshardCost.Of(along, Placement.Partial, Placement.Broadcast, 2 * rows);
        }

        return cost;
    }

    private long Cost(int axis, Value value, Placement from, Placement to)
    {
        if (from == to)
        {
            return 0;
        }

        ShardAxis along = _sharded.Axes[axis];
        long cost = ReshardCost.Of(along, from, to, _bytes[value.Id]);
        if (value.Kind == ValueKind.Parameter && from.IsSplit && cost < ReshardCost.Impossible)
        {
            cost += MoveParameter / 1024;
        }
        else if (along.IsData && from.IsSplit && cost < ReshardCost.Impossible && !_gradients.Contains(value))
        {
            cost += to.IsSplit ? LeaveBatch : GatherBatch;
        }

        return cost;
    }

    /// <summary>Each op done as its operands lie, from the inputs on: where a graph is too tangled to be searched as a whole (layers that are called again and again), what is fixed in it is fixed to this, and the batch stays where the inputs have split it.</summary>
    private int[] FollowBatch(int axis, Node[] nodes, Offered[] offers, int[] variables, int[][] numbers, int count)
    {
        int[] start = Enumerable.Repeat(-1, count).ToArray();
        Dictionary<Value, Value> before = _sharded.Graph.Regions.SelectMany(r => r.Carries).GroupBy(c => c.Argument).ToDictionary(g => g.Key, g => g.First().Initial);
        for (int n = 0; n < nodes.Length; n++)
        {
            Node node = nodes[n];
            int best = 0;
            long least = long.MaxValue;
            for (int s = 0; s < offers[n].Costs.Length; s++)
            {
                long cost = offers[n].Costs[s];
                for (int i = 0; i < node.Inputs.Length; i++)
                {
                    cost += Changes(axis, node.Inputs[i])[Lies(node.Inputs[i]) * Width(node.Inputs[i]) + offers[n].Inputs[i][s]];
                }

                (best, least) = cost < least ? (s, cost) : (best, least);
            }

            start[n] = best;
            for (int o = 0; o < node.Outputs.Length; o++)
            {
                Value output = node.Outputs[o];
                if (start[variables[output.Id]] < 0)
                {
                    int made = offers[n].Outputs[o][best], home = Array.IndexOf(numbers[output.Id], made);
                    start[variables[output.Id]] = home >= 0 ? home : Cheapest(output, made);
                }
            }
        }

        return Array.ConvertAll(start, s => Math.Max(0, s));

        int Lies(Value value)
        {
            int at = variables[value.Id];
            if (start[at] < 0)
            {
                start[at] = before.TryGetValue(value, out Value? initial) && Array.IndexOf(numbers[value.Id], Lies(initial)) is >= 0 and int same ? same
                    : value.Kind == ValueKind.Parameter ? Math.Max(0, Array.IndexOf(numbers[value.Id], Whole))
                    : Math.Max(0, Array.FindIndex(numbers[value.Id], p => p >= FirstSplit));
            }

            return numbers[value.Id][start[at]];
        }

        int Cheapest(Value value, int from)
        {
            long[] changes = Changes(axis, value);
            return Enumerable.Range(0, numbers[value.Id].Length).OrderBy(h => changes[from * Width(value) + numbers[value.Id][h]]).First();
        }
    }

    /// <summary>Whether a node takes a value where it may bring together what is split without that anybody wrote so: in forward, other than at a Reshard.</summary>
    private static bool IsUnasked(Node node, Value value) => value.Kind == ValueKind.Computed && !node.IsBackward && node.Op is not ElementwiseOp { Function: "Reshard" };

    /// <summary>Where the developer splits activations: of two ways to bring a split value together that take about as long, the one that the developer wrote is taken: between a norm and the Reshard behind it the gather belongs to
    /// the Reshard, although the sums of the norm's gradients are then one more (small) collective.</summary>
    private static long Surcharged(long cost) => cost < ReshardCost.Impossible / 2 ? cost + cost / 4 : cost;

    private long GradientCost(int axis, ParameterGradient pair, Placement gradient, Placement parameter)
    {
        ShardAxis along = _sharded.Axes[axis];
        long layers = pair.Parameter.Stack < 0 ? 1 : _sharded.Graph.Stacks[pair.Parameter.Stack].Layers;
        if (along.IsMicroBatch)
        {
            return gradient.IsSplit ? ReshardCost.Impossible : 0;
        }

        // The reduction of all gradients waits for the end of the step, where it is one large collective instead of many small ones. Where activations are split, the small gradients
        // of norms are summed there too: their bytes count, their latency does not.
        ShardAxis without = _lightWorkCounts ? along with { LatencySeconds = 0 } : along;
        if (!gradient.IsPartial || !parameter.IsBroadcast)
        {
            return Times(layers, Cost(axis, pair.Gradient, gradient, parameter));
        }

        // All else is done for each micro-batch.
        int microBatches = _sharded.Axes.Where(a => a.IsMicroBatch).Select(a => a.Parts).DefaultIfEmpty(1).First();
        return Math.Max(0, Times(layers, ReshardCost.Of(without, gradient, parameter, _bytes[pair.Gradient.Id])) / microBatches - 2 * layers * ReshardCost.Step);
    }

    /// <summary>What cannot be is not more so for many layers, and what can be never costs as much: sums must not wrap around.</summary>
    private static long Times(long weight, long cost) => cost >= ReshardCost.Impossible ? ReshardCost.Impossible : Math.Min(weight * cost, ReshardCost.Impossible / 2);

    /// <summary>How often what stands in a stack is paid per step: once per layer.</summary>
    private long Weight(int stack) => stack < 0 ? 1 : _sharded.Graph.Stacks[stack].Layers;

    private long Weight(Node node)
    {
        int stack = -1;
        foreach (Value input in node.Inputs)
        {
            stack = Math.Max(stack, input.Stack);
        }

        foreach (Value output in node.Outputs)
        {
            stack = Math.Max(stack, output.Stack);
        }

        return Weight(stack);
    }
}
