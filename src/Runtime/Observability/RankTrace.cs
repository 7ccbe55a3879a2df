using System.ComponentModel;
using System.Diagnostics;

namespace Shardwright.Observability;

/// <summary>What a span is.</summary>
public enum SpanKind
{
    /// <summary>A step of training, or a pass of evaluation or inference: all else that the rank's thread does lies in one.</summary>
    Step,

    /// <summary>A stage's part of a micro-batch, in one direction.</summary>
    Action,

    /// <summary>A kernel.</summary>
    Kernel,

    /// <summary>A wait for communication: time that is exposed.</summary>
    Wait,

    /// <summary>Communication under way, from its start to its end, on a lane of its own.</summary>
    Communication,
}

/// <summary>One span.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Lane">Where it lies: empty for the rank's own thread, else the group that communicates.</param>
/// <param name="Name">Kernel, action or operation.</param>
/// <param name="Start">Ticks of <see cref="Stopwatch"/> since the recorder was made.</param>
/// <param name="End">The same, at its end.</param>
/// <param name="Bytes">Bytes that the rank sends; 0 for what sends none.</param>
public readonly record struct TraceEntry(SpanKind Kind, string Lane, string Name, long Start, long End, long Bytes);

/// <summary>What one rank has done. A rank records from its own thread only.</summary>
public sealed class RankTrace
{
    private readonly TraceRecorder _recorder;
    private readonly List<TraceEntry> _entries = [];

    internal RankTrace(TraceRecorder recorder, int rank, string coordinates)
    {
        _recorder = recorder;
        Rank = rank;
        Coordinates = coordinates;
    }

    /// <summary>Number of the rank.</summary>
    public int Rank { get; }

    /// <summary>Its place in the mesh.</summary>
    public string Coordinates { get; }

    /// <summary>Spans, in the order in which they ended.</summary>
    public IReadOnlyList<TraceEntry> Entries => _entries;

    /// <summary>Spans that came after the recorder's limit.</summary>
    public long Dropped { get; private set; }

    /// <summary>Records a span that has ended.</summary>
    internal void Add(SpanKind kind, string lane, string name, long start, long end, long bytes = 0)
    {
        if (_entries.Count < _recorder.MaxSpansPerRank)
        {
            _entries.Add(new TraceEntry(kind, lane, name, start - _recorder.Origin, end - _recorder.Origin, bytes));
        }
        else
        {
            Dropped++;
        }
    }
}

/// <summary>A span under way on a rank's own thread; does nothing where nothing is recorded. For emitted code.</summary>
[EditorBrowsable(EditorBrowsableState.Never)]
public readonly struct TraceSpan : IDisposable
{
    private readonly RankTrace? _trace;
    private readonly SpanKind _kind;
    private readonly string _name;
    private readonly long _start;

    /// <summary>Begins a span.</summary>
    /// <param name="trace">Where it is recorded; null for nowhere.</param>
    /// <param name="kind">What it is.</param>
    /// <param name="name">Kernel or action.</param>
    public TraceSpan(RankTrace? trace, SpanKind kind, string name)
    {
        _trace = trace;
        _kind = kind;
        _name = name;
        _start = trace is null ? 0 : Stopwatch.GetTimestamp();
    }

    /// <summary>A kernel.</summary>
    public static TraceSpan Kernel(RankTrace? trace, string name) => new(trace, SpanKind.Kernel, name);

    /// <summary>Ends it.</summary>
    public void Dispose() => _trace?.Add(_kind, "", _name, _start, Stopwatch.GetTimestamp());
}
