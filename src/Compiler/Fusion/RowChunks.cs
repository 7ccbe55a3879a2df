using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Fusion;

/// <summary>A kernel call on some of the rows of its tensors, or the sum of these rows.</summary>
/// <param name="Index">Which chunk.</param>
/// <param name="Count">Number of chunks.</param>
/// <param name="Rows">Rows of the whole.</param>
public sealed record RowChunk(int Index, int Count, long Rows);

/// <summary>Cuts a step along its rows into equal chunks: the same work on views of the same memory. No row needs another one, and each element is made as in the whole.</summary>
internal sealed class RowChunks
{
    /// <summary>Chunks begin at cache lines, as tensors do.</summary>
    private const int Line = 64;

    private readonly LocalGraph _graph;
    private readonly int _count;
    private readonly long _rows;
    private readonly Dictionary<LocalTensor, LocalTensor[]> _views = new();

    private RowChunks(LocalGraph graph, int count, long rows)
    {
        _graph = graph;
        _count = count;
        _rows = rows;
    }

    /// <summary>Cuts a product with its epilogue.</summary>
    /// <param name="graph">Graph that gets the views.</param>
    /// <param name="step">The product.</param>
    /// <param name="count">Number of chunks.</param>
    /// <returns>The chunks in order; null where its rows cannot be cut so.</returns>
    public static FusedStep[]? Cut(LocalGraph graph, FusedStep step, int count)
    {
        if (!step.IsGemm || step.Ops[0].Op is not MatMulOp { TransposeA: false } || step.Ops[0].Inputs[1].Local.Rank != 2)
        {
            return null;
        }

        LocalTensor result = step.Ops[0].Outputs[0];
        long rows = result.Local.Count / result.Local.Dims[result.Local.Rank - 1];
        if (rows % count != 0 || step.Ops.SelectMany(o => o.Outputs).Append(step.Ops[0].Inputs[0]).Any(t => t.Local.Bytes % ((long)count * Line) != 0))
        {
            return null;
        }

        var cut = new RowChunks(graph, count, rows);
        return Enumerable.Range(0, count).Select(chunk => cut.Chunk(step, chunk)).ToArray();
    }

    /// <summary>The sums of chunks.</summary>
    /// <param name="graph">Graph that gets the views.</param>
    /// <param name="sum">A sum in place.</param>
    /// <param name="chunks">Chunks of the product that makes what it sums.</param>
    public static LocalStep.Collective[] Cut(LocalGraph graph, LocalStep.Collective sum, FusedStep[] chunks)
    {
        var cut = new RowChunks(graph, chunks.Length, chunks[0].Chunk!.Rows);
        return Enumerable.Range(0, chunks.Length).Select(chunk =>
        {
            LocalTensor input = cut.View(sum.Input, chunk), output = cut.View(sum.Output, chunk);
            return sum with { Input = input, Output = output, Bytes = ReshardCost.BytesPerRank(sum.Axis, Placement.Partial, Placement.Broadcast, input.Local.Bytes) };
        }).ToArray();
    }

    private FusedStep Chunk(FusedStep step, int chunk)
    {
        // The right operand, and rows and numbers that the epilogue reads for every row, are whole in each chunk.
        LocalStep.Compute product = step.Ops[0];
        var made = new HashSet<LocalTensor>(step.Outputs);
        LocalTensor Of(LocalTensor t) => made.Contains(t) || t.Local.Dims == product.Outputs[0].Local.Dims ? View(t, chunk) : t.Local.Rank > 2 ? Flat(t) : t;
        var result = new FusedStep(product with { Inputs = ImmutableArray.Create(View(product.Inputs[0], chunk), product.Inputs[1]), Outputs = product.Outputs.Select(t => View(t, chunk)).ToImmutableArray() })
        {
            Chunk = new RowChunk(chunk, _count, _rows),
        };
        result.Ops.AddRange(step.Ops.Skip(1).Select(op => op with { Inputs = op.Inputs.Select(Of).ToImmutableArray(), Outputs = op.Outputs.Select(t => View(t, chunk)).ToImmutableArray() }));
        return result;
    }

    /// <summary>Rows of a chunk, seen as a matrix.</summary>
    private LocalTensor View(LocalTensor tensor, int chunk)
    {
        if (!_views.TryGetValue(tensor, out LocalTensor[]? views))
        {
            _views[tensor] = views = new LocalTensor[_count];
        }

        if (views[chunk] is { } known)
        {
            return known;
        }

        long count = tensor.Local.Count / _count;
        views[chunk] = Add(tensor, new[] { _rows / _count, tensor.Local.Count / _rows });
        views[chunk].AliasStart = chunk == 0 ? null : new Offset(chunk * count, default);
        return views[chunk];
    }

    private LocalTensor Flat(LocalTensor row) => Add(row, new[] { row.Local.Count });

    private LocalTensor Add(LocalTensor tensor, long[] dims)
    {
        TensorType type = tensor.Local.With(dims);
        var view = new LocalTensor(_graph.Tensors.Count, tensor.Name, type, type, dims.Select(_ => Offset.Zero).ToImmutableArray(), ImmutableArray<Placement>.Empty, tensor.Region, tensor.Stack) { AliasOf = tensor };
        _graph.Tensors.Add(view);
        return view;
    }
}
