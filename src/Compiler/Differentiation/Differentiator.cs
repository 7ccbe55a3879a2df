using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Compiler.Differentiation;

/// <summary>Adds the backward pass to a forward graph: reverse mode, region by region; a loop over layers gets a loop from the last layer to the first.
/// Works on logical tensors; placements come later. The loss is seeded with 1, or its scale, on its unnormalised sum (each term with its factor).</summary>
public sealed class Differentiator
{
    private readonly ModelGraph _graph;
    private readonly GraphBuilder _builder;
    private readonly HashSet<Value> _wanted;
    private readonly Dictionary<Value, Value> _outer = new();

    private readonly bool _scaled;

    private Differentiator(ModelGraph graph, bool scaled)
    {
        _graph = graph;
        _scaled = scaled;
        _wanted = Wanted(graph);
        _builder = new GraphBuilder(graph);
    }

    /// <summary>Adds backward regions and fills <see cref="ModelGraph.Gradients"/>.</summary>
    /// <param name="graph">A forward graph.</param>
    /// <param name="scaled">Whether gradients are those of the loss times a scale that is known at run time.</param>
    /// <returns>Parameters that no differentiable path connects to the loss (SW0008).</returns>
    public static ImmutableArray<Value> Differentiate(ModelGraph graph, bool scaled = false)
    {
        var run = new Differentiator(graph, scaled);
        run.Run();
        var reached = new HashSet<Value>(graph.Gradients.Select(g => g.Parameter));
        return graph.Parameters.Where(p => !reached.Contains(p)).ToImmutableArray();
    }

    private void Run()
    {
        var forward = _graph.Regions.ToList();
        _builder.Begin(null, backward: true);
        Seed(_outer, -1);
        for (int i = forward.Count - 1; i >= 0; i--)
        {
            if (forward[i].Stack is null)
            {
                Reverse(forward[i], _outer);
            }
            else
            {
                ReverseLoop(forward[i]);
            }
        }

        foreach (Value parameter in _graph.Parameters)
        {
            if (parameter.Stack < 0 && _outer.TryGetValue(parameter, out Value? gradient))
            {
                _graph.Gradients.Add(new ParameterGradient(parameter, gradient));
            }
        }
    }

    /// <summary>d loss / d term = its factor, for the terms that are computed in a region (loops) or outside of all loops (−1).</summary>
    private void Seed(Dictionary<Value, Value> gradients, int loop)
    {
        _builder.Origin = "";
        _builder.Source = "loss";
        foreach ((Value sum, double factor) in _graph.Losses)
        {
            bool inside = sum.Stack >= 0;
            if (_wanted.Contains(sum) && (loop < 0 ? !inside : sum.Region == loop))
            {
                Value seed = _builder.Add(new FillOp(sum.Type.Dims, factor) { TimesLossScale = _scaled });
                gradients[sum] = gradients.TryGetValue(sum, out Value? other) ? _builder.Add(ElementwiseOp.Sum, other, seed) : seed;
            }
        }
    }

    private void Reverse(Region region, Dictionary<Value, Value> gradients)
    {
        for (int i = region.Nodes.Count - 1; i >= 0; i--)
        {
            Node node = region.Nodes[i];
            if (!node.Outputs.Any(gradients.ContainsKey))
            {
                continue;
            }

            _builder.Origin = node.Origin;
            _builder.Source = node.Source;
            _builder.Site = node.Site;
            _builder.Of = node;
            int before = _graph.Values.Count;
            node.Op.Differentiate(new GradientContext(_builder, node, gradients, _wanted));
            Name(node, before, gradients);
        }

        _builder.Of = null;
    }

    /// <summary>Gradients are named "d" + the value they belong to, so that emitted code reads like the formula.</summary>
    private void Name(Node node, int firstNew, Dictionary<Value, Value> gradients)
    {
        foreach (Value input in node.Inputs)
        {
            if (gradients.TryGetValue(input, out Value? gradient) && gradient.Id >= firstNew && input.Name.Length > 0)
            {
                gradient.HasDefaultName = false;
                gradient.Name = "d" + char.ToUpperInvariant(input.Name[0]) + input.Name.Substring(1);
            }
        }
    }

    private void ReverseLoop(Region loop)
    {
        bool inside = _graph.Losses.Any(l => l.Sum.Region == loop.Id && _wanted.Contains(l.Sum));
        if (!inside && !loop.Carries.Any(c => _outer.ContainsKey(c.Final)))
        {
            return;
        }

        // What enters the backward loop, made before it: the gradients of what the loop left, and zeros for outer values that all layers share.
        var initial = loop.Carries.Where(c => _wanted.Contains(c.Argument) || _wanted.Contains(c.Result)).ToDictionary(c => c, c =>
            _outer.TryGetValue(c.Final, out Value? gradient) ? gradient : _builder.Add(new FillOp(c.Final.Type.Dims, 0)));
        var shared = loop.Nodes.SelectMany(n => n.Inputs)
            .Where(v => v.Region != loop.Id && v.Stack < 0 && v.Type.IsFloat && _wanted.Contains(v)).Distinct().ToList();
        var zeros = shared.ToDictionary(v => v, v => _builder.Add(new FillOp(v.Type.Dims, 0)));

        Region backward = _builder.Begin(loop.Stack, backward: true);
        var gradients = new Dictionary<Value, Value>();
        var arguments = new Dictionary<Carry, Value>();
        foreach (KeyValuePair<Carry, Value> pair in initial)
        {
            Value argument = _builder.AddCarried("d" + pair.Key.Result.Name, pair.Key.Result.Type);
            arguments[pair.Key] = argument;
            gradients[pair.Key.Result] = argument;
        }

        var sums = new Dictionary<Value, Value>();
        foreach (Value value in shared)
        {
            sums[value] = _builder.AddCarried("d" + value.Name, value.Type);
            gradients[value] = sums[value];
        }

        Seed(gradients, loop.Id);
        Reverse(loop, gradients);
        var results = new Dictionary<Carry, Value>();
        foreach (Carry carry in arguments.Keys)
        {
            results[carry] = gradients.TryGetValue(carry.Argument, out Value? gradient) ? gradient : _builder.Add(new FillOp(carry.Argument.Type.Dims, 0));
        }

        foreach (Value parameter in _graph.Parameters)
        {
            if (parameter.Stack == loop.Stack!.Id && gradients.TryGetValue(parameter, out Value? gradient))
            {
                _graph.Gradients.Add(new ParameterGradient(parameter, gradient));
            }
        }

        _builder.Begin(null, backward: true);
        foreach (Carry carry in arguments.Keys)
        {
            Value final = _builder.AddFinal("d" + carry.Initial.Name, carry.Initial.Type);
            backward.Carries.Add(new Carry(initial[carry], arguments[carry], results[carry], final));
            AddOuter(carry.Initial, final);
        }

        foreach (Value value in shared)
        {
            Value final = _builder.AddFinal("d" + value.Name, value.Type);
            backward.Carries.Add(new Carry(zeros[value], sums[value], gradients[value], final));
            AddOuter(value, final);
        }
    }

    private void AddOuter(Value value, Value gradient)
    {
        if (_wanted.Contains(value))
        {
            _outer[value] = _outer.TryGetValue(value, out Value? sum) ? _builder.Add(ElementwiseOp.Sum, sum, gradient) : gradient;
        }
    }

    /// <summary>Values that depend on a parameter by differentiable paths: only they need a gradient.</summary>
    private static HashSet<Value> Wanted(ModelGraph graph)
    {
        var wanted = new HashSet<Value>(graph.Parameters);
        bool changed = true;
        while (changed)
        {
            changed = false;
            foreach (Region region in graph.Regions)
            {
                foreach (Carry carry in region.Carries)
                {
                    changed |= (wanted.Contains(carry.Initial) || wanted.Contains(carry.Result)) && wanted.Add(carry.Argument);
                }

                foreach (Node node in region.Nodes)
                {
                    if (node.Inputs.Any(wanted.Contains))
                    {
                        foreach (Value output in node.Outputs.Where(o => o.Type.IsFloat))
                        {
                            changed |= wanted.Add(output);
                        }
                    }
                }

                foreach (Carry carry in region.Carries)
                {
                    changed |= wanted.Contains(carry.Result) && wanted.Add(carry.Final);
                }
            }
        }

        return wanted;
    }
}
