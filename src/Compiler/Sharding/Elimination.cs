namespace Shardwright.Compiler.Sharding;

/// <summary>Eliminates the variables of a <see cref="CostNetwork"/>, always the one whose table is smallest, then reads the optimum backwards.
/// A variable with one value has nothing to decide: it is folded into its neighbours first, so that a parameter that a thousand nodes read entangles none of them.</summary>
internal sealed class Elimination
{
    /// <summary>No sum grows beyond: many things that cannot be must not wrap around to something that can.</summary>
    private const long Most = ReshardCost.Impossible * 64;

    /// <summary>A table of so few entries is taken at once, without a look at the others.</summary>
    private const int Small = 16;

    /// <summary>Stands for every table that is larger than the limit.</summary>
    private const int TooLarge = CostNetwork.TableLimit + 1;

    private sealed class Table
    {
        public Table(int[] scope, long[] costs)
        {
            Scope = scope;
            Costs = costs;
        }

        public int[] Scope { get; }

        public long[] Costs { get; }

        /// <summary>Whether another table has taken its place; lists drop it when they are walked the next time.</summary>
        public bool IsGone { get; set; }
    }

    private readonly List<int> _domains;
    private readonly List<Table>[] _tables;
    private readonly HashSet<int>[] _neighbours;
    private readonly int[] _fallback;
    private readonly int[] _result;
    private readonly int[] _sizes;
    private readonly SortedSet<int> _small = new();
    private readonly SortedSet<(int Size, int Variable)> _others = new();

    public Elimination(List<int> domains, List<long[]> unary, Dictionary<(int A, int B), long[]> pairs, int[] fallback)
    {
        _domains = domains;
        _fallback = fallback;
        _result = new int[domains.Count];
        _sizes = new int[domains.Count];
        _tables = Enumerable.Range(0, domains.Count).Select(i => new List<Table> { new(new[] { i }, unary[i]) }).ToArray();
        _neighbours = Enumerable.Range(0, domains.Count).Select(_ => new HashSet<int>()).ToArray();
        foreach (KeyValuePair<(int A, int B), long[]> pair in pairs)
        {
            (int a, int b) = pair.Key;
            if (domains[a] > 1 && domains[b] > 1)
            {
                var table = new Table(new[] { a, b }, pair.Value);
                _tables[a].Add(table);
                _tables[b].Add(table);
                _neighbours[a].Add(b);
                _neighbours[b].Add(a);
            }
            else
            {
                int other = domains[a] > 1 ? a : b;
                _tables[other].Add(new Table(new[] { other }, pair.Value));
            }
        }
    }

    public int[] Run(CancellationToken cancellation)
    {
        for (int v = 0; v < _domains.Count; v++)
        {
            if (_domains[v] > 1)
            {
                Measure(v, known: false);
            }
        }

        var order = new Stack<(int Variable, int[] Scope, int[] Best)>();
        while (_small.Count + _others.Count > 0)
        {
            cancellation.ThrowIfCancellationRequested();
            (int size, int next) = _small.Count > 0 ? (Small, _small.Min) : _others.Min;
            if (size == TooLarge)
            {
                // Too entangled: fix the variable with most neighbours to the value of the fallback; that always makes the rest smaller.
                next = MostEntangled();
                Remove(next);
                Fix(next);
                _result[next] = _fallback[next];
                continue;
            }

            Remove(next);
            order.Push(Eliminate(next));
        }

        foreach ((int variable, int[] scope, int[] best) in order)
        {
            int index = 0;
            foreach (int other in scope)
            {
                index = index * _domains[other] + _result[other];
            }

            _result[variable] = best[index];
        }

        return _result;
    }

    /// <summary>Finds the size of the table that eliminating a variable would make.</summary>
    private void Measure(int variable, bool known = true)
    {
        int size = _domains[variable];
        foreach (int other in _neighbours[variable])
        {
            size *= _domains[other];
            if (size > CostNetwork.TableLimit)
            {
                size = TooLarge;
                break;
            }
        }

        if (!known || size != _sizes[variable])
        {
            if (known)
            {
                Remove(variable);
            }

            _sizes[variable] = size;
            _ = size <= Small ? _small.Add(variable) : _others.Add((size, variable));
        }
    }

    private void Remove(int variable) => _ = _sizes[variable] <= Small ? _small.Remove(variable) : _others.Remove((_sizes[variable], variable));

    private int MostEntangled()
    {
        int most = -1;
        foreach ((int _, int variable) in _others)
        {
            int more = most < 0 ? 1 : _neighbours[variable].Count - _neighbours[most].Count;
            most = more > 0 || (more == 0 && variable < most) ? variable : most;
        }

        return most;
    }

    private void Fix(int variable)
    {
        int value = _fallback[variable], domain = _domains[variable];
        foreach (Table table in Live(variable))
        {
            table.IsGone = true;
            int[] scope = table.Scope.Where(v => v != variable).ToArray();
            if (scope.Length == 0)
            {
                continue;
            }

            int inner = Stride(table, variable);
            var costs = new long[table.Costs.Length / domain];
            for (int i = 0; i < costs.Length; i++)
            {
                costs[i] = table.Costs[(i / inner * domain + value) * inner + i % inner];
            }

            Add(new Table(scope, costs));
        }

        Forget(variable);
    }

    private (int, int[], int[]) Eliminate(int variable)
    {
        int[] scope = _neighbours[variable].OrderBy(v => v).ToArray();
        List<Table> tables = Live(variable);
        int size = scope.Aggregate(1, (product, v) => product * _domains[v]);
        var costs = new long[size];
        var best = new int[size];
        int domain = _domains[variable];

        // Strides of each table in the joint assignment, so that the inner loop is plain index arithmetic.
        int[][] strides = tables.Select(t => Strides(t, scope)).ToArray();
        int[] own = tables.Select(t => Stride(t, variable)).ToArray();
        var digits = new int[scope.Length];
        var offsets = new int[tables.Count];
        for (int index = 0; index < size; index++)
        {
            long minimum = long.MaxValue;
            for (int value = 0; value < domain; value++)
            {
                long sum = 0;
                for (int t = 0; t < offsets.Length; t++)
                {
                    sum = Math.Min(sum + tables[t].Costs[offsets[t] + value * own[t]], Most);
                }

                if (sum < minimum)
                {
                    minimum = sum;
                    best[index] = value;
                }
            }

            costs[index] = minimum;
            for (int d = scope.Length - 1; d >= 0; d--)
            {
                digits[d]++;
                for (int t = 0; t < offsets.Length; t++)
                {
                    offsets[t] += strides[t][d];
                }

                if (digits[d] < _domains[scope[d]])
                {
                    break;
                }

                for (int t = 0; t < offsets.Length; t++)
                {
                    offsets[t] -= strides[t][d] * digits[d];
                }

                digits[d] = 0;
            }
        }

        foreach (Table table in tables)
        {
            table.IsGone = true;
        }

        if (scope.Length > 0)
        {
            Add(new Table(scope, costs));
            foreach (int other in scope)
            {
                _neighbours[other].UnionWith(scope);
                _neighbours[other].Remove(other);
            }
        }

        Forget(variable);
        return (variable, scope, best);
    }

    private void Add(Table table)
    {
        foreach (int v in table.Scope)
        {
            _tables[v].Add(table);
        }
    }

    private List<Table> Live(int variable)
    {
        _tables[variable].RemoveAll(t => t.IsGone);
        return _tables[variable];
    }

    /// <summary>Takes a variable out; its neighbours have changed with that.</summary>
    private void Forget(int variable)
    {
        foreach (int other in _neighbours[variable])
        {
            _neighbours[other].Remove(variable);
            Measure(other);
        }

        _neighbours[variable].Clear();
        _tables[variable].Clear();
    }

    private int[] Strides(Table table, int[] scope) => scope.Select(v => Stride(table, v)).ToArray();

    private int Stride(Table table, int variable)
    {
        int at = Array.IndexOf(table.Scope, variable), stride = 1;
        for (int i = table.Scope.Length - 1; i > at && at >= 0; i--)
        {
            stride *= _domains[table.Scope[i]];
        }

        return at < 0 ? 0 : stride;
    }
}
