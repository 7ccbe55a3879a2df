using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Pipelining;

/// <summary>A value that cannot be routed between stages.</summary>
/// <param name="Tensor">Its name.</param>
/// <param name="From">Stage that makes it.</param>
/// <param name="To">Stage that needs it.</param>
public sealed record Unroutable(string Tensor, int From, int To);

/// <summary>Cuts the local graph of a whole model to the part of one stage: its steps, its layers of each loop, what arrives from its neighbours and what goes to them.
/// A value that skips stages is handed on by the stages between.</summary>
public sealed partial class StageSlicer
{
    private readonly LocalGraph _graph;
    private readonly StageMap _map;
    private readonly int _stage;
    private readonly bool _split;
    private readonly Dictionary<LocalTensor, int> _home = new();
    private readonly Dictionary<LocalTensor, (int Low, int High)> _needed = new();
    private readonly Dictionary<LocalStep, int> _steps = new();
    private readonly HashSet<LocalTensor> _reductions = new();

    private StageSlicer(LocalGraph graph, StageMap map, int stage, bool split)
    {
        _graph = graph;
        _map = map;
        _stage = stage;
        _split = split;
    }

    /// <summary>Cuts a graph; it is used up. Every stage is cut from a graph of its own, lowered alike.</summary>
    /// <param name="graph">The whole model as one rank would run it.</param>
    /// <param name="map">Where each node stands.</param>
    /// <param name="stage">The stage that is wanted.</param>
    /// <param name="split">Whether the gradients of inputs and of parameters are separate actions.</param>
    /// <param name="unroutable">What would have to travel against the direction of its pass.</param>
    public static LocalGraph Slice(LocalGraph graph, StageMap map, int stage, bool split, out ImmutableArray<Unroutable> unroutable)
    {
        var slicer = new StageSlicer(graph, map, stage, split);
        slicer.FindHomes();
        slicer.FindUses();
        unroutable = slicer._needed.Where(n => slicer.IsBackward(n.Key) ? n.Value.High > slicer._home[n.Key] : n.Value.Low < slicer._home[n.Key])
            .Select(n => new Unroutable(n.Key.Name, slicer._home[n.Key], slicer.IsBackward(n.Key) ? n.Value.High : n.Value.Low)).ToImmutableArray();
        return unroutable.Length > 0 ? graph : slicer.Build();
    }

    /// <summary>Whether a tensor arrives at a stage, and whether it goes on from there.</summary>
    private (bool Arrives, bool Goes) Crossing(LocalTensor tensor, (int Low, int High) need, int stage)
    {
        int home = _home[tensor], direction = IsBackward(tensor) ? -1 : 1, far = direction < 0 ? need.Low : need.High;
        bool reached = (far - stage) * direction >= 0, beyond = (far - stage) * direction > 0, after = (stage - home) * direction > 0;
        return (after && reached, beyond && (after || stage == home));
    }

    private bool IsBackward(LocalTensor tensor) => _graph.Regions[tensor.Region].Region.IsBackward;

    /// <summary>What travels in place of a tensor: views are made again on the other side; what a reduction has changed in place is another value than before.</summary>
    private LocalTensor Key(LocalTensor tensor)
    {
        LocalTensor key = tensor;
        while (key.AliasOf is { } of && !_reductions.Contains(key))
        {
            key = of;
        }

        return key;
    }

    private void FindHomes()
    {
        foreach (LocalStep.Collective reduce in _graph.Regions.SelectMany(r => r.Steps).OfType<LocalStep.Collective>().Where(c => c.Output.AliasOf is not null))
        {
            _reductions.Add(reduce.Output);
        }

        foreach (LocalRegion region in _graph.Regions)
        {
            if (region.Region.Stack is null)
            {
                foreach (LocalStep step in region.Steps)
                {
                    int stage = step.Owner is { } owner ? _map.StageOf(owner) : step.Reads.Select(t => _home.TryGetValue(Key(t), out int at) ? at : -1).DefaultIfEmpty(-1).Max();
                    stage = stage < 0 ? (region.Region.IsBackward ? _map.Stages - 1 : 0) : stage;
                    _steps[step] = stage;
                    foreach (LocalTensor made in step.Makes)
                    {
                        _home[Key(made)] = _home.TryGetValue(Key(made), out int known) ? known : stage;
                    }
                }
            }

            foreach (LocalCarry carry in _graph.Carries[region.Region])
            {
                _home[carry.Final] = _map.Ends(region.Region).End;
            }
        }
    }

    private void FindUses()
    {
        foreach (LocalRegion region in _graph.Regions)
        {
            if (region.Region.Stack is not { } stack)
            {
                foreach (LocalStep step in region.Steps)
                {
                    foreach (LocalTensor read in step.Reads)
                    {
                        Need(read, _steps[step], _steps[step]);
                    }
                }

                continue;
            }

            (int start, int _) = _map.Ends(region.Region);
            foreach (LocalTensor read in region.Steps.SelectMany(s => s.Reads))
            {
                Need(read, _map.First(stack.Id), _map.Last(stack.Id));
            }

            foreach (LocalCarry carry in _graph.Carries[region.Region].Where(c => !IsParameterSum(c)))
            {
                Need(carry.Initial, start, start);
                Need(carry.Result, _map.First(stack.Id), _map.Last(stack.Id));
            }
        }
    }

    private void Need(LocalTensor tensor, int low, int high)
    {
        LocalTensor key = Key(tensor);
        if (key.Stack < 0 && _home.ContainsKey(key))
        {
            _needed[key] = _needed.TryGetValue(key, out (int Low, int High) known) ? (Math.Min(known.Low, low), Math.Max(known.High, high)) : (low, high);
        }
    }

    /// <summary>Whether a loop only sums the gradient of a parameter that all layers share: each stage then sums its own layers.</summary>
    private bool IsParameterSum(LocalCarry carry) =>
        carry.Carry.Initial.Producer is { IsBackward: true, Op: FillOp } && _graph.Gradients.Any(g => g.Gradient.Root == carry.Final);

    private LocalTensor New(LocalTensor like, string name, int region)
    {
        var tensor = new LocalTensor(_graph.Tensors.Count, name, like.Local, like.Logical, like.Start, like.Layout, region, -1);
        _graph.Tensors.Add(tensor);
        return tensor;
    }
}
