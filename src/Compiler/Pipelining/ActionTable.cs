using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Pipelining;

/// <summary>What every rank does, in order: a schedule for given counts, or one that a user has written.</summary>
/// <param name="Name">Name of the schedule.</param>
/// <param name="Shape">The counts.</param>
/// <param name="Ranks">Actions of each rank.</param>
/// <param name="RankOfStage">The rank of each stage.</param>
public sealed record ActionTable(string Name, ScheduleShape Shape, EquatableArray<EquatableArray<StageAction>> Ranks, EquatableArray<int> RankOfStage)
{
    /// <summary>Number of stages.</summary>
    public int Stages => RankOfStage.Count;

    /// <summary>Whether some backward is split into its two gradients.</summary>
    public bool SplitsBackward => Ranks.Any(r => r.Any(a => a.Kind is ActionKind.InputGradient or ActionKind.WeightGradient));

    /// <summary>The stages of a rank, ascending.</summary>
    public IEnumerable<int> StagesOf(int rank) => Enumerable.Range(0, Stages).Where(s => RankOfStage[s] == rank);

    /// <summary>Builds the table of a schedule. The shape is one that it does not refuse.</summary>
    public static ActionTable Build(Schedule schedule, ScheduleShape shape)
    {
        if (schedule.Refuse(shape) is string reason)
        {
            throw new ArgumentException(reason, nameof(shape));
        }

        return new ActionTable(
            schedule.Name, shape,
            Enumerable.Range(0, shape.Ranks).Select(r => schedule.ActionsOf(r, shape).ToEquatable()).ToEquatable(),
            Enumerable.Range(0, shape.Stages).Select(s => schedule.RankOf(s, shape)).ToEquatable());
    }

    /// <summary>Most micro-batches that a rank keeps alive at one time, counted over its chunks: from F to W or B.</summary>
    public int PeakLive(int rank)
    {
        int live = 0, peak = 0;
        foreach (StageAction action in Ranks[rank])
        {
            live += action.Kind == ActionKind.Forward ? 1 : action.Releases ? -1 : 0;
            peak = Math.Max(peak, live);
        }

        return peak;
    }

    /// <summary>The table with each I that its W follows at once made one B, where that delays nothing, or everywhere.</summary>
    /// <param name="everywhere">Also where another rank waits for the gradient of the inputs: fewer and cheaper kernels, but that rank waits for the weights' gradient too.</param>
    public ActionTable Merged(bool everywhere = false) =>
        this with { Ranks = Ranks.Select(r => Merge(r, everywhere).ToEquatable()).ToEquatable() };

    private IEnumerable<StageAction> Merge(EquatableArray<StageAction> actions, bool everywhere)
    {
        for (int i = 0; i < actions.Count; i++)
        {
            StageAction action = actions[i];
            bool free = everywhere || action.Stage == 0 || RankOfStage[action.Stage - 1] == RankOfStage[action.Stage];
            if (free && action.Kind == ActionKind.InputGradient && i + 1 < actions.Count && actions[i + 1] == action with { Kind = ActionKind.WeightGradient })
            {
                yield return action with { Kind = ActionKind.Backward };
                i++;
            }
            else
            {
                yield return action;
            }
        }
    }
}
