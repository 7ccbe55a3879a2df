using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Fusion;

/// <summary>Groups the steps of a region into kernels, greedily, by one rule: values that pass between ops should not pass through memory.
/// Elementwise ops join the elementwise cluster or the matrix product that feeds them, where the order of everything else allows it.</summary>
public static class Clusterer
{
    private const int MaxOps = 24;
    private const int MaxTensors = 12;

    /// <summary>Fuses the steps of one region.</summary>
    public static List<FusedStep> Fuse(LocalRegion region)
    {
        var items = new List<FusedStep>();
        foreach (LocalStep step in region.Steps)
        {
            if (step is LocalStep.Collective collective)
            {
                items.Add(new FusedStep(collective));
                continue;
            }

            var compute = (LocalStep.Compute)step;
            if (compute.Op is not ElementwiseOp || !Join(items, compute))
            {
                items.Add(new FusedStep(compute));
            }
        }

        return items;
    }

    private static bool Join(List<FusedStep> items, LocalStep.Compute op)
    {
        // The last writer of each input decides how far up the op may move.
        int[] writers = op.Inputs.Select(t => LastWriter(items, t)).ToArray();
        foreach (int at in writers.Where(w => w >= 0).Distinct().OrderByDescending(w => w))
        {
            FusedStep cluster = items[at];
            if (!Fits(cluster, op))
            {
                continue;
            }

            bool hoist = op.Inputs.Where((t, i) => writers[i] >= at && !cluster.Outputs.Contains(t)).All(t => LastWriter(items, t) < at);
            if (hoist)
            {
                cluster.Ops.Add(op);
                return true;
            }

            bool sink = items.Skip(at + 1).All(later => !later.Inputs.Any(t => cluster.Outputs.Any(o => o.Root == t.Root)) && !later.Outputs.Any(t => cluster.Inputs.Any(i => i.Root == t.Root)));
            if (sink)
            {
                items.RemoveAt(at);
                cluster.Ops.Add(op);
                items.Add(cluster);
                return true;
            }
        }

        return false;
    }

    private static int LastWriter(List<FusedStep> items, LocalTensor tensor) => items.FindLastIndex(i => i.Outputs.Any(o => o.Root == tensor.Root));

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
