using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Compiler.Pipelining;

/// <summary>Where the cuts of a pipeline lie, in terms of the model: layers of each stack on each stage, and stages of single layers.</summary>
/// <param name="Stages">Number of stages.</param>
/// <param name="StackLayers">For each path of a stack: its layers on each stage.</param>
/// <param name="LayerStages">For each path of a layer outside of stacks: its stage.</param>
public sealed record StageCut(int Stages, EquatableArray<(string Path, EquatableArray<int> Layers)> StackLayers, EquatableArray<(string Path, int Stage)> LayerStages)
{
    /// <summary>Everything on one stage.</summary>
    public static StageCut One { get; } = new(1, default, default);
}

/// <summary>A layer that stands on an earlier stage than what it reads, or on a later one than what reads it.</summary>
/// <param name="Path">Path of the layer.</param>
/// <param name="Stage">Stage that was asked for.</param>
/// <param name="Value">What it reads or makes.</param>
/// <param name="Other">Stage at which that is made (<paramref name="Reads"/>) or needed.</param>
/// <param name="Reads">Whether it is what it reads.</param>
public sealed record OutOfOrder(string Path, int Stage, string Value, int Other, bool Reads);

/// <summary>A cut applied to one graph: the stage of each node outside of loops, and the layers of each loop on each stage.
/// Forward, a node stands where its last input is made, and backward where its forward node stands; what needs no input stands where it is used.</summary>
public sealed class StageMap
{
    private readonly ModelGraph _graph;
    private readonly int[][] _layers;
    private readonly Dictionary<Node, int> _stages = new();
    private readonly Dictionary<Value, int> _made = new();
    private readonly List<OutOfOrder> _outOfOrder = new();

    private StageMap(ModelGraph graph, StageCut cut)
    {
        _graph = graph;
        Stages = cut.Stages;
        _layers = graph.Stacks.Select(stack => cut.StackLayers.FirstOrDefault(s => s.Path == stack.Path).Layers is { Count: > 0 } layers
            ? layers.ToArray()
            : Enumerable.Range(0, cut.Stages).Select(s => s == cut.Stages - 1 ? stack.Layers : 0).ToArray()).ToArray();
        Forward(cut);
        Backward();
    }

    /// <summary>Number of stages.</summary>
    public int Stages { get; }

    /// <summary>Layers that the cut puts where the order of the stages forbids it. They stand where they can; the cut is not one to run.</summary>
    public IReadOnlyList<OutOfOrder> Faults => _outOfOrder;

    /// <summary>Applies a cut to a graph.</summary>
    public static StageMap Make(ModelGraph graph, StageCut cut) => new(graph, cut);

    /// <summary>Stage of a node outside of loops.</summary>
    public int StageOf(Node node) => _stages[node];

    /// <summary>Layers of a stack on a stage.</summary>
    public int Layers(int stack, int stage) => _layers[stack][stage];

    /// <summary>Number of the first layer of a stack on a stage.</summary>
    public int FirstLayer(int stack, int stage) => _layers[stack].Take(stage).Sum();

    /// <summary>First stage that runs layers of a stack.</summary>
    public int First(int stack) => Array.FindIndex(_layers[stack], l => l > 0);

    /// <summary>Last stage that runs layers of a stack.</summary>
    public int Last(int stack) => Array.FindLastIndex(_layers[stack], l => l > 0);

    /// <summary>Stage at which a loop starts, and at which it ends.</summary>
    public (int Start, int End) Ends(Region loop) => loop.IsBackward ? (Last(loop.Stack!.Id), First(loop.Stack.Id)) : (First(loop.Stack!.Id), Last(loop.Stack.Id));

    internal void Put(Node node, int stage) => _stages[node] = stage;

    /// <summary>Where a value is made; −1 for parameters and inputs.</summary>
    public int MadeAt(Value value) => value.Producer is { } node && _stages.TryGetValue(node, out int stage) ? stage : _made.TryGetValue(value, out int made) ? made : -1;

    private void Forward(StageCut cut)
    {
        List<Region> forward = _graph.Regions.Where(r => !r.IsBackward).ToList();
        int firstLoop = forward.FindIndex(r => r.Stack is not null), lastLoop = forward.FindLastIndex(r => r.Stack is not null);
        for (int r = 0; r < forward.Count; r++)
        {
            if (forward[r].Stack is not null)
            {
                foreach (Carry carry in forward[r].Carries)
                {
                    if (MadeAt(carry.Initial) > Ends(forward[r]).Start && carry.Initial.Producer is { } producer && AskedFor(producer, cut) is { } late)
                    {
                        _outOfOrder.Add(new OutOfOrder(late.Path, late.Stage, carry.Initial.Name, Ends(forward[r]).Start, Reads: false));
                    }

                    _made[carry.Final] = Ends(forward[r]).End;
                }

                continue;
            }

            foreach (Node node in forward[r].Nodes)
            {
                int inputs = node.Inputs.Select(MadeAt).DefaultIfEmpty(-1).Max();
                (string Path, int Stage)? asked = AskedFor(node, cut);
                if (asked is { } early && early.Stage < inputs)
                {
                    _outOfOrder.Add(new OutOfOrder(early.Path, early.Stage, node.Inputs.First(i => MadeAt(i) == inputs).Name, inputs, Reads: true));
                }

                int natural = firstLoop < 0 ? inputs : r < firstLoop ? 0 : r > lastLoop ? (inputs < 0 ? -1 : Math.Max(inputs, cut.StackLayers.Count > 0 ? Stages - 1 : inputs)) : inputs;
                _stages[node] = asked is { } a ? Math.Max(a.Stage, inputs) : natural;
            }
        }

        Pull(forward, Math.Min, int.MaxValue, loop => Ends(loop).Start, fallback: 0);
    }

    /// <summary>The stage that was asked for a node's layer, or for one that holds it.</summary>
    private static (string Path, int Stage)? AskedFor(Node node, StageCut cut) => cut.LayerStages.Where(l => node.Origin == l.Path || node.Origin.StartsWith(l.Path + ".", StringComparison.Ordinal))
        .OrderByDescending(l => l.Path.Length).Select(l => ((string, int)?)(l.Path, l.Stage)).FirstOrDefault();

    private void Backward()
    {
        List<Region> backward = _graph.Regions.Where(r => r.IsBackward).ToList();
        foreach (Region region in backward)
        {
            if (region.Stack is not null)
            {
                foreach (Carry carry in region.Carries)
                {
                    _made[carry.Final] = Ends(region).End;
                }

                continue;
            }

            foreach (Node node in region.Nodes)
            {
                int inputs = node.Inputs.Where(v => v.Producer is { IsBackward: true } || (v.Producer is null && _made.ContainsKey(v) && _graph.Regions[v.Region].IsBackward)).Select(MadeAt).Where(s => s >= 0).DefaultIfEmpty(-1).Min();
                _stages[node] = node.Of is { } of && _stages.TryGetValue(of, out int stage) ? stage : inputs;
            }
        }

        Pull(backward, Math.Max, -1, loop => Ends(loop).Start, fallback: Stages - 1);
    }

    /// <summary>Nodes that wait for nothing stand where they are first needed.</summary>
    private void Pull(List<Region> regions, Func<int, int, int> nearer, int none, Func<Region, int> start, int fallback)
    {
        var used = new Dictionary<Value, int>();
        void Use(Value value, int stage) => used[value] = used.TryGetValue(value, out int known) ? nearer(known, stage) : stage;
        for (int r = regions.Count - 1; r >= 0; r--)
        {
            foreach (Carry carry in regions[r].Carries)
            {
                Use(carry.Initial, start(regions[r]));
            }

            for (int i = regions[r].Nodes.Count - 1; i >= 0; i--)
            {
                Node node = regions[r].Nodes[i];
                if (regions[r].Stack is null && _stages[node] < 0)
                {
                    int wanted = node.Outputs.Where(used.ContainsKey).Select(o => used[o]).DefaultIfEmpty(none).Aggregate(nearer);
                    _stages[node] = wanted == none ? fallback : wanted;
                }

                foreach (Value input in node.Inputs)
                {
                    Use(input, regions[r].Stack is null ? _stages[node] : start(regions[r]));
                }
            }
        }
    }
}
