namespace Shardwright.Compiler.Tests;

/// <summary>A dense array of doubles, for the reference interpreter.</summary>
public sealed record Dense(long[] Dims, double[] Data)
{
    public static Dense Zeros(IEnumerable<long> dims)
    {
        long[] d = [.. dims];
        return new Dense(d, new double[d.Aggregate(1L, (a, b) => a * b)]);
    }

    public static Dense Random(IEnumerable<long> dims, Random random)
    {
        Dense x = Zeros(dims);
        for (int i = 0; i < x.Data.Length; i++)
        {
            x.Data[i] = random.NextDouble() * 2 - 1;
        }

        return x;
    }

    public static Dense Indices(IEnumerable<long> dims, int below, Random random)
    {
        Dense x = Zeros(dims);
        for (int i = 0; i < x.Data.Length; i++)
        {
            x.Data[i] = random.Next(below);
        }

        return x;
    }

    public long[] Index(long flat)
    {
        var index = new long[Dims.Length];
        for (int d = Dims.Length - 1; d >= 0; d--)
        {
            index[d] = flat % Dims[d];
            flat /= Dims[d];
        }

        return index;
    }

    public long Flat(ReadOnlySpan<long> index)
    {
        long flat = 0;
        for (int d = 0; d < Dims.Length; d++)
        {
            flat = flat * Dims[d] + index[d];
        }

        return flat;
    }

    public double this[params long[] index]
    {
        get => Data[Flat(index)];
        set => Data[Flat(index)] = value;
    }

    /// <summary>One of equal slices of a dim.</summary>
    public Dense Slice(int dim, int part, int parts)
    {
        Dense y = Zeros(Dims.Select((s, d) => d == dim ? s / parts : s));
        for (long i = 0; i < y.Data.Length; i++)
        {
            long[] index = y.Index(i);
            index[dim] += part * y.Dims[dim];
            y.Data[i] = Data[Flat(index)];
        }

        return y;
    }

    /// <summary>Puts equal slices of a dim together.</summary>
    public static Dense Join(int dim, IReadOnlyList<Dense> parts)
    {
        Dense y = Zeros(parts[0].Dims.Select((s, d) => d == dim ? s * parts.Count : s));
        for (long i = 0; i < y.Data.Length; i++)
        {
            long[] index = y.Index(i);
            int part = (int)(index[dim] / parts[0].Dims[dim]);
            index[dim] %= parts[0].Dims[dim];
            y.Data[i] = parts[part].Data[parts[part].Flat(index)];
        }

        return y;
    }

    public static Dense Add(Dense a, Dense b) => new(a.Dims, [.. a.Data.Zip(b.Data, (x, y) => x + y)]);

    public double Distance(Dense other) => Dims.SequenceEqual(other.Dims) ? Data.Zip(other.Data, (a, b) => double.IsNaN(a - b) ? 1e9 : Math.Abs(a - b)).DefaultIfEmpty(0).Max() : double.PositiveInfinity;
}
