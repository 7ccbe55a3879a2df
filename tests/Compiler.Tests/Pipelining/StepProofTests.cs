using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Scheduling;
using Shardwright.Compiler.Tests.Memory;

namespace Shardwright.Compiler.Tests.Pipelining;

using Plans = Shardwright.Compiler.Tests.Memory.Plans;

/// <summary>The planner proves all that its ranks do together: messages, collectives inside of the stages, tied gradients, losses and norms.</summary>
public sealed class StepProofTests
{
    private static readonly RankProgram s_program = Plans.TinyGpt.Program("OnPp2Dp2Tp2");

    private static MeshWorld World(string entry, RankProgram program)
    {
        var schedule = new OneForwardOneBackward();
        LoweredPipeline order = PipelineLowering.Lower(ActionTable.Build(schedule, new ScheduleShape(2, 1, entry == "Infer" ? 1 : program.MicroBatches)), options: new LoweringOptions(ShareLoss: false));
        if (entry != "Train")
        {
            order = PipelineLowering.Lower(order.Table with { Ranks = order.Table.Ranks.Select(r => r.Where(a => a.Kind == ActionKind.Forward).ToEquatable()).ToEquatable() }, [new StageEdge(0, 1, 4, HasGradient: false)], order.Options);
        }

        int[] programOf = [.. program.Ranks.SelectMany(r => r.Chunks).OrderBy(c => c.Stage).Select(c => c.Program)];
        return new StepWorld(program.Axes, program.Pipeline!.Axis, program.Stages, programOf, program.Pipeline.Tied).Of(entry, order);
    }

    [Theory]
    [InlineData("Train", "dp", "tp", "pp 0 and 1", "pp+dp+tp", "pp", "pp+tp")]
    [InlineData("Evaluate", "tp", "pp+dp+tp")]
    [InlineData("Infer", "tp", "pp")]
    public void EveryCollectiveOfAnEntryIsInItsWorld(string entry, params string[] groups)
    {
        MeshWorld world = World(entry, s_program);
        string[] used = [.. world.Programs.SelectMany(p => p).Where(i => i.Kind is LaneKind.Collective or LaneKind.StartCollective).Select(i => world.Groups[i.Number].Name).Distinct()];
        Assert.Superset(groups.ToHashSet(), used.ToHashSet());

        // One rank for all that run the same program says what all eight say.
        Assert.Equal(2, world.Equal().Programs.Count);
        Assert.Equal(8, world.Whole().Programs.Count);
        Assert.Null(ProgressProof.Check(world.Equal()));
        Assert.Null(ProgressProof.Check(world.Whole()));
    }

    [Fact]
    public void EveryStartedCollectiveOfAStageIsInTheWorldOfEachMicroBatch()
    {
        MeshWorld world = World("Train", s_program);
        for (int rank = 0; rank < 2; rank++)
        {
            EntryPlan train = s_program.Stages[s_program.Ranks[rank].Chunks[0].Program].Entries[0];
            int inside = train.Main.OfType<ProgramStatement.Call>().Sum(c => train.Methods[c.Method].Statements.Count(s => s is ProgramStatement.Start));
            Assert.True(inside > 4);

            // Where layers leave sums of gradients under way, in the last micro-batch, each layer is in the world by itself; else one stands for all.
            int apart = train.Main.OfType<ProgramStatement.Call>().Where(c => train.Methods[c.Method].Statements.Any(s => s is ProgramStatement.StartGradients))
                .Sum(c => Math.Max(0, c.Layers - 1) * train.Methods[c.Method].Statements.Count(s => s is ProgramStatement.Start));
            Assert.Equal(inside * s_program.MicroBatches + apart, world.Programs[rank].Count(i => i.Kind == LaneKind.StartCollective && !i.Text!.StartsWith("gradients", StringComparison.Ordinal)));

            // Each bucket of gradients is started once, by the last micro-batch, and awaited behind all of them.
            int buckets = s_program.Stages[s_program.Ranks[rank].Chunks[0].Program].Groups.Where(g => g.StartsInBackward).Sum(g => g.Buckets);
            Assert.True(buckets > 4);
            List<LaneInstruction> lines = [.. world.Programs[rank]];
            Assert.Equal(buckets, lines.Count(i => i.Kind == LaneKind.StartCollective && i.Text!.StartsWith("gradients", StringComparison.Ordinal)));
            Assert.Equal(buckets, lines.Skip(lines.FindLastIndex(i => i.Kind == LaneKind.StartCollective)).Count(i => i.Kind == LaneKind.AwaitCollective && i.Text is not null));
        }
    }

    [Fact]
    public void TwoGroupsOfAPlanThatWaitForEachOtherAreRefusedWithTheCycle()
    {
        MeshWorld world = World("Train", s_program);
        int At(string text) => world.Programs[1].ToList().FindIndex(i => i.Text == text);
        int tied = At("gradients of tokens.weight"), loss = At("loss");
        LaneInstruction[] swapped = [.. world.Programs[1]];
        (swapped[tied], swapped[loss]) = (swapped[loss], swapped[tied]);
        MeshWorld wrong = world with { Programs = new[] { world.Programs[0], swapped.ToEquatable() }.ToEquatable() };
        Standstill standstill = ProgressProof.Check(wrong.Equal())!;
        Assert.Equal([0, 1], standstill.Cycle.Select(c => c.Rank));
        Assert.Matches("rank 0 waits at [0-9]+ in pp 0 and 1 \\(gradients of tokens.weight\\) for rank 1; rank 1 waits at [0-9]+ in pp\\+dp\\+tp \\(loss\\) for rank 0", standstill.Message);
        Assert.Contains("gradients of tokens.weight", ProgressProof.Check(wrong.Whole())!.Message, StringComparison.Ordinal);

        // So are a sum inside of a stage and a message, where a rank sends only after a sum that waits for what it sends.
        LaneInstruction[] early = [.. world.Programs[0].Where(i => i.Text != "loss")];
        MeshWorld late = world with { Programs = new[] { early.Prepend(world.Programs[0].First(i => i.Text == "loss")).ToEquatable(), world.Programs[1] }.ToEquatable() };
        Assert.Contains("(loss) for rank 1; rank 1 waits at", ProgressProof.Check(late.Equal())!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void TheWorldEndsAStepInTheOrderOfTheEmittedProgram()
    {
        MeshWorld world = World("Train", s_program);
        string[] ends = [.. world.Programs[0].Where(i => i.Kind == LaneKind.Collective).Select(i => i.Text!.Split(',')[0])];
        Assert.Equal(ends.OrderBy(e => e switch { "gradients" => 0, "gradients of tokens.weight" => 1, "loss" => 2, _ => 3 }), ends);

        string rank = AnalysisTests.Generate(AnalysisTests.Compile([.. new[] { "Model.cs", "Meshes.cs" }.Select(f => File.ReadAllText(Path.Combine(DocumentationTests.Root, "samples", "TinyGpt", f)))]))
            .Result.GeneratedSources.Single(s => s.HintName.Contains("OnPp2Dp2Tp2.Rank", StringComparison.Ordinal)).SourceText.ToString();
        int step = rank.IndexOf("public StepResult TrainStep", StringComparison.Ordinal);
        int[] places = [.. new[] { "executor.Run", "stage.ReduceGradients()", "SumTied(", "= Loss(", "executor.EndSends()", "Update(weight" }.Select(t => rank.IndexOf(t, step, StringComparison.Ordinal))];
        Assert.DoesNotContain(-1, places);
        Assert.Equal(places.Order(), places);
    }
}
