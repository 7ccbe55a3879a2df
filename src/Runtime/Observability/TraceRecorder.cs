using System.Diagnostics;

namespace Shardwright.Observability;

/// <summary>Collects what the ranks of a world do, kernel by kernel and message by message, to be looked at in Perfetto or Chrome (<see cref="TraceFile"/>).
/// Give one to <see cref="WorldOptions.Trace"/>. Costs two clock readings a span, and memory as long as it records.</summary>
public sealed class TraceRecorder
{
    private readonly Dictionary<int, RankTrace> _ranks = [];
    private readonly object _gate = new();

    /// <summary>A recorder.</summary>
    /// <param name="maxSpansPerRank">Spans that it keeps of each rank; later ones are counted only (<see cref="Dropped"/>).</param>
    /// <exception cref="ArgumentOutOfRangeException">Less than one.</exception>
    public TraceRecorder(int maxSpansPerRank = 1_000_000)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(maxSpansPerRank, 1);
        MaxSpansPerRank = maxSpansPerRank;
        Origin = Stopwatch.GetTimestamp();
    }

    /// <summary>Spans that are kept of each rank.</summary>
    public int MaxSpansPerRank { get; }

    /// <summary>Records so many training steps of each rank, from the first on, and nothing outside of them: no evaluation, no inference, no checkpoints. Everything if null.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Less than one.</exception>
    public int? TrainingSteps
    {
        get;
        init
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(value ?? 1, 1, nameof(TrainingSteps));
            field = value;
        }
    }

    /// <summary>Spans that came after the limit, of all ranks.</summary>
    public long Dropped => Ranks.Sum(r => r.Dropped);

    /// <summary>Ranks that have recorded, by number.</summary>
    public IReadOnlyList<RankTrace> Ranks
    {
        get
        {
            lock (_gate)
            {
                return [.. _ranks.Values.OrderBy(r => r.Rank)];
            }
        }
    }

    /// <summary>Reading of <see cref="Stopwatch.GetTimestamp"/> that all times count from.</summary>
    internal long Origin { get; }

    /// <summary>What one rank records into.</summary>
    internal RankTrace For(int rank, string coordinates)
    {
        lock (_gate)
        {
            return _ranks.TryGetValue(rank, out RankTrace? trace) ? trace : _ranks[rank] = new RankTrace(this, rank, coordinates);
        }
    }
}
