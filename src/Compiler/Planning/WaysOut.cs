using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Planning;

/// <summary>Looks for changes that make a plan fit which does not. Each is planned again, so that what is proposed is true; the number of plans is bounded. First one change of the
/// [ShardedOn] attribute; where fewer than two of those help, two changes, and other splits of the mesh over the same ranks; where none does, three.</summary>
internal sealed class WaysOut
{
    /// <summary>Most plans that are made in search of a way.</summary>
    private const int MostPlans = 12;

    private const int MostDoublings = 12;
    private static readonly string[] s_zeroStages = { "OptimizerState", "Gradients", "Parameters" };
    private readonly ShardedOnDefinition _on;
    private readonly int _microBatches;
    private readonly Func<ShardedOnDefinition, bool> _mayFit;
    private readonly Func<ShardedOnDefinition, (bool? Fits, RankProgram? Program)> _plan;
    private readonly List<WayOut> _found = new();
    private int _plans;

    private WaysOut(ShardedOnDefinition on, int microBatches, Func<ShardedOnDefinition, bool> mayFit, Func<ShardedOnDefinition, (bool? Fits, RankProgram? Program)> plan)
    {
        _on = on;
        _microBatches = microBatches;
        _mayFit = mayFit;
        _plan = plan;
    }

    /// <summary>Ways that fit, the shortest step first.</summary>
    /// <param name="on">The request that does not fit.</param>
    /// <param name="microBatches">Its micro-batches.</param>
    /// <param name="batch">Its batch.</param>
    /// <param name="mayFit">Whether a changed request may fit at all: what surely does not is not planned.</param>
    /// <param name="plan">Plans a changed request: whether it fits, null where it has no valid plan; and its program where it does.</param>
    public static ImmutableArray<WayOut> Find(ShardedOnDefinition on, int microBatches, long batch, Func<ShardedOnDefinition, bool> mayFit, Func<ShardedOnDefinition, (bool? Fits, RankProgram? Program)> plan)
    {
        var search = new WaysOut(on, microBatches, mayFit, plan);
        search.Run(batch);
        return search._found.OrderBy(w => w.StepSeconds).ThenBy(w => w.Change, StringComparer.Ordinal).ToImmutableArray();
    }

    private void Run(long batch)
    {
        List<int> more = Enumerable.Range(1, MostDoublings).Select(i => (long)_microBatches << i).TakeWhile(m => m <= Math.Min(batch, int.MaxValue) && batch % m == 0).Select(m => (int)m).ToList();
        Smallest(_on, "", more);
        bool recomputes = _on.Recompute is not ("Full" or "Auto");
        if (recomputes)
        {
            Try(_on with { Recompute = "Auto" }, "Recompute = RecomputeMode.Auto");
        }

        if (_on.Zero == "None")
        {
            _ = s_zeroStages.Any(z => Try(_on with { Zero = z }, $"Zero = ZeroStage.{z}"));
        }

        if (_found.Count < 2 && recomputes)
        {
            Smallest(_on with { Recompute = "Auto" }, "Recompute = RecomputeMode.Auto, ", more);
        }

        if (_found.Count < 2 && _on.Zero == "None")
        {
            foreach (string zero in Enumerable.Reverse(s_zeroStages))
            {
                ShardedOnDefinition sharded = _on with { Zero = zero };
                _ = (recomputes && Try(sharded with { Recompute = "Auto" }, $"Zero = ZeroStage.{zero}, Recompute = RecomputeMode.Auto")) || Smallest(sharded, $"Zero = ZeroStage.{zero}, ", more);
            }
        }

        // Nothing less helps a model whose state alone is too large, in a batch that is too large as well.
        _ = _found.Count == 0 && _on.Zero == "None" && recomputes
            && Enumerable.Reverse(s_zeroStages).Any(z => Smallest(_on with { Zero = z, Recompute = "Auto" }, $"Zero = ZeroStage.{z}, Recompute = RecomputeMode.Auto, ", more));

        for (int from = 0; from < _on.Mesh.Axes.Count && _found.Count < 2; from++)
        {
            for (int to = 0; to < _on.Mesh.Axes.Count; to++)
            {
                if (from != to)
                {
                    Shift(from, to, recomputes);
                }
            }
        }
    }

    /// <summary>The fewest micro-batches of those listed that fit: more of them take less memory, and never less time.</summary>
    private bool Smallest(ShardedOnDefinition on, string before, List<int> more)
    {
        int low = 0, high = more.Count - 1;
        WayOut? best = null;
        while (low <= high)
        {
            int middle = (low + high) / 2;
            bool? fits = Look(on with { MicroBatches = new Expression.Integer(more[middle], -1) }, $"{before}MicroBatches = {more[middle]}", out WayOut? way);
            best = way ?? best;
            (low, high) = fits == false ? (middle + 1, high) : (low, middle - 1);
        }

        if (best is not null)
        {
            _found.Add(best);
        }

        return best is not null;
    }

    /// <summary>Takes a factor of two from one axis and gives it to another, again and again until it fits.</summary>
    private void Shift(int from, int to, bool recomputes)
    {
        int[] sizes = _on.Mesh.Axes.Select(a => a.Size).ToArray();
        while (sizes[from] % 2 == 0)
        {
            sizes[from] /= 2;
            sizes[to] *= 2;
            ShardedOnDefinition on = _on with { Mesh = _on.Mesh with { Axes = _on.Mesh.Axes.Select((a, i) => a with { Size = sizes[i] }).ToEquatable() } };
            string change = $"{_on.Mesh.Axes[from].Name} = {sizes[from]}, {_on.Mesh.Axes[to].Name} = {sizes[to]} on {_on.Mesh.ShortName}";
            bool? fits = Look(on, change, out WayOut? way);
            if (fits is null || way is not null)
            {
                Add(way);
                return;
            }

            if (recomputes && Try(on with { Recompute = "Auto" }, change + ", Recompute = RecomputeMode.Auto"))
            {
                return;
            }
        }
    }

    private bool Try(ShardedOnDefinition on, string change)
    {
        Look(on, change, out WayOut? way);
        return Add(way);
    }

    private bool Add(WayOut? way)
    {
        if (way is not null)
        {
            _found.Add(way);
        }

        return way is not null;
    }

    /// <summary>Whether a change fits; null where it has no valid plan, or no more plans are made.</summary>
    private bool? Look(ShardedOnDefinition on, string change, out WayOut? way)
    {
        way = null;
        if (!_mayFit(on))
        {
            return false;
        }

        if (_plans++ >= MostPlans)
        {
            return null;
        }

        (bool? fits, RankProgram? program) = _plan(on);
        way = fits == true ? new WayOut(change, on, program!.ArenaBytes, program.Forecast.StepSeconds) : null;
        return fits;
    }
}
