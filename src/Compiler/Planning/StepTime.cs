using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Planning;

/// <summary>Predicts the time of a training step from its statements: kernels by the device's table, collectives by the links of their axes, pipelines by simulation of their order.</summary>
internal sealed partial class StepTime
{
    private readonly RankProgram _program;
    private readonly MeshDefinition _mesh;
    private readonly bool _half;

    internal StepTime(RankProgram program, MeshDefinition mesh, bool half)
    {
        _program = program;
        _mesh = mesh;
        _half = half;
    }

    private readonly record struct Time(double Compute, double Communication)
    {
        public double Total => Compute + Communication;

        public static Time operator +(Time a, Time b) => new(a.Compute + b.Compute, a.Communication + b.Communication);

        public static Time operator *(double times, Time a) => new(times * a.Compute, times * a.Communication);
    }

    private DeviceDefinition Device => _mesh.Device;

    /// <summary>Predicts.</summary>
    /// <param name="program">The program.</param>
    /// <param name="mesh">Its mesh.</param>
    /// <param name="half">Whether products run in 16 bits.</param>
    /// <param name="order">The order of the pipeline; null for a model of one stage.</param>
    public static PlanForecast Of(RankProgram program, MeshDefinition mesh, bool half, LoweredPipeline? order) => new StepTime(program, mesh, half).Run(order);

    private PlanForecast Run(LoweredPipeline? order)
    {
        Time[] ranks = _program.Ranks.Select(r => r.Chunks.Aggregate(default(Time), (sum, c) => sum + _program.MicroBatches * MicroBatch(_program.Stages[c.Program]))).ToArray();
        Time longest = ranks.OrderByDescending(r => r.Total).First();
        double step = order is null ? _program.MicroBatches * Action(_program.Ranks[0].Chunks[0].Program, s_all).Seconds : 0, bubble = 0;
        if (order is not null)
        {
            Simulation simulated = Simulator.Run(order.Table, Costs(order.Table), Link(order), order.Edges.ToList());
            (step, bubble) = (simulated.Makespan, simulated.Bubble);
        }

        Time end = LongestUpdate();
        step += end.Total + Device.StepMicroseconds * 1e-6;
        double flops = _program.Ranks.Sum(r => r.Chunks.Sum(c => ModelFlops(_program.Stages[c.Program]))) / _program.Ranks.Count;
        return new PlanForecast(
            Device.Name, Device.UsableBytes - Device.ReserveBytes, step, (longest + end).Compute, (longest + end).Communication, bubble, flops, flops / (step * Device.Peak(_half)),
            _program.Kernels.Select(Kernel).ToEquatable())
        {
            Timing = Timing(order),
        };
    }

    /// <summary>The parts of that time, to draw it from.</summary>
    private PlanTiming Timing(LoweredPipeline? order)
    {
        static WorkTime Parts(Time time) => new(time.Compute, time.Communication);
        IEnumerable<StageTiming> stages = _program.Ranks.SelectMany(r => r.Chunks).OrderBy(c => c.Stage).Select(c =>
        {
            StageProgram stage = _program.Stages[c.Program];
            return new StageTiming(
                c.Stage, Parts(MicroBatch(stage, p => p == Phase.Forward)), Parts(MicroBatch(stage, p => p is Phase.InputGradient or Phase.Backward)), Parts(MicroBatch(stage, p => p == Phase.WeightGradient)), Parts(Update(stage)),
                order?.Edges.Where(e => e.From == c.Stage).Sum(e => e.Bytes) ?? 0, order?.Edges.Where(e => e.To == c.Stage && e.HasGradient).Sum(e => e.Bytes) ?? 0);
        });
        return new PlanTiming(
            _mesh.Axes.Select(a => new AxisLink(a.Name, a.Link.Name, a.Link.LatencySeconds, a.Link.BytesPerSecond)).ToEquatable(), stages.ToEquatable(),
            order is not null && order.Table.Ranks.Sum(r => (long)r.Count) <= PlanTiming.MostActions ? order.Table.Ranks.Select(r => OrderText.Write(r.Items)).ToEquatable() : default);
    }

    /// <summary>Times of the stages' actions for one micro-batch.</summary>
    private List<StageCost> Costs(ActionTable table)
    {
        Dictionary<int, int> programs = _program.Ranks.SelectMany(r => r.Chunks).ToDictionary(c => c.Stage, c => c.Program);
        return Enumerable.Range(0, table.Stages).Select(s => new StageCost(
            Action(programs[s], PhasesOf(ActionKind.Forward)).Seconds, Action(programs[s], PhasesOf(ActionKind.InputGradient)).Seconds, Action(programs[s], PhasesOf(ActionKind.WeightGradient)).Seconds)).ToList();
    }

    private LinkCost Link(LoweredPipeline order)
    {
        LinkDefinition link = LinkOf(_program.Pipeline!.Axis);
        return new LinkCost(link.LatencySeconds, 1 / link.BytesPerSecond);
    }

    private Time MicroBatch(StageProgram stage, Func<Phase, bool>? of = null)
    {
        EntryPlan train = stage.Entries[0];
        Time sum = default;
        foreach (ProgramStatement statement in train.Phases.Where(p => of is null || of(p.Phase)).SelectMany(p => p.Main))
        {
            sum += statement is ProgramStatement.Call call
                ? Math.Max(1, call.Layers) * train.Methods[call.Method].Statements.Aggregate(default(Time), (time, s) => time + Of(stage, s))
                : Of(stage, statement);
        }

        return sum;
    }

    private Time Of(StageProgram stage, ProgramStatement statement)
    {
        long Bytes(OperandPlan operand) => operand.Length * BufferPlan.Width(stage.Buffers[operand.Buffer].Element);
        switch (statement)
        {
            case ProgramStatement.Run run:
                return new Time(Kernel(_program.Kernels[run.Kernel]), 0);
            case ProgramStatement.Start start:
                return new Time(0, Collective(start.Kind, start.Axes, Bytes(start.Source), start.Target is { } target ? Bytes(target) : 0));
            case ProgramStatement.Accumulate sum:
                return new Time(OpTime.Seconds(Device, WorkKind.Elementwise, sum.Gradient.Length, 3 * Bytes(sum.Gradient), _half), 0);
            case ProgramStatement.Load load:
                return new Time(OpTime.Moving(Device, 2 * Bytes(load.Operand)), 0);
            default:
                return default;
        }
    }

    /// <summary>A product, then its epilogue, which works on what is still in cache; elementwise work by what its functions cost; everything else by its FLOPs.</summary>
    private double Kernel(KernelPlan kernel)
    {
        double flops = kernel is ElementwiseKernel elementwise ? Math.Max(kernel.Flops, BodyWork.Of(elementwise.Body)) : kernel.Flops;
        double seconds = OpTime.Seconds(Device, Work(kernel), flops, kernel.BytesMoved, _half);
        return kernel is GemmKernel { Epilogue: { } body } ? seconds + OpTime.Computing(Device, WorkKind.Elementwise, BodyWork.Of(body), false) : seconds;
    }

    private static WorkKind Work(KernelPlan kernel) => kernel switch { GemmKernel => WorkKind.Product, OpKernel op => op.Op.Work, _ => WorkKind.Elementwise };

    private double Collective(CollectiveKind kind, IEnumerable<string> axes, long source, long target)
    {
        double seconds = 0;
        foreach (string name in axes)
        {
            MeshAxisDefinition axis = _mesh.Axes.First(a => a.Name == name);
            double latency = axis.Link.LatencySeconds, rate = axis.Link.BytesPerSecond;
            seconds += kind switch
            {
                CollectiveKind.AllGather => CollectiveTime.Gather(axis.Size, target, latency, rate),
                CollectiveKind.ReduceScatter => CollectiveTime.Gather(axis.Size, source, latency, rate),
                CollectiveKind.AllToAll => CollectiveTime.AllToAll(axis.Size, source, latency, rate),
                _ => CollectiveTime.AllReduce(axis.Size, source, latency, rate),
            };
        }

        return seconds;
    }

    private LinkDefinition LinkOf(string axis) => _mesh.Axes.First(a => a.Name == axis).Link;

    /// <summary>Operations of a step that the model itself needs.</summary>
    private double ModelFlops(StageProgram stage)
    {
        EntryPlan train = stage.Entries[0];
        return train.MicroBatches * train.Main.OfType<ProgramStatement.Call>()
            .Sum(call => Math.Max(1, call.Layers) * train.Methods[call.Method].Statements.OfType<ProgramStatement.Run>().Where(r => !r.IsAgain).Sum(r => (double)_program.Kernels[r.Kernel].Flops));
    }
}
