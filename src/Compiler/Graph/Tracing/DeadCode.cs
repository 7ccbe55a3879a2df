namespace Shardwright.Compiler.Graph.Tracing;

/// <summary>Removes nodes whose results nobody needs.</summary>
public static class DeadCode
{
    /// <summary>Keeps what the losses, the result, gradients and carried values need.</summary>
    public static void Remove(ModelGraph graph)
    {
        var needed = new HashSet<Value>(graph.Losses.Select(l => l.Sum).Concat(graph.Gradients.Select(g => g.Gradient)));
        if (graph.LossWeight is { } weight)
        {
            needed.Add(weight);
        }

        if (graph.Result is { } result)
        {
            needed.Add(result);
        }

        // A loop whose end nobody needs does not run; what a needed one carries is needed.
        bool changed = true;
        while (changed)
        {
            changed = false;
            for (int r = graph.Regions.Count - 1; r >= 0; r--)
            {
                Region region = graph.Regions[r];
                foreach (Carry carry in region.Carries)
                {
                    if (needed.Contains(carry.Final) || needed.Contains(carry.Argument))
                    {
                        changed |= needed.Add(carry.Result) | needed.Add(carry.Initial) | needed.Add(carry.Argument);
                    }
                }

                for (int i = region.Nodes.Count - 1; i >= 0; i--)
                {
                    if (region.Nodes[i].Outputs.Any(needed.Contains))
                    {
                        foreach (Value input in region.Nodes[i].Inputs)
                        {
                            changed |= needed.Add(input);
                        }
                    }
                }
            }
        }

        foreach (Region region in graph.Regions)
        {
            region.Nodes.RemoveAll(n => !n.Outputs.Any(needed.Contains));
            region.Carries.RemoveAll(c => !needed.Contains(c.Argument) && !needed.Contains(c.Final));
        }
    }
}
