namespace Shardwright.Compiler.Sharding;

/// <summary>Variables with small domains and costs on single variables and pairs: minimised exactly by eliminating variables one by one
/// (bucket elimination, Dechter 1999) while the tables stay small, and by conditioning on a good assignment where they would not. Bounded either way.</summary>
public sealed class CostNetwork
{
    /// <summary>Largest table that elimination may build, in entries.</summary>
    public const int TableLimit = 1 << 16;

    private readonly List<int> _domains = new();
    private readonly List<long[]> _unary = new();
    private readonly Dictionary<(int A, int B), long[]> _pairs = new();

    /// <summary>Number of variables.</summary>
    public int Count => _domains.Count;

    /// <summary>Adds a variable with the cost of each of its values; returns its number.</summary>
    public int Variable(long[] costs)
    {
        _domains.Add(costs.Length);
        _unary.Add(costs);
        return _domains.Count - 1;
    }

    /// <summary>Adds a cost for each pair of values of two variables.</summary>
    public void Pair(int a, int b, Func<int, int, long> cost)
    {
        if (a == b)
        {
            for (int i = 0; i < _domains[a]; i++)
            {
                _unary[a][i] += cost(i, i);
            }

            return;
        }

        bool swap = a > b;
        (int first, int second) = swap ? (b, a) : (a, b);
        if (!_pairs.TryGetValue((first, second), out long[]? table))
        {
            _pairs[(first, second)] = table = new long[_domains[first] * _domains[second]];
        }

        for (int i = 0; i < _domains[first]; i++)
        {
            for (int j = 0; j < _domains[second]; j++)
            {
                table[i * _domains[second] + j] += swap ? cost(j, i) : cost(i, j);
            }
        }
    }

    /// <summary>Adds costs for the pairs of values of two different variables: those of the first one's first value, and so on. The table is the network's from then on.</summary>
    public void Pair(int a, int b, long[] costs)
    {
        if (a < b && !_pairs.ContainsKey((a, b)))
        {
            _pairs.Add((a, b), costs);
            return;
        }

        int width = _domains[b];
        Pair(a, b, (i, j) => costs[i * width + j]);
    }

    /// <summary>Total cost of an assignment.</summary>
    public long Cost(int[] assignment)
    {
        long sum = 0;
        for (int i = 0; i < Count; i++)
        {
            sum += _unary[i][assignment[i]];
        }

        foreach (KeyValuePair<(int A, int B), long[]> pair in _pairs)
        {
            sum += pair.Value[assignment[pair.Key.A] * _domains[pair.Key.B] + assignment[pair.Key.B]];
        }

        return sum;
    }

    /// <summary>The cheapest assignment, exact where tables stay within the limit; never worse than the start.</summary>
    /// <param name="start">An assignment to condition on where elimination would grow too large; null starts from the cheapest single values.</param>
    /// <param name="cancellation">Ends the search.</param>
    public int[] Solve(int[]? start, CancellationToken cancellation)
    {
        bool[][] alive = ArcConsistency.Run(_domains, _unary, _pairs);
        if (Array.TrueForAll(alive, own => Array.TrueForAll(own, a => a)))
        {
            return Search(start, cancellation);
        }

        int[][] kept = Array.ConvertAll(alive, own => Enumerable.Range(0, own.Length).Where(i => own[i]).ToArray());
        int[]? from = start?.Select((value, v) => Array.IndexOf(kept[v], value)).ToArray();
        return With(kept).Search(from is null || Array.IndexOf(from, -1) >= 0 ? null : from, cancellation).Select((value, v) => kept[v][value]).ToArray();
    }

    /// <summary>For each variable those that it shares a table with, the table, and whether the variable is the first of the two.</summary>
    internal static List<(int Other, long[] Table, bool First)>[] Neighbours(int count, IEnumerable<KeyValuePair<(int A, int B), long[]>> pairs)
    {
        List<(int, long[], bool)>[] neighbours = Enumerable.Range(0, count).Select(_ => new List<(int, long[], bool)>()).ToArray();
        foreach (KeyValuePair<(int A, int B), long[]> pair in pairs)
        {
            neighbours[pair.Key.A].Add((pair.Key.B, pair.Value, true));
            neighbours[pair.Key.B].Add((pair.Key.A, pair.Value, false));
        }

        return neighbours;
    }

    /// <summary>The same network with fewer values.</summary>
    private CostNetwork With(int[][] kept)
    {
        var network = new CostNetwork();
        for (int v = 0; v < Count; v++)
        {
            long[] costs = _unary[v];
            network.Variable(Array.ConvertAll(kept[v], value => costs[value]));
        }

        foreach (KeyValuePair<(int A, int B), long[]> pair in _pairs)
        {
            int[] first = kept[pair.Key.A], second = kept[pair.Key.B];
            var table = new long[first.Length * second.Length];
            for (int i = 0; i < table.Length; i++)
            {
                table[i] = pair.Value[first[i / second.Length] * _domains[pair.Key.B] + second[i % second.Length]];
            }

            network._pairs.Add(pair.Key, table);
        }

        return network;
    }

    private int[] Search(int[]? start, CancellationToken cancellation)
    {
        int[] fallback = Improve(start ?? _unary.Select(IndexOfMin).ToArray(), cancellation);
        var elimination = new Elimination(_domains, _unary, _pairs, fallback);
        int[] best = Improve(elimination.Run(cancellation), cancellation);
        return Cost(best) <= Cost(fallback) ? best : fallback;
    }

    /// <summary>Changes one variable at a time as long as that helps (iterated conditional modes); bounded by 50 sweeps.</summary>
    private int[] Improve(int[] start, CancellationToken cancellation)
    {
        int[] current = start.ToArray();
        List<(int Other, long[] Table, bool First)>[] neighbours = Neighbours(Count, _pairs);
        bool changed = true;
        for (int sweep = 0; sweep < 50 && changed; sweep++)
        {
            cancellation.ThrowIfCancellationRequested();
            changed = false;
            for (int i = 0; i < Count; i++)
            {
                long[] costs = _unary[i].ToArray();
                foreach ((int other, long[] table, bool first) in neighbours[i])
                {
                    for (int v = 0; v < costs.Length; v++)
                    {
                        costs[v] += first ? table[v * _domains[other] + current[other]] : table[current[other] * _domains[i] + v];
                    }
                }

                int best = IndexOfMin(costs);
                if (costs[best] < costs[current[i]])
                {
                    current[i] = best;
                    changed = true;
                }
            }
        }

        return current;
    }

    private static int IndexOfMin(long[] costs)
    {
        int best = 0;
        for (int i = 1; i < costs.Length; i++)
        {
            if (costs[i] < costs[best])
            {
                best = i;
            }
        }

        return best;
    }
}
