namespace Shardwright.Compiler.Sharding;

/// <summary>Eliminates the variables of a <see cref="CostNetwork"/>, always the one whose table is smallest, then reads the optimum backwards.</summary>
internal sealed class Elimination
{
    /// <summary>No sum grows beyond: many things that cannot be must not wrap around to something that can.</summary>
    private const long Most = ReshardCost.Impossible * 64;

    private sealed record Table(int[] Scope, long[] Costs);

    private readonly List<int> _domains;
    private readonly List<Table>[] _tables;
    private readonly HashSet<int>[] _neighbours;
    private readonly int[] _fallback;
    private readonly int[] _result;

    public Elimination(List<int> domains, List<long[]> unary, Dictionary<(int A, int B), long[]> pairs, int[] fallback)
    {
        _domains = domains;
        _fallback = fallback;
        _result = new int[domains.Count];
        _tables = Enumerable.Range(0, domains.Count).Select(i => new List<Table> { new(new[] { i }, unary[i]) }).ToArray();
        _neighbours = Enumerable.Range(0, domains.Count).Select(_ => new HashSet<int>()).ToArray();
        foreach (KeyValuePair<(int A, int B), long[]> pair in pairs.OrderBy(p => p.Key.A).ThenBy(p => p.Key.B))
        {
            var table = new Table(new[] { pair.Key.A, pair.Key.B }, pair.Value);
            _tables[pair.Key.A].Add(table);
            _tables[pair.Key.B].Add(table);
            _neighbours[pair.Key.A].Add(pair.Key.B);
            _neighbours[pair.Key.B].Add(pair.Key.A);
        }
    }

    public int[] Run(CancellationToken cancellation)
    {
        var remaining = new SortedSet<int>(Enumerable.Range(0, _domains.Count));
        var order = new Stack<(int Variable, int[] Scope, int[] Best)>();
        while (remaining.Count > 0)
        {
            cancellation.ThrowIfCancellationRequested();
            int next = -1;
            double smallest = double.MaxValue;
            foreach (int candidate in remaining)
            {
                double size = _neighbours[candidate].Aggregate((double)_domains[candidate], (product, n) => product * _domains[n]);
                if (size < smallest)
                {
                    (next, smallest) = (candidate, size);
                    if (size <= 16)
                    {
                        break;
                    }
                }
            }

            if (smallest > CostNetwork.TableLimit)
            {
                // Too entangled: fix the variable with most neighbours to the value of the fallback; that always makes the rest smaller.
                next = remaining.OrderByDescending(v => _neighbours[v].Count).ThenBy(v => v).First();
                Fix(next);
                remaining.Remove(next);
                order.Push((next, Array.Empty<int>(), new[] { _fallback[next] }));
                continue;
            }

            order.Push(Eliminate(next));
            remaining.Remove(next);
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

    private void Fix(int variable)
    {
        int value = _fallback[variable];
        foreach (Table table in _tables[variable])
        {
            int[] scope = table.Scope.Where(v => v != variable).ToArray();
            if (scope.Length == 0)
            {
                continue;
            }

            Replace(table, new Table(scope, Enumerate(scope, assignment => Look(table, assignment, variable, value)).ToArray()), variable);
        }

        Forget(variable);
    }

    private (int, int[], int[]) Eliminate(int variable)
    {
        int[] scope = _neighbours[variable].OrderBy(v => v).ToArray();
        List<Table> tables = _tables[variable];
        int size = scope.Aggregate(1, (product, v) => product * _domains[v]);
        var costs = new long[size];
        var best = new int[size];
        int domain = _domains[variable];

        // Strides of each table in the joint assignment, so that the inner loop is plain index arithmetic.
        var strides = tables.Select(t => Strides(t, scope)).ToArray();
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
            foreach (int other in table.Scope.Where(v => v != variable))
            {
                _tables[other].Remove(table);
            }
        }

        if (scope.Length > 0)
        {
            var joint = new Table(scope, costs);
            foreach (int other in scope)
            {
                _tables[other].Add(joint);
                _neighbours[other].UnionWith(scope);
                _neighbours[other].Remove(other);
            }
        }

        Forget(variable);
        return (variable, scope, best);
    }

    private void Forget(int variable)
    {
        foreach (int other in _neighbours[variable])
        {
            _neighbours[other].Remove(variable);
        }

        _neighbours[variable].Clear();
        _tables[variable] = new List<Table>();
    }

    private void Replace(Table old, Table table, int except)
    {
        foreach (int v in old.Scope.Where(v => v != except))
        {
            _tables[v].Remove(old);
            _tables[v].Add(table);
        }
    }

    private IEnumerable<long> Enumerate(int[] scope, Func<Dictionary<int, int>, long> cost)
    {
        int size = scope.Aggregate(1, (product, v) => product * _domains[v]);
        for (int index = 0; index < size; index++)
        {
            var assignment = new Dictionary<int, int>();
            int rest = index;
            for (int d = scope.Length - 1; d >= 0; d--)
            {
                assignment[scope[d]] = rest % _domains[scope[d]];
                rest /= _domains[scope[d]];
            }

            yield return cost(assignment);
        }
    }

    private long Look(Table table, Dictionary<int, int> assignment, int variable, int value) =>
        table.Costs[table.Scope.Aggregate(0, (index, v) => index * _domains[v] + (v == variable ? value : assignment[v]))];

    private int[] Strides(Table table, int[] scope) => scope.Select(v => Stride(table, v)).ToArray();

    private int Stride(Table table, int variable)
    {
        int at = Array.IndexOf(table.Scope, variable);
        return at < 0 ? 0 : table.Scope.Skip(at + 1).Aggregate(1, (product, v) => product * _domains[v]);
    }
}
