namespace Shardwright.Compiler.Sharding;

/// <summary>Offsets into tables while all variables of a scope but the innermost are counted through.</summary>
internal sealed class Odometer
{
    private readonly int[][] _strides;
    private readonly int[] _domains, _digits;

    /// <summary>Starts with all variables at their first value.</summary>
    /// <param name="costs">The tables.</param>
    /// <param name="strides">For each table, entries to step for each variable of the scope; 0 where it does not touch it.</param>
    /// <param name="domains">Number of values of each variable.</param>
    public Odometer(long[][] costs, int[][] strides, int[] domains)
    {
        Costs = costs;
        _strides = strides;
        _domains = domains;
        _digits = new int[domains.Length];
        Offsets = new int[costs.Length];
    }

    /// <summary>The tables.</summary>
    public long[][] Costs { get; }

    /// <summary>Where each table stands.</summary>
    public int[] Offsets { get; }

    /// <summary>Goes on to the next values.</summary>
    public void Advance()
    {
        for (int d = _domains.Length - 2; d >= 0; d--)
        {
            bool carries = ++_digits[d] == _domains[d];
            for (int t = 0; t < Offsets.Length; t++)
            {
                Offsets[t] += carries ? -_strides[t][d] * (_domains[d] - 1) : _strides[t][d];
            }

            if (!carries)
            {
                return;
            }

            _digits[d] = 0;
        }
    }
}
