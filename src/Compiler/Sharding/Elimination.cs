namespace Shardwright.Compiler.Sharding;

/// <summary>Eliminates the variables of a <see cref="CostNetwork"/>, always the one whose table is smallest, then reads the optimum backwards.
/// A variable with one value has nothing to decide: it is folded into its neighbours first, so that a parameter that a thousand nodes read entangles none of them.</summary>
internal sealed class Elimination
{
    /// <summary>A table of so few entries is taken at once, without a look at the others.</summary>
    private const int Small = 16;

    /// <summary>Entries that may be looked at while tables of every size up to the limit are built. Beyond it smaller ones must do, and beyond
    /// the next bound still smaller ones: a network of a thousand tangled ops costs a fraction of a second, not minutes.</summary>
    private const long Plenty = 1L << 23, Enough = 1L << 25;

    /// <summary>Stands for every table that is larger than the limit.</summary>
    private const int TooLarge = CostNetwork.TableLimit + 1;

    private readonly List<int> _domains;
    private readonly List<CostTable>[] _tables;

    /// <summary>For each variable those that it shares a table with, rising.</summary>
    private readonly List<int>[] _neighbours;
    private readonly int[] _fallback;
    private readonly int[] _result;
    private readonly VariableQueue _queue;
    private readonly JointTable _joint;
    private readonly Dictionary<int, Stack<long[]>> _free = new();
    private long _looked;

    public Elimination(List<int> domains, List<long[]> unary, Dictionary<(int A, int B), long[]> pairs, int[] fallback)
    {
        _domains = domains;
        _fallback = fallback;
        _result = new int[domains.Count];
        _queue = new VariableQueue(domains.Count, Small);
        _joint = new JointTable(domains);
        _tables = new List<CostTable>[domains.Count];
        _neighbours = new List<int>[domains.Count];
        for (int v = 0; v < domains.Count; v++)
        {
            _tables[v] = new List<CostTable> { new(new[] { v }, unary[v]) };
            _neighbours[v] = new List<int>();
        }

        foreach (KeyValuePair<(int A, int B), long[]> pair in pairs)
        {
            (int a, int b) = pair.Key;
            if (domains[a] > 1 && domains[b] > 1)
            {
                Add(new CostTable(new[] { a, b }, pair.Value));
                Join(a, b);
                Join(b, a);
            }
            else
            {
                int other = domains[a] > 1 ? a : b;
                _tables[other].Add(new CostTable(new[] { other }, pair.Value));
            }
        }
    }

    /// <summary>Entries of the largest table that may still be built.</summary>
    private int Limit => _looked < Plenty ? CostNetwork.TableLimit : _looked < Enough ? CostNetwork.TableLimit >> 4 : CostNetwork.TableLimit >> 8;

    public int[] Run(CancellationToken cancellation)
    {
        for (int v = 0; v < _domains.Count; v++)
        {
            if (_domains[v] > 1)
            {
                Measure(v);
            }
        }

        var order = new Stack<(int Variable, int[] Scope, ushort[] Best)>();
        while (_queue.Count > 0)
        {
            cancellation.ThrowIfCancellationRequested();
            (int next, int size) = _queue.Peek();
            if (size > Limit)
            {
                // Too entangled: fix the variable with most neighbours to the value of the fallback; that always makes the rest smaller.
                Fix(MostEntangled());
            }
            else
            {
                order.Push(Eliminate(next));
            }
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
    private void Measure(int variable)
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

        _queue.Set(variable, size);
    }

    private int MostEntangled()
    {
        int most = -1;
        for (int v = 0; v < _domains.Count; v++)
        {
            most = _queue.Contains(v) && (most < 0 || _neighbours[v].Count > _neighbours[most].Count) ? v : most;
        }

        return most;
    }

    private void Fix(int variable)
    {
        int value = _fallback[variable], domain = _domains[variable];
        foreach (CostTable table in Live(variable))
        {
            table.IsGone = true;
            int[] scope = table.Scope.Where(v => v != variable).ToArray();
            if (scope.Length == 0)
            {
                continue;
            }

            int inner = table.Stride(variable, _domains);
            var costs = new long[table.Costs.Length / domain];
            for (int i = 0; i < costs.Length; i++)
            {
                costs[i] = table.Costs[(i / inner * domain + value) * inner + i % inner];
            }

            Add(new CostTable(scope, costs));
        }

        _result[variable] = value;
        Forget(variable);
    }

    private (int, int[], ushort[]) Eliminate(int variable)
    {
        List<CostTable> tables = Live(variable);
        int[] scope = Order(_neighbours[variable], tables);
        int size = 1;
        foreach (int other in scope)
        {
            size *= _domains[other];
        }

        long[] costs = _free.TryGetValue(size, out Stack<long[]>? free) && free.Count > 0 ? free.Pop() : new long[size];
        var best = new ushort[size];
        _looked += (long)size * _domains[variable];
        _joint.Minimize(variable, tables, scope, costs, best);
        foreach (CostTable table in tables)
        {
            table.IsGone = true;
            Free(table);
        }

        if (scope.Length > 0)
        {
            Add(new CostTable(scope, costs) { IsOwn = true });
            foreach (int one in scope)
            {
                foreach (int other in scope)
                {
                    Join(one, other);
                }
            }
        }

        Forget(variable);
        return (variable, scope, best);
    }

    /// <summary>Costs of a table that nobody reads any more serve another of its size; those of the network are not ours.</summary>
    private void Free(CostTable table)
    {
        if (!table.IsOwn)
        {
            return;
        }

        if (!_free.TryGetValue(table.Costs.Length, out Stack<long[]>? free))
        {
            _free[table.Costs.Length] = free = new Stack<long[]>();
        }

        free.Push(table.Costs);
    }

    /// <summary>The scope of the joint table: last, and so innermost, the variable that fewest tables touch.</summary>
    private int[] Order(List<int> scope, List<CostTable> tables)
    {
        int[] order = scope.ToArray();
        int least = int.MaxValue, last = -1;
        for (int i = 0; i < order.Length; i++)
        {
            int touching = 0;
            foreach (CostTable table in tables)
            {
                touching += Array.IndexOf(table.Scope, order[i]) >= 0 ? 1 : 0;
            }

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

    private void Join(int one, int other)
    {
        int at = one == other ? 0 : _neighbours[one].BinarySearch(other);
        if (at < 0)
        {
            _neighbours[one].Insert(~at, other);
        }
    }

    private void Add(CostTable table)
    {
        foreach (int v in table.Scope)
        {
            _tables[v].Add(table);
        }
    }

    private List<CostTable> Live(int variable)
    {
        _tables[variable].RemoveAll(t => t.IsGone);
        return _tables[variable];
    }

    /// <summary>Takes a variable out; its neighbours have changed with that.</summary>
    private void Forget(int variable)
    {
        _queue.Remove(variable);
        foreach (int other in _neighbours[variable])
        {
            _neighbours[other].RemoveAt(_neighbours[other].BinarySearch(variable));
            Measure(other);
        }

        _neighbours[variable].Clear();
        _tables[variable].Clear();
    }
}
