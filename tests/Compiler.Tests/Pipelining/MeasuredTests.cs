using System.Diagnostics;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Scheduling;
using Shardwright.Execution;

namespace Shardwright.Compiler.Tests.Pipelining;

/// <summary>Alone on the machine as far as this process is concerned.</summary>
[CollectionDefinition(nameof(Timing), DisableParallelization = true)]
public sealed class Timing;

/// <summary>
/// Steps take the time that the simulation says: the executor on the in-process world, links with a latency, and stages that sleep instead of computing, so that few cores hold many ranks.
/// No step is faster. On a machine that has nothing else to do none is 5 % slower, which SHARDWRIGHT_TIMINGS=1 holds; without it a busy machine may wake ranks late.
/// </summary>
[Collection(nameof(Timing))]
public sealed class MeasuredTests(Xunit.Abstractions.ITestOutputHelper output)
{
    private const int Elements = 32;

    private static readonly bool s_strict = Environment.GetEnvironmentVariable("SHARDWRIGHT_TIMINGS") == "1";

    private static int Ranks => s_strict ? 8 : 4;

    private static int MicroBatches => s_strict ? 8 : 4;

    /// <summary>Milliseconds of a stage: forward, gradient of the inputs, gradient of the weights.</summary>
    private static readonly StageCost s_cost = new(40, 44, 36);

    private static readonly TimeSpan s_latency = TimeSpan.FromMilliseconds(5);

    /// <summary>A stage that sleeps, and passes on what it received, increased.</summary>
    private sealed class SleepingStage(Arena arena, int stage, int last, int chunk, int tensors, string fails) : IPipelineStage
    {
        public List<string> Done { get; } = [];

        public void Run(PipelineEntry entry, PipelinePhase phase, int microBatch, in SlotSet m)
        {
            if ($"{stage}{phase}{microBatch}" == fails)
            {
                throw new InvalidOperationException("the cause");
            }

            Sleep(phase switch { PipelinePhase.Forward => s_cost.Forward, PipelinePhase.InputGradient => s_cost.Input, PipelinePhase.WeightGradient => s_cost.Weight, _ => s_cost.Input + s_cost.Weight });
            if (phase != PipelinePhase.WeightGradient)
            {
                bool forward = phase == PipelinePhase.Forward, first = stage == (forward ? 0 : last);
                float arrived = first ? 100 * microBatch : arena.Span(Tensor(forward ? 0 : 2, microBatch))[0];
                arena.Span(Tensor(forward ? 1 : 3, microBatch))[0] = arrived + 1;
                Done.Add($"{(forward ? 'F' : 'B')}{microBatch} {arrived}");
            }
        }

        public int Tensors(PipelineEntry entry, Passing passing, in SlotSet m, Span<Slice<byte>> span)
        {
            for (int i = 0; i < tensors; i++)
            {
                span[i] = Tensor((int)passing, m.Kept).Part(i % Elements, 1).Bytes;
            }

            return tensors;
        }

        private Slice<float> Tensor(int kind, int microBatch) => new((((chunk * 4L + kind) * MicroBatches) + microBatch) * Elements * sizeof(float), Elements);

        private static void Sleep(double milliseconds)
        {
            var clock = Stopwatch.StartNew();
            Thread.Sleep((int)milliseconds - 1);
            while (clock.Elapsed.TotalMilliseconds < milliseconds)
            {
                Thread.Yield();
            }
        }
    }

    [Theory]
    [MemberData(nameof(ScheduleTests.Names), MemberType = typeof(ScheduleTests))]
    public void AStepTakesTheSimulatedTime(string name)
    {
        Schedule schedule = Schedules.Find(name)!;
        var shape = new ScheduleShape(Ranks, schedule.RequiredChunks ?? 2, MicroBatches);
        ActionTable table = ActionTable.Build(schedule, shape).Merged();
        LoweredPipeline lowered = PipelineProof.Lower(table, options: new LoweringOptions(ShareLoss: false)).Pipeline!;
        var link = new LinkCost(s_latency.TotalMilliseconds);
        double simulated = Simulator.Run(table, s_cost, link).Makespan, bounded = ProgressProof.Run(PipelineProof.World(lowered, Enumerable.Repeat(s_cost, table.Stages).ToArray(), link)).Makespan;
        double bound = s_strict ? 1.05 : 1.5, best = double.MaxValue;
        for (int attempt = 0; attempt < 6 && best > bound * simulated; attempt++)
        {
            best = Math.Min(best, Measure(lowered));
        }

        output.WriteLine($"{name}: simulated {simulated} ms, with bounded buffers {bounded} ms, measured {best:0.0} ms, {best / simulated:0.000} times as long");
        Assert.InRange(bounded, simulated, 1.01 * simulated);
        Assert.InRange(best / simulated, 0.999, bound);
    }

    [Fact]
    public void ARankThatDiesInMidScheduleEndsAllOthersWithTheCause()
    {
        foreach (Schedule schedule in Schedules.All)
        {
            ActionTable table = ActionTable.Build(schedule, new ScheduleShape(Ranks, schedule.RequiredChunks ?? 2, MicroBatches)).Merged();
            var clock = Stopwatch.StartNew();
            var error = Assert.Throws<RankFailedException>(() => Measure(PipelineProof.Lower(table, options: new LoweringOptions(ShareLoss: false)).Pipeline!, fails: "1Forward2"));
            Assert.Equal(table.RankOfStage[1], error.Rank);
            Assert.Equal($"Rank {error.Rank} (pp={error.Rank}) failed: the cause", error.Message);

            // It dies after some 200 ms (of eight ranks, two seconds).
            Assert.InRange(clock.Elapsed.TotalSeconds, 0, s_strict ? 4 : 2);
        }
    }

    [Fact]
    public void HundredsOfTensorsPassBetweenStages() =>
        Measure(PipelineProof.Lower(ActionTable.Build(new OneForwardOneBackward(), new ScheduleShape(Ranks, 1, MicroBatches)), options: new LoweringOptions(ShareLoss: false)).Pipeline!, 300);

    private static double Measure(LoweredPipeline lowered, int tensors = 1, string fails = "")
    {
        ActionTable table = lowered.Table;
        var mesh = new Mesh("line", new MeshAxisInfo("pp", Ranks));
        using var world = World.InProcess(mesh, new WorldOptions { ThreadsPerRank = 1, Links = new Dictionary<string, LinkModel> { ["pp"] = new(s_latency) } });
        using var start = new Barrier(Ranks);
        var times = new double[Ranks];
        world.Run(context =>
        {
            int[] own = [.. table.StagesOf(context.Rank)];
            using var arena = new Arena(own.Length * 4L * MicroBatches * Elements * sizeof(float), context.Rank);
            var stages = new IPipelineStage?[table.Stages];
            string text = "";
            foreach (int stage in own)
            {
                stages[stage] = new SleepingStage(arena, stage, table.Stages - 1, Array.IndexOf(own, stage), tensors, fails);
                text += $"stage {stage} Kept: {string.Join(" ", Enumerable.Range(0, MicroBatches))}\n";
            }

            text += string.Join(" ", lowered.Ranks[context.Rank].Where(l => l.Stage >= 0 && l.Kind is not (LoweredKind.StartReduce or LoweredKind.AwaitReduce)).Select(lowered.Text));
            var executor = new PipelineExecutor(arena, context, context.Group("pp"), stages, [.. table.RankOfStage], MicroBatches, tensors);
            PipelineActions actions = PipelineActions.Parse(MicroBatches, text);
            start.SignalAndWait();
            var clock = Stopwatch.StartNew();
            executor.Run(PipelineEntry.Train, actions);
            executor.EndSends();
            times[context.Rank] = clock.Elapsed.TotalMilliseconds;
            foreach (int stage in own)
            {
                // What arrived has passed all stages before.
                List<string> done = ((SleepingStage)stages[stage]!).Done;
                Assert.Equal(2 * MicroBatches, done.Count);
                Assert.All(Enumerable.Range(0, MicroBatches), m => Assert.Contains($"F{m} {100 * m + stage}", done));
                Assert.All(Enumerable.Range(0, MicroBatches), m => Assert.Contains($"B{m} {100 * m + table.Stages - 1 - stage}", done));
            }
        });
        return times.Max();
    }
}
