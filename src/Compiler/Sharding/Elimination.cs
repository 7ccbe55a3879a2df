namespace Shardwright.Compiler.Sharding;

/// <summary>Eliminates the variables of a <see cref="CostNetwork"/>, always the one whose table is smallest, then reads the optimum backwards.
/// A variable with one value has nothing to decide: it is folded into its neighbours first, so that a parameter that a thousand nodes read entangles none of them.</summary>
internal sealed class Elimination
{
    /// <summary>No sum grows beyond: many things that cannot be must not wrap around to something that can.</summary>
    private const long Most = ReshardCost.Impossible * 64;

    /// <summary>A table of so few entries is taken at once, without a look at the others.</summary>
    private const int Small = 16;

    /// <summary>Entries that may be looked at while tables of every size up to the limit are built. Beyond it smaller ones must do, and beyond
    /// the next bound still smaller ones: a network of a thousand tangled ops costs a fraction of a second, not minutes.</summary>
    private const long Plenty = 1L << 23, Enough = 1L << 25;

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
    private long _looked;
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

        var order = new Stack<(int Variable, int[] Scope, ushort[] Best)>();
        while (_small.Count + _others.Count > 0)
        {
            cancellation.ThrowIfCancellationRequested();
            (int size, int next) = _small.Count > 0 ? (Small, _small.Min) : _others.Min;
            if (size > (_looked < Plenty ? CostNetwork.TableLimit : _looked < Enough ? CostNetwork.TableLimit >> 4 : CostNetwork.TableLimit >> 8))
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

        foreach ((int variable, int[] scope, ushort[] best) in order)
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

    private (int, int[], ushort[]) Eliminate(int variable)
    {
        List<Table> tables = Live(variable);
        int[] scope = Order(_neighbours[variable], tables);
        int size = scope.Aggregate(1, (product, v) => product * _domains[v]), domain = _domains[variable];
        int inner = scope.Length == 0 ? -1 : scope[scope.Length - 1], innerDomain = inner < 0 ? 1 : _domains[inner];
        var costs = new long[size];
        var best = new ushort[size];
        _looked += (long)size * domain;

        // Tables that the innermost variable does not touch are summed once for all of its values; offsets are plain index arithmetic.
        List<Table> still = tables.Where(t => inner < 0 || Stride(t, inner) == 0).ToList(), moving = tables.Where(t => inner >= 0 && Stride(t, inner) != 0).ToList();
        var outer = new Odometer(still.Concat(moving).Select(t => t.Costs).ToArray(), still.Concat(moving).Select(t => Strides(t, scope)).ToArray(), scope.Select(v => _domains[v]).ToArray());
        int[] own = still.Concat(moving).Select(t => Stride(t, variable)).ToArray(), steps = moving.Select(t => Stride(t, inner)).ToArray();
        var sums = new long[domain];
        for (int first = 0; first < size; first += innerDomain, outer.Advance())
        {
            for (int value = 0; value < domain; value++)
            {
                sums[value] = 0;
                for (int t = 0; t < still.Count; t++)
                {
                    sums[value] = Math.Min(sums[value] + outer.Costs[t][outer.Offsets[t] + value * own[t]], Most);
                }
            }

            for (int j = 0; j < innerDomain; j++)
            {
                long minimum = long.MaxValue;
                for (int value = 0; value < domain; value++)
                {
                    long sum = sums[value];
                    for (int t = 0; t < steps.Length; t++)
                    {
                        int at = still.Count + t;
                        sum = Math.Min(sum + outer.Costs[at][outer.Offsets[at] + value * own[at] + j * steps[t]], Most);
                    }

                    if (sum < minimum)
                    {
                        minimum = sum;
                        best[first + j] = (ushort)value;
                    }
                }

                costs[first + j] = minimum;
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

    /// <summary>The scope of the joint table: last, and so innermost, the variable that fewest tables touch.</summary>
    private int[] Order(HashSet<int> scope, List<Table> tables)
    {
        int[] order = scope.OrderBy(v => v).ToArray();
        int least = int.MaxValue, last = -1;
        for (int i = 0; i < order.Length; i++)
        {
            int touching = tables.Count(t => Array.IndexOf(t.Scope, order[i]) >= 0);
            if (touching < least || (touching == least && _domains[order[i]] > _domains[order[last]]))
            {
                (least, last) = (touching, i);
            }
        }

        if (last >= 0)
        {
            (order[last], order[order.Length - 1]) = (order[order.Length - 1], order[last]);
        }

        return order;
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
