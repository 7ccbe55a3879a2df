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
    private readonly Arithmetic _arithmetic;

    internal StepTime(RankProgram program, MeshDefinition mesh, Arithmetic arithmetic)
    {
        _program = program;
        _mesh = mesh;
        _arithmetic = arithmetic;
    }

    /// <summary>Time of a statement: of its kernel, or of its collective on the link.</summary>
    private readonly record struct Time(double Compute, double Communication);

    private DeviceDefinition Device => _mesh.Device;

    /// <summary>Predicts.</summary>
    /// <param name="program">The program.</param>
    /// <param name="mesh">Its mesh.</param>
    /// <param name="arithmetic">What the factors of products are.</param>
    /// <param name="order">The order of the pipeline; null for a model of one stage.</param>
    public static PlanForecast Of(RankProgram program, MeshDefinition mesh, Arithmetic arithmetic, LoweredPipeline? order) => new StepTime(program, mesh, arithmetic).Run(order);

    private PlanForecast Run(LoweredPipeline? order)
    {
        StepClock planned = Clock(order, least: false), least = Clock(order, least: true);
        RankClock busiest = planned.Ranks.OrderByDescending(r => r.Compute + r.Communication).First(), waits = planned.Ranks.OrderByDescending(r => r.Exposed).First();
        double step = planned.Seconds + Device.StepMicroseconds * 1e-6;
        double flops = _program.Ranks.Sum(r => r.Chunks.Sum(c => ModelFlops(_program.Stages[c.Program]))) / _program.Ranks.Count;
        return new PlanForecast(
            Device.Name, Device.UsableBytes - Device.ReserveBytes, step, busiest.Compute, busiest.Communication, planned.Pipeline?.Bubble ?? 0, flops, flops / (step * Device.Peak(_arithmetic)),
            _program.Kernels.Select(k => Kernel(k, Device, _arithmetic)).ToEquatable())
        {
            Timing = Timing(order, planned),
            ExposedSeconds = waits.Exposed,
            LeastExposedSeconds = Math.Min(waits.Exposed, least.Ranks[planned.Ranks.IndexOf(waits)].Exposed),
            Exposed = waits.Waits.ToEquatable(),
        };
    }

    /// <summary>The parts of that time, to draw it from.</summary>
    private PlanTiming Timing(LoweredPipeline? order, StepClock clock)
    {
        WorkTime Parts(int program, params Phase[] phases)
        {
            if (order is not null)
            {
                ActionTime action = Action(program, phases);
                return new WorkTime(action.Compute, action.Seconds - action.Compute);
            }

            // A model of one stage has one action, with both directions in it: the mean of all micro-batches.
            (double compute, double seconds) = (0, 0);
            foreach (Round round in Rounds(program))
            {
                var part = new ActionTime(round.Action.Parts.Where(p => p.IsBackward == phases.Contains(Phase.Backward) && !phases.Contains(Phase.WeightGradient)).ToEquatable());
                (compute, seconds) = (compute + round.Times * part.Compute / _program.MicroBatches, seconds + round.Times * part.Seconds / _program.MicroBatches);
            }

            return new WorkTime(compute, seconds - compute);
        }

        // The end of a step is one of all stages of a rank: each has its share by its parameters.
        WorkTime Share(int rank, int program)
        {
            double Elements(int of) => _program.Stages[of].Groups.Sum(g => (double)g.Elements);
            double share = Elements(program) / Math.Max(1, _program.Ranks[rank].Chunks.Sum(c => Elements(c.Program)));
            return new WorkTime(share * clock.Ranks[rank].Update.Compute, share * clock.Ranks[rank].Update.Communication);
        }

        IEnumerable<StageTiming> stages = _program.Ranks.SelectMany((r, rank) => r.Chunks.Select(c => (Chunk: c, Rank: rank))).OrderBy(c => c.Chunk.Stage).Select(c => new StageTiming(
            c.Chunk.Stage, Parts(c.Chunk.Program, Phase.Forward), Parts(c.Chunk.Program, Phase.InputGradient, Phase.Backward), Parts(c.Chunk.Program, Phase.WeightGradient),
            Share(c.Rank, c.Chunk.Program),
            order?.Edges.Where(e => e.From == c.Chunk.Stage).Sum(e => e.Bytes) ?? 0, order?.Edges.Where(e => e.To == c.Chunk.Stage && e.HasGradient).Sum(e => e.Bytes) ?? 0));
        return new PlanTiming(
            _mesh.Axes.Select(a => new AxisLink(a.Name, a.Link.Name, a.Link.LatencySeconds, a.Link.BytesPerSecond)).ToEquatable(), stages.ToEquatable(),
            order is not null && order.Table.Ranks.Sum(r => (long)r.Count) <= PlanTiming.MostActions ? order.Table.Ranks.Select(r => OrderText.Write(r.Items)).ToEquatable() : default);
    }

    /// <summary>Time of messages between stages.</summary>
    internal LinkCost Link(string axis)
    {
        LinkDefinition link = LinkOf(axis);
        return new LinkCost(link.LatencySeconds, 1 / link.BytesPerSecond);
    }

    private Time Of(StageProgram stage, ProgramStatement statement)
    {
        long Bytes(OperandPlan operand) => operand.Length * BufferPlan.Width(stage.Buffers[operand.Buffer].Element);
        switch (statement)
        {
            case ProgramStatement.Run run:
                return new Time(Kernel(_program.Kernels[run.Kernel], Device, _arithmetic), 0);
            case ProgramStatement.Start start:
                return new Time(0, Collective(_mesh, start.Kind, start.Axes, Bytes(start.Source), start.Target is { } target ? Bytes(target) : 0));
            case ProgramStatement.Accumulate sum:
                return new Time(OpTime.Seconds(Device, WorkKind.Elementwise, sum.Gradient.Length, 3 * Bytes(sum.Gradient), _arithmetic), 0);
            case ProgramStatement.Load load:
                return new Time(OpTime.Moving(Device, 2 * Bytes(load.Operand)), 0);
            default:
                return default;
        }
    }

    /// <summary>A product, then its epilogue, which works on what is still in cache; elementwise work by what its functions cost; everything else by its FLOPs.</summary>
    internal static double Kernel(KernelPlan kernel, DeviceDefinition device, Arithmetic arithmetic)
    {
        double flops = kernel is ElementwiseKernel elementwise ? Math.Max(kernel.Flops, BodyWork.Of(elementwise.Body)) : kernel.Flops;
        double seconds = OpTime.Seconds(device, Work(kernel), flops, kernel.BytesMoved, arithmetic);
        return kernel is GemmKernel { Epilogue: { } body } ? seconds + OpTime.Computing(device, WorkKind.Elementwise, BodyWork.Of(body), Arithmetic.Float32) : seconds;
    }

    private static WorkKind Work(KernelPlan kernel) => kernel switch { GemmKernel => WorkKind.Product, OpKernel op => op.Op.Work, _ => WorkKind.Elementwise };

    /// <summary>A collective on the links of its axes.</summary>
    internal static double Collective(MeshDefinition mesh, CollectiveKind kind, IEnumerable<string> axes, long source, long target)
    {
        double seconds = 0;
        foreach (string name in axes)
        {
            MeshAxisDefinition axis = mesh.Axes.First(a => a.Name == name);
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
