using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>An all-reduce works in place. Where the partial value is still needed as it was, it works on a copy.</summary>
internal sealed class ReductionSeparator
{
    /// <summary>A place that reads a tensor.</summary>
    /// <param name="Read">The tensor as it is read: the one in question or a view of it.</param>
    /// <param name="Step">The step that reads it; null for what a loop, the loss, the optimizer or another stage reads.</param>
    /// <param name="Region">Its region.</param>
    /// <param name="Order">Its position there.</param>
    private readonly record struct Reader(LocalTensor Read, LocalStep? Step, LocalRegion? Region, int Order);

    private readonly LocalGraph _graph;
    private readonly Dictionary<LocalTensor, List<Reader>> _readers = new();

    /// <summary>Looks at a graph.</summary>
    public ReductionSeparator(LocalGraph graph)
    {
        _graph = graph;
        foreach (LocalRegion region in graph.Regions)
        {
            for (int i = 0; i < region.Steps.Count; i++)
            {
                foreach (LocalTensor read in region.Steps[i].Reads)
                {
                    Note(new Reader(read, region.Steps[i], region, i));
                }
            }
        }

        IEnumerable<LocalTensor> others = graph.Carries.SelectMany(c => c.Value).SelectMany(c => new[] { c.Result, c.Initial })
            .Concat(graph.Gradients.Select(g => g.Gradient)).Concat(graph.Boundaries.Select(b => b.Tensor)).Concat(graph.Losses.Select(l => l.Sum));
        foreach (LocalTensor other in others)
        {
            Note(new Reader(other, null, null, 0));
        }
    }

    /// <summary>Changes the steps of all regions.</summary>
    public void Run()
    {
        foreach (LocalRegion region in _graph.Regions)
        {
            LocalStep[] steps = region.Steps.ToArray();
            region.Steps.Clear();
            for (int i = 0; i < steps.Length; i++)
            {
                if (steps[i] is LocalStep.Collective { Kind: CollectiveKind.AllReduce or CollectiveKind.AllReduceMax, Output.AliasOf: not null } reduce && NeedsCopy(reduce, region, i))
                {
                    reduce.Output.AliasOf = null;
                    region.Steps.Add(new LocalStep.Compute(null, new CopyOp(), ImmutableArray.Create(reduce.Input), ImmutableArray.Create(reduce.Output)));
                    region.Steps.Add(reduce with { Input = reduce.Output });
                    Note(new Reader(reduce.Output, region.Steps[region.Steps.Count - 1], region, i));
                }
                else
                {
                    region.Steps.Add(steps[i]);
                }
            }
        }
    }

    private bool NeedsCopy(LocalStep.Collective reduce, LocalRegion region, int order) =>
        reduce.Input.Root.Stack != reduce.Output.Stack
        || (_readers.TryGetValue(reduce.Input, out List<Reader>? readers) && readers.Any(r =>
            !ReferenceEquals(r.Step, reduce) && (r.Region != region || r.Order > order) && Reaches(r.Read, reduce.Input, reduce.Output)));

    /// <summary>Views only ever become fewer, so who is not noted here never reads it.</summary>
    private void Note(Reader reader)
    {
        for (LocalTensor? t = reader.Read; t is not null; t = t.AliasOf)
        {
            if (!_readers.TryGetValue(t, out List<Reader>? readers))
            {
                _readers[t] = readers = new List<Reader>();
            }

            readers.Add(reader);
        }
    }

    /// <summary>Whether a tensor is a view of another, not by way of a third.</summary>
    private static bool Reaches(LocalTensor tensor, LocalTensor target, LocalTensor except)
    {
        for (LocalTensor? t = tensor; t is not null && t != except; t = t.AliasOf)
        {
            if (t == target)
            {
                return true;
            }
        }

        return false;
    }
}
