using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Compiler.Pipelining;

/// <summary>A parameter that several stages use has a gradient that is a sum of what each of them finds. The sum over stages is made once per step, between
/// ranks; so the graph is left with one gradient for each stage, and nothing of a parameter's size travels with the micro-batches.</summary>
public static class TiedGradients
{
    /// <summary>Takes sums over stages apart.</summary>
    public static void Split(ModelGraph graph, StageMap map)
    {
        var uses = graph.Nodes.SelectMany(n => n.Inputs).Concat(graph.Regions.SelectMany(r => r.Carries).SelectMany(c => new[] { c.Initial, c.Result })).GroupBy(v => v).ToDictionary(g => g.Key, g => g.Count());
        foreach (ParameterGradient pair in graph.Gradients.Where(g => g.Parameter.Stack < 0).ToList())
        {
            var removed = new List<Node>();
            var leaves = new List<Value>();
            Leaves(pair.Gradient, uses, leaves, removed, root: true);
            List<IGrouping<int, Value>> stages = leaves.GroupBy(map.MadeAt).OrderBy(g => g.Key).ToList();
            if (stages.Count < 2)
            {
                continue;
            }

            graph.Gradients.Remove(pair);
            foreach (Region region in graph.Regions)
            {
                region.Nodes.RemoveAll(removed.Contains);
            }

            foreach (IGrouping<int, Value> stage in stages)
            {
                graph.Gradients.Add(new ParameterGradient(pair.Parameter, stage.Count() == 1 ? stage.First() : Sum(graph, map, stage.Key, stage.ToList())));
            }
        }
    }

    private static void Leaves(Value value, Dictionary<Value, int> uses, List<Value> leaves, List<Node> removed, bool root)
    {
        bool single = root ? !uses.ContainsKey(value) : uses.TryGetValue(value, out int count) && count == 1;
        if (single && value is { Stack: < 0, Producer: { IsBackward: true, Op: ElementwiseOp { Function: "Add" } } node } && node.Inputs.All(i => i.Type.Equals(value.Type)))
        {
            removed.Add(node);
            foreach (Value input in node.Inputs)
            {
                Leaves(input, uses, leaves, removed, root: false);
            }
        }
        else
        {
            leaves.Add(value);
        }
    }

    private static Value Sum(ModelGraph graph, StageMap map, int stage, List<Value> terms)
    {
        var builder = new GraphBuilder(graph) { Origin = terms[0].Producer?.Origin ?? "", Source = terms[0].Producer?.Source ?? "" };
        Value sum = terms[0];
        foreach (Value term in terms.Skip(1))
        {
            sum = builder.Add(ElementwiseOp.Sum, sum, term);
            map.Put(sum.Producer!, stage);
        }

        return sum;
    }
}
