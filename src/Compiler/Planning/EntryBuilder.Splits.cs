using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Scheduling;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Products whose result goes straight into a sum over ranks are cut along their rows, where the sum is waited for and that pays: the sum of a chunk travels while the next chunk is computed.</summary>
internal sealed partial class EntryBuilder
{
    /// <summary>Most products of a region that are looked at.</summary>
    private const int MostSplits = 16;

    /// <summary>A product in chunks.</summary>
    /// <param name="Product">The product, by its place in the order.</param>
    /// <param name="Start">The start of its sum.</param>
    /// <param name="Wait">The wait for it.</param>
    /// <param name="Chunks">The product in chunks.</param>
    /// <param name="Gain">Seconds that it has to win.</param>
    private sealed record SplitProduct(int Product, int Start, int Wait, FusedStep[] Chunks, double Gain);

    /// <summary>Cuts the products of a region.</summary>
    /// <param name="piece">The region.</param>
    /// <param name="steps">Its steps.</param>
    /// <param name="program">The same, with their times.</param>
    /// <param name="found">Their order.</param>
    /// <returns>Steps in order; null where no product is cut.</returns>
    private IEnumerable<FusedStep>? Split(Piece piece, FusedStep[] steps, List<OrderedStep> program, FoundOrder found)
    {
        int count = steps.Length;
        if (found.Exposed.All(e => e <= 0))
        {
            return null;
        }

        var at = new int[count];
        for (int i = 0; i < count; i++)
        {
            at[found.Steps[i]] = i;
        }

        FusedStep[] ordered = found.Steps.Select(i => steps[i]).ToArray();
        List<OrderedStep> inOrder = found.Steps.Select(i => program[i] with { Of = program[i].Of < 0 ? -1 : at[program[i].Of] }).ToList();

        // No split wins more than what is waited for; of very many sums in one region the longest waits are looked at.
        List<SplitProduct> splits = Enumerable.Range(0, count)
            .Where(i => program[i].Role == StepRole.Start && found.Exposed[i] > SplitChoice.LeastGain * program[i].Seconds && found.Exposed[i] >= SplitChoice.LeastShare * found.Seconds)
            .OrderByDescending(i => found.Exposed[i]).Take(MostSplits)
            .Select(i => Choose(ordered, inOrder, at[i])).OfType<SplitProduct>().OrderBy(s => s.Product).ToList();
        if (splits.Count == 0)
        {
            return null;
        }

        // All of them together: on the clock, with what else can be moved between their chunks, and in no more memory.
        FusedStep[] cut = Cut(ordered, splits).ToArray();
        FoundOrder order = OverlapOrder.Find(Ordered(cut), Passing(piece, cut), _cancellation);
        return order.Bytes <= found.Bytes && order.Seconds <= found.Seconds - splits.Sum(s => s.Gain) ? order.Steps.Select(i => cut[i]) : null;
    }

    /// <summary>Into how many chunks the product is cut that makes what a collective sums.</summary>
    private SplitProduct? Choose(FusedStep[] steps, List<OrderedStep> program, int start)
    {
        LocalStep.Collective sum = steps[start].Collective!;
        LocalTensor root = sum.Input.Root;
        int product = start - 1;
        while (product >= 0 && steps[product].Inputs.Concat(steps[product].Outputs).All(t => t.Root != root))
        {
            product--;
        }

        if (sum.Kind != CollectiveKind.AllReduce || product < 0 || !steps[product].IsGemm || Accumulates(steps[product]) || !ReferenceEquals(sum.Output.Root, root) || !IsWhole(sum.Input) || !IsWhole(sum.Output)
            || !steps[product].Outputs.Any(t => ReferenceEquals(t, root)))
        {
            return null;
        }

        var ways = new Dictionary<int, FusedStep[]>();
        IEnumerable<Split> Ways()
        {
            foreach (int count in SplitChoice.Counts)
            {
                if (RowChunks.Cut(_graph, steps[product], count) is { } chunks)
                {
                    ways[count] = chunks;
                    long bytes = sum.Input.Local.Bytes / count;
                    yield return new Split(count, StepTime.Kernel(Made(chunks[0]).Kernel, _mesh.Device, _arithmetic), StepTime.Collective(_mesh, sum.Kind, new[] { sum.Axis.Name }, bytes, bytes));
                }
            }
        }

        return SplitChoice.Choose(program, product, start, Ways()) is { } way
            ? new SplitProduct(product, start, program.FindIndex(s => s.Role == StepRole.Wait && s.Of == start), ways[way.Chunks], SplitChoice.LeastGain * program[start].Seconds) : null;
    }

    /// <summary>The steps with products and sums in chunks: each sum right behind its product, the waits where the one wait was.</summary>
    private IEnumerable<FusedStep> Cut(FusedStep[] steps, List<SplitProduct> splits)
    {
        Dictionary<int, (SplitProduct Split, LocalStep.Collective[] Sums)> products = splits.ToDictionary(s => s.Product, s => (s, RowChunks.Cut(_graph, steps[s.Start].Collective!, s.Chunks)));
        Dictionary<int, int> waits = splits.ToDictionary(s => s.Wait, s => s.Product);
        var starts = new HashSet<int>(splits.Select(s => s.Start));
        for (int i = 0; i < steps.Length; i++)
        {
            if (products.TryGetValue(i, out (SplitProduct Split, LocalStep.Collective[] Sums) product))
            {
                for (int chunk = 0; chunk < product.Sums.Length; chunk++)
                {
                    yield return product.Split.Chunks[chunk];
                    yield return new FusedStep(product.Sums[chunk]) { Chunk = product.Split.Chunks[chunk].Chunk };
                }
            }
            else if (waits.TryGetValue(i, out int of))
            {
                foreach ((FusedStep chunk, LocalStep.Collective sum) in products[of].Split.Chunks.Zip(products[of].Sums, (c, s) => (c, s)))
                {
                    yield return FusedStep.Await(sum, chunk.Chunk);
                }
            }
            else if (!starts.Contains(i))
            {
                yield return steps[i];
            }
        }
    }
}
