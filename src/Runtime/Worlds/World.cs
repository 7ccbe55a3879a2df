using System.Diagnostics;
using Shardwright.Execution;
using Shardwright.Observability;
using Shardwright.Worlds;

namespace Shardwright;

/// <summary>How a world runs.</summary>
public sealed record WorldOptions
{
    /// <summary>Threads of each rank; by default the machine's cores are shared out, one at least.</summary>
    public int ThreadsPerRank { get; init; }

    /// <summary>For each axis, how long messages along it take; an axis that is not named takes no more than copying does. With it, a program shows here how it behaves on a network.</summary>
    public IReadOnlyDictionary<string, LinkModel>? Links { get; init; }

    /// <summary>Where ranks have their memory and run their kernels; the host by default. It must outlive the world.</summary>
    public Backend Backend { get; init; } = Backend.Host;

    /// <summary>Whether communication runs beside compute, as the program starts and awaits it. False ends each collective where it is started: the same program with the same sums, for comparison.</summary>
    public bool Overlap { get; init; } = true;

    /// <summary>Records what the ranks do, span by span; null records nothing.</summary>
    public TraceRecorder? Trace { get; init; }

    /// <summary>For debugging a compiler: memory of a rank that holds nothing is filled with NaN, at the start of a step and where each tensor dies, so that a use of what is no longer there shows
    /// in the loss. Only programs that were built with the property <c>ShardwrightPoisonMemory</c> say where; in others nothing is filled and nothing is slower.</summary>
    public bool PoisonMemory { get; init; }
}

/// <summary>A rank failed; the whole world has ended.</summary>
public sealed class RankFailedException : Exception
{
    internal RankFailedException(int rank, string coordinates, string stragglers, Exception inner)
        : base($"Rank {rank} ({coordinates}) failed: {inner.Message}{stragglers}", inner) => Rank = rank;

    /// <summary>The rank that failed first.</summary>
    public int Rank { get; }
}

/// <summary>Ranks called different collectives at one point.</summary>
public sealed class CollectiveMismatchException : Exception
{
    internal CollectiveMismatchException(string message)
        : base(message)
    {
    }
}

/// <summary>The ranks of a mesh, here as threads of this process. Waiting ranks park.</summary>
public sealed class World : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1.5);
    private readonly Dictionary<string, InProcessGroup[]> _groups = [];
    private readonly List<Exchange> _exchanges = [];
    private readonly object _gate = new();
    private readonly bool[] _ended;
    private Exception? _failure;
    private int _failedRank = -1;
    private volatile bool _stopping;

    private World(Mesh mesh, WorldOptions options)
    {
        Mesh = mesh;
        PoisonsMemory = options.PoisonMemory;
        Overlaps = options.Overlap;
        ThreadsPerRank = options.ThreadsPerRank > 0 ? options.ThreadsPerRank : Math.Max(1, Environment.ProcessorCount / mesh.Ranks);
        Backend = options.Backend;
        Trace = options.Trace;
        Links = options.Links is { Count: > 0 } links ? new LinkClock(mesh, links) : null;
        _ended = new bool[mesh.Ranks];
    }

    /// <summary>The mesh.</summary>
    public Mesh Mesh { get; }

    /// <summary>Threads of each rank.</summary>
    public int ThreadsPerRank { get; }

    /// <summary>Whether memory that holds nothing is filled with NaN.</summary>
    internal bool PoisonsMemory { get; }

    /// <summary>Whether collectives run beside compute.</summary>
    internal bool Overlaps { get; }

    /// <summary>Where ranks have their memory.</summary>
    public Backend Backend { get; }

    /// <summary>Where spans are recorded; null for nowhere.</summary>
    public TraceRecorder? Trace { get; }

    /// <summary>Is told what rank 0 reports.</summary>
    public event Action<StepResult>? Reported;

    /// <summary>Delays of messages; null where there are none.</summary>
    internal LinkClock? Links { get; }

    internal bool Stopping => _stopping;

    /// <summary>A world whose ranks are threads of this process: no installation, no network.</summary>
    /// <param name="mesh">The ranks.</param>
    /// <param name="options">How it runs.</param>
    /// <exception cref="ArgumentException">A link model names no axis of the mesh, or has a number that cannot be.</exception>
    public static World InProcess(Mesh mesh, WorldOptions? options = null) => new(mesh, options ?? new WorldOptions());

    /// <summary>Runs a body on every rank and returns when all have ended.</summary>
    /// <param name="body">What a rank does.</param>
    /// <param name="cancellation">Ends the world.</param>
    /// <exception cref="RankFailedException">A rank threw: the first in time; all others have ended, within two seconds.</exception>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    public void Run(Action<RankContext> body, CancellationToken cancellation = default)
    {
        if (_failure is not null)
        {
            throw new InvalidOperationException("This world has failed before; make a new one.", _failure);
        }

        Array.Clear(_ended);
        using CancellationTokenRegistration registration = cancellation.Register(Stop);
        var threads = new Thread[Mesh.Ranks];
        for (int i = 0; i < threads.Length; i++)
        {
            int rank = i;
            threads[i] = new Thread(() => RunRank(rank, body), 16 << 20) { IsBackground = true, Name = $"Shardwright rank {rank}" };
            threads[i].Start();
        }

        var since = new Stopwatch();
        foreach (Thread thread in threads)
        {
            while (!thread.Join(50))
            {
                if (_stopping && !since.IsRunning)
                {
                    since.Start();
                }

                if (since.Elapsed > s_patience)
                {
                    break;
                }
            }
        }

        string stragglers = string.Join(", ", Enumerable.Range(0, Mesh.Ranks).Where(r => !Volatile.Read(ref _ended[r])));
        if (_failure is { } failure and not RankInterruptedException)
        {
            throw new RankFailedException(_failedRank, Mesh.Describe(_failedRank), stragglers.Length == 0 ? "" : $" (still running, left behind: {stragglers})", failure);
        }

        if (_stopping)
        {
            _stopping = false;
            _failure = null;
            _exchanges.ForEach(e => e.Reset());
            cancellation.ThrowIfCancellationRequested();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => Stop();

    internal void Report(int rank, StepResult result)
    {
        if (rank == 0)
        {
            Reported?.Invoke(result);
        }
    }

    internal bool HasEnded(int rank) => Volatile.Read(ref _ended[rank]);

    internal InProcessGroup Group(int rank, string[] axes, int[]? coordinates = null)
    {
        string[] ordered = [.. Mesh.Axes.Select(a => a.Name).Where(axes.Contains)];
        string key = string.Join("+", ordered) + (coordinates is null ? "" : $" {string.Join(" and ", coordinates)}");
        lock (_gate)
        {
            if (!_groups.TryGetValue(key, out InProcessGroup[]? groups))
            {
                groups = new InProcessGroup[Mesh.Ranks];
                _groups[key] = groups;
            }

            if (groups[rank] is null)
            {
                int[] members = [.. Mesh.Group(rank, ordered).Where(r => coordinates is null || coordinates.Contains(Mesh.Coordinate(r, ordered[0])))];
                var shared = new InProcessGroup.Shared(this, key.Length == 0 ? "self" : key, members);
                for (int i = 0; i < members.Length; i++)
                {
                    groups[members[i]] = new InProcessGroup(shared, i, Trace?.For(members[i], Mesh.Describe(members[i])));
                }
            }

            return groups[rank];
        }
    }

    internal Exchange Register(Exchange exchange)
    {
        lock (_gate)
        {
            _exchanges.Add(exchange);
        }

        return exchange;
    }

    private void RunRank(int rank, Action<RankContext> body)
    {
        try
        {
            body(new RankContext(this, rank));
        }
        catch (Exception error)
        {
            if (error is not RankInterruptedException)
            {
                lock (_gate)
                {
                    if (_failure is null)
                    {
                        _failure = error;
                        _failedRank = rank;
                    }
                }

                Stop();
            }
        }
        finally
        {
            Volatile.Write(ref _ended[rank], true);
            Wake();
        }
    }

    private void Stop()
    {
        _stopping = true;
        Wake();
    }

    private void Wake()
    {
        Exchange[] all;
        lock (_gate)
        {
            all = [.. _exchanges];
        }

        foreach (Exchange exchange in all)
        {
            exchange.Wake();
        }
    }
}

/// <summary>Ends a rank because another one has failed, or the run was cancelled.</summary>
public sealed class RankInterruptedException : OperationCanceledException
{
    internal RankInterruptedException()
        : base("The world has ended: another rank failed, or the run was cancelled.")
    {
    }
}

/// <summary>What a rank knows of its world.</summary>
public sealed class RankContext
{
    private readonly World _world;

    internal RankContext(World world, int rank)
    {
        _world = world;
        Rank = rank;
        Trace = world.Trace?.For(rank, world.Mesh.Describe(rank));
    }

    /// <summary>Number of the rank, from 0.</summary>
    public int Rank { get; }

    /// <summary>The mesh.</summary>
    public Mesh Mesh => _world.Mesh;

    /// <summary>Threads that the rank may use.</summary>
    public int Threads => _world.ThreadsPerRank;

    /// <summary>Where the rank has its memory.</summary>
    public Backend Backend => _world.Backend;

    /// <summary>Where this rank's spans are recorded; null for nowhere.</summary>
    public RankTrace? Trace { get; }

    /// <summary>Whether memory that holds nothing is filled with NaN.</summary>
    public bool PoisonsMemory => _world.PoisonsMemory;

    /// <summary>Whether the world is ending; long work outside of generated code should look at it.</summary>
    public bool IsStopping => _world.Stopping;

    /// <summary>Coordinate along an axis; 0 where the mesh lacks it.</summary>
    public int Coordinate(string axis) => Mesh.Coordinate(Rank, axis);

    /// <summary>The group of ranks along axes that this rank belongs to.</summary>
    public ProcessGroup Group(params string[] axes) => _world.Group(Rank, axes);

    /// <summary>Those ranks along one axis that have one of the given coordinates, this rank among them.</summary>
    /// <param name="axis">The axis.</param>
    /// <param name="coordinates">Coordinates along it.</param>
    /// <exception cref="ArgumentException">This rank has none of them.</exception>
    public ProcessGroup GroupAt(string axis, params int[] coordinates) => coordinates.Contains(Coordinate(axis))
        ? _world.Group(Rank, [axis], coordinates)
        : throw new ArgumentException($"Rank {Rank} has coordinate {Coordinate(axis)} on axis '{axis}', which is none of {string.Join(", ", coordinates)}.");

    /// <summary>Tells the world a result; rank 0's reach <see cref="World.Reported"/>.</summary>
    public void Report(StepResult result) => _world.Report(Rank, result);

    /// <summary>Ends this rank where the world is ending.</summary>
    public void ThrowIfStopping()
    {
        if (_world.Stopping)
        {
            throw new RankInterruptedException();
        }
    }
}
