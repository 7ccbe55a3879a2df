using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Fusion;

/// <summary>Groups the steps of a region into kernels, greedily, by one rule: values that pass between ops should not pass through memory.
/// Elementwise ops join the elementwise cluster or the matrix product that feeds them, where the order of everything else allows it.</summary>
public sealed class Clusterer
{
    private const int MaxOps = 24;
    private const int MaxTensors = 12;

    private readonly List<FusedStep> _items = new();
    private readonly Dictionary<LocalTensor, List<FusedStep>> _writers = new(), _readers = new();
    private int _next;

    private Clusterer()
    {
    }

    /// <summary>Fuses the steps of one region.</summary>
    public static List<FusedStep> Fuse(LocalRegion region)
    {
        var clusterer = new Clusterer();
        foreach (LocalStep step in region.Steps)
        {
            if (step is LocalStep.Collective collective)
            {
                clusterer.Append(new FusedStep(collective));
            }
            else if (step is LocalStep.Compute compute && (compute.Op is not ElementwiseOp || !clusterer.Join(compute)))
            {
                clusterer.Append(new FusedStep(compute));
            }
        }

        return clusterer._items.OrderBy(i => i.Position).ToList();
    }

    private void Append(FusedStep item)
    {
        item.Position = _next++;
        _items.Add(item);
        foreach (LocalTensor output in item.Outputs)
        {
            Note(_writers, output, item);
        }

        foreach (LocalTensor input in item.Inputs)
        {
            Note(_readers, input, item);
        }
    }

    private bool Join(LocalStep.Compute op)
    {
        // The last writer of each input decides how far up the op may move.
        FusedStep?[] writers = op.Inputs.Select(LastWriter).ToArray();
        foreach (FusedStep cluster in writers.OfType<FusedStep>().Distinct().OrderByDescending(w => w.Position))
        {
            if (!Fits(cluster, op))
            {
                continue;
            }

            bool hoist = !op.Inputs.Where((t, i) => writers[i] is { } writer && writer.Position >= cluster.Position && !cluster.Outputs.Contains(t)).Any();
            if (hoist)
            {
                Extend(cluster, op);
                return true;
            }

            bool sink = !cluster.Outputs.Any(o => IsTouchedAfter(_readers, o, cluster)) && !cluster.Inputs.Any(i => IsTouchedAfter(_writers, i, cluster));
            if (sink)
            {
                cluster.Position = _next++;
                Extend(cluster, op);
                return true;
            }
        }

        return false;
    }

    private void Extend(FusedStep cluster, LocalStep.Compute op)
    {
        cluster.Ops.Add(op);
        foreach (LocalTensor output in op.Outputs)
        {
            Note(_writers, output, cluster);
        }

        foreach (LocalTensor input in op.Inputs.Where(i => !cluster.Outputs.Contains(i)))
        {
            Note(_readers, input, cluster);
        }
    }

    private static void Note(Dictionary<LocalTensor, List<FusedStep>> table, LocalTensor tensor, FusedStep item)
    {
        if (!table.TryGetValue(tensor.Root, out List<FusedStep>? items))
        {
            table[tensor.Root] = items = new List<FusedStep>();
        }

        items.Add(item);
    }

    private FusedStep? LastWriter(LocalTensor tensor)
    {
        FusedStep? last = null;
        foreach (FusedStep writer in _writers.TryGetValue(tensor.Root, out List<FusedStep>? writers) ? writers : [])
        {
            last = last is null || writer.Position > last.Position ? writer : last;
        }

        return last;
    }

    /// <summary>Whether a later item touches the memory of a tensor. The latest ones were noted last, so the answer is mostly found at once.</summary>
    private static bool IsTouchedAfter(Dictionary<LocalTensor, List<FusedStep>> table, LocalTensor tensor, FusedStep cluster) =>
        table.TryGetValue(tensor.Root, out List<FusedStep>? items) && items.FindLastIndex(i => i.Position > cluster.Position) >= 0;

    private static bool Fits(FusedStep cluster, LocalStep.Compute op)
    {
        LocalTensor output = op.Outputs[0];
        if (cluster.Collective is not null || cluster.Ops.Count >= MaxOps || !op.Inputs.Any(t => cluster.Outputs.Contains(t)) ||
            cluster.Inputs.Concat(cluster.Outputs).Concat(op.Inputs).Distinct().Count() >= MaxTensors)
        {
            return false;
        }

        // Through a view the data is the same but the index space is not: only direct results are fused.
        if (op.Inputs.Any(t => !cluster.Outputs.Contains(t) && cluster.Outputs.Any(o => o.Root == t.Root)))
        {
            return false;
        }

        if (cluster.IsElementwise)
        {
            return cluster.Ops[0].Outputs[0].Local.Dims == output.Local.Dims && cluster.Ops[0].Outputs[0].Logical.Dims == output.Logical.Dims;
        }

        if (!cluster.IsGemm || cluster.Ops[0].Outputs[0].Local.Dims != output.Local.Dims || (cluster.Ops[0].Inputs[1].Local.Rank > 2 && cluster.Ops[0].Op is MatMulOp))
        {
            return false;
        }

        // Arguments of an epilogue: of the product's own shape, or a row of it, or a single number.
        return op.Inputs.All(t => cluster.Outputs.Contains(t) || t.Local.Dims == output.Local.Dims || IsRow(t, output) || t.Logical.Count == 1);
    }

    private static bool IsRow(LocalTensor t, LocalTensor output) =>
        t.Local.Rank > 0 && t.Local.Rank <= output.Local.Rank && t.Logical.Dims[t.Local.Rank - 1] == output.Logical.Dims[output.Local.Rank - 1] && t.Logical.Count == t.Logical.Dims[t.Local.Rank - 1];
}
