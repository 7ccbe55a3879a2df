namespace Shardwright.Compiler.Sharding;

/// <summary>Sums the tables of one variable over all values of its neighbours and takes the least over its own. Made once and used for every elimination,
/// so that a thousand small ones leave nothing behind but their results.</summary>
internal sealed class JointTable
{
    /// <summary>No sum grows beyond: many things that cannot be must not wrap around to something that can.</summary>
    private const long Most = ReshardCost.Impossible * 64;

    private readonly List<int> _domains;
    private long[][] _costs = new long[16][];
    private int[] _offsets = new int[16], _own = new int[16], _steps = new int[16], _strides = new int[64], _digits = new int[16];
    private long[] _sums = new long[16];
    private int _count, _still, _width;

    /// <summary>Works on variables with these numbers of values.</summary>
    public JointTable(List<int> domains) => _domains = domains;

    /// <summary>Eliminates a variable.</summary>
    /// <param name="variable">The variable.</param>
    /// <param name="tables">All tables that touch it.</param>
    /// <param name="scope">The other variables that these touch; the last is innermost.</param>
    /// <param name="costs">Filled with the least cost for each assignment of the scope.</param>
    /// <param name="best">Filled with the value of the variable that has it, the first of equal ones.</param>
    public void Minimize(int variable, List<CostTable> tables, int[] scope, long[] costs, ushort[] best)
    {
        int inner = scope.Length == 0 ? -1 : scope[scope.Length - 1], innerDomain = inner < 0 ? 1 : _domains[inner], domain = _domains[variable];
        Prepare(variable, tables, scope, inner);
        for (int first = 0; first < costs.Length; first += innerDomain)
        {
            // Tables that the innermost variable does not touch are summed once for all of its values.
            for (int value = 0; value < domain; value++)
            {
                long sum = 0;
                for (int t = 0; t < _still; t++)
                {
                    sum = Math.Min(sum + _costs[t][_offsets[t] + value * _own[t]], Most);
                }

                _sums[value] = sum;
            }

            for (int j = 0; j < innerDomain; j++)
            {
                long minimum = long.MaxValue;
                int at = 0;
                for (int value = 0; value < domain; value++)
                {
                    long sum = _sums[value];
                    for (int t = _still; t < _count; t++)
                    {
                        sum = Math.Min(sum + _costs[t][_offsets[t] + value * _own[t] + j * _steps[t]], Most);
                    }

                    if (sum < minimum)
                    {
                        (minimum, at) = (sum, value);
                    }
                }

                costs[first + j] = minimum;
                best[first + j] = (ushort)at;
            }

            Advance(scope);
        }
    }

    private void Prepare(int variable, List<CostTable> tables, int[] scope, int inner)
    {
        (_count, _still, _width) = (tables.Count, 0, scope.Length);
        if (_costs.Length < _count || _digits.Length < _width || _sums.Length < _domains[variable] || _strides.Length < _count * _width)
        {
            int n = 2 * Math.Max(_count, Math.Max(_width, _domains[variable]));
            (_costs, _offsets, _own, _steps, _digits, _sums, _strides) = (new long[n][], new int[n], new int[n], new int[n], new int[n], new long[n], new int[n * n]);
        }

        Array.Clear(_digits, 0, _width);
        int end = _count;
        foreach (CostTable table in tables)
        {
            int step = inner < 0 ? 0 : table.Stride(inner, _domains), at = step == 0 ? _still++ : --end;
            (_costs[at], _offsets[at], _own[at], _steps[at]) = (table.Costs, 0, table.Stride(variable, _domains), step);
            for (int d = 0; d < _width; d++)
            {
                _strides[at * _width + d] = table.Stride(scope[d], _domains);
            }
        }
    }

    /// <summary>Goes on to the next values of all variables of the scope but the innermost.</summary>
    private void Advance(int[] scope)
    {
        for (int d = _width - 2; d >= 0; d--)
        {
            int domain = _domains[scope[d]];
            bool carries = ++_digits[d] == domain;
            for (int t = 0; t < _count; t++)
            {
                int stride = _strides[t * _width + d];
                _offsets[t] += carries ? -stride * (domain - 1) : stride;
            }

            if (!carries)
            {
                return;
            }

            _digits[d] = 0;
        }
    }
}
