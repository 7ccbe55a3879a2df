using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Pipelining;

/// <summary>One search for a cut.</summary>
internal sealed class CutSearchRun
{
    private readonly CutRequest _request;
    private readonly CancellationToken _cancellation;
    private readonly ActionTable _table;
    private readonly int _stages;
    private readonly double[] _forward, _input, _weight;
    private readonly long[] _activation, _parameters;
    private readonly int[][] _stagesOf;
    private readonly int[][][] _live;
    private readonly long _actions;
    private readonly bool _splits;
    private int _simulated;

    public CutSearchRun(CutRequest request, CancellationToken cancellation)
    {
        (_request, _cancellation) = (request, cancellation);
        _table = request.Table ?? ActionTable.Build(request.Schedule!, request.Shape);
        _stages = _table.Stages;
        _forward = Sums(s => s.Forward);
        _input = Sums(s => s.Input);
        _weight = Sums(s => s.Weight);
        _activation = Sums(s => s.ActivationBytes);
        _parameters = Sums(s => s.ParameterBytes);
        _stagesOf = Enumerable.Range(0, _table.Ranks.Count).Select(r => _table.StagesOf(r).ToArray()).ToArray();
        _live = Enumerable.Range(0, _table.Ranks.Count).Select(r => LiveCounts.Peaks(_table, r)).ToArray();
        _actions = _table.Ranks.Sum(r => (long)r.Count);
        _splits = _table.SplitsBackward;
    }

    public CutResult Find()
    {
        int[] counts = MinMax();
        Cut minMax = Price(counts);
        if (Compositions.Count(_request.Segments.Count, _stages, _request.MaxCuts) is null)
        {
            Cut best = Improve(minMax);
            Cut even = Improve(Price(Even()));
            return new CutResult(Better(even, best) ? even : best, minMax, false, _simulated);
        }

        (Cut found, bool exact) = All(minMax);
        return new CutResult(exact ? found : Improve(found), minMax, exact, _simulated);
    }

    /// <summary>Simulates a cut.</summary>
    public Cut Price(int[] counts)
    {
        _cancellation.ThrowIfCancellationRequested();
        int[] ends = Ends(counts);
        var costs = new StageCost[_stages];
        var edges = new StageEdge[_stages - 1];
        for (int s = 0; s < _stages; s++)
        {
            costs[s] = Cost(ends, s);
            if (s + 1 < _stages)
            {
                edges[s] = new StageEdge(s, s + 1, _request.Segments[ends[s] - 1].HopBytes);
            }
        }

        _simulated++;
        long[] peaks = Peaks(ends);
        return new Cut(counts.ToEquatable(), new SimulatorRun(_table, costs, _request.Link, edges, times: false).Makespan(), costs.Max(c => c.Total), peaks.ToEquatable(), Overflow(peaks));
    }

    private bool Spent => _simulated * _actions >= _request.MaxActions;

    private static bool Better(Cut a, Cut b) => a.Overflow != b.Overflow ? a.Overflow < b.Overflow : a.Makespan < b.Makespan;

    private (Cut Best, bool Exact) All(Cut best)
    {
        var cuts = new List<(double Bound, long Overflow, int[] Counts)>();
        foreach (int[] counts in Compositions.All(_request.Segments.Count, _stages))
        {
            int[] ends = Ends(counts);
            cuts.Add((Bound(ends), Overflow(Peaks(ends)), counts));
        }

        foreach ((double bound, long overflow, int[] counts) in cuts.OrderBy(c => c.Overflow).ThenBy(c => c.Bound))
        {
            if (overflow > best.Overflow)
            {
                break;
            }

            if (overflow < best.Overflow || bound < best.Makespan)
            {
                if (Spent)
                {
                    return (best, false);
                }

                Cut cut = Price(counts);
                best = Better(cut, best) ? cut : best;
            }
        }

        return (best, true);
    }

    /// <summary>Moves neighbouring boundaries by one while that helps.</summary>
    private Cut Improve(Cut best)
    {
        bool moved = true;
        while (moved)
        {
            moved = false;
            for (int width = 1; width < _stages && !Spent; width++)
            {
                for (int first = 0; first + width < _stages && !Spent; first++)
                {
                    foreach (int step in new[] { 1, -1 })
                    {
                        // The boundaries between stages first … first + width move together: one segment leaves one end and joins the other.
                        int[] counts = best.Counts.ToArray();
                        counts[first] += step;
                        counts[first + width] -= step;
                        if (counts[first] < 1 || counts[first + width] < 1 || Spent)
                        {
                            continue;
                        }

                        int[] ends = Ends(counts);
                        long overflow = Overflow(Peaks(ends));
                        if (overflow > best.Overflow || (overflow == best.Overflow && Bound(ends) >= best.Makespan))
                        {
                            continue;
                        }

                        Cut cut = Price(counts);
                        if (Better(cut, best))
                        {
                            (best, moved) = (cut, true);
                        }
                    }
                }
            }
        }

        return best;
    }

    /// <summary>No step is shorter: a rank works all its time, after the first micro-batch has come to it and before the last has gone back.</summary>
    private double Bound(int[] ends)
    {
        int count = _request.Shape.MicroBatches;
        double bound = 0;
        foreach (int[] stages in _stagesOf)
        {
            double forward = 0, input = 0, weight = 0;
            foreach (int stage in stages)
            {
                StageCost cost = Cost(ends, stage);
                (forward, input, weight) = (forward + cost.Forward, input + cost.Input, weight + cost.Weight);
            }

            int before = stages[0] == 0 ? 0 : ends[stages[0] - 1];
            double fill = _forward[before], back = _input[before], backWeights = _splits ? 0 : _weight[before];
            bound = Math.Max(bound, fill + count * (forward + input + weight) + (_splits ? 0 : back + backWeights));
            bound = Math.Max(bound, fill + count * (forward + input) + back);
        }

        // A hair lower, so that the rounding of sums cannot put it over the simulated time.
        return bound * (1 - 1e-12);
    }

    /// <summary>The cut with the smallest largest stage, the first in order of its boundaries.</summary>
    private int[] MinMax()
    {
        int segments = _request.Segments.Count;
        double Total(int from, int to) => _forward[to] - _forward[from] + _input[to] - _input[from] + _weight[to] - _weight[from];
        var best = new double[_stages + 1, segments + 1];
        var from = new int[_stages + 1, segments + 1];
        for (int stage = 1; stage <= _stages; stage++)
        {
            for (int end = stage; end <= segments - (_stages - stage); end++)
            {
                best[stage, end] = double.PositiveInfinity;
                for (int start = stage == 1 ? 0 : end - 1; start >= stage - 1; start--)
                {
                    double largest = Math.Max(stage == 1 ? 0 : best[stage - 1, start], Total(start, end));
                    if (largest < best[stage, end])
                    {
                        (best[stage, end], from[stage, end]) = (largest, start);
                    }

                    // A longer stage is no smaller; the stages before it alone could not make up for that.
                    if (stage == 1 || Total(start, end) > best[stage, end])
                    {
                        break;
                    }
                }
            }
        }

        var counts = new int[_stages];
        for (int stage = _stages, end = segments; stage >= 1; end = from[stage, end], stage--)
        {
            counts[stage - 1] = end - from[stage, end];
        }

        return counts;
    }

    private int[] Even() => Enumerable.Range(0, _stages).Select(s => _request.Segments.Count / _stages + (s < _request.Segments.Count % _stages ? 1 : 0)).ToArray();

    private StageCost Cost(int[] ends, int stage)
    {
        (int from, int to) = (stage == 0 ? 0 : ends[stage - 1], ends[stage]);
        return new StageCost(_forward[to] - _forward[from], _input[to] - _input[from], _weight[to] - _weight[from]);
    }

    private long[] Peaks(int[] ends)
    {
        var peaks = new long[_stagesOf.Length];
        for (int rank = 0; rank < peaks.Length; rank++)
        {
            int[] stages = _stagesOf[rank];
            long most = 0;
            foreach (int[] live in _live[rank])
            {
                long bytes = 0;
                for (int i = 0; i < live.Length; i++)
                {
                    bytes += live[i] * Part(_activation, ends, stages[i]);
                }

                most = Math.Max(most, bytes);
            }

            peaks[rank] = most + stages.Sum(s => Part(_parameters, ends, s));
        }

        return peaks;
    }

    private long Overflow(long[] peaks) => _request.MemoryLimit is long limit ? Math.Max(0, peaks.Max() - limit) : 0;

    private static int[] Ends(int[] counts)
    {
        var ends = new int[counts.Length];
        for (int i = 0, end = 0; i < counts.Length; i++)
        {
            ends[i] = end += counts[i];
        }

        return ends;
    }

    private static long Part(long[] sums, int[] ends, int stage) => sums[ends[stage]] - (stage == 0 ? 0 : sums[ends[stage - 1]]);

    private double[] Sums(Func<SegmentCost, double> part)
    {
        var sums = new double[_request.Segments.Count + 1];
        for (int i = 0; i < _request.Segments.Count; i++)
        {
            sums[i + 1] = sums[i] + part(_request.Segments[i]);
        }

        return sums;
    }

    private long[] Sums(Func<SegmentCost, long> part)
    {
        var sums = new long[_request.Segments.Count + 1];
        for (int i = 0; i < _request.Segments.Count; i++)
        {
            sums[i + 1] = sums[i] + part(_request.Segments[i]);
        }

        return sums;
    }
}
