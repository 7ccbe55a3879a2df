using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Pipelining;

namespace Shardwright.Compiler.Scheduling;

/// <summary>The proof of a lowered pipeline.</summary>
public static class PipelineProof
{
    /// <summary>The world of the pipeline's ranks: one for each position, which stands for all ranks of the data and tensor axes there.</summary>
    /// <param name="pipeline">The lowered program.</param>
    /// <param name="costs">Times of the stages, for timed runs.</param>
    /// <param name="link">Time of messages, for timed runs.</param>
    /// <param name="inside">For a rank and a line what it does inside, in order: the collectives of its kernels, in groups behind the pipeline's own
    /// (<paramref name="groups"/>, numbered from 0 here). Where it gives null, a line is what the pipeline makes of it.</param>
    /// <param name="groups">Groups that <paramref name="inside"/> names.</param>
    /// <param name="times">For timed runs: for each rank the time of each of its actions, where these differ from those of their stages.</param>
    public static RankWorld World(
        LoweredPipeline pipeline, IReadOnlyList<StageCost>? costs = null, LinkCost link = default,
        Func<int, LoweredAction, IEnumerable<LaneInstruction>?>? inside = null, IReadOnlyList<LaneGroup>? groups = null, IReadOnlyList<double[]>? times = null)
    {
        ActionTable table = pipeline.Table;
        int ranks = table.Ranks.Count;
        var all = new List<LaneGroup>(groups ?? []);
        int everyone = all.Count;
        all.Add(new LaneGroup("the pipeline", Enumerable.Range(0, ranks).ToEquatable()));
        int alone = all.Count;
        all.AddRange(Enumerable.Range(0, ranks).Select(r => new LaneGroup($"the data axes of rank {r}", EquatableArray.Of(r))));
        int tied = all.Count;
        all.AddRange(pipeline.Options.TiedStages.Select((stages, i) => new LaneGroup($"tied parameters {i}", stages.Select(s => table.RankOfStage[s]).Distinct().OrderBy(r => r).ToEquatable())));

        var done = new int[ranks];
        double Time(int rank, LoweredAction line) => times is not null ? times[rank][done[rank]++] : costs?[line.Stage].Of(line.Action) ?? 0;
        IEnumerable<LaneInstruction> Line(int rank, LoweredAction line)
        {
            if (inside?.Invoke(rank, line) is { } instructions)
            {
                return instructions;
            }

            LaneInstruction one = line.Kind switch
            {
                LoweredKind.Compute => new(LaneKind.Compute, -1, null, Time(rank, line)),
                LoweredKind.StartReceive => new(LaneKind.StartReceive, line.Message),
                LoweredKind.AwaitReceive => new(LaneKind.AwaitReceive, line.Message),
                LoweredKind.StartSend => new(LaneKind.StartSend, line.Message),
                LoweredKind.AwaitSend => new(LaneKind.AwaitSend, line.Message),
                LoweredKind.StartGather or LoweredKind.StartReduce => new(LaneKind.StartCollective, alone + rank, pipeline.Text(line)),
                LoweredKind.AwaitGather or LoweredKind.AwaitReduce => new(LaneKind.AwaitCollective, alone + rank),
                LoweredKind.ReduceTied => new(LaneKind.Collective, tied + line.Stage, "sum of tied gradients"),
                LoweredKind.ShareLoss => new(LaneKind.Collective, everyone, "loss"),
                LoweredKind.ReduceNorm => new(LaneKind.Collective, everyone, "gradient norm"),
                _ => new(LaneKind.Compute, -1),
            };
            return [one];
        }

        return new RankWorld(
            pipeline.Ranks.Select((lines, rank) => lines.SelectMany(l => Line(rank, l)).ToEquatable()).ToEquatable(),
            pipeline.Messages.Select(m => new LaneMessage(m.FromRank, m.ToRank, m.Bytes)).ToEquatable(),
            all.ToEquatable())
        {
            Link = link,
            MessageName = m => Name(pipeline.Messages[m]),
        };
    }

    /// <summary>Why the pipeline stands still on an engine (the strict model if null); null if every rank ends.</summary>
    public static Standstill? Check(LoweredPipeline pipeline, EngineModel? engine = null, CancellationToken cancellation = default) =>
        ProgressProof.Check(World(pipeline), engine, cancellation);

    /// <summary>Lowers a table so that it is proven: where two ranks would wait for buffers that are still on their way, senders get more of them.</summary>
    /// <param name="table">The order.</param>
    /// <param name="edges">What passes between stages; each stage to the next if null.</param>
    /// <param name="options">How it is lowered.</param>
    /// <param name="cancellation">Ends the proof.</param>
    /// <param name="check">Proves a lowered program with all that its ranks do besides; what the pipeline itself does if null.</param>
    /// <returns>The lowered pipeline, or why no number of buffers helps.</returns>
    public static (LoweredPipeline? Pipeline, Standstill? Standstill) Lower(
        ActionTable table, IReadOnlyList<StageEdge>? edges = null, LoweringOptions? options = null, CancellationToken cancellation = default, Func<LoweredPipeline, Standstill?>? check = null)
    {
        options ??= new LoweringOptions();
        while (true)
        {
            LoweredPipeline lowered = PipelineLowering.Lower(table, edges, options);
            Standstill? standstill = check is null ? Check(lowered, cancellation: cancellation) : check(lowered);
            if (standstill is null || options.SendDepth >= table.Shape.MicroBatches)
            {
                return standstill is null ? (lowered, null) : (null, standstill);
            }

            options = options with { SendDepth = (int)Math.Min(2L * options.SendDepth, table.Shape.MicroBatches) };
        }
    }

    /// <summary>What a message is called.</summary>
    public static string Name(PipelineMessage message) =>
        message.Kind == MessageKind.Activation
            ? $"the activation of micro-batch {message.MicroBatch} from stage {message.FromStage} to {message.ToStage}"
            : $"the gradient of micro-batch {message.MicroBatch} from stage {message.FromStage} to {message.ToStage}";
}
