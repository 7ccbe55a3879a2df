namespace Shardwright.Compiler.Tests.Ops;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

/// <summary>A tensor in double precision; integers are stored as doubles too.</summary>
internal sealed class Dense
{
    public Dense(IEnumerable<long> dims, double[]? data = null)
    {
        Dims = dims.ToArray();
        long count = Dims.Aggregate(1L, (a, b) => a * b);
        Data = data ?? new double[count];
        if (Data.Length != count)
        {
            throw new ArgumentException($"{Data.Length} numbers for [{string.Join(", ", Dims)}]");
        }
    }

    public long[] Dims { get; }

    public double[] Data { get; }

    public int Rank => Dims.Length;

    /// <summary>Size of the last dim; 1 for a scalar.</summary>
    public long Last => Rank == 0 ? 1 : Dims[^1];

    public double this[params long[] index]
    {
        get => Data[At(index)];
        set => Data[At(index)] = value;
    }

    public static Dense Make(IEnumerable<long> dims, Func<long[], double> value)
    {
        var result = new Dense(dims);
        int at = 0;
        foreach (long[] index in Indices(result.Dims))
        {
            result.Data[at++] = value(index);
        }

        return result;
    }

    public static Dense Random(IEnumerable<long> dims, Random random) => Make(dims, _ => Gauss(random));

    public static double Gauss(Random random) => Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());

    /// <summary>All indices in row-major order; the array is reused.</summary>
    public static IEnumerable<long[]> Indices(IReadOnlyList<long> dims)
    {
        var index = new long[dims.Count];
        if (dims.Any(d => d == 0))
        {
            yield break;
        }

        while (true)
        {
            yield return index;
            int dim = dims.Count - 1;
            while (dim >= 0 && ++index[dim] == dims[dim])
            {
                index[dim--] = 0;
            }

            if (dim < 0)
            {
                yield break;
            }
        }
    }

    public Dense Slice(int dim, long start, long length) => Make(Dims.Select((s, d) => d == dim ? length : s), index =>
    {
        var from = (long[])index.Clone();
        from[dim] += start;
        return this[from];
    });

    public static Dense Concat(IReadOnlyList<Dense> parts, int dim) => Make(parts[0].Dims.Select((s, d) => d == dim ? parts.Sum(p => p.Dims[dim]) : s), index =>
    {
        var from = (long[])index.Clone();
        int part = 0;
        while (from[dim] >= parts[part].Dims[dim])
        {
            from[dim] -= parts[part++].Dims[dim];
        }

        return parts[part][from];
    });

    public Dense Map(Func<double, double> function) => new(Dims, Data.Select(function).ToArray());

    public Dense Zip(Dense other, Func<double, double, double> function) => new(Dims, Data.Zip(other.Data, function).ToArray());

    /// <summary>Largest difference, infinite where shapes or finiteness differ.</summary>
    public double Distance(Dense other)
    {
        if (!Dims.SequenceEqual(other.Dims))
        {
            return double.PositiveInfinity;
        }

        double worst = 0;
        for (int i = 0; i < Data.Length; i++)
        {
            double difference = Math.Abs(Data[i] - other.Data[i]);
            if (double.IsNaN(difference))
            {
                return double.PositiveInfinity;
            }

            worst = Math.Max(worst, difference);
        }

        return worst;
    }

    public double Largest => Data.Length == 0 ? 0 : Data.Max(Math.Abs);

    private long At(long[] index)
    {
        long at = 0;
        for (int dim = 0; dim < Dims.Length; dim++)
        {
            at = at * Dims[dim] + index[dim];
        }

        return at;
    }
}
