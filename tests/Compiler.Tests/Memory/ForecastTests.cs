using Shardwright.Compiler.Machine;
using Shardwright.Compiler.Planning;

namespace Shardwright.Compiler.Tests.Memory;

/// <summary>What a step waits for: the sums of gradients beside backward, the least that dependencies allow, and why the rest is exposed.</summary>
public sealed class ForecastTests
{
    private const int Layers = 6;

    private static Plans Net(double bandwidth, string on = "") => Plans.Of($$"""
        [LinkSpec(BandwidthGBs = {{bandwidth.ToString(System.Globalization.CultureInfo.InvariantCulture)}}, LatencyMicroseconds = 0)] public sealed class Wire;
        [DeviceMesh, MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Wire))] public sealed class Pair;
        [ShardedLayer] public sealed partial class Dense { readonly Tensor w = Parameter(1024, 1024); public Tensor Forward(Tensor x) => MatMul(Relu(x), w); }
        [ShardedOn<Pair>({{on}})] public sealed partial class Net
        {
            readonly LayerStack<Dense> layers = new({{Layers}}, () => new Dense());
            public Tensor Loss([Shape(4096, 1024), Split("dp", 0)] Tensor x) => Mean(layers.Forward(x));
        }
        """);

    private static PlanForecast Forecast(double bandwidth, string on = "") => Net(bandwidth, on).Program("OnPair").Forecast;

    private static double Rate(PlanForecast forecast) => forecast.Timing!.Links[0].BytesPerSecond;

    /// <summary>The sum of one layer's gradients.</summary>
    private static double Bucket(PlanForecast forecast) => CollectiveTime.AllReduce(2, 1024 * 1024 * 4.0, 0, Rate(forecast));

    /// <summary>On a fast link each sum is over before the next layer's is complete: only the last one has nothing beside it.</summary>
    [Fact]
    public void OnlyTheLastSumOfAFastLinkIsExposed()
    {
        PlanForecast forecast = Forecast(400);
        Assert.Equal(Layers * Bucket(forecast), forecast.CommunicationSeconds, 1e-9);
        Assert.Equal(Bucket(forecast), forecast.ExposedSeconds, 1e-9);
        Assert.Equal(forecast.ExposedSeconds, forecast.LeastExposedSeconds, 1e-12);
        Assert.Equal(("AllReduce", "dp", "longer than the work beside it"), (forecast.Exposed[0].Operation, forecast.Exposed[0].Axis, forecast.Exposed[0].Why));

        // Of the loss each rank has two numbers; the norm is of gradients that both have.
        ExposedCollective loss = Assert.Single(forecast.Exposed.Skip(1));
        Assert.Equal(("AllGather", "dp", "loss", "waited for where it starts"), (loss.Operation, loss.Axis, loss.For, loss.Why));
        Assert.Equal(2 * 8 / Rate(forecast), loss.Seconds, 1e-15);
    }

    /// <summary>On a slow one, over which a sum takes longer than the backward of a layer, the link is busy from the first sum on: what is exposed is its time, less the backward of the other layers.</summary>
    [Fact]
    public void ASlowLinkIsBusyFromTheFirstSumOn()
    {
        Plans net = Net(0.04);
        PlanForecast forecast = net.Program("OnPair").Forecast;
        List<SimulatedSpan> spans = [.. net.Simulate("OnPair").SpansOf(0)];
        SimulatedSpan[] sums = [.. spans.Where(s => s is { Kind: SimulatedKind.Communication, Name: "AllReduce" })];
        Assert.Equal(Layers, sums.Length);
        Assert.Equal(Layers + 1, spans.Count(s => s.Kind == SimulatedKind.Communication)); // and the loss
        double backward = spans.Where(s => s.Kind == SimulatedKind.Kernel && !s.Name.StartsWith("norm of", StringComparison.Ordinal) && !s.Name.StartsWith("AdamW of", StringComparison.Ordinal)).Max(s => s.End);
        Assert.True(sums[0].Start < backward, "the first sum starts within backward");
        Assert.Equal(Layers * Bucket(forecast) - (backward - sums[0].Start), forecast.ExposedSeconds, 1e-6);
        Assert.Contains(forecast.Exposed, e => e.Why == "behind others on its link");
        Assert.True(sums.Zip(sums.Skip(1)).All(p => p.Second.Start >= p.First.End - 1e-12), "a link carries one after another");
    }

    /// <summary>Shards of updated parameters are gathered beside the optimizer of those that follow.</summary>
    [Fact]
    public void ParametersAreGatheredBesideTheOptimizer()
    {
        PlanForecast whole = Forecast(400), shards = Forecast(400, "Zero = ZeroStage.OptimizerState");
        Assert.Equal(whole.CommunicationSeconds, shards.CommunicationSeconds, 0.2 * whole.CommunicationSeconds);
        Assert.True(shards.ExposedSeconds < shards.CommunicationSeconds / 2, $"{shards.ExposedSeconds} of {shards.CommunicationSeconds}");
    }

    /// <summary>ZeRO 3 gathers a layer's parameters beside the layer before, and none that its ring still has: of all gathers in both directions only the first may be waited for.</summary>
    [Fact]
    public void OnlyTheFirstGatherOfParametersIsExposed()
    {
        PlanForecast forecast = Forecast(400, "Zero = ZeroStage.Parameters");
        double gather = CollectiveTime.Gather(2, 1024 * 1024 * 4.0, 0, Rate(forecast));
        Assert.InRange(forecast.Exposed.Where(e => e.Operation == "AllGather").Sum(e => e.Seconds), 0, gather * (1 + 1e-9));
        Assert.Equal((3 * Layers - 2) * gather, forecast.CommunicationSeconds, 1e-9);
        Assert.InRange(forecast.LeastExposedSeconds, 0, 2 * gather * (1 + 1e-9));
    }

    /// <summary>A gather that takes longer than a layer is waited for in each, and least: the link carries no more.</summary>
    [Fact]
    public void ASlowLinkBoundsGathersToo()
    {
        Plans net = Net(0.04, "Zero = ZeroStage.Parameters");
        PlanForecast forecast = net.Program("OnPair").Forecast;
        Assert.InRange(forecast.LeastExposedSeconds, forecast.CommunicationSeconds - forecast.ComputeSeconds, forecast.ExposedSeconds);
        SimulatedRank rank = net.Simulate("OnPair").Ranks[0];
        Assert.Equal(forecast.ExposedSeconds, rank.ExposedSeconds, 1e-6);
    }

    /// <summary>The forecast, its list of reasons and the simulated spans are one number, on every mesh of the sample.</summary>
    [Fact]
    public void ReasonsAndSpansAddUpToTheForecast()
    {
        foreach (string mesh in Plans.TinyGpt.Meshes)
        {
            RankProgram program = Plans.TinyGpt.Program(mesh);
            PlanForecast forecast = program.Forecast;
            Assert.Equal(forecast.ExposedSeconds, forecast.Exposed.Sum(e => e.Seconds), 1e-9);
            Assert.InRange(forecast.LeastExposedSeconds, 0, forecast.ExposedSeconds);
            Assert.Equal(program.Axes.Any(a => a.Size > 1), forecast.ExposedSeconds > 0);
            StepSimulation simulation = Plans.TinyGpt.Simulate(mesh);
            Assert.Equal(forecast.ExposedSeconds, simulation.Ranks.Max(r => r.ExposedSeconds), 1e-9);
            WorkTime[] parts = [.. forecast.Timing!.Stages.SelectMany(s => new[] { s.Forward, s.Input })];
            Assert.All(parts, p => Assert.True(p.Compute > 0));
            Assert.Equal(
                simulation.Ranks.Sum(r => r.ComputeSeconds),
                forecast.Timing.Stages.Sum(s => program.MicroBatches * (s.Forward.Compute + s.Input.Compute + s.Weight.Compute) + s.Update.Compute), 1e-9);
            foreach (SimulatedRank rank in simulation.Ranks)
            {
                Assert.InRange(forecast.StepSeconds - (rank.ComputeSeconds + rank.ExposedSeconds + rank.IdleSeconds), -1e-9, 1e-3); // the start of a step on the host
            }
        }
    }
}
