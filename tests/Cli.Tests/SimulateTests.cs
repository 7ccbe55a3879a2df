using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Shardwright.Tests;

namespace Shardwright.Cli.Tests;

/// <summary><c>simulate</c>: the step that <c>plan</c> predicts, taken apart, and as a trace.</summary>
public sealed class SimulateTests : IDisposable
{
    private static readonly string s_gpt = typeof(TinyGpt.Gpt).Assembly.Location;
    private static readonly string s_own = typeof(PlanTests).Assembly.Location;

    private const string Large = "--mesh Pp2Dp2Tp2 --device Rtx4090 --precision BFloat16Mixed --recompute Full --zero OptimizerState --link tp=450GB/s,3us dp=50GB/s,5us pp=50GB/s,5us --set Hidden=12288 Heads=96 Layers=96 Context=2048 Vocab=51200";

    private readonly string _folder = Directory.CreateTempSubdirectory("shardwright-simulate").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string File => Path.Combine(_folder, "step.json");

    private JsonElement Trace()
    {
        using JsonDocument document = JsonDocument.Parse(System.IO.File.ReadAllBytes(File));
        return document.RootElement.Clone();
    }

    private static double Number(JsonElement from, string name) => from.GetProperty(name).GetDouble();

    /// <summary>Checks a trace of any step: its form, its nesting, its time.</summary>
    private void CheckTrace(JsonElement simulated)
    {
        JsonElement[] events = [.. Trace().GetProperty("traceEvents").EnumerateArray()];
        int classes = simulated.GetProperty("classes").GetArrayLength();
        TraceFormat.CheckForm(events, classes);
        double step = Number(simulated, "stepSeconds");
        IReadOnlyList<(int Process, IReadOnlyList<TracedStep> Steps)> traced = TraceFormat.CheckNesting(events);
        Assert.Equal(classes, traced.Count);
        foreach ((int _, IReadOnlyList<TracedStep> steps) in traced)
        {
            TracedStep one = Assert.Single(steps);
            Assert.InRange((double)one.Microseconds * 1e-6 / step, 0.9999, 1.0001);
            Assert.InRange(one.Share, 0.98, 1.0); // the rest is the host's
        }

        // Kernels and waits of one thread follow each other, as does what one group has under way.
        foreach (var track in events.Where(e => e.GetProperty("ph").GetString() == "X" && e.GetProperty("cat").GetString() is "kernel" or "wait").GroupBy(e => e.GetProperty("pid").GetInt32()))
        {
            decimal end = 0;
            foreach (JsonElement e in track.OrderBy(e => e.GetProperty("ts").GetDecimal()))
            {
                Assert.True(e.GetProperty("ts").GetDecimal() >= end);
                end = e.GetProperty("ts").GetDecimal() + e.GetProperty("dur").GetDecimal();
            }
        }

        foreach (var lane in events.Where(e => e.GetProperty("ph").GetString() is "b" or "e").GroupBy(e => (e.GetProperty("pid").GetInt32(), e.GetProperty("args").GetProperty("group").GetString())).Where(l => !l.Key.Item2!.Contains(',', StringComparison.Ordinal)))
        {
            Assert.True(lane.OrderBy(e => e.GetProperty("ts").GetDecimal()).ThenBy(e => e.GetProperty("ph").GetString() == "b").Select(e => e.GetProperty("ph").GetString()).Chunk(2).All(p => p is ["b", "e"]), $"{lane.Key}: spans overlap");
        }
    }

    [Fact]
    public void It_is_the_step_that_plan_predicts()
    {
        foreach (string path in new[] { s_gpt, s_own })
        {
            JsonElement[] plans = [.. Tool.Json("plan", path).GetProperty("plans").EnumerateArray()], steps = [.. Tool.Json("simulate", path).GetProperty("simulations").EnumerateArray()];
            Assert.Equal(plans.Select(p => p.GetProperty("mesh").GetString()), steps.Select(s => s.GetProperty("mesh").GetString()));
            foreach ((JsonElement plan, JsonElement step) in plans.Zip(steps))
            {
                string mesh = plan.GetProperty("mesh").GetString()!;
                foreach (string name in new[] { "stepSeconds", "bubble", "mfu", "totalBytes" })
                {
                    Assert.True(Math.Abs(Number(plan, name) - Number(step, name)) <= 1e-5 * Number(plan, name), $"{mesh}, {name}");
                }

                long ranks = plan.GetProperty("axes").EnumerateArray().Aggregate(1L, (product, a) => product * a.GetProperty("size").GetInt64());
                Assert.Equal(ranks, step.GetProperty("ranks").GetInt64());
                Assert.Equal(ranks, step.GetProperty("classes").EnumerateArray().Sum(c => c.GetProperty("ranks").GetInt64()));
                foreach (JsonElement one in step.GetProperty("classes").EnumerateArray())
                {
                    double known = Number(one, "computeSeconds") + Number(one, "exposedSeconds") + Number(one, "idleSeconds");
                    Assert.InRange(Number(step, "stepSeconds") - known, -1e-9, 1e-3); // the start of a step on the host
                    Assert.Equal(Number(one, "exposedSeconds"), one.GetProperty("communication").EnumerateArray().Sum(c => Number(c, "exposedSeconds")), 1e-9);
                    if (step.GetProperty("classes").GetArrayLength() == 1)
                    {
                        Assert.Equal(Number(plan, "computeSeconds"), Number(one, "computeSeconds"), 1e-5 * Number(plan, "stepSeconds"));
                        Assert.Equal(Number(plan, "communicationSeconds"), Number(one, "exposedSeconds") + Number(one, "hiddenSeconds"), 1e-5 * Number(plan, "stepSeconds"));
                    }
                }
            }
        }
    }

    [Theory]
    [InlineData("--mesh Dp2Tp2")]
    [InlineData("--mesh OnDp2Zero3 --link 10Gbps,50us")]
    [InlineData("--mesh OnPp2Interleaved --micro-batches 8 --link 1Gbps,100us")]
    [InlineData("--mesh Pp2Dp2Tp2 --set Layers=8 Batch=64 --axis pp=4 dp=4 tp=2 --micro-batches 8")]
    public void A_trace_is_that_step(string options)
    {
        JsonElement simulated = Tool.Json(["simulate", s_gpt, .. options.Split(' '), "--trace", File]);
        CheckTrace(simulated);
        JsonElement[] events = [.. Trace().GetProperty("traceEvents").EnumerateArray()];
        Assert.Equal(simulated.GetProperty("trace").GetProperty("spans").GetInt64(), events.Count(e => e.GetProperty("ph").GetString() is "X" or "b"));
        Assert.Contains(events, e => e.GetProperty("ph").GetString() == "X" && e.TryGetProperty("args", out JsonElement a) && a.GetProperty("flops").GetInt64() > 0);
        Assert.Contains(events, e => e.GetProperty("ph").GetString() == "b" && e.GetProperty("args").GetProperty("bytes").GetInt64() > 0);
        string[] names = [.. events.Where(e => e.GetProperty("name").GetString() == "process_name").Select(e => e.GetProperty("args").GetProperty("name").GetString()!)];
        long each = simulated.GetProperty("classes")[0].GetProperty("ranks").GetInt64();
        Assert.All(names, n => Assert.EndsWith($" {each.ToString(CultureInfo.InvariantCulture)} ranks".Replace(" 1 ranks", " 1 rank", StringComparison.Ordinal), n, StringComparison.Ordinal));

        // What a trace shows of communication is what the sums say.
        foreach (JsonElement one in simulated.GetProperty("classes").EnumerateArray())
        {
            int process = one.GetProperty("coordinate").GetInt32();
            decimal under = events.Where(e => e.GetProperty("pid").GetInt32() == process && e.GetProperty("ph").GetString() is "b" or "e").Sum(e => (e.GetProperty("ph").GetString() == "e" ? 1 : -1) * e.GetProperty("ts").GetDecimal());
            Assert.Equal(one.GetProperty("communication").EnumerateArray().Sum(c => Number(c, "seconds")), (double)under * 1e-6, 1e-4 * Number(simulated, "stepSeconds"));
        }
    }

    [Fact]
    public void A_slower_link_exposes_more_and_a_stage_that_waits_is_idle()
    {
        JsonElement Step(string link) => Tool.Json("simulate", s_gpt, "--mesh", "OnPp2", "--link", link);
        double Passing(JsonElement step) => step.GetProperty("classes").EnumerateArray().SelectMany(c => c.GetProperty("communication").EnumerateArray()).Where(c => c.GetProperty("operation").GetString() == "SendReceive").Sum(c => Number(c, "exposedSeconds"));
        JsonElement fast = Step("1000GB/s,0us"), slow = Step("1Gbps,1ms");
        Assert.True(Number(fast, "idleSeconds") > 0.05 * Number(fast, "stepSeconds"));
        Assert.True(Passing(slow) > 100 * Passing(fast));
        Assert.True(Number(slow, "stepSeconds") > Number(fast, "stepSeconds"));
    }

    [Fact]
    public void Ten_thousand_ranks_of_a_model_that_does_not_fit_take_seconds_and_a_bounded_trace()
    {
        TimeSpan least = TimeSpan.MaxValue;
        JsonElement simulated = default;
        for (int attempt = 0; attempt < 2 && least > TimeSpan.FromSeconds(10); attempt++)
        {
            TimeSpan before = Process.GetCurrentProcess().TotalProcessorTime;
            simulated = Tool.Json(["simulate", s_gpt, .. Large.Split(' '), "Batch=5000", "--axis", "pp=10", "dp=125", "tp=8", "--micro-batches", "40", "--trace", File]);
            TimeSpan took = Process.GetCurrentProcess().TotalProcessorTime - before;
            least = took < least ? took : least;
        }

        Assert.True(least < TimeSpan.FromSeconds(20), $"{least}: ten seconds, and as much for tests that run beside this one");
        Assert.Equal(10_000, simulated.GetProperty("ranks").GetInt64());
        Assert.Equal(10, simulated.GetProperty("classes").GetArrayLength());
        Assert.False(simulated.GetProperty("fits").GetBoolean());
        Assert.InRange(simulated.GetProperty("trace").GetProperty("spans").GetInt64(), 1000, 300_000);
        Assert.True(new FileInfo(File).Length < 64 << 20);
        CheckTrace(simulated);
    }

    [Theory]
    [InlineData(2, "--mesh Tp2 --link 0Gbps,5us", "more than 0")]
    [InlineData(2, "--mesh Tp2 --link 10Gbps,-5us", "between 0 and 60 s")]
    [InlineData(2, "--mesh Tp2 --link xp=10Gbps,5us", "no axis 'xp'")]
    [InlineData(2, "--mesh Tp2 --link 10Gbps,5us,shared", "leave 'shared' out")]
    [InlineData(2, "--mesh Dp3", "no mesh 'Dp3' carries 'Gpt'")]
    [InlineData(2, "--mesh Tp2 --axis tp=0", "--axis tp=0: it is a whole number from 1")]
    [InlineData(1, "--mesh Tp2 --axis tp=3", "SW1003")]
    [InlineData(2, "--trace step.json", "--trace is of one model on one mesh, and there are Gpt On")]
    public void Nonsense_is_named(int code, string options, string part) =>
        Assert.Contains(part, Tool.Refusal(code, ["simulate", s_gpt, .. options.Split(' ')]), StringComparison.Ordinal);

    [Fact]
    public void A_trace_that_cannot_be_written_is_named()
    {
        string path = Path.Combine(_folder, "no such folder", "step.json");
        Assert.Contains($"The trace cannot be written to '{path}'", Tool.Refusal(ExitCodes.BadFile, "simulate", s_gpt, "--mesh", "Tp2", "--trace", path), StringComparison.Ordinal);
        Assert.Contains($"The trace cannot be written to '{_folder}'", Tool.Refusal(ExitCodes.BadFile, "simulate", s_gpt, "--mesh", "Tp2", "--trace", _folder), StringComparison.Ordinal);
    }

    [Fact]
    public void People_read_that_it_does_not_fit_and_what_is_exposed()
    {
        (int code, string output, string error) = Tool.Run(["simulate", s_gpt, .. Large.Split(' '), "Batch=96", "--axis", "pp=12", "dp=1", "tp=8", "--micro-batches", "24"]);
        Assert.Equal((0, ""), (code, error));
        Assert.Contains("DOES NOT FIT: a rank needs ", output, StringComparison.Ordinal);
        Assert.Contains("  pp = 11, of 8 ranks: compute ", output, StringComparison.Ordinal);
        Assert.Contains("exposed most: AllReduce tp ", output, StringComparison.Ordinal);
    }
}
