using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Sharding;

/// <summary>Runs forward nodes again in backward instead of keeping what they made (Chen et al., arXiv 1604.06174; Korthikanti et al., arXiv 2205.05198). The copies have the
/// placements, signatures and random keys of the originals, so they make the same bits, collectives included.</summary>
public sealed class Recomputation
{
    private readonly ShardedGraph _sharded;
    private readonly Func<Value, bool> _again;
    private readonly Func<Node, Node, bool> _together;
    private readonly List<(Region Region, List<Node> Nodes)> _before = new();
    private readonly int _values;
    private int _nextNode;

    private Recomputation(ShardedGraph sharded, Func<Value, bool> again, Func<Node, Node, bool> together)
    {
        _together = together;
        _sharded = sharded;
        _again = again;
        _values = sharded.Graph.Values.Count;
        _nextNode = sharded.Graph.Nodes.Select(n => n.Id + 1).DefaultIfEmpty(0).Max();
    }

    /// <summary>Changes the backward regions of a joint graph that has its placements.</summary>
    /// <param name="sharded">The graph.</param>
    /// <param name="again">Which computed values of the forward pass are made again where backward needs them; all others are kept.</param>
    /// <param name="together">Whether a node and one that reads it run on the same stage: what arrives from another stage is kept as it arrived, never made again from what only that one has.</param>
    /// <returns>The change, which can be undone.</returns>
    public static Recomputation Apply(ShardedGraph sharded, Func<Value, bool> again, Func<Node, Node, bool> together)
    {
        var change = new Recomputation(sharded, again, together);
        foreach (Region region in sharded.Graph.Regions.Where(r => r.IsBackward))
        {
            change.Rewrite(region);
        }

        return change;
    }

    /// <summary>Computed values of the forward pass that backward reads as it stands: what would be kept, were nothing made again.</summary>
    public static IEnumerable<Value> Kept(ModelGraph graph) =>
        graph.Regions.Where(r => r.IsBackward).SelectMany(r => r.Nodes.SelectMany(n => n.Inputs).Where(v => CanMake(graph, v, r))).Distinct();

    /// <summary>Nodes that stand for others: what runs again for its original, and what reads it for what read the original.</summary>
    public List<(Node From, Node To)> Replaced { get; } = new();

    /// <summary>Puts the graph back as it was.</summary>
    public void Undo()
    {
        foreach ((Region region, List<Node> nodes) in _before)
        {
            region.Nodes.Clear();
            region.Nodes.AddRange(nodes);
            foreach (Node node in nodes)
            {
                foreach (Value output in node.Outputs)
                {
                    output.Producer = node;
                }
            }
        }

        _sharded.Graph.Values.RemoveRange(_values, _sharded.Graph.Values.Count - _values);
    }

    /// <summary>Whether a backward region could make a value again: one of its own layer in a loop, one outside of loops in straight code.</summary>
    private static bool CanMake(ModelGraph graph, Value value, Region region) =>
        value.Kind == ValueKind.Computed && value.Producer is not null && value.Region >= 0 && !graph.Regions[value.Region].IsBackward && value.Stack == (region.Stack?.Id ?? -1);

    private void Rewrite(Region region)
    {
        var made = new Dictionary<Value, Value>();
        var nodes = new List<Node>();
        var before = region.Nodes.ToList();
        foreach (Node node in before)
        {
            // Right before its first use: then nothing is made earlier, and kept longer, than it must.
            ImmutableArray<Value> inputs = node.Inputs.Select(v => Make(v, node, region, made, nodes)).ToImmutableArray();
            if (inputs.SequenceEqual(node.Inputs))
            {
                nodes.Add(node);
                continue;
            }

            var changed = new Node(node.Id, node.Op, inputs, node.Outputs, node.Origin, node.Source, node.Site, node.IsBackward) { Of = node.Of };
            Replaced.Add((node, changed));
            foreach (Value output in node.Outputs)
            {
                output.Producer = changed;
            }

            _sharded.Copy(node, changed);
            nodes.Add(changed);
        }

        if (made.Count > 0)
        {
            _before.Add((region, before));
            region.Nodes.Clear();
            region.Nodes.AddRange(nodes);
        }
    }

    private Value Make(Value value, Node reader, Region region, Dictionary<Value, Value> made, List<Node> nodes)
    {
        if (!CanMake(_sharded.Graph, value, region) || !_again(value) || !_together(value.Producer!, reader))
        {
            return value;
        }

        if (made.TryGetValue(value, out Value? known))
        {
            return known;
        }

        Node original = value.Producer!;
        ImmutableArray<Value> inputs = original.Inputs.Select(v => Make(v, original, region, made, nodes)).ToImmutableArray();
        ImmutableArray<Value> outputs = original.Outputs.Select(o => Copy(o, region)).ToImmutableArray();
        var copy = new Node(_nextNode++, original.Op, inputs, outputs, original.Origin, original.Source, original.Site, false) { IsAgain = true };
        for (int i = 0; i < outputs.Length; i++)
        {
            outputs[i].Producer = copy;
            outputs[i].ProducerOutput = i;
            made[original.Outputs[i]] = outputs[i];
        }

        _sharded.Copy(original, copy);
        Replaced.Add((original, copy));
        nodes.Add(copy);
        return made[value];
    }

    private Value Copy(Value original, Region region)
    {
        var copy = new Value(_sharded.Graph.Values.Count, original.Name + "Again", original.Type, ValueKind.Computed, region.Id) { Stack = original.Stack, HasDefaultName = original.HasDefaultName };
        _sharded.Graph.Values.Add(copy);
        _sharded.Copy(original, copy);
        return copy;
    }
}
