using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Text.Json;
using Shardwright.Observability;

namespace Shardwright.Tests;

/// <summary>Tests that listen to what every rank of this process tells: whoever tells a listener allocates, which other tests measure.</summary>
[CollectionDefinition(nameof(Listening), DisableParallelization = true)]
public sealed class Listening;

/// <summary>What ranks tell: traces that Chrome and Perfetto read, and instruments by the conventions of .NET.</summary>
[Collection(nameof(Listening))]
public sealed class TraceTests
{
    private const int Steps = 4; // the first also compiles

    private sealed record Recorded(TraceRecorder Recorder, double[] Losses, JsonElement[] Events);

    private static readonly Lazy<Recorded> s_traced = new(() => Run(new TraceRecorder(), latency: 20));

    private static Recorded Run(TraceRecorder? recorder, int latency = 1, bool evaluates = false)
    {
        Mesh mesh = PipelineGpt.Pp2Dp2Tp2M4.Mesh;
        var losses = new double[Steps];
        var slow = new LinkModel(TimeSpan.FromMilliseconds(latency));
        using var world = World.InProcess(mesh, new WorldOptions { ThreadsPerRank = 1, Trace = recorder, Links = new Dictionary<string, LinkModel> { ["pp"] = slow, ["dp"] = slow, ["tp"] = slow } });
        world.Run(context =>
        {
            using var rank = new PipelineGpt.Pp2Dp2Tp2M4.Rank(context, 3);
            for (int step = 0; step < Steps; step++)
            {
                (TokenTensor ids, TokenTensor targets) = PipelineTests.Data(step);
                StepResult result = rank.TrainStep(ids, targets, new AdamWSettings(3e-4f));
                if (context.Rank == 0)
                {
                    losses[step] = result.Loss;
                }

                if (evaluates)
                {
                    rank.Evaluate(ids, targets);
                }
            }
        });
        if (recorder is null)
        {
            return new Recorded(null!, losses, []);
        }

        using var stream = new MemoryStream();
        TraceFile.Write(stream, recorder, PipelineGpt.Pp2Dp2Tp2M4.Plan);
        return new Recorded(recorder, losses, [.. JsonDocument.Parse(stream.ToArray()).RootElement.GetProperty("traceEvents").EnumerateArray()]);
    }

    [Fact]
    public void RecordingChangesNoBit() => Assert.Equal(Run(null).Losses, s_traced.Value.Losses);

    [Fact]
    public void EventsHaveTheFormOfTheTraceEventFormat()
    {
        TraceFormat.CheckForm(s_traced.Value.Events, processes: 8);
        Assert.Equal(8 * Steps, s_traced.Value.Events.Count(e => e.GetProperty("ph").GetString() == "X" && e.GetProperty("cat").GetString() == "step"));
        Assert.Contains(s_traced.Value.Events, e => e.GetProperty("name").GetString() == "AllReduce tp" && e.GetProperty("args").GetProperty("bytes").GetInt64() > 0);
        Assert.Contains(s_traced.Value.Events, e => e.GetProperty("ph").GetString() == "X" && e.TryGetProperty("args", out JsonElement a) && a.GetProperty("flops").GetInt64() > 0);
    }

    [Fact]
    public void SpansNestAndTheirSumIsTheStep()
    {
        foreach ((int _, IReadOnlyList<TracedStep> steps) in TraceFormat.CheckNesting(s_traced.Value.Events))
        {
            // A busy machine may take a core away between two spans: the best of the steps counts.
            Assert.Equal(Steps, steps.Count);
            Assert.InRange(steps.Max(s => s.Share), 0.98, 1.0);
        }
    }

    [Fact]
    public void ALimitKeepsTheFirstSpansAndCountsTheOthers()
    {
        Recorded few = Run(new TraceRecorder(maxSpansPerRank: 10));
        Assert.All(few.Recorder.Ranks, r => Assert.Equal(10, r.Entries.Count));
        Assert.Equal(s_traced.Value.Recorder.Ranks.Sum(r => r.Entries.Count) - 80, few.Recorder.Dropped);
    }

    [Fact]
    public void TheFirstTrainingStepsMayBeRecordedAlone()
    {
        Recorded all = Run(new TraceRecorder(), evaluates: true), two = Run(new TraceRecorder { TrainingSteps = 2 }, evaluates: true);
        foreach (RankTrace rank in two.Recorder.Ranks)
        {
            TraceEntry[] steps = [.. rank.Entries.Where(e => e.Kind == SpanKind.Step)];
            Assert.Equal(["step 0", "step 1"], steps.Select(s => s.Name));
            Assert.Contains(rank.Entries, e => e.Kind == SpanKind.Kernel);
            Assert.Contains(rank.Entries, e => e.Kind == SpanKind.Communication);
            Assert.All(rank.Entries, e => Assert.Contains(steps, s => s.Start <= e.Start && e.End <= s.End));
        }

        // Nothing that was asked for is missing: two of four steps, and none of the four evaluations between.
        int InSteps(RankTrace rank) => rank.Entries.Count(e => rank.Entries.Any(s => s.Kind == SpanKind.Step && s.Start <= e.Start && e.End <= s.End));
        Assert.Equal(all.Recorder.Ranks.Select(InSteps), two.Recorder.Ranks.Select(r => 2 * r.Entries.Count));
        Assert.All(all.Recorder.Ranks, r => Assert.True(InSteps(r) < r.Entries.Count));
        Assert.Equal(0, two.Recorder.Dropped);
        Assert.Equal(all.Losses, two.Losses);
        Assert.Throws<ArgumentOutOfRangeException>(() => new TraceRecorder { TrainingSteps = 0 });
    }

    [Fact]
    public void InstrumentsTellStepsTokensBytesAndWaits()
    {
        var sums = new Dictionary<string, double>();
        int activities = 0, measurements = 0;
        using var listener = new MeterListener { InstrumentPublished = (instrument, l) => { if (instrument.Meter.Name == Telemetry.Name) { l.EnableMeasurementEvents(instrument); } } };
        void Add(string name, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            string key = name;
            foreach (KeyValuePair<string, object?> tag in tags)
            {
                key += tag.Key == "shardwright.group" ? " " + tag.Value : "";
            }

            lock (sums)
            {
                sums[key] = sums.GetValueOrDefault(key) + value;
                measurements += name == "shardwright.step.duration" ? 1 : 0;
            }
        }

        listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => Add(instrument.Name, value, tags));
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => Add(instrument.Name, value, tags));
        listener.Start();
        using var activityListener = new ActivityListener { ShouldListenTo = s => s.Name == Telemetry.Name, Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData, ActivityStopped = a => { if (a.OperationName == "TrainStep") { Interlocked.Increment(ref activities); } } };
        ActivitySource.AddActivityListener(activityListener);
        Run(null);
        Assert.True(measurements >= 8 * Steps && activities >= 8 * Steps, "other tests run beside this one, so there may be more");
        Assert.True(sums["shardwright.step.tokens"] > 0);
        Assert.True(sums["shardwright.communication.sent tp"] > 0 && sums["shardwright.communication.sent pp"] > 0);
        Assert.True(sums["shardwright.communication.exposed tp"] > 0.001);
    }

    [Fact]
    public void APathThatCannotBeWrittenIsNamed()
    {
        string path = Path.Combine(Path.GetTempPath(), "no such folder", "trace.json");
        IOException error = Assert.Throws<IOException>(() => TraceFile.Create(path));
        Assert.Contains(path, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("10Gbps,50us", 1.25e9, 50)]
    [InlineData("tp=25GB/s,5us,shared", 25e9, 5)]
    [InlineData("dp=800Mbps,1ms", 1e8, 1000)]
    public void LinksAreReadFromText(string text, double rate, double microseconds)
    {
        IReadOnlyDictionary<string, LinkModel> links = LinkText.Parse(text, PipelineGpt.Pp2Dp2Tp2M4.Mesh);
        Assert.Equal(text.Contains('=', StringComparison.Ordinal) ? 1 : 3, links.Count);
        Assert.All(links.Values, l => Assert.Equal((rate, microseconds), (Math.Round(l.BytesPerSecond), l.Latency.TotalMicroseconds)));
        Assert.All(links.Values, l => Assert.Equal(text.EndsWith("shared", StringComparison.Ordinal), l.Sharing == LinkSharing.Shared));
    }

    [Theory]
    [InlineData("0Gbps,50us", "more than 0")]
    [InlineData("10Gbps,-5us", "between 0 and 60 s")]
    [InlineData("10Gbps", "write a rate and a latency")]
    [InlineData("fast,5us", "write a rate and a latency")]
    [InlineData("xp=10Gbps,5us", "no axis 'xp'")]
    public void ALinkThatCannotBeIsRefused(string text, string because) =>
        Assert.Contains(because, Assert.Throws<FormatException>(() => LinkText.Parse(text, PipelineGpt.Pp2Dp2Tp2M4.Mesh)).Message, StringComparison.Ordinal);
}
