using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Shardwright.Observability;

/// <summary>Writes recorded spans in the trace event format of Chrome, which Perfetto (ui.perfetto.dev) reads too: a process for each rank, a thread for its own work, and tracks for what is under way in its groups.</summary>
public static class TraceFile
{
    /// <summary>Name of the thread that a rank's own work is shown on.</summary>
    public const string OwnLane = "compute";

    /// <summary>Text that is kept before it goes to the stream.</summary>
    private const int FlushedBytes = 1 << 16;

    /// <summary>Opens a file to write a trace to later: one finds out before a long run that it cannot be written.</summary>
    /// <param name="path">The file; it is overwritten.</param>
    /// <exception cref="IOException">It cannot be written; the message names the file and the reason.</exception>
    public static FileStream Create(string path)
    {
        try
        {
            return new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new IOException($"The trace cannot be written to '{path}': {error.Message}", error);
        }
    }

    /// <summary>Writes a trace.</summary>
    /// <param name="stream">Where to; it stays open.</param>
    /// <param name="recorder">What was recorded. No rank may be recording.</param>
    /// <param name="plan">Adds the FLOPs and bytes of kernels; null leaves them out.</param>
    public static void Write(Stream stream, TraceRecorder recorder, Plan? plan = null)
    {
        Write(stream, recorder.Ranks.Select(r => new TraceProcess(r.Rank, $"rank {r.Rank} ({r.Coordinates})", r.Entries)), plan, recorder.Dropped);
    }

    /// <summary>Writes spans of any origin.</summary>
    /// <param name="stream">Where to; it stays open.</param>
    /// <param name="processes">What each rank, or each class of equal ranks, does.</param>
    /// <param name="plan">Adds the FLOPs and bytes of kernels; null leaves them out.</param>
    /// <param name="dropped">Spans that were left out.</param>
    internal static void Write(Stream stream, IEnumerable<TraceProcess> processes, Plan? plan, long dropped)
    {
        Dictionary<string, PlanKernel> kernels = plan?.Kernels.GroupBy(k => k.Name).ToDictionary(g => g.Key, g => g.First()) ?? [];
        using var json = new Utf8JsonWriter(stream);
        json.WriteStartObject();
        json.WriteString("displayTimeUnit", "ms");
        json.WriteStartObject("otherData");
        json.WriteString("model", plan?.Model ?? "");
        json.WriteString("mesh", plan?.Mesh ?? "");
        json.WriteNumber("droppedSpans", dropped);
        json.WriteEndObject();
        json.WriteStartArray("traceEvents");
        foreach (TraceProcess process in processes)
        {
            Metadata(json, "process_name", process.Number, () => json.WriteString("name", process.Name));
            Metadata(json, "process_sort_index", process.Number, () => json.WriteNumber("sort_index", process.Number));
            Metadata(json, "thread_name", process.Number, () => json.WriteString("name", OwnLane));
            int number = 0;
            foreach (TraceEntry entry in process.Entries)
            {
                if (entry.Kind == SpanKind.Communication)
                {
                    UnderWay(json, process.Number, number, entry);
                }
                else
                {
                    Span(json, process.Number, entry, kernels);
                }

                number++;
                if (json.BytesPending > FlushedBytes)
                {
                    json.Flush();
                }
            }
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    /// <summary>A span on the rank's own thread: such spans lie within each other.</summary>
    private static void Span(Utf8JsonWriter json, int rank, in TraceEntry entry, Dictionary<string, PlanKernel> kernels)
    {
        Open(json, "X", rank, entry.Name, Category(entry.Kind), entry.Start);
        json.WriteNumber("dur", Microseconds(entry.End) - Microseconds(entry.Start));
        if (entry.Kind == SpanKind.Kernel && kernels.TryGetValue(entry.Name, out PlanKernel? kernel))
        {
            json.WriteStartObject("args");
            json.WriteNumber("bytes", kernel.Bytes);
            json.WriteNumber("flops", kernel.Flops);
            json.WriteString("ops", kernel.Ops);
            json.WriteEndObject();
        }

        json.WriteEndObject();
    }

    /// <summary>Communication under way: a pair of asynchronous events, since one operation of a group may begin before another has ended.</summary>
    private static void UnderWay(Utf8JsonWriter json, int rank, int number, in TraceEntry entry)
    {
        foreach ((string phase, long at) in new[] { ("b", entry.Start), ("e", entry.End) })
        {
            Open(json, phase, rank, $"{entry.Name} {entry.Lane}", Category(entry.Kind), at);
            json.WriteStartObject("id2");
            json.WriteString("local", number.ToString(CultureInfo.InvariantCulture));
            json.WriteEndObject();
            json.WriteStartObject("args");
            json.WriteString("group", entry.Lane);
            json.WriteNumber("bytes", entry.Bytes);
            json.WriteEndObject();
            json.WriteEndObject();
        }
    }

    private static void Open(Utf8JsonWriter json, string phase, int rank, string name, string category, long at)
    {
        json.WriteStartObject();
        json.WriteString("name", name);
        json.WriteString("cat", category);
        json.WriteString("ph", phase);
        json.WriteNumber("pid", rank);
        json.WriteNumber("tid", 0);
        json.WriteNumber("ts", Microseconds(at));
    }

    private static void Metadata(Utf8JsonWriter json, string what, int rank, Action value)
    {
        json.WriteStartObject();
        json.WriteString("name", what);
        json.WriteString("ph", "M");
        json.WriteNumber("pid", rank);
        json.WriteNumber("tid", 0);
        json.WriteStartObject("args");
        value();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static string Category(SpanKind kind) => kind switch
    {
        SpanKind.Step => "step",
        SpanKind.Action => "action",
        SpanKind.Kernel => "kernel",
        SpanKind.Wait => "wait",
        _ => "communication",
    };

    /// <summary>Whole nanoseconds, so that spans that touch do not overlap by rounding.</summary>
    private static decimal Microseconds(long ticks) => Math.Floor((decimal)ticks * 1_000_000_000 / Stopwatch.Frequency) / 1000;
}
