namespace Shardwright.Compiler.Tests.Sharding;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;
using Shardwright.Compiler.Tests.Ops;

/// <summary>Runs the steps of every rank of a mesh side by side in double precision: straight graphs, collectives included.</summary>
internal sealed class MeshInterpreter
{
    private readonly LocalGraph _graph;
    private readonly ImmutableArray<ShardAxis> _axes;
    private readonly Dictionary<(int Rank, int Root), double[]> _memory = [];

    public MeshInterpreter(LocalGraph graph)
    {
        _graph = graph;
        _axes = graph.Sharded.Axes;
        Ranks = _axes.Aggregate(1, (product, a) => product * a.Parts);
    }

    public int Ranks { get; }

    /// <summary>Kinds of the collectives that ran.</summary>
    public List<CollectiveKind> Collectives { get; } = [];

    /// <summary>Gives every rank what it holds of a value: slices, copies, or random terms.</summary>
    public void Give(LocalTensor tensor, Dense logical, Random random)
    {
        Dense[] held = Cut(logical, tensor.Layout, 0, random);
        for (int rank = 0; rank < Ranks; rank++)
        {
            Write(rank, tensor, held[rank]);
        }
    }

    /// <summary>Runs all steps, each on every rank before the next.</summary>
    public void Run()
    {
        foreach (LocalStep step in _graph.Regions.SelectMany(r => r.Steps))
        {
            switch (step)
            {
                case LocalStep.Compute compute:
                    for (int rank = 0; rank < Ranks; rank++)
                    {
                        Compute(rank, compute);
                    }

                    break;
                case LocalStep.Collective collective:
                    Collectives.Add(collective.Kind);
                    foreach (IGrouping<string, int> group in Enumerable.Range(0, Ranks).GroupBy(r => string.Join(",", _axes.Where(a => a != collective.Axis).Select(a => Coordinate(r, a.Name)))))
                    {
                        Communicate([.. group], collective);
                    }

                    break;
            }
        }
    }

    /// <summary>The logical value of a tensor; fails where ranks that should agree do not.</summary>
    public Dense Whole(LocalTensor tensor) => Join([.. Enumerable.Range(0, Ranks).Select(r => Read(r, tensor))], tensor.Layout, 0);

    private void Compute(int rank, LocalStep.Compute step)
    {
        Dense[] inputs = [.. step.Inputs.Select(t => Read(rank, t))];
        switch (step.Op)
        {
            case LocalSliceOp slice:
                Write(rank, step.Outputs[0], inputs[0].Slice(slice.Dim, At(rank, slice.Start), step.Outputs[0].Local.Dims[slice.Dim]));
                break;
            case LocalPadOp pad:
                long start = At(rank, pad.Start);
                Write(rank, step.Outputs[0], Dense.Make(step.Outputs[0].Local.Dims, at =>
                {
                    long[] inside = [.. at.Select((i, d) => d == pad.Dim ? i - start : i)];
                    return inside[pad.Dim] >= 0 && inside[pad.Dim] < inputs[0].Dims[pad.Dim] ? inputs[0][inside] : 0;
                }));
                break;
            case KeepFirstOp keep:
                Write(rank, step.Outputs[0], inputs[0].Map(v => Coordinate(rank, keep.Axis) == 0 ? v : 0));
                break;
            case CopyOp:
                Write(rank, step.Outputs[0], inputs[0]);
                break;
            default:
                Piece[] pieces = [.. step.Inputs.Select((t, i) => new Piece(inputs[i], Start(rank, t), t.Logical))];
                Place[] places = [.. step.Outputs.Select(t => new Place([.. t.Local.Dims], Start(rank, t), t.Logical))];
                Dense[] results = ReferenceInterpreter.Run(step.Op, pieces, places);
                for (int o = 0; o < results.Length; o++)
                {
                    Write(rank, step.Outputs[o], results[o]);
                }

                break;
        }
    }

    private void Communicate(int[] group, LocalStep.Collective step)
    {
        Dense[] inputs = [.. group.Select(r => Read(r, step.Input))];
        int parts = group.Length;
        for (int i = 0; i < parts; i++)
        {
            IEnumerable<double> result = step.Kind switch
            {
                CollectiveKind.AllReduce => inputs.Aggregate((a, b) => a.Zip(b, (u, v) => u + v)).Data,
                CollectiveKind.AllReduceMax => inputs.Aggregate((a, b) => a.Zip(b, Math.Max)).Data,
                CollectiveKind.AllGather => inputs.SelectMany(x => x.Data),
                CollectiveKind.ReduceScatter => Chunk(inputs.Aggregate((a, b) => a.Zip(b, (u, v) => u + v)).Data, i, parts),
                CollectiveKind.AllToAll => inputs.SelectMany(x => Chunk(x.Data, i, parts)),
                _ => throw new InvalidOperationException($"{step.Kind} is not simulated"),
            };
            Write(group[i], step.Output, new Dense(step.Output.Local.Dims, [.. result]));
        }
    }

    private static IEnumerable<double> Chunk(double[] data, int i, int parts) => data.Skip(i * (data.Length / parts)).Take(data.Length / parts);

    private Dense Read(int rank, LocalTensor tensor)
    {
        long start = ViewStart(rank, tensor);
        return new Dense(tensor.Local.Dims, [.. Memory(rank, tensor).Skip((int)start).Take((int)Count(tensor))]);
    }

    private void Write(int rank, LocalTensor tensor, Dense value)
    {
        Assert.Equal(Count(tensor), value.Data.Length);
        value.Data.CopyTo(Memory(rank, tensor), ViewStart(rank, tensor));
    }

    private double[] Memory(int rank, LocalTensor tensor)
    {
        if (!_memory.TryGetValue((rank, tensor.Root.Id), out double[]? data))
        {
            // What nobody wrote is not a number.
            _memory[(rank, tensor.Root.Id)] = data = [.. Enumerable.Repeat(double.NaN, (int)Count(tensor.Root))];
        }

        return data;
    }

    private static long Count(LocalTensor tensor) => tensor.Local.Dims.Aggregate(1L, (a, b) => a * b);

    private long ViewStart(int rank, LocalTensor tensor) =>
        tensor.AliasOf is { } viewed ? ViewStart(rank, viewed) + (tensor.AliasStart is { } start ? At(rank, start) : 0) : 0;

    private long[] Start(int rank, LocalTensor tensor) => [.. tensor.Start.Select(s => At(rank, s))];

    private long At(int rank, Offset offset) => offset.Constant + offset.Terms.Sum(t => Coordinate(rank, t.Axis) * t.Step);

    /// <summary>The first axis is the outermost.</summary>
    private int Coordinate(int rank, string axis)
    {
        for (int a = _axes.Length - 1; a >= 0; a--)
        {
            if (_axes[a].Name == axis)
            {
                return rank % _axes[a].Parts;
            }

            rank /= _axes[a].Parts;
        }

        throw new InvalidOperationException($"there is no axis {axis}");
    }

    private Dense[] Cut(Dense value, ImmutableArray<Placement> layout, int axis, Random random)
    {
        if (axis == _axes.Length)
        {
            return [value];
        }

        int parts = _axes[axis].Parts;
        var result = new List<Dense>();
        Dense rest = value;
        for (int part = 0; part < parts; part++)
        {
            Dense own = value;
            if (layout[axis].IsSplit)
            {
                long size = value.Dims[layout[axis].Dim] / parts;
                own = value.Slice(layout[axis].Dim, part * size, size);
            }
            else if (layout[axis].IsPartial)
            {
                own = part == parts - 1 ? rest : Dense.Random(value.Dims, random);
                rest = rest.Zip(own, (a, b) => a - b);
            }

            result.AddRange(Cut(own, layout, axis + 1, random));
        }

        return [.. result];
    }

    private Dense Join(Dense[] pieces, ImmutableArray<Placement> layout, int axis)
    {
        if (axis == _axes.Length)
        {
            return pieces[0];
        }

        Dense[] parts = [.. pieces.Chunk(pieces.Length / _axes[axis].Parts).Select(group => Join(group, layout, axis + 1))];
        if (layout[axis].IsSplit)
        {
            return Dense.Concat(parts, layout[axis].Dim);
        }

        if (layout[axis].IsPartial)
        {
            return parts.Aggregate((a, b) => a.Zip(b, (u, v) => u + v));
        }

        Assert.All(parts, p => Assert.True(p.Distance(parts[0]) <= 1e-9, $"ranks along {_axes[axis].Name} that should agree differ by {p.Distance(parts[0])}"));
        return parts[0];
    }
}
