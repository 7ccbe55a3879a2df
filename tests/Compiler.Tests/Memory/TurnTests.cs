using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Sharding;
using Shardwright.Execution;

namespace Shardwright.Compiler.Tests.Memory;

/// <summary>Windows of ZeRO that span the actions of a rank, statement by statement: the executor walks each rank's table, and instead of kernels it is looked at what lies in every slot.</summary>
public sealed class TurnTests
{
    private const int MicroBatches = 6;

    private static readonly string[] s_schedules = ["GPipe", "OneForwardOneBackward", "Interleaved", "LoopedBreadthFirst", "ZeroBubbleH1", "ZeroBubbleV"];

    private static Plans Net(int layers, string schedule) => Plans.Of($$"""
        [DeviceSpec(MemoryBytes = 16L << 30, BandwidthGBs = 100, Fp32TFlops = 10, MaxThreads = 1)] public sealed class Device;
        [DeviceMesh(Device = typeof(Device)), MeshAxis("pp", 2, Role = AxisRole.Pipeline), MeshAxis("dp", 2, Role = AxisRole.Data)] public sealed class Grid;
        [ShardedLayer] public sealed partial class Block
        {
            readonly Tensor w = Parameter(32, 32);
            readonly Tensor bias = Parameter(32);
            public Tensor Forward(Tensor x) => x + Relu(Linear(x, w, bias));
        }
        [ShardedOn<Grid>(Name = "OnPlain", MicroBatches = {{MicroBatches}}, Schedule = PipelineSchedule.{{schedule}})]
        [ShardedOn<Grid>(Name = "OnTwo", MicroBatches = {{MicroBatches}}, Schedule = PipelineSchedule.{{schedule}}, Zero = ZeroStage.Gradients)]
        [ShardedOn<Grid>(Name = "OnThree", MicroBatches = {{MicroBatches}}, Schedule = PipelineSchedule.{{schedule}}, Zero = ZeroStage.Parameters)]
        [ShardedOn<Grid>(Name = "OnAgain", MicroBatches = {{MicroBatches}}, Schedule = PipelineSchedule.{{schedule}}, Zero = ZeroStage.Parameters, Recompute = RecomputeMode.Full)]
        public sealed partial class Net
        {
            readonly LayerStack<Block> layers = new({{layers}}, () => new Block());
            public Tensor Loss([Shape({{4 * MicroBatches}}, 32), Split("dp", 0)] Tensor x) => Mean(Square(layers.Forward(x)));
        }
        """);

    public static TheoryData<string, int> Cases
    {
        get
        {
            var cases = new TheoryData<string, int>();
            foreach (string schedule in s_schedules)
            {
                // Stages of one to five layers on two or four.
                foreach (int layers in new[] { 4, 6, 7, 10, 14 })
                {
                    cases.Add(schedule, layers);
                }
            }

            return cases;
        }
    }

    /// <summary>A kernel finds the layer that it reads, gathered; nothing is gathered over what is still read, no gradient made over what is still summed; each ticket is waited for once; each gradient is added up once for each micro-batch, in order.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void EverySlotHoldsWhatIsReadOfIt(string schedule, int layers)
    {
        Plans net = Net(layers, schedule);
        foreach (string on in new[] { "OnTwo", "OnThree", "OnAgain" })
        {
            RankProgram program = net.Program(on);
            Assert.True(program.Spans);
            for (int rank = 0; rank < program.Ranks.Count; rank++)
            {
                var turn = new PipelineTurn();
                var stages = new IPipelineStage?[program.Pipeline!.Stages];
                foreach (ChunkPlan chunk in program.Ranks[rank].Chunks)
                {
                    stages[chunk.Stage] = new WindowStage(program.Stages[chunk.Program], turn);
                }

                using var arena = new Arena(64, 0);
                using var world = World.InProcess(new Mesh("alone", new MeshAxisInfo("pp", 1)), new WorldOptions { ThreadsPerRank = 1 });
                string table = string.Join(" ", program.Order!.Table.Ranks[rank]);
                world.Run(context => new PipelineExecutor(arena, context, context.Group("pp"), stages, [.. program.Pipeline.RankOfStage], MicroBatches, 1, turn).Run(PipelineEntry.Train, PipelineActions.Parse(MicroBatches, table)));
                foreach (ChunkPlan chunk in program.Ranks[rank].Chunks)
                {
                    var stage = (WindowStage)stages[chunk.Stage]!;
                    Assert.Empty(stage.UnderWay);
                    long gathers = chunk.Collectives(program.Stages[chunk.Program]).Where(c => c.Start.Kind == CollectiveKind.AllGather).Sum(c => c.Times);
                    Assert.Equal(gathers, stage.Gathers);
                    Assert.All(stage.Added, a => Assert.Equal(Enumerable.Range(0, MicroBatches), a.Value.Order()));
                }
            }
        }
    }

    /// <summary>A stage whose kernels look at slots.</summary>
    private sealed class WindowStage(StageProgram program, PipelineTurn turn) : IPipelineStage
    {
        private readonly Dictionary<(int Buffer, long Slot), string> _slots = [];
        private readonly EntryPlan _train = program.Entries[0];

        public Dictionary<string, List<((int, long) Slot, string Then)>> UnderWay { get; } = [];

        public Dictionary<(int Buffer, long Slot), List<int>> Added { get; } = [];

        public long Gathers { get; private set; }

        public void Run(PipelineEntry entry, PipelinePhase phase, int microBatch, in SlotSet m)
        {
            foreach (ProgramStatement statement in Phases(phase).SelectMany(p => p.Main))
            {
                if (statement is not ProgramStatement.Call call)
                {
                    Do(statement, 0, microBatch, m);
                    continue;
                }

                for (int i = 0; i < Math.Max(1, call.Layers); i++)
                {
                    int layer = call.Reversed ? Math.Max(1, call.Layers) - 1 - i : i;
                    foreach (ProgramStatement inner in _train.Methods[call.Method].Statements)
                    {
                        Do(inner, layer, microBatch, m);
                    }
                }
            }
        }

        public void Open(PipelineEntry entry, PipelinePhase phase, in SlotSet m)
        {
            foreach (ProgramStatement statement in Phases(phase).SelectMany(p => p.Opening))
            {
                Do(statement, 0, 0, m);
            }
        }

        public void Close(PipelineEntry entry, PipelinePhase phase, int microBatch, in SlotSet m)
        {
            foreach (ProgramStatement statement in Phases(phase).SelectMany(p => p.Closing))
            {
                Do(statement, 0, microBatch, m);
            }
        }

        public int Tensors(PipelineEntry entry, Passing passing, in SlotSet m, Span<Slice<byte>> tensors) => 0;

        private IEnumerable<PhasePlan> Phases(PipelinePhase phase) => _train.Phases.Where(p => p.Phase.ToString() == phase.ToString() || (phase == PipelinePhase.Backward && p.Phase is Phase.InputGradient or Phase.WeightGradient));

        private static int Layer(OperandPlan operand, int layer) => operand.Slot switch
        {
            SlotIndex.Layer => layer,
            SlotIndex.NextLayer => layer + 1,
            SlotIndex.PreviousLayer => layer - 1,
            SlotIndex.FinalLayer => operand.Layers - 1,
            _ => 0,
        };

        private (int, long) Slot(OperandPlan operand, int layer, in SlotSet m)
        {
            BufferPlan buffer = program.Buffers[operand.Buffer];
            int from = !buffer.Alternates ? 0 : buffer.Space == MemorySpace.Gathered ? m.GatheredFrom : m.SummedFrom;
            return (buffer.Id, (Layer(operand, layer) + from) % buffer.Slots);
        }

        private void Do(ProgramStatement statement, int layer, int microBatch, in SlotSet m)
        {
            SlotSet turned = m;
            bool Finds(RingFind by) => by == RingFind.Turns ? turned.Turns : turned.Stays;
            if ((statement.Guard is { } guard && !guard.Holds(layer, !Finds(guard.By))) || (statement.Unless is { } unless && Finds(unless)))
            {
                return;
            }

            switch (statement)
            {
                case ProgramStatement.StartNext:
                    turn.StartNext();
                    break;
                case ProgramStatement.EndPrevious:
                    turn.EndPrevious();
                    break;
                case ProgramStatement.Start start:
                    Assert.True(UnderWay.TryAdd(start.Ticket, []), $"{start.Ticket} is started again before it was waited for");
                    Gathers += start.Kind == CollectiveKind.AllGather ? 1 : 0;
                    if (Space(start.Target) == MemorySpace.Gathered)
                    {
                        Set(start.Target!, layer, m, "gathers", ["", "layer"]);
                        UnderWay[start.Ticket].Add((Slot(start.Target!, layer, m), $"layer {Layer(start.Source, layer)}"));
                    }
                    else if (Space(start.Source) == MemorySpace.Summed)
                    {
                        Set(start.Source, layer, m, "sums", ["made"]);
                        UnderWay[start.Ticket].Add((Slot(start.Source, layer, m), "summed"));
                    }

                    break;
                case ProgramStatement.Wait wait:
                    Assert.True(UnderWay.Remove(wait.Ticket, out List<((int, long) Slot, string Then)>? ended), $"{wait.Ticket} is not under way");
                    ended.ForEach(e => _slots[e.Slot] = e.Then);
                    break;
                case ProgramStatement.Run run:
                    foreach (OperandPlan operand in run.Operands)
                    {
                        if (Space(operand) == MemorySpace.Gathered)
                        {
                            Assert.Equal($"layer {layer}", At(operand, layer, m));
                        }
                        else if (Space(operand) == MemorySpace.Summed)
                        {
                            Set(operand, layer, m, "made", ["", "made", "added"]);
                        }
                    }

                    break;
                case ProgramStatement.Accumulate { Contribution: var contribution } sum when Space(contribution) == MemorySpace.Summed:
                    Set(contribution, layer, m, "added", ["summed"]);
                    (int, long) shard = (sum.Gradient.Buffer, Layer(sum.Gradient, layer));
                    Added[shard] = Added.TryGetValue(shard, out List<int>? before) ? before : [];
                    Added[shard].Add(microBatch);
                    break;
            }
        }

        private MemorySpace? Space(OperandPlan? operand) => operand is null ? null : program.Buffers[operand.Buffer].Space;

        private string At(OperandPlan operand, int layer, in SlotSet m) => _slots.TryGetValue(Slot(operand, layer, m), out string? holds) ? holds : "";

        private void Set(OperandPlan operand, int layer, in SlotSet m, string now, string[] before)
        {
            string holds = At(operand, layer, m);
            Assert.True(before.Contains(holds.Split(' ')[0]), $"a slot of {program.Buffers[operand.Buffer].Name} holds '{holds}' where '{now}' comes");
            _slots[Slot(operand, layer, m)] = now;
        }
    }

    /// <summary>A rank takes no more than its windows beside what it takes without them, what is allocated is what is planned, and a device that is too small for it gets the plan without.</summary>
    [Theory]
    [InlineData("GPipe", 6, false)]
    [InlineData("OneForwardOneBackward", 6, false)]
    [InlineData("LoopedBreadthFirst", 12, true)]
    [InlineData("ZeroBubbleH1", 7, true)]
    public void WindowsTakeNoMoreThanThemselvesAndGiveWayWhereTheyDoNotFit(string schedule, int layers, bool grows)
    {
        Plans net = Net(layers, schedule);
        RankProgram with = net.Program("OnThree");
        Shardwright.Compiler.Machine.DeviceDefinition device = net.Mesh("OnThree").Device;
        RankProgram without = net.Program("OnThree", on => on with { Mesh = on.Mesh with { Device = device with { UsableBytes = device.ReserveBytes + with.ArenaBytes - 1 } } });
        Assert.True(with.Spans);
        Assert.False(without.Spans);
        Assert.Equal(grows, without.ArenaBytes < with.ArenaBytes);
        Assert.True(without.ArenaBytes <= with.ArenaBytes);
        Assert.True(without.Forecast.StepSeconds > with.Forecast.StepSeconds);
        for (int rank = 0; rank < with.Ranks.Count; rank++)
        {
            long windows = with.Ranks[rank].Chunks.SelectMany(c => c.Spaces).Where(s => s.Space is MemorySpace.Gathered or MemorySpace.Summed).Sum(s => s.BlockBytes);
            Assert.True(windows > 0);
            Assert.InRange(Plan.Parse(PlanDocument.Write(with)).Ranks[rank].Windows, 1, windows);
            Assert.Equal(0, Plan.Parse(PlanDocument.Write(without)).Ranks[rank].Windows);
            Assert.InRange(with.Ranks[rank].ArenaBytes, 1, without.Ranks[rank].ArenaBytes + windows);
        }
    }
}
