using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Tests.Pipelining;

namespace Shardwright.Compiler.Tests.Overlap;

/// <summary>
/// What a plan states of communication beside compute holds on the clock: emitted programs with kernels that sleep, on links with the plan's numbers, more ranks than cores. A machine that does other things
/// wakes ranks late, never early: the least of several steps counts, less what its kernels have overslept. SHARDWRIGHT_TIMINGS=1 measures every case on links of four strengths, and takes nothing off.
/// </summary>
[Collection(nameof(Timing))]
public sealed class OverlapTests(Xunit.Abstractions.ITestOutputHelper output)
{
    private const int Tries = 8;

    internal static readonly bool IsStrict = Environment.GetEnvironmentVariable("SHARDWRIGHT_TIMINGS") == "1";

    /// <summary>A message takes so much of the work that it may be under way beside, percent.</summary>
    private static int[] Strengths => IsStrict ? [25, 50, 100, 200] : [50];

    public static TheoryData<string> Cases => [.. OverlapModels.All.Select(c => c.Name).Where(n => IsStrict || n is "Dp" or "Tp" or "Pp" or "Zero1" or "Zero3")];

    [Theory]
    [MemberData(nameof(Cases))]
    public void NoMoreIsExposedThanMustBe(string name)
    {
        OverlapModels.Case of = OverlapModels.All.Single(c => c.Name == name);
        Replay replay = OverlapModels.Make(of, Strengths);
        foreach (int percent in Strengths)
        {
            string mesh = OverlapModels.MeshOf(percent);
            PlanForecast plan = replay.Program(mesh).Forecast;
            double least = of.IsLeast ? plan.LeastExposedSeconds : plan.ExposedSeconds;
            bool hides = of is { IsLeast: true, MicroBatches: 16 } && percent <= 50;
            double seconds = double.MaxValue, exposed = double.MaxValue, hidden = 0;
            bool Holds() => seconds <= 1.08 * plan.StepSeconds && exposed <= 1.1 * least && (!hides || hidden >= 0.9);
            for (int attempt = 0; attempt < Tries && !Holds(); attempt++)
            {
                foreach (Replay.Step step in replay.Run(mesh, 2))
                {
                    double overslept = IsStrict ? 0 : Math.Max(0, step.Compute - plan.ComputeSeconds);
                    (seconds, exposed, hidden) = (Math.Min(seconds, IsStrict ? step.Seconds : Math.Max(Math.Min(step.Seconds, plan.StepSeconds), step.Seconds - overslept)), Math.Min(exposed, step.Exposed), Math.Max(hidden, step.Hidden));
                }
            }

            Replay.Step apart = replay.Run(mesh, 1, overlap: false)[0];
            output.WriteLine(FormattableString.Invariant($"| {name} | {percent} % | {1000 * plan.StepSeconds:0} | {1000 * seconds:0} ({seconds / plan.StepSeconds:0.000}) | {1000 * plan.LeastExposedSeconds:0.0} | {1000 * plan.ExposedSeconds:0.0} | {1000 * exposed:0.0} ({exposed / plan.LeastExposedSeconds:0.00}) | {100 * hidden:0} % | {1000 * apart.Seconds:0} | {1000 * apart.Exposed:0.0} |"));
            Assert.InRange(seconds / plan.StepSeconds, 0.98, 1.08);
            Assert.InRange(exposed / least, 0.9, 1.1);
            Assert.True(!hides || hidden >= 0.9, $"{hidden:0.000} of the communication is hidden");
            if (of.IsLeast)
            {
                // Each wait beside its start: nothing is hidden.
                Assert.True(apart.Exposed > exposed && apart.Seconds > seconds, $"{apart.Exposed} s exposed of {apart.Seconds} s, and beside compute {exposed} of {seconds}");
            }
        }
    }
}
