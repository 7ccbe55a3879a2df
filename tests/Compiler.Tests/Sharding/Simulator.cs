namespace Shardwright.Compiler.Tests.Sharding;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;
using Shardwright.Compiler.Tests.Ops;

/// <summary>One axis of a simulated mesh and what an op does along it.</summary>
internal sealed record AxisUse(int Parts, Signature Signature);

/// <summary>Slices logical inputs as signatures say, runs the op on each rank with no communication, reassembles, and compares.
/// The first axis slices first. Communicating forms have their all-reduces modelled one by one.</summary>
internal static class Simulator
{
    public const double Tolerance = 1e-9;

    /// <summary>Null where the signatures hold; else what is wrong.</summary>
    public static string? Check(OpCase test, Dense[] inputs, Dense[] expected, IReadOnlyList<AxisUse> axes, Random random)
    {
        int ranks = axes.Aggregate(1, (product, a) => product * a.Parts);
        var pieces = new Piece[inputs.Length][];
        for (int i = 0; i < inputs.Length; i++)
        {
            if (Local(test.Types.Inputs[i], axes.Select(a => (a.Parts, a.Signature.Inputs[i]))) is null)
            {
                return $"input {i} is not divided evenly";
            }

            pieces[i] = Distribute(Piece.Whole(inputs[i], test.Types.Inputs[i]), axes, a => a.Signature.Inputs[i], 0, random);
        }

        var places = new Place[expected.Length][];
        for (int o = 0; o < expected.Length; o++)
        {
            TensorType type = test.Types.Outputs[o];
            if (Local(type, axes.Select(a => (a.Parts, a.Signature.Outputs[o]))) is null)
            {
                return $"output {o} is not divided evenly";
            }

            places[o] = Distribute(Piece.Whole(new Dense(type.Dims), type), axes, a => a.Signature.Outputs[o] is { IsPartial: true } ? Placement.Broadcast : a.Signature.Outputs[o], 0, random)
                .Select(p => new Place(p.Dims, p.Start, p.Logical)).ToArray();
        }

        Dense[][] results;
        try
        {
            results = axes.Any(a => a.Signature.Communicates)
                ? Communicate(test, pieces, axes, ranks)
                : Enumerable.Range(0, ranks).Select(r => ReferenceInterpreter.Run(test.Op, pieces.Select(p => p[r]).ToArray(), places.Select(p => p[r]).ToArray())).ToArray();
        }
        catch (LocalShapeException refusal)
        {
            return refusal.Message;
        }

        for (int o = 0; o < expected.Length; o++)
        {
            double limit = Tolerance * (1 + expected[o].Largest);
            Dense? whole = Assemble(results.Select(r => r[o]).ToArray(), axes, o, 0, limit, out string? fault);
            if (whole is null)
            {
                return $"output {o}: {fault}";
            }

            double distance = whole.Distance(expected[o]);
            if (!(distance <= limit))
            {
                return $"output {o} differs by {distance}";
            }
        }

        return null;
    }

    /// <summary>Sizes that axes leave of a type, or null where one does not divide.</summary>
    public static TensorType? Local(TensorType type, IEnumerable<(int Parts, Placement Placement)> axes)
    {
        long[] dims = type.Dims.ToArray();
        foreach ((int parts, Placement placement) in axes)
        {
            if (placement.IsSplit)
            {
                if (dims[placement.Dim] % parts != 0)
                {
                    return null;
                }

                dims[placement.Dim] /= parts;
            }
        }

        return type.With(dims);
    }

    /// <summary>What each rank holds, first axis outermost: slices, copies, or random terms that sum to the value.</summary>
    private static Piece[] Distribute(Piece piece, IReadOnlyList<AxisUse> axes, Func<AxisUse, Placement> placementOf, int axis, Random random)
    {
        if (axis == axes.Count)
        {
            return [piece];
        }

        int parts = axes[axis].Parts;
        Placement placement = placementOf(axes[axis]);
        var result = new List<Piece>();
        Dense rest = piece.Data;
        for (int part = 0; part < parts; part++)
        {
            Piece own = piece;
            if (placement.IsSplit)
            {
                long size = piece.Dims[placement.Dim] / parts;
                long[] start = (long[])piece.Start.Clone();
                start[placement.Dim] += part * size;
                own = new Piece(piece.Data.Slice(placement.Dim, part * size, size), start, piece.Logical);
            }
            else if (placement.IsPartial)
            {
                Dense term = part == parts - 1 ? rest : Dense.Random(piece.Dims, random);
                rest = rest.Zip(term, (a, b) => a - b);
                own = piece with { Data = term };
            }

            result.AddRange(Distribute(own, axes, placementOf, axis + 1, random));
        }

        return [.. result];
    }

    private static Dense? Assemble(Dense[] pieces, IReadOnlyList<AxisUse> axes, int output, int axis, double limit, out string? fault)
    {
        fault = null;
        if (axis == axes.Count)
        {
            return pieces[0];
        }

        var parts = new List<Dense>();
        foreach (Dense[] group in pieces.Chunk(pieces.Length / axes[axis].Parts))
        {
            if (Assemble(group, axes, output, axis + 1, limit, out fault) is not { } part)
            {
                return null;
            }

            parts.Add(part);
        }

        Placement placement = axes[axis].Signature.Outputs[output];
        if (placement.IsSplit)
        {
            return Dense.Concat(parts, placement.Dim);
        }

        if (placement.IsPartial)
        {
            return parts.Aggregate((a, b) => a.Zip(b, (u, v) => u + v));
        }

        double distance = parts.Max(p => p.Distance(parts[0]));
        fault = distance <= limit ? null : $"ranks that should agree differ by {distance}";
        return fault is null ? parts[0] : null;
    }

    /// <summary>The class-split cross-entropy: maxima, then sums and picked logits, reduced over the ranks that hold the classes of the same rows.</summary>
    private static Dense[][] Communicate(OpCase test, Piece[][] pieces, IReadOnlyList<AxisUse> axes, int ranks)
    {
        var op = (CrossEntropyOp)test.Op;
        var results = new Dense[ranks][];
        foreach (IGrouping<int, int> group in Enumerable.Range(0, ranks).GroupBy(r => RowGroup(r, axes)))
        {
            double[][] maxima = group.Select(r => ReferenceInterpreter.RowMaximum(pieces[0][r].Data)).ToArray();
            double[] maximum = maxima[0].Select((_, row) => maxima.Max(m => m[row])).ToArray();
            var sums = group.Select(r => ReferenceInterpreter.RowSums(pieces[0][r], pieces[1][r].Data, maximum)).ToArray();
            double[] exponentials = maximum.Select((_, row) => sums.Sum(s => s.Sum[row])).ToArray();
            double[] picked = maximum.Select((_, row) => sums.Sum(s => s.Picked[row])).ToArray();
            foreach (int rank in group)
            {
                results[rank] = ReferenceInterpreter.FinishCrossEntropy(op, maximum, exponentials, picked, pieces[1][rank].Data, op.HasWeights ? pieces[2][rank].Data : null);
            }
        }

        return results;
    }

    /// <summary>Coordinates on the axes that do not communicate.</summary>
    private static int RowGroup(int rank, IReadOnlyList<AxisUse> axes)
    {
        int group = 0, stride = 1;
        for (int axis = axes.Count - 1; axis >= 0; axis--)
        {
            int coordinate = rank % axes[axis].Parts;
            rank /= axes[axis].Parts;
            group += axes[axis].Signature.Communicates ? 0 : coordinate * stride;
            stride *= axes[axis].Parts;
        }

        return group;
    }
}
