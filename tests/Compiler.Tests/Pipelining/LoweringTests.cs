using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Tests.Pipelining;

/// <summary>From an order of actions to the lines of a rank: messages, waits, reductions, buffers.</summary>
public sealed class LoweringTests
{
    [Fact]
    public void LinesOfASmallStep()
    {
        LoweredPipeline lowered = PipelineLowering.Lower(ActionTable.Build(new OneForwardOneBackward(), new ScheduleShape(2, 1, 2)));
        Assert.Equal(
            "0F0 0SEND_F0 0RECV_B0 0F1 0SEND_F1 0RECV_B1 0WAIT_RECV_B0 0B0 0WAIT_RECV_B1 0B1 0REDUCE_GRAD 0WAIT_SEND_F0 0WAIT_SEND_F1 0WAIT_REDUCE_GRAD SHARE_LOSS UPDATE",
            Text(lowered, 0));
        Assert.Equal(
            "1RECV_F0 1WAIT_RECV_F0 1F0 1RECV_F1 1B0 1SEND_B0 1WAIT_RECV_F1 1F1 1B1 1SEND_B1 1REDUCE_GRAD 1WAIT_SEND_B0 1WAIT_SEND_B1 1WAIT_REDUCE_GRAD SHARE_LOSS UPDATE",
            Text(lowered, 1));
    }

    [Fact]
    public void TheTurnOfAVNeedsNoMessage()
    {
        LoweredPipeline lowered = PipelineLowering.Lower(ActionTable.Build(new ZeroBubbleV(), new ScheduleShape(2, 2, 4)));
        Assert.DoesNotContain(lowered.Messages, m => m.FromStage == 1 && m.ToStage == 2);
        Assert.Contains(lowered.Messages, m => m.FromStage == 0 && m.ToStage == 1);
        Assert.Equal(4 * 2 * 2, lowered.Messages.Count);
    }

    [Theory]
    [MemberData(nameof(ScheduleTests.Names), MemberType = typeof(ScheduleTests))]
    public void EveryMessageIsPostedAwaitedAndUsedOnceAndInTheOrderOfItsChannel(string name)
    {
        Schedule schedule = Schedules.Find(name)!;
        foreach (ScheduleShape shape in ScheduleTests.Shapes(schedule).Where(s => s.MicroBatches <= 12))
        {
            foreach (int depth in new[] { 0, 1, 3 })
            {
                LoweredPipeline lowered = PipelineLowering.Lower(ActionTable.Build(schedule, shape), options: new LoweringOptions(ReceiveDepth: depth, SendDepth: 1 + depth));
                var sent = new Dictionary<(int, int), List<int>>();
                var posted = new Dictionary<(int, int), List<int>>();
                foreach (EquatableArray<LoweredAction> lines in lowered.Ranks)
                {
                    var seen = new Dictionary<(LoweredKind, int), int>();
                    for (int i = 0; i < lines.Count; i++)
                    {
                        if (lines[i].Message >= 0)
                        {
                            seen.Add((lines[i].Kind, lines[i].Message), i);
                            PipelineMessage message = lowered.Messages[lines[i].Message];
                            Dictionary<(int, int), List<int>>? order = lines[i].Kind switch { LoweredKind.StartSend => sent, LoweredKind.StartReceive => posted, _ => null };
                            if (order is not null)
                            {
                                if (!order.TryGetValue((message.FromRank, message.ToRank), out List<int>? list))
                                {
                                    order[(message.FromRank, message.ToRank)] = list = [];
                                }

                                list.Add(lines[i].Message);
                            }
                        }
                    }

                    Assert.All(seen.Where(s => s.Key.Item1 == LoweredKind.StartReceive), s => Assert.True(seen[(LoweredKind.AwaitReceive, s.Key.Item2)] > s.Value));
                    Assert.All(seen.Where(s => s.Key.Item1 == LoweredKind.StartSend), s => Assert.True(seen[(LoweredKind.AwaitSend, s.Key.Item2)] > s.Value));
                }

                Assert.Equal(lowered.Messages.Count, sent.Values.Sum(v => v.Count));
                Assert.Equal(sent.Count, posted.Count);
                Assert.All(sent, s => Assert.Equal(s.Value, posted[s.Key]));
            }
        }
    }

    [Fact]
    public void TheBuffersOfOneForwardOneBackwardAreItsLiveMicroBatches()
    {
        LoweredPipeline lowered = PipelineLowering.Lower(ActionTable.Build(new OneForwardOneBackward(), new ScheduleShape(4, 1, 12)), options: new LoweringOptions(ReceiveDepth: 0));
        EquatableArray<StageSlots> slots = PipelineSlots.Assign(lowered);
        Assert.Equal([4, 3, 2, 1], slots.Select(s => s.Kept.Count));
        Assert.Equal([0, 3, 2, 1], slots.Select(s => s.Input.Count));
        Assert.All(slots, s => Assert.Equal(SlotMap.None, s.Deferred));
        Assert.Equal(Enumerable.Range(0, 12).Select(m => m % 4), slots[0].Kept.SlotOf);
        Assert.Equal([2, 2, 2, 0], slots.Select(s => s.Output.Count));
        Assert.Equal([1, 1, 1, 0], slots.Select(s => s.GradientIn.Count));
    }

    [Fact]
    public void APassWithoutBackwardKeepsWhatArrivesUntilItIsUsed()
    {
        ActionTable table = ActionTable.Build(new OneForwardOneBackward(), new ScheduleShape(2, 1, 4));
        ActionTable forward = table with { Ranks = table.Ranks.Select(r => r.Where(a => a.Kind == ActionKind.Forward).ToEquatable()).ToEquatable() };
        StageSlots slots = PipelineSlots.Assign(PipelineLowering.Lower(forward))[1];
        Assert.Equal(2, slots.Input.Count); // one in use, one on its way
        Assert.Equal([0, 1, 0, 1], slots.Input.SlotOf);
    }

    [Fact]
    public void ASplitBackwardKeepsItsGradientUntilTheWeightsAreDone()
    {
        EquatableArray<StageSlots> slots = PipelineSlots.Assign(PipelineLowering.Lower(ActionTable.Build(new ZeroBubbleH1(), new ScheduleShape(4, 1, 12)), options: new LoweringOptions(ReceiveDepth: 0)));
        Assert.Equal([4, 4, 4, 4], slots.Select(s => s.Kept.Count));
        Assert.Equal([1, 2, 3, 4], slots.Select(s => s.Deferred.Count));
        Assert.Equal([1, 2, 3, 0], slots.Select(s => s.GradientIn.Count));
    }

    [Fact]
    public void NoTwoLivesShareABuffer()
    {
        foreach (Schedule schedule in Schedules.All)
        {
            foreach (ScheduleShape shape in ScheduleTests.Shapes(schedule).Where(s => s.MicroBatches is 3 or 8))
            {
                LoweredPipeline lowered = PipelineLowering.Lower(ActionTable.Build(schedule, shape));
                foreach (StageSlots stage in PipelineSlots.Assign(lowered))
                {
                    var holder = new Dictionary<int, int>();
                    int most = 0;
                    foreach (LoweredAction line in lowered.Ranks[lowered.Table.RankOfStage[stage.Stage]].Where(l => l.Kind == LoweredKind.Compute && l.Stage == stage.Stage))
                    {
                        int slot = stage.Kept.SlotOf[line.MicroBatch];
                        if (line.Action == ActionKind.Forward)
                        {
                            Assert.True(holder.TryAdd(slot, line.MicroBatch), $"{schedule.Name} {shape}: slot {slot} of stage {stage.Stage} is still in use");
                        }
                        else
                        {
                            Assert.Equal(line.MicroBatch, holder[slot]);
                            if (line.Action != ActionKind.InputGradient)
                            {
                                holder.Remove(slot);
                            }
                        }

                        most = Math.Max(most, holder.Count);
                    }

                    Assert.Equal(most, stage.Kept.Count);
                    Assert.True(stage.Whole.Count >= stage.Kept.Count);
                }
            }
        }
    }

    [Fact]
    public void ValuesThatSkipStagesTravelThroughThoseBetween()
    {
        EquatableArray<StageCrossing> crossings = EdgeRouting.Route([new("x", 0, 1, 100), new("mask", 0, 3, 8, false), new("y", 1, 2, 50)], 4);
        Assert.Equal([new StageEdge(0, 1, 108), new StageEdge(1, 2, 58), new StageEdge(2, 3, 8, false)], crossings.Select(c => c.Edge));
        Assert.Equal([1], crossings[2].Values);
        LoweredPipeline lowered = PipelineLowering.Lower(ActionTable.Build(new GPipe(), new ScheduleShape(4, 1, 2)), [.. crossings.Select(c => c.Edge)]);
        Assert.DoesNotContain(lowered.Messages, m => m.Edge == 2 && m.Kind == MessageKind.Gradient);
        Assert.Contains("stage 2 to stage 1", Assert.Throws<ArgumentException>(() => EdgeRouting.Route([new("z", 2, 1, 4)], 4)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ShardedGradientsAreReducedAndParametersGatheredAsOftenAsTheOrderAsks()
    {
        var options = new LoweringOptions(ReduceEach: true, GatherParameters: true);
        int Count(Schedule schedule, int chunks, LoweredKind kind) =>
            PipelineLowering.Lower(ActionTable.Build(schedule, new ScheduleShape(4, chunks, 8)), options: options).Ranks[0].Count(l => l.Kind == kind);
        Assert.Equal(8, Count(new OneForwardOneBackward(), 1, LoweredKind.StartReduce));
        Assert.Equal(8, Count(new OneForwardOneBackward(), 1, LoweredKind.AwaitReduce));
        Assert.Equal(2 * 8 - 3 - 3, Count(new OneForwardOneBackward(), 1, LoweredKind.StartGather));

        // Breadth first: twice for each stage, once where it turns without another stage between.
        Assert.Equal(4, Count(new LoopedBreadthFirst(), 2, LoweredKind.StartGather));
    }

    [Fact]
    public void AnEdgeThatGoesBackIsRefused() =>
        Assert.Contains("stage 1 to stage 0", Assert.Throws<ArgumentException>(() => PipelineLowering.Lower(ActionTable.Build(new GPipe(), new ScheduleShape(2, 1, 2)), [new StageEdge(1, 0, 4)])).Message, StringComparison.Ordinal);

    private static string Text(LoweredPipeline lowered, int rank) => string.Join(" ", lowered.Ranks[rank].Select(lowered.Text));
}
