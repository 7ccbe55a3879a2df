using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Tests.Pipelining;

namespace Shardwright.Compiler.Tests.Overlap;

/// <summary>What is promised of communication beside compute, on the clock.</summary>
[Collection(nameof(Timing))]
public sealed class OverlapTests(Xunit.Abstractions.ITestOutputHelper output)
{
    private static readonly bool s_strict = Environment.GetEnvironmentVariable("SHARDWRIGHT_TIMINGS") == "1";

    public static TheoryData<string> Cases => [.. OverlapModels.All.Select(c => c.Name)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Look(string name)
    {
        int[] percents = [50, 200];
        Replay replay = OverlapModels.Make(OverlapModels.All.Single(c => c.Name == name), percents);
        foreach (int percent in percents)
        {
            string mesh = OverlapModels.MeshOf(percent);
            PlanForecast plan = replay.Program(mesh).Forecast;
            Replay.Step on = replay.Run(mesh, 4).MinBy(s => s.Seconds)!, off = replay.Run(mesh, 2, overlap: false).MinBy(s => s.Seconds)!;
            output.WriteLine($"{name,-8} {percent,3} %: step {1000 * plan.StepSeconds,7:0.0} measured {1000 * on.Seconds,7:0.0} ({on.Seconds / plan.StepSeconds:0.000}); exposed {1000 * plan.ExposedSeconds,6:0.0} least {1000 * plan.LeastExposedSeconds,6:0.0} measured {1000 * on.Exposed,6:0.0}; communication {1000 * plan.CommunicationSeconds,6:0.0} measured {1000 * on.Communication,6:0.0}; compute {1000 * plan.ComputeSeconds,6:0.0} measured {1000 * on.Compute,6:0.0}; apart: step {1000 * off.Seconds,6:0.0} exposed {1000 * off.Exposed,6:0.0}");
            output.WriteLine("      plan " + string.Join("; ", plan.Exposed.Select(e => $"{e.Operation} {e.Axis} {e.For} {1000 * e.Seconds:0.0} {e.Why}")));
            output.WriteLine("      measured " + string.Join("; ", on.By.Select(e => $"{e.Key} {1000 * e.Value:0.0}")));
        }
    }
}
