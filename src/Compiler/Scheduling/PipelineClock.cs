using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Scheduling;

/// <summary>A lowered pipeline with times: as <see cref="Simulator"/>, but a message leaves no sooner than its receive is posted, and an action waits for the buffers that it writes.</summary>
public static class PipelineClock
{
    /// <summary>Runs it.</summary>
    /// <param name="pipeline">The lowered program.</param>
    /// <param name="costs">Times of the stages.</param>
    /// <param name="link">Time of messages.</param>
    /// <param name="times">For each rank the time of each of its actions, where these differ from those of their stages.</param>
    public static Simulation Run(LoweredPipeline pipeline, IReadOnlyList<StageCost> costs, LinkCost link, IReadOnlyList<double[]>? times = null)
    {
        Simulation free = Simulator.Run(pipeline.Table, costs, link, pipeline.Edges.ToList(), times);
        if (!MayBind(pipeline, costs, link))
        {
            return free;
        }

        RankWorldRun run = ProgressProof.Run(PipelineProof.World(pipeline, costs, link, times: times));
        return run.Makespan <= free.Makespan * (1 + 1e-9) ? free : Bounded(pipeline, free, run);
    }

    /// <summary>Whether buffers may hold anything up: not where each message takes less than any action, before which its receive is posted.</summary>
    public static bool MayBind(LoweredPipeline pipeline, IReadOnlyList<StageCost> costs, LinkCost link)
    {
        double longest = pipeline.Messages.Select(m => link.Transfer(m.Bytes) + link.Latency).DefaultIfEmpty(0).Max();
        return longest > pipeline.Table.Ranks.SelectMany(r => r).Min(a => costs[a.Stage].Of(a.Kind));
    }

    private static Simulation Bounded(LoweredPipeline pipeline, Simulation free, RankWorldRun run)
    {
        var made = new double[pipeline.Messages.Count];
        for (int rank = 0; rank < pipeline.Ranks.Count; rank++)
        {
            for (int at = 0; at < pipeline.Ranks[rank].Count; at++)
            {
                if (pipeline.Ranks[rank][at] is { Kind: LoweredKind.StartSend } send)
                {
                    made[send.Message] = run.Ends[rank][at];
                }
            }
        }

        var (starts, ends, exposed) = (new List<EquatableArray<double>>(), new List<EquatableArray<double>>(), new List<double>());
        for (int rank = 0; rank < pipeline.Ranks.Count; rank++)
        {
            var (begun, done) = (new List<double>(), new List<double>());
            double before = 0, under = 0, last = double.NaN;
            for (int at = 0; at < pipeline.Ranks[rank].Count; at++)
            {
                LoweredAction line = pipeline.Ranks[rank][at];
                if (line.Kind == LoweredKind.AwaitReceive)
                {
                    last = double.IsNaN(last) ? made[line.Message] : Math.Max(last, made[line.Message]);
                }
                else if (line.Kind == LoweredKind.Compute)
                {
                    // A line starts where the one before it ends.
                    double start = at == 0 ? 0 : run.Ends[rank][at - 1];
                    under += double.IsNaN(last) ? 0 : Math.Max(0, start - Math.Max(before, last));
                    begun.Add(start);
                    done.Add(before = run.Ends[rank][at]);
                    last = double.NaN;
                }
            }

            starts.Add(begun.ToEquatable());
            ends.Add(done.ToEquatable());
            exposed.Add(under);
        }

        return free with { Makespan = ends.Max(e => e.LastOrDefault()), Starts = starts.ToEquatable(), Ends = ends.ToEquatable(), Exposed = exposed.ToEquatable() };
    }
}
