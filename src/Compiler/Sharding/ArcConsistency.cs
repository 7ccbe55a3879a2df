namespace Shardwright.Compiler.Sharding;

/// <summary>Takes values away that no possible assignment of a <see cref="CostNetwork"/> has: those beside which a neighbour has no value left that it could take (arc consistency,
/// Mackworth 1977). What inputs and parameters must be decides much of a graph before anything is searched; on the axis of the micro-batches, nearly all of it.</summary>
internal sealed class ArcConsistency
{
    private readonly List<int> _domains;
    private readonly bool[][] _alive;
    private readonly int[] _left;
    private readonly List<(int Other, long[] Table, bool First)>[] _neighbours;
    private readonly Queue<int> _changed = new();
    private readonly bool[] _queued;

    private ArcConsistency(List<int> domains, List<long[]> unary, List<KeyValuePair<(int A, int B), long[]>> pairs)
    {
        _domains = domains;
        _alive = unary.Select(costs => Array.ConvertAll(costs, c => c < ReshardCost.Impossible)).ToArray();
        _left = Array.ConvertAll(_alive, a => a.Count(alive => alive));
        _queued = new bool[domains.Count];
        _neighbours = CostNetwork.Neighbours(domains.Count, pairs);
        foreach (KeyValuePair<(int A, int B), long[]> pair in pairs)
        {
            Enqueue(pair.Key.A);
            Enqueue(pair.Key.B);
        }
    }

    /// <summary>Values that are left; all of them where there is no possible assignment.</summary>
    public static bool[][] Run(List<int> domains, List<long[]> unary, Dictionary<(int A, int B), long[]> pairs)
    {
        List<KeyValuePair<(int A, int B), long[]>> impossible = pairs.Where(p => Array.Exists(p.Value, c => c >= ReshardCost.Impossible)).ToList();
        var search = new ArcConsistency(domains, unary, impossible);
        return search.Run() ? search._alive : domains.Select(d => Enumerable.Repeat(true, d).ToArray()).ToArray();
    }

    private bool Run()
    {
        while (_changed.Count > 0)
        {
            int variable = _changed.Dequeue();
            _queued[variable] = false;
            foreach ((int other, long[] table, bool first) in _neighbours[variable])
            {
                Revise(variable, other, table, first);
                if (_left[other] == 0)
                {
                    return false;
                }
            }
        }

        return Array.TrueForAll(_left, left => left > 0);
    }

    /// <summary>Takes values of the other variable away that stand beside none of this one's.</summary>
    private void Revise(int variable, int other, long[] table, bool first)
    {
        bool[] own = _alive[variable], others = _alive[other];
        for (int o = 0; o < others.Length; o++)
        {
            bool stands = !others[o];
            for (int v = 0; v < own.Length && !stands; v++)
            {
                stands = own[v] && table[first ? v * _domains[other] + o : o * _domains[variable] + v] < ReshardCost.Impossible;
            }

            if (!stands)
            {
                others[o] = false;
                _left[other]--;
                Enqueue(other);
            }
        }
    }

    private void Enqueue(int variable)
    {
        if (!_queued[variable])
        {
            _queued[variable] = true;
            _changed.Enqueue(variable);
        }
    }
}
