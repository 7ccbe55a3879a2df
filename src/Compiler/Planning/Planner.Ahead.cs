using Shardwright.Compiler.Pipelining;
using Shardwright.Compiler.Scheduling;

namespace Shardwright.Compiler.Planning;

/// <summary>How far ahead of the actions that need them messages between stages may be under way: one action, or as many as a slow link asks for, which takes a buffer for each.</summary>
public sealed partial class Planner
{
    /// <summary>Most actions.</summary>
    private const int MostAhead = 6;

    /// <summary>Share of the step that further buffers must be worth.</summary>
    private const double WorthBuffers = 0.005;

    private LoweredPipeline Ahead(LoweredPipeline lowered, StepTime time, int[] programOf, Func<LoweredPipeline, Standstill?> check)
    {
        ActionTable table = lowered.Table;
        List<StageCost> costs = time.Costs(table, s => programOf[s], least: false);
        LinkCost link = time.Link(_on.Mesh.Axes.First(a => a.Role == "Pipeline").Name);
        if (!PipelineClock.MayBind(lowered, costs, link))
        {
            return lowered;
        }

        double least = Simulator.Run(table, costs, link, lowered.Edges.ToList()).Makespan, seconds = PipelineClock.Run(lowered, costs, link).Makespan;
        for (int ahead = 2; ahead <= Math.Min(MostAhead, table.Shape.MicroBatches) && seconds > (1 + WorthBuffers) * least; ahead++)
        {
            LoweredPipeline? deeper = PipelineProof.Lower(table, lowered.Edges.ToList(), s_lowering with { ReceiveDepth = ahead, SendDepth = Math.Max(lowered.Options.SendDepth, ahead) }, _cancellation, check).Pipeline;
            if (deeper is not null && PipelineClock.Run(deeper, costs, link).Makespan is var shorter && shorter < (1 - WorthBuffers) * seconds)
            {
                (lowered, seconds) = (deeper, shorter);
            }
        }

        return lowered;
    }
}
