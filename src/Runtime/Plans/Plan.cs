using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Shardwright;

/// <summary>A collective of a step.</summary>
/// <param name="Op">AllReduce, AllGather, ReduceScatter, AllToAll.</param>
/// <param name="Axis">Axes of its group.</param>
/// <param name="BytesPerRank">Bytes that one rank sends, each time.</param>
/// <param name="Times">How often it runs per step.</param>
/// <param name="Where">Method, or where in the step.</param>
/// <param name="Reason">What it is for.</param>
public sealed record PlanCollective(string Op, string Axis, long BytesPerRank, long Times, string Where, string Reason)
{
    /// <summary>Kernels that run between its start and its wait, where both are in one method; empty for none.</summary>
    public string Beside { get; init; } = "";

    /// <summary>Chunks that a sum is cut into, along the rows of the product that makes what it sums: each is a collective, counted in <see cref="Times"/>, that travels while the next one is computed. 1 for a whole one.</summary>
    public int Chunks { get; init; } = 1;
}

/// <summary>Communication that a rank waits for.</summary>
/// <param name="Op">AllReduce, AllGather, ReduceScatter, AllToAll; Send between stages.</param>
/// <param name="Axis">Axes of its group.</param>
/// <param name="Reason">What it is for.</param>
/// <param name="Seconds">Seconds of a step for which the rank waits.</param>
/// <param name="Why">Why no work hides it.</param>
public sealed record PlanExposure(string Op, string Axis, string Reason, double Seconds, string Why);

/// <summary>A parameter of the plan.</summary>
/// <param name="Path">Logical path, {0} for the layer.</param>
/// <param name="Layers">Layers of its stack; 0 outside of stacks.</param>
/// <param name="Logical">Logical sizes.</param>
/// <param name="Local">Sizes on a rank.</param>
/// <param name="Placement">Placement on each axis: <c>dp: B, tp: S(1)</c>.</param>
/// <param name="Stages">Stages that hold it; null for a model of one stage.</param>
public sealed record PlanParameter(string Path, int Layers, IReadOnlyList<long> Logical, IReadOnlyList<long> Local, string Placement, IReadOnlyList<int>? Stages = null);

/// <summary>A kernel of the plan.</summary>
/// <param name="Name">Its method.</param>
/// <param name="Ops">What it fuses.</param>
/// <param name="Flops">Floating-point operations of one call.</param>
/// <param name="Bytes">Bytes read and written.</param>
/// <param name="Saved">Bytes that fusion keeps out of memory.</param>
/// <param name="Seconds">Predicted seconds of one call.</param>
public sealed record PlanKernel(string Name, string Ops, long Flops, long Bytes, long Saved, double Seconds = 0);

/// <summary>The ranks with one coordinate on the pipeline axis.</summary>
/// <param name="Coordinate">The coordinate; 0 for a model of one stage.</param>
/// <param name="Stages">Stages that they run.</param>
/// <param name="TotalBytes">Bytes of their arena.</param>
/// <param name="Memory">Bytes by category; they add up to the whole.</param>
/// <param name="Parameters">Elements of parameters that a stage of theirs has, before shards are cut.</param>
/// <param name="Padding">Bytes of parameters, gradients and optimizer state that belong to no tensor.</param>
/// <param name="LowerBound">Largest sum of live bytes at any point: no layout of these blocks is smaller.</param>
public sealed record PlanRank(int Coordinate, IReadOnlyList<int> Stages, long TotalBytes, IReadOnlyDictionary<string, long> Memory, long Parameters, long Padding, long LowerBound)
{
    /// <summary>Bytes of the activations that are windows of ZeRO, for parameters and gradients that one action of a pipeline hands to the next.</summary>
    public long Windows { get; init; }
}

/// <summary>How much of the largest rank's arena is live at one point of a training step.</summary>
/// <param name="Where">Method, or action of a pipeline: <c>0F2</c>.</param>
/// <param name="Bytes">Live bytes, parameters, gradients and optimizer state included.</param>
public sealed record PlanPoint(string Where, long Bytes);

/// <summary>A change that makes a plan fit which does not; it was planned again with it.</summary>
/// <param name="Change">As it is written: <c>MicroBatches = 8</c>.</param>
/// <param name="TotalBytes">Bytes of the largest rank with it.</param>
/// <param name="StepSeconds">Predicted seconds of a step with it.</param>
public sealed record PlanWayOut(string Change, long TotalBytes, double StepSeconds);

/// <summary>What the compiler decided for one model on one mesh: plain data, printable. Ranks differ only along the pipeline axis.</summary>
public sealed class Plan
{
    /// <summary>Version of the plan document that this reader understands.</summary>
    public const int Version = 1;

    private Plan(JsonElement root)
    {
        Model = root.GetProperty("model").GetString()!;
        Mesh = root.GetProperty("mesh").GetString()!;
        Axes = [.. root.GetProperty("axes").EnumerateArray().Select(a => new MeshAxisInfo(a.GetProperty("name").GetString()!, a.GetProperty("size").GetInt32()))];
        MicroBatches = root.GetProperty("microBatches").GetInt32();
        Stages = root.GetProperty("stages").GetInt32();
        Schedule = root.GetProperty("schedule").GetString()!;
        PipelineAxis = root.GetProperty("pipelineAxis").GetString()!;
        StageLayers = root.GetProperty("layers").EnumerateObject().ToDictionary(p => p.Name, p => (IReadOnlyList<int>)[.. p.Value.EnumerateArray().Select(n => n.GetInt32())]);
        Ranks = [.. root.GetProperty("ranks").EnumerateArray().Select(r => new PlanRank(
            r.GetProperty("coordinate").GetInt32(), [.. r.GetProperty("stages").EnumerateArray().Select(n => n.GetInt32())], r.GetProperty("totalBytes").GetInt64(),
            r.GetProperty("memory").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetInt64()), r.GetProperty("parameters").GetInt64(), r.GetProperty("padding").GetInt64(), Whole(r, "lowerBound")) { Windows = Whole(r, "windows") })];
        LowerBound = Whole(root, "lowerBound");
        Timeline = root.TryGetProperty("timeline", out JsonElement points) ? [.. points.EnumerateArray().Select(p => new PlanPoint(p.GetProperty("where").GetString()!, p.GetProperty("bytes").GetInt64()))] : [];
        Timing = PlanTiming.Read(root);
        Optimizer = root.GetProperty("optimizer").GetString()!;
        Precision = root.GetProperty("precision").GetString()!;
        Flops = root.GetProperty("flops").GetInt64();
        ModelFlops = Real(root, "modelFlops");
        Device = root.TryGetProperty("device", out JsonElement device) ? device.GetString()! : "";
        UsableBytes = root.TryGetProperty("usableBytes", out JsonElement usable) ? usable.GetInt64() : long.MaxValue;
        StepSeconds = Real(root, "stepSeconds");
        ComputeSeconds = Real(root, "computeSeconds");
        CommunicationSeconds = Real(root, "communicationSeconds");
        ExposedSeconds = Real(root, "exposedSeconds");
        LeastExposedSeconds = Real(root, "leastExposedSeconds");
        Exposed = root.TryGetProperty("exposed", out JsonElement waits)
            ? [.. waits.EnumerateArray().Select(w => new PlanExposure(w.GetProperty("op").GetString()!, w.GetProperty("axis").GetString()!, w.GetProperty("reason").GetString()!, Real(w, "seconds"), w.GetProperty("why").GetString()!))] : [];
        Bubble = Real(root, "bubble");
        Mfu = Real(root, "mfu");
        WaysOut = root.TryGetProperty("waysOut", out JsonElement ways) ? [.. ways.EnumerateArray().Select(w => new PlanWayOut(w.GetProperty("change").GetString()!, w.GetProperty("totalBytes").GetInt64(), Real(w, "stepSeconds")))] : [];
        TotalBytes = root.GetProperty("totalBytes").GetInt64();
        Memory = root.GetProperty("memory").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetInt64());
        Parameters = [.. root.GetProperty("parameters").EnumerateArray().Select(p => new PlanParameter(p.GetProperty("path").GetString()!, p.GetProperty("layers").GetInt32(), Numbers(p.GetProperty("logical")), Numbers(p.GetProperty("local")), p.GetProperty("placement").GetString()!, p.TryGetProperty("stages", out JsonElement stages) ? [.. stages.EnumerateArray().Select(n => n.GetInt32())] : null))];
        Collectives = [.. root.GetProperty("collectives").EnumerateArray().Select(c => new PlanCollective(c.GetProperty("op").GetString()!, c.GetProperty("axis").GetString()!, c.GetProperty("bytesPerRank").GetInt64(), c.GetProperty("times").GetInt64(), c.GetProperty("where").GetString()!, c.GetProperty("reason").GetString()!) { Beside = c.TryGetProperty("beside", out JsonElement beside) ? beside.GetString()! : "", Chunks = c.TryGetProperty("chunks", out JsonElement chunks) ? chunks.GetInt32() : 1 })];
        Kernels = [.. root.GetProperty("kernels").EnumerateArray().Select(k => new PlanKernel(k.GetProperty("name").GetString()!, k.GetProperty("ops").GetString()!, k.GetProperty("flops").GetInt64(), k.GetProperty("bytes").GetInt64(), k.GetProperty("saved").GetInt64(), Real(k, "seconds")))];
    }

    /// <summary>Full name of the model.</summary>
    public string Model { get; }

    /// <summary>Name of the mesh.</summary>
    public string Mesh { get; }

    /// <summary>Axes of the mesh, outermost first.</summary>
    public IReadOnlyList<MeshAxisInfo> Axes { get; }

    /// <summary>Number of micro-batches of a step.</summary>
    public int MicroBatches { get; }

    /// <summary>Number of pipeline stages.</summary>
    public int Stages { get; }

    /// <summary>Pipeline schedule; empty for a model of one stage.</summary>
    public string Schedule { get; }

    /// <summary>Axis of the pipeline; empty for a model of one stage.</summary>
    public string PipelineAxis { get; }

    /// <summary>For each stack of layers, how many of them each stage runs; empty for a model of one stage.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<int>> StageLayers { get; }

    /// <summary>Stages and memory by coordinate on the pipeline axis.</summary>
    public IReadOnlyList<PlanRank> Ranks { get; }

    /// <summary>Optimizer of the step.</summary>
    public string Optimizer { get; }

    /// <summary>Element types of the step: a member of <see cref="Shardwright.Precision"/> by name.</summary>
    public string Precision { get; }

    /// <summary>Floating-point operations of a training step on the rank that has most of them.</summary>
    public long Flops { get; }

    /// <summary>Floating-point operations of a training step that the model needs, mean of a rank: what is computed again does not count.</summary>
    public double ModelFlops { get; }

    /// <summary>Name of the device that is planned for.</summary>
    public string Device { get; }

    /// <summary>Bytes that the device leaves an arena: its usable memory less its reserve.</summary>
    public long UsableBytes { get; }

    /// <summary>Whether every rank fits.</summary>
    public bool Fits => TotalBytes <= UsableBytes;

    /// <summary>Predicted seconds of a training step.</summary>
    public double StepSeconds { get; }

    /// <summary>Seconds of kernels, of the rank that is busy longest.</summary>
    public double ComputeSeconds { get; }

    /// <summary>Seconds that collectives of that rank are under way, beside kernels or not.</summary>
    public double CommunicationSeconds { get; }

    /// <summary>Seconds of a step in which a rank waits for communication that is under way; of the rank that waits longest.</summary>
    public double ExposedSeconds { get; }

    /// <summary>The least of that which dependencies allow: each collective as soon as what it sends is made, and waited for where its result is first used.</summary>
    public double LeastExposedSeconds { get; }

    /// <summary>What that rank waits for, and why nothing hides it, the longest first.</summary>
    public IReadOnlyList<PlanExposure> Exposed { get; }

    /// <summary>Share of all ranks' time in which the pipeline waits.</summary>
    public double Bubble { get; }

    /// <summary>Model FLOPs utilization: <see cref="ModelFlops"/> as a share of what the device's peak would do in the predicted step.</summary>
    public double Mfu { get; }

    /// <summary>What the predicted step is made of.</summary>
    public PlanTiming Timing { get; }

    /// <summary>Changes that make the plan fit, the shortest step first; filled by <c>shardwright plan</c> where the plan does not fit.</summary>
    public IReadOnlyList<PlanWayOut> WaysOut { get; }

    /// <summary>Bytes of a rank's arena: what it allocates, to the byte; of the largest, where ranks differ (see <see cref="Ranks"/>).</summary>
    public long TotalBytes { get; }

    /// <summary>Largest sum of live bytes at any point of an entry, on the rank with the largest arena: no layout of its blocks is smaller.</summary>
    public long LowerBound { get; }

    /// <summary>Live bytes of that rank along a training step, then along each other entry of which more is live; the largest of each stretch of a long one.</summary>
    public IReadOnlyList<PlanPoint> Timeline { get; }

    /// <summary>Bytes by category; they add up to <see cref="TotalBytes"/>.</summary>
    public IReadOnlyDictionary<string, long> Memory { get; }

    /// <summary>Parameters with their placements.</summary>
    public IReadOnlyList<PlanParameter> Parameters { get; }

    /// <summary>Collectives of a training step.</summary>
    public IReadOnlyList<PlanCollective> Collectives { get; }

    /// <summary>Kernels.</summary>
    public IReadOnlyList<PlanKernel> Kernels { get; }

    /// <summary>Number of trained elements of the logical model.</summary>
    public long ParameterCount => Parameters.Sum(p => Math.Max(1, p.Layers) * p.Logical.Aggregate(1L, (a, b) => a * b));

    /// <summary>Reads a plan document.</summary>
    /// <exception cref="FormatException">The text is no plan, or of a newer version.</exception>
    public static Plan Parse(string json)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            int version = document.RootElement.GetProperty("version").GetInt32();
            return version <= Version
                ? new Plan(document.RootElement)
                : throw new FormatException($"This plan has format {version}, and this runtime reads up to {Version}: update the Shardwright package.");
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new FormatException($"This text is no plan document: {error.Message}", error);
        }
    }

    /// <summary>The plan as one HTML page that needs nothing else: no script, no other file, light or dark as its viewer is.</summary>
    public string ToHtml() => Plans.PlanPage.Write(this);

    /// <summary>The plan as an aligned table.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        CultureInfo c = CultureInfo.InvariantCulture;
        string mesh = Axes.Count == 0 ? "one rank" : string.Join(" × ", Axes.Select(a => $"{a.Name} {a.Size}"));
        text.AppendLine(c, $"{Model} on {Mesh}: {mesh}; {MicroBatches} micro-batch(es), {Stages} stage(s), {Optimizer}{(Precision == nameof(Shardwright.Precision.Float32) ? "" : ", " + Precision)}");
        text.AppendLine(c, $"{ParameterCount:N0} parameters; {Flops / 1e9:N2} GFLOP per rank and step");
        if (StepSeconds > 0)
        {
            text.AppendLine(c, $"predicted on {Device}: step {Time(StepSeconds)} (kernels {Time(ComputeSeconds)}, communication {Time(CommunicationSeconds)}, of it exposed {Time(ExposedSeconds)}, at least {Time(LeastExposedSeconds)}{(Stages > 1 ? $", bubble {100 * Bubble:0.#} %" : "")}), MFU {100 * Mfu:0.#} %");
        }

        text.AppendLine();
        if (Stages > 1)
        {
            text.AppendLine(c, $"Stages on {PipelineAxis}, {Schedule}");
            foreach (PlanRank rank in Ranks)
            {
                string layers = string.Join("; ", rank.Stages.Select(s => $"stage {s}: {string.Join(", ", StageLayers.Select(l => $"{l.Value[s]} of {l.Key}"))}"));
                text.AppendLine(c, $"  {PipelineAxis} = {rank.Coordinate,-10} {Size(rank.TotalBytes),12}  {layers}");
            }

            text.AppendLine();
        }

        text.AppendLine(Stages > 1 ? "Memory of the largest rank" : "Memory of a rank");
        foreach ((string name, long bytes) in Memory)
        {
            text.AppendLine(c, $"  {name,-16} {Size(bytes),12}");
        }

        text.AppendLine(c, $"  {"total",-16} {Size(TotalBytes),12}  at most {Size(LowerBound)} of it live at one time");
        if (Device.Length > 0)
        {
            text.AppendLine(c, $"  {"usable",-16} {Size(UsableBytes),12}  {Device}{(Fits ? "" : ": DOES NOT FIT")}");
            foreach (PlanWayOut way in WaysOut.Take(2))
            {
                text.AppendLine(c, $"  would fit: {way.Change}: {Size(way.TotalBytes)}, step {Time(way.StepSeconds)}");
            }
        }

        text.AppendLine();
        text.AppendLine("Parameters");
        int width = Parameters.Select(p => p.Path.Length).DefaultIfEmpty(4).Max();
        foreach (PlanParameter p in Parameters)
        {
            text.AppendLine(c, $"  {p.Path.PadRight(width)}  {(p.Layers > 0 ? p.Layers + " × " : ""),6}{"[" + string.Join(", ", p.Logical) + "]",-16} {p.Placement}");
        }

        text.AppendLine();
        text.AppendLine(Collectives.Count == 0 ? "No collectives" : "Collectives of a step");
        foreach (PlanCollective collective in Collectives)
        {
            text.AppendLine(c, $"  {collective.Times,4} × {collective.Op,-13} {collective.Axis,-6} {Size(collective.BytesPerRank),12}  {collective.Where}: {collective.Reason}{(collective.Chunks > 1 ? $", in {collective.Chunks} chunks" : "")}");
        }

        return text.ToString();
    }

    internal static string Size(long bytes) => bytes switch
    {
        < 1 << 10 => $"{bytes} B",
        < 1 << 20 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1024.0:N1} KiB"),
        < 1 << 30 => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:N2} MiB"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1073741824.0:N2} GiB"),
    };

    internal static string Time(double seconds) => seconds switch
    {
        < 1e-3 => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e6:N1} µs"),
        < 1 => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e3:N2} ms"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{seconds:N2} s"),
    };

    private static long Whole(JsonElement of, string name) => of.TryGetProperty(name, out JsonElement value) ? value.GetInt64() : 0;

    private static double Real(JsonElement of, string name) => of.TryGetProperty(name, out JsonElement value) ? value.GetDouble() : 0;

    private static long[] Numbers(JsonElement array) => [.. array.EnumerateArray().Select(n => n.GetInt64())];
}
