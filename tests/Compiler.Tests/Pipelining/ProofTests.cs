using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Scheduling;

namespace Shardwright.Compiler.Tests.Pipelining;

/// <summary>What ends is proven, what stands still is refused with the ranks that wait for each other.</summary>
public sealed class ProofTests
{
    [Theory]
    [MemberData(nameof(ScheduleTests.Names), MemberType = typeof(ScheduleTests))]
    public void EveryTableOfEveryScheduleEnds(string name)
    {
        Schedule schedule = Schedules.Find(name)!;
        foreach (ScheduleShape shape in ScheduleTests.Shapes(schedule))
        {
            ActionTable table = ActionTable.Build(schedule, shape);
            (LoweredPipeline? lowered, Standstill? standstill) = PipelineProof.Lower(table, options: new LoweringOptions(ReduceNorm: true));
            Assert.True(lowered is not null, $"{name} {shape}: {standstill?.Message}");

            // Two buffers for sends are enough, but where whole chunks run ahead of the rank that takes them.
            Assert.True(lowered.Options.SendDepth == 2 || schedule.RequiredChunks is null, $"{name} {shape}: {lowered.Options.SendDepth}");
            if (shape.MicroBatches is 1 or 5 or 16)
            {
                foreach (EngineModel engine in new[] { EngineModel.InProcess, EngineModel.Buffered(schedule.RequiredChunks is null ? shape.MicroBatches * shape.Chunks : 2) })
                {
                    Assert.Null(PipelineProof.Check(lowered, engine));
                }

                Assert.Null(PipelineProof.Lower(table.Merged(everywhere: true), options: new LoweringOptions(ReceiveDepth: 0, ReduceEach: true, GatherParameters: true)).Standstill);
            }
        }
    }

    [Fact]
    public void AnEngineWithFewBuffersCannotRunWholeChunksAhead()
    {
        LoweredPipeline lowered = PipelineProof.Lower(ActionTable.Build(new LoopedBreadthFirst(), new ScheduleShape(2, 2, 16))).Pipeline!;
        Assert.Null(PipelineProof.Check(lowered));
        Assert.Contains("rank 0 waits at 13 for room to send the activation of micro-batch 6 from stage 0 to 1 for rank 1", PipelineProof.Check(lowered, EngineModel.Buffered(2))!.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("1f1b")]
    [InlineData("zb-h1")]
    public void HopAwareTablesEnd(string name)
    {
        foreach (ScheduleShape shape in ScheduleTests.Shapes(Schedules.Find(name)!))
        {
            Assert.Null(PipelineProof.Lower(ActionTable.Build(Schedules.Find(name)!, shape with { HopAware = true })).Standstill);
        }
    }

    [Theory]
    [MemberData(nameof(ScheduleTests.Names), MemberType = typeof(ScheduleTests))]
    public void TheLoweredProgramTakesTheTimeOfItsTable(string name)
    {
        Schedule schedule = Schedules.Find(name)!;
        foreach (ScheduleShape shape in ScheduleTests.Shapes(schedule).Where(s => s.MicroBatches is 2 or 9 or 16))
        {
            ActionTable table = ActionTable.Build(schedule, shape);
            StageCost[] costs = [.. Enumerable.Range(0, shape.Stages).Select(s => new StageCost(3 + s % 3, 2 + s % 2, 4 - s % 2))];
            var link = new LinkCost(0.75, 0.125);
            EquatableArray<StageEdge> edges = StageEdge.Chain(shape.Stages, 2);
            LoweredPipeline early = PipelineLowering.Lower(table, edges, new LoweringOptions(ReceiveDepth: 1000, SendDepth: 1000));
            RankWorldRun run = ProgressProof.Run(PipelineProof.World(early, costs, link));
            Assert.Null(run.Standstill);

            // Sends that nobody waits for are still under way when the last action ends.
            Assert.InRange(run.Makespan, Simulator.Run(table, costs, link, edges).Makespan, Simulator.Run(table, costs, link, edges).Makespan + 1.0);

            // Few buffers cost time, never the end; without hops the two clocks are one.
            LoweredPipeline usual = PipelineProof.Lower(table, edges).Pipeline!;
            Assert.True(ProgressProof.Run(PipelineProof.World(usual, costs, link)).Makespan >= run.Makespan - 1e-9);
            Assert.Equal(Simulator.Run(table, costs).Makespan, ProgressProof.Run(PipelineProof.World(early, costs)).Makespan, 9);
        }
    }

    [Fact]
    public void SwappedActionsThatStandStillAreRefusedWithTheCycle()
    {
        ActionTable good = ActionTable.Build(new OneForwardOneBackward(), new ScheduleShape(2, 1, 4));
        (ActionTable? table, string? wrong) = UserSchedule.Check("Swapped", [(0, "0F0 0B0 0F1 0B1 0F2 0B2 0F3 0B3"), (1, "1F0 1F1 1B0 1B1 1F2 1B2 1F3 1B3")], good.Shape);
        Assert.Null(table);
        Assert.Contains("the ranks wait for each other: rank 0 waits at", wrong, StringComparison.Ordinal);
        Assert.Contains("to receive the gradient of micro-batch 0 from stage 1 to 0 for rank 1; rank 1 waits at", wrong, StringComparison.Ordinal);
        Assert.Contains("to receive the activation of micro-batch 1 from stage 0 to 1 for rank 0", wrong, StringComparison.Ordinal);
    }

    [Fact]
    public void EverySwapOfTwoActionsIsAStepThatEndsOrIsRefused()
    {
        // A schedule that the proof lets through runs to its end in the simulator, which knows nothing of channels; one that cannot is refused by one of both.
        int ended = 0, stood = 0;
        foreach (Schedule schedule in Schedules.All)
        {
            ActionTable table = ActionTable.Build(schedule, new ScheduleShape(3, schedule.RequiredChunks ?? 2, 3));
            for (int rank = 0; rank < 3; rank++)
            {
                for (int i = 0; i < table.Ranks[rank].Count; i++)
                {
                    for (int j = i + 1; j < table.Ranks[rank].Count; j++)
                    {
                        StageAction[] actions = [.. table.Ranks[rank]];
                        (actions[i], actions[j]) = (actions[j], actions[i]);
                        ActionTable swapped = table with { Ranks = table.Ranks.Select((r, k) => k == rank ? actions.ToEquatable() : r).ToEquatable() };
                        if (TableValidation.Check(swapped) is not null)
                        {
                            continue;
                        }

                        Standstill? standstill = PipelineProof.Lower(swapped).Standstill;
                        Exception? simulated = Record.Exception(() => Simulator.Run(swapped, new StageCost(1, 1, 1)));
                        Assert.Equal(simulated is null, standstill is null);
                        if (standstill is not null)
                        {
                            stood++;
                            Assert.True(standstill.Cycle.Count >= 2, standstill.Message);
                            Assert.All(standstill.Cycle, w => Assert.Contains(w.Text, standstill.Message, StringComparison.Ordinal));
                        }
                        else
                        {
                            ended++;
                        }
                    }
                }
            }
        }

        Assert.True(ended > 50 && stood > 50, $"{ended} ended, {stood} stood still");
    }

    [Fact]
    public void TwoGroupsThatWaitForEachOtherAreRefused()
    {
        // Each group sees its collectives in one order; only both together stand still.
        RankWorld world = World(
            [[C(0, "sum of a"), C(1, "sum of b")], [C(1, "sum of b"), C(0, "sum of a")]],
            groups: [new("dp of rank 0", EquatableArray.Of(0, 1)), new("tp of rank 0", EquatableArray.Of(0, 1))]);
        Standstill standstill = ProgressProof.Check(world)!;
        Assert.Equal(
            "the ranks wait for each other: rank 0 waits at 0 in dp of rank 0 (sum of a) for rank 1; rank 1 waits at 0 in tp of rank 0 (sum of b) for rank 0",
            standstill.Message);
        Assert.Equal([0, 1], standstill.Cycle.Select(w => w.Rank));
    }

    [Fact]
    public void ThreeGroupsInARingAreRefusedThoughNoTwoRanksDisagree()
    {
        RankWorld world = World(
            [[C(0, "x"), C(2, "z")], [C(1, "y"), C(0, "x")], [C(2, "z"), C(1, "y")]],
            groups: [new("a", EquatableArray.Of(0, 1)), new("b", EquatableArray.Of(1, 2)), new("c", EquatableArray.Of(2, 0))]);
        Assert.Equal(3, ProgressProof.Check(world)!.Cycle.Count);

        // Started on lanes, they end on an engine that has lanes, and are still refused by the strict model: there is no one order of all.
        RankWorld started = World(
            [[S(0, "x"), S(2, "z"), A(0), A(2)], [S(1, "y"), S(0, "x"), A(0), A(1)], [S(2, "z"), S(1, "y"), A(1), A(2)]], groups: [.. world.Groups]);
        Assert.Null(ProgressProof.Check(started, EngineModel.InProcess));
        Assert.NotNull(ProgressProof.Check(started));
    }

    [Fact]
    public void ACollectiveThatWaitsForAMessageOfARankBehindItIsRefused()
    {
        RankWorld world = World([[C(0, "sum"), new(LaneKind.StartSend, 0), new(LaneKind.AwaitSend, 0)], [new(LaneKind.StartReceive, 0), new(LaneKind.AwaitReceive, 0), C(0, "sum")]],
            [new(0, 1)], [new("dp", EquatableArray.Of(0, 1))]);
        Assert.Contains("rank 0 waits at 0 in dp (sum) for rank 1; rank 1 waits at 1 to receive message 0 from rank 0 to rank 1 for rank 0", ProgressProof.Check(world)!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void WhatDoesNotFitTogetherIsRefused()
    {
        LaneInstruction send0 = new(LaneKind.StartSend, 0), send1 = new(LaneKind.StartSend, 1), post0 = new(LaneKind.StartReceive, 0), post1 = new(LaneKind.StartReceive, 1);
        LaneMessage[] messages = [new(0, 1), new(0, 1)];
        string Wrong(LaneInstruction[] a, LaneInstruction[] b, params LaneGroup[] groups) => ProgressProof.Check(World([a, b], messages, groups))!.Message;
        Assert.Contains("is ordered", Wrong([send0, send1], [post1, post0]), StringComparison.Ordinal);
        Assert.Contains("never receives it", Wrong([send0, send1], [post0]), StringComparison.Ordinal);
        Assert.Contains("never sends it", Wrong([send0], [post0, post1]), StringComparison.Ordinal);
        Assert.Contains("a rank waits for one that has ended: rank 0 waits at 1 until message 0", Wrong([send0, new(LaneKind.AwaitSend, 0)], []), StringComparison.Ordinal);
        Assert.Contains("do not agree: rank 1 has 'b' where rank 0 has 'a'", Wrong([C(0, "a")], [C(0, "b")], new LaneGroup("tp", EquatableArray.Of(0, 1))), StringComparison.Ordinal);
        Assert.Contains("no member", Wrong([C(0, "a")], [], new LaneGroup("tp", EquatableArray.Of(1))), StringComparison.Ordinal);
        Assert.Contains("has not started", Wrong([A(0)], [], new LaneGroup("tp", EquatableArray.Of(0, 1))), StringComparison.Ordinal);
        Assert.Contains("not all members do", ProgressProof.Check(World([[S(0, "a")], []], groups: [new("tp", EquatableArray.Of(0, 1))]), EngineModel.InProcess)!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void BuffersThatAreBoundedCount()
    {
        // Two ranks that each send two before they receive: with room for two they end, with room for one both wait for room.
        LaneInstruction[] Rank(int first, int other) => [new(LaneKind.StartSend, first), new(LaneKind.StartSend, first + 1), new(LaneKind.StartReceive, other), new(LaneKind.StartReceive, other + 1)];
        RankWorld world = World([Rank(0, 2), Rank(2, 0)], [new(0, 1), new(0, 1), new(1, 0), new(1, 0)]);
        Assert.Null(ProgressProof.Check(world, EngineModel.Buffered(2)));
        Assert.Contains("rank 0 waits at 1 for room to send message 1 from rank 0 to rank 1 for rank 1", ProgressProof.Check(world, EngineModel.Buffered(1))!.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void OneRankOfEachPositionStandsForAll(bool broken)
    {
        LoweredPipeline lowered = PipelineLowering.Lower(ActionTable.Build(new OneForwardOneBackward(), new ScheduleShape(3, 1, 4)), options: new LoweringOptions(TiedStages: EquatableArray.Of(EquatableArray.Of(0, 2))));

        // Axes dp 2, pp 3, tp 2. Groups: tp inside every action, dp for the gradients, all for the loss, the ends of the pipeline for what they tie.
        MeshGroup[] groups =
        [
            new("tp", EquatableArray.Of(2)), new("dp", EquatableArray.Of(0)), new("everyone", EquatableArray.Of(0, 1, 2)), new("tied", EquatableArray.Of(1), EquatableArray.Of(0, 2)),
        ];
        IEnumerable<LaneInstruction> Lines(int position, LoweredAction line) => line.Kind switch
        {
            LoweredKind.Compute => [C(0, "partial sum"), new(LaneKind.Compute, -1, null, 1)],
            LoweredKind.StartReceive => [new(LaneKind.StartReceive, line.Message)],
            LoweredKind.AwaitReceive => [new(LaneKind.AwaitReceive, line.Message)],
            LoweredKind.StartSend => [new(LaneKind.StartSend, line.Message)],
            LoweredKind.AwaitSend => [new(LaneKind.AwaitSend, line.Message)],
            LoweredKind.StartReduce => [S(1, "gradients")],
            LoweredKind.AwaitReduce => [A(1)],
            LoweredKind.ReduceTied => broken && position == 0 ? [C(2, "loss"), C(3, "tied")] : [C(3, "tied")],
            LoweredKind.ShareLoss => broken && position == 0 ? [] : [C(2, "loss")],
            _ => [],
        };
        var mesh = new MeshWorld(
            EquatableArray.Of(2, 3, 2), 1, lowered.Ranks.Select((lines, p) => lines.SelectMany(l => Lines(p, l)).ToEquatable()).ToEquatable(),
            lowered.Messages.Select(m => new LaneMessage(m.FromRank, m.ToRank)).ToEquatable(), groups.ToEquatable());
        RankWorldRun one = ProgressProof.Run(mesh.Equal()), all = ProgressProof.Run(mesh.Whole());
        Assert.Equal(3, mesh.Equal().Programs.Count);
        Assert.Equal(12, mesh.Whole().Programs.Count);
        Assert.Equal(broken, one.Standstill is not null);
        Assert.Equal(broken, all.Standstill is not null);
        Assert.Equal(one.Makespan, all.Makespan);
    }

    [Fact]
    public void MoreBuffersAreGivenWhereTheOrderNeedsThem()
    {
        // Rank 0 makes four activations before rank 1, which works them off backwards, takes the first.
        (ActionTable? table, string? wrong) = UserSchedule.Check(
            "Backwards", [(0, "0F0 0F1 0F2 0F3 0B3 0B2 0B1 0B0"), (1, "1F3 1B3 1F2 1B2 1F1 1B1 1F0 1B0")], new ScheduleShape(2, 1, 4));
        Assert.Null(wrong);
        Assert.NotNull(table);
    }

    [Theory]
    [InlineData("1F0 0F0 1B0 0B0", "rank 0 has 1F0 before F of stage 0 and micro-batch 0, which it needs: put that first")]
    [InlineData("0F0 1F0 0B0 1B0", "rank 0 has 0B0 before B (or I) of stage 1 and micro-batch 0, which it needs: put that first")]
    public void StagesOfOneRankWaitForEachOtherToo(string actions, string expected) =>
        Assert.Contains(expected, UserSchedule.Check("Mine", [(0, actions)], new ScheduleShape(1, 1, 1)).Wrong, StringComparison.Ordinal);

    [Theory]
    [InlineData("0F0 0B0", "1F0 1X0", "schedule 'Mine', rank 1, column 5: '1X0' is no action: write stage, one of F, I, W and B, and micro-batch, like 0F1")]
    [InlineData("0F0 0B0", "1F0 1B", "'1B' is no action")]
    [InlineData("0F0 0B0", "1F0 1B0 1B0", "rank 1 has 1B0 after it is done: remove one of the two")]
    [InlineData("0F0 0B0", "1B0 1F0", "rank 1 has 1B0 before 1F0: put F first")]
    [InlineData("0F0 0B0", "1F0 1W0 1I0", "rank 1 has 1W0 before 1I0: put I first")]
    [InlineData("0F0 0B0", "1F0 1I0", "stage 1 on rank 1 has no W of micro-batch 0: add it")]
    [InlineData("0F0 0B0", "1F0 1B0 0F0", "rank 1 has 0F0, and stage 0 lies on rank 0")]
    [InlineData("0F0 0B0", "2F0 2B0", "no rank has stage 1 of 3")]
    [InlineData("0F0 0B0", "99999F0 1B0", "number stages from 0 without gaps")]
    [InlineData("0F0 0F1 0B0 0B1", "1F0 1B0", "the model asks for 1: set MicroBatches = 2")]
    public void WrongSchedulesOfAUserSayWhereAndWhatToDo(string first, string second, string expected)
    {
        string? wrong = UserSchedule.Check("Mine", [(0, first), (1, second)], new ScheduleShape(2, 1, 1)).Wrong;
        Assert.Contains(expected, wrong, StringComparison.Ordinal);
    }

    [Fact]
    public void RanksOfAUsersScheduleAreThoseOfTheAxis()
    {
        string? Wrong(params (int, string)[] ranks) => UserSchedule.Check("Mine", ranks, new ScheduleShape(2, 1, 1)).Wrong;
        Assert.Contains("no actions for rank 1 of 2: add [RankActions(1, ", Wrong((0, "0F0 0B0")), StringComparison.Ordinal);
        Assert.Contains("actions for rank 2, and the pipeline axis has the ranks 0 to 1: leave them out, or make the axis 3 long", Wrong((0, "0F0 0B0"), (1, "1F0 1B0"), (2, "2F0 2B0")), StringComparison.Ordinal);
        Assert.Contains("actions twice", Wrong((0, "0F0"), (0, "0B0")), StringComparison.Ordinal);
        Assert.Null(Wrong((1, "1F0, 1I0, 1W0"), (0, " 0F0  0B0 ")));
    }

    private static LaneInstruction C(int group, string text) => new(LaneKind.Collective, group, text);

    private static LaneInstruction S(int group, string text) => new(LaneKind.StartCollective, group, text);

    private static LaneInstruction A(int group) => new(LaneKind.AwaitCollective, group);

    private static RankWorld World(LaneInstruction[][] programs, LaneMessage[]? messages = null, LaneGroup[]? groups = null) =>
        new(programs.Select(p => p.ToEquatable()).ToEquatable(), (messages ?? []).ToEquatable(), (groups ?? []).ToEquatable());
}
