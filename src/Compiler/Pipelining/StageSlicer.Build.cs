using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Pipelining;

/// <summary>Puts the graph of a stage together.</summary>
public sealed partial class StageSlicer
{
    private sealed record Part(LocalRegion Old, Phase Phase, List<LocalStep> Steps, List<LocalCarry> Carries)
    {
        public bool IsLoop => Old.Region.Stack is not null;
    }

    private sealed record Passing(long Order, LocalTensor Tensor, bool Arrives, bool IsGradient);

    private readonly List<Passing> _passing = new();

    private LocalGraph Build()
    {
        var parts = new List<Part>();
        foreach (LocalRegion region in _graph.Regions)
        {
            List<LocalStep> steps = region.Region.Stack is { } stack ? (_map.Layers(stack.Id, _stage) > 0 ? region.Steps : new List<LocalStep>()) : region.Steps.Where(s => _steps[s] == _stage).ToList();
            var part = new Part(region, region.Region.IsBackward ? Phase.Backward : Phase.Forward, steps, new List<LocalCarry>());
            if (region.Region.Stack is null || _map.Layers(region.Region.Stack.Id, _stage) > 0)
            {
                parts.Add(part);
            }

            foreach (LocalCarry carry in _graph.Carries[region.Region])
            {
                CutCarry(parts, part, carry);
            }
        }

        AddCrossings();
        LocalGraph result = Assemble(_split ? Split(parts) : parts);
        KeepDepartures(result);
        return result;
    }

    /// <summary>Where the loop goes on from another stage, or goes on on another one, the carried value arrives or goes.</summary>
    private void CutCarry(List<Part> parts, Part part, LocalCarry carry)
    {
        Region region = part.Old.Region;
        (int start, int end) = _map.Ends(region);
        int low = Math.Min(start, end), high = Math.Max(start, end);
        if (_stage < low || _stage > high)
        {
            return;
        }

        if (IsParameterSum(carry))
        {
            if (_map.Layers(region.Stack!.Id, _stage) > 0)
            {
                LocalTensor zero = carry.Initial;
                if (_stage != start)
                {
                    zero = New(carry.Initial, carry.Initial.Name, 0);
                    parts[parts.Count - 2].Steps.Add(new LocalStep.Compute(null, carry.Carry.Initial.Producer!.Op, ImmutableArray<LocalTensor>.Empty, ImmutableArray.Create(zero)));
                }

                part.Carries.Add(carry with { Initial = zero });
            }

            return;
        }

        long order = -1_000_000L + region.Id * 1000L + _graph.Carries[region].IndexOf(carry);
        bool middle = _map.Layers(region.Stack!.Id, _stage) == 0;
        LocalTensor initial = carry.Initial, final = carry.Final;
        if (_stage != start)
        {
            initial = New(carry.Argument, carry.Argument.Name + "In", -1);
            _passing.Add(new Passing(order, initial, true, region.IsBackward));
        }

        if (_stage != end)
        {
            final = middle ? initial : New(carry.Argument, carry.Argument.Name + "Out", 0);
            _passing.Add(new Passing(order, final, false, region.IsBackward));
        }

        if (!middle)
        {
            part.Carries.Add(carry with { Initial = initial, Final = final });
        }
    }

    private void AddCrossings()
    {
        foreach (KeyValuePair<LocalTensor, (int Low, int High)> need in _needed.OrderBy(n => n.Key.Id))
        {
            LocalTensor tensor = need.Key;
            bool backward = IsBackward(tensor);
            (bool arrives, bool goes) = Crossing(tensor, need.Value, _stage);
            if (arrives)
            {
                _passing.Add(new Passing(tensor.Id, tensor, true, backward));
            }

            if (goes)
            {
                _passing.Add(new Passing(tensor.Id, tensor, false, backward));
            }
        }
    }

    /// <summary>Renumbers regions; tensors of this stage belong to the new ones, and what arrives belongs to none.</summary>
    private LocalGraph Assemble(List<Part> parts)
    {
        var result = new LocalGraph(_graph.Sharded) { LossWeight = Here(_graph.LossWeight) ? _graph.LossWeight : null, Result = Here(_graph.Result) ? _graph.Result : null };
        result.Tensors.AddRange(_graph.Tensors);
        result.Layers.AddRange(_graph.Layers.Select((_, stack) => _map.Layers(stack, _stage)));
        result.Inputs.AddRange(_graph.Inputs);
        result.Losses.AddRange(_graph.Losses.Where(l => Here(l.Sum)));
        foreach (Passing arrival in _passing.Where(p => p.Arrives))
        {
            arrival.Tensor.AliasOf = null;
            arrival.Tensor.AliasStart = null;
            arrival.Tensor.Region = -1;
        }

        var placed = new HashSet<LocalTensor>();
        foreach (Part part in parts)
        {
            var region = new Region(result.Regions.Count, part.Old.Region.Stack, part.Old.Region.IsBackward);
            result.Regions.Add(new LocalRegion(region, part.Steps, part.Phase));
            result.Carries[region] = part.Carries;
            foreach (LocalTensor made in part.Steps.SelectMany(s => s.Makes).Concat(part.Carries.Select(c => c.Argument)))
            {
                made.Region = region.Id;
                placed.Add(made);
            }

            foreach (LocalCarry carry in part.Carries)
            {
                carry.Final.Region = region.Id + 1;
            }
        }

        // Views that no step makes stand where their memory is made.
        foreach (LocalTensor view in _graph.Tensors.Where(t => t.AliasOf is not null && !placed.Contains(t)))
        {
            view.Region = view.Root.Region;
        }

        var used = new HashSet<LocalTensor>(parts.SelectMany(p => p.Steps).SelectMany(s => s.Reads).Select(t => t.Root));
        result.Parameters.AddRange(_graph.Parameters.Where(p => used.Contains(p.Tensor) && (p.Parameter.Stack < 0 || _map.Layers(p.Parameter.Stack, _stage) > 0)));
        foreach ((Value parameter, LocalTensor gradient) in _graph.Gradients)
        {
            if (parameter.Stack >= 0 ? _map.Layers(parameter.Stack, _stage) > 0
                : parts.SelectMany(p => p.Carries).Any(c => c.Final == gradient.Root && IsParameterSum(c)) || (_home.TryGetValue(Key(gradient), out int home) && home == _stage))
            {
                result.Gradients.Add((parameter, gradient));
            }
        }

        result.Boundaries.AddRange(_passing.OrderBy(p => p.Order).Select(p => new Boundary(p.Tensor, p.Arrives, p.IsGradient)));
        return result;
    }

    private bool Here(LocalTensor? tensor) =>
        tensor is not null && (tensor.Root.Stack >= 0 ? _map.Layers(tensor.Root.Stack, _stage) > 0 : _home.TryGetValue(Key(tensor), out int home) && home == _stage);

    /// <summary>What goes to another stage is sent from a buffer of its own, where the stage itself needs it in a later action or hands on what it received.</summary>
    private void KeepDepartures(LocalGraph graph)
    {
        for (int i = 0; i < graph.Boundaries.Count; i++)
        {
            Boundary boundary = graph.Boundaries[i];
            if (boundary.Arrives)
            {
                continue;
            }

            Phase phase = boundary.IsGradient ? (_split ? Phase.InputGradient : Phase.Backward) : Phase.Forward;
            LocalTensor root = boundary.Tensor.Root;
            bool later = graph.Regions.Any(r => r.Phase != phase && (r.Steps.Any(s => s.Reads.Any(t => t.Root == root)) || graph.Carries[r.Region].Any(c => c.Initial.Root == root)));
            bool view = boundary.Tensor.AliasOf is not null && !_reductions.Contains(boundary.Tensor);
            if (later || view || root.Region < 0)
            {
                LocalRegion last = graph.Regions.Last(r => r.Phase == phase && r.Region.Stack is null);
                LocalTensor copy = New(boundary.Tensor, boundary.Tensor.Name + "Out", last.Region.Id);
                last.Steps.Add(new LocalStep.Compute(null, new CopyOp(), ImmutableArray.Create(boundary.Tensor), ImmutableArray.Create(copy)));
                graph.Tensors.Add(copy);
                graph.Boundaries[i] = boundary with { Tensor = copy };
            }
        }
    }

    /// <summary>Separates what the gradients of the stage's inputs need from what only its parameters' gradients need.</summary>
    private List<Part> Split(List<Part> parts)
    {
        var needed = new HashSet<LocalTensor>(_passing.Where(p => !p.Arrives && p.IsGradient).Select(p => p.Tensor.Root));
        var inputSteps = new HashSet<LocalStep>();
        var inputCarries = new HashSet<LocalCarry>();
        List<Part> backward = parts.Where(p => p.Phase == Phase.Backward).ToList();
        bool changed = true;
        while (changed)
        {
            changed = false;
            for (int p = backward.Count - 1; p >= 0; p--)
            {
                foreach (LocalCarry carry in backward[p].Carries.Where(c => needed.Contains(c.Final) || needed.Contains(c.Argument)))
                {
                    changed |= inputCarries.Add(carry) | needed.Add(carry.Result.Root) | needed.Add(carry.Initial.Root) | needed.Add(carry.Argument);
                }

                for (int i = backward[p].Steps.Count - 1; i >= 0; i--)
                {
                    LocalStep step = backward[p].Steps[i];
                    if (step.Makes.Any(t => needed.Contains(t.Root)) && inputSteps.Add(step))
                    {
                        changed = true;
                        foreach (LocalTensor read in step.Reads)
                        {
                            needed.Add(read.Root);
                        }
                    }
                }
            }
        }

        var result = parts.Where(p => p.Phase == Phase.Forward).ToList();
        result.AddRange(backward.Select(p => p with { Phase = Phase.InputGradient, Steps = p.Steps.Where(inputSteps.Contains).ToList(), Carries = p.Carries.Where(inputCarries.Contains).ToList() })
            .Where(p => !p.IsLoop || p.Steps.Count > 0 || p.Carries.Count > 0));
        result.AddRange(backward.Select(p => p with { Phase = Phase.WeightGradient, Steps = p.Steps.Where(s => !inputSteps.Contains(s)).ToList(), Carries = p.Carries.Where(c => !inputCarries.Contains(c)).ToList() })
            .Where(p => !p.IsLoop || p.Steps.Count > 0 || p.Carries.Count > 0));
        return result;
    }
}
