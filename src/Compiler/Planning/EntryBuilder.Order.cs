using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Memory;
using Shardwright.Compiler.Scheduling;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>The order of kernels and collectives within a region. Lifetimes follow it: what a collective reads and writes lives until its wait.</summary>
internal sealed partial class EntryBuilder
{
    private readonly Dictionary<FusedStep, (KernelPlan Kernel, ImmutableArray<LocalTensor> Tensors)> _made = new();

    /// <summary>Brings independent kernels beside the collectives of each region.</summary>
    /// <returns>Whether there are any collectives.</returns>
    private bool Order()
    {
        List<Piece> communicating = _pieces.Where(p => p.Steps.Any(s => s.Collective is not null)).ToList();
        foreach (Piece piece in communicating)
        {
            FusedStep[] steps = piece.Steps.ToArray();
            IReadOnlyList<int> order = OverlapOrder.Find(Ordered(steps), Passing(piece, steps), _cancellation);
            piece.Steps.Clear();
            piece.Steps.AddRange(order.Select(i => steps[i]));
        }

        return communicating.Count > 0;
    }

    /// <summary>Steps with their times and what they depend on: who touches memory after it was written, and who writes it after it was touched.</summary>
    private List<OrderedStep> Ordered(FusedStep[] steps)
    {
        var result = new List<OrderedStep>();
        var written = new Dictionary<LocalTensor, int>();
        var read = new Dictionary<LocalTensor, List<int>>();
        var started = new Dictionary<LocalStep.Collective, int>();
        var onLane = new Dictionary<string, (int Start, int Wait)>();
        for (int i = 0; i < steps.Length; i++)
        {
            FusedStep step = steps[i];
            var needs = new SortedSet<int>();
            foreach (LocalTensor root in step.Inputs.Concat(step.Outputs).Select(t => t.Root))
            {
                if (written.TryGetValue(root, out int writer))
                {
                    needs.Add(writer);
                }
            }

            foreach (LocalTensor root in step.Outputs.Select(t => t.Root))
            {
                needs.UnionWith(read.TryGetValue(root, out List<int>? readers) ? readers : new List<int>());
            }

            if ((step.Collective ?? step.Awaited) is { } collective)
            {
                // Collectives of a lane keep their order, and so do the waits for them.
                string lane = collective.Axis.Name;
                (int Start, int Wait) before = onLane.TryGetValue(lane, out (int, int) known) ? known : (-1, -1);
                int earlier = step.Collective is null ? before.Wait : before.Start;
                if (earlier >= 0)
                {
                    needs.Add(earlier);
                }

                if (step.Collective is null)
                {
                    needs.Add(started[collective]);
                    onLane[lane] = before with { Wait = i };
                }
                else
                {
                    started[collective] = i;
                    onLane[lane] = before with { Start = i };
                }
            }

            result.Add(Ordered(step, needs.ToEquatable(), step.Awaited is { } awaited ? started[awaited] : -1));
            foreach (LocalTensor root in step.Inputs.Select(t => t.Root))
            {
                if (!read.TryGetValue(root, out List<int>? readers))
                {
                    read[root] = readers = new List<int>();
                }

                readers.Add(i);
            }

            foreach (LocalTensor root in step.Outputs.Select(t => t.Root))
            {
                written[root] = i;
                read.Remove(root);
            }
        }

        return result;
    }

    private OrderedStep Ordered(FusedStep step, EquatableArray<int> needs, int started)
    {
        if (step.Awaited is not null)
        {
            return new OrderedStep(StepRole.Wait, 0, needs) { Of = started };
        }

        if (step.Collective is { } collective)
        {
            double under = StepTime.Collective(_mesh, collective.Kind, new[] { collective.Axis.Name }, collective.Input.Local.Bytes, collective.Output.Local.Bytes);
            return new OrderedStep(StepRole.Start, under, needs) { Lane = collective.Axis.Name };
        }

        return new OrderedStep(StepRole.Compute, StepTime.Kernel(Made(step).Kernel, _mesh.Device, _arithmetic), needs) { WorksInPlace = step.IsElementwise };
    }

    /// <summary>The kernel of a step: it is timed, then called.</summary>
    private (KernelPlan Kernel, ImmutableArray<LocalTensor> Tensors) Made(FusedStep step) =>
        _made.TryGetValue(step, out (KernelPlan, ImmutableArray<LocalTensor>) made) ? made : _made[step] = KernelBuilder.Make(step, NeededOf(step), Accumulates(step));

    /// <summary>Memory that lives from step to step of a region; all other is there from its start to its end.</summary>
    private List<OrderedBlock> Passing(Piece piece, FusedStep[] steps)
    {
        var touches = new Dictionary<Storage, (SortedSet<int> Steps, HashSet<LocalTensor> Roots)>();
        for (int i = 0; i < steps.Length; i++)
        {
            foreach (LocalTensor root in steps[i].Inputs.Concat(steps[i].Outputs).Select(t => t.Root))
            {
                if (_homes.TryGetValue(root, out Home? home) && home.Storage is { Slots: 1, HasHead: false, HasTail: false, Space: null } && (piece.Stack is null || (root.Region == piece.Id && root.Stack >= 0)))
                {
                    if (!touches.TryGetValue(home.Storage, out (SortedSet<int> Steps, HashSet<LocalTensor> Roots) touched))
                    {
                        touches[home.Storage] = touched = (new SortedSet<int>(), new HashSet<LocalTensor>());
                    }

                    touched.Steps.Add(i);
                    touched.Roots.Add(root);
                }
            }
        }

        return touches.OrderBy(t => t.Value.Steps.Min).ThenBy(t => t.Key.Name, StringComparer.Ordinal).Select(t => new OrderedBlock(
            ArenaLayout.Align(t.Key.Type.Bytes), t.Value.Steps.ToEquatable(),
            t.Value.Roots.Any(r => r.Region < 0 || Positions(r).Any(p => p <= piece.Start)), t.Value.Roots.Any(r => Positions(r).Any(p => p >= piece.End)))).ToList();
    }

    private IEnumerable<int> Positions(LocalTensor root)
    {
        IEnumerable<int> used = _uses.TryGetValue(root, out List<(int Region, int Position)>? uses) ? uses.Select(u => u.Position) : Enumerable.Empty<int>();
        return _writes.TryGetValue(root, out (int Region, int Position) write) ? used.Append(write.Position) : used;
    }
}
