namespace Shardwright.Compiler.Pipelining;

/// <summary>Whether a table is a step: every stage and micro-batch once in each direction, in an order that a rank can keep.</summary>
public static class TableValidation
{
    /// <summary>The first thing that is wrong with a table, and the way out; null if it is a step.</summary>
    /// <param name="table">The table.</param>
    /// <param name="edges">What passes between stages; each stage to the next if null. Those within a rank have no message to wait for, so the order alone must keep them.</param>
    public static string? Check(ActionTable table, IReadOnlyList<StageEdge>? edges = null)
    {
        int stages = table.Stages, count = table.Shape.MicroBatches;
        if (table.Ranks.Count != table.Shape.Ranks)
        {
            return $"the table has {table.Ranks.Count} ranks, and the pipeline axis {table.Shape.Ranks}: give the actions of each";
        }

        // Bits of what is done: 1 for F, 2 for I, 4 for W.
        var done = new byte[(long)stages * count];
        StageEdge[] within = (edges ?? StageEdge.Chain(stages)).Where(e => table.RankOfStage[e.From] == table.RankOfStage[e.To]).ToArray();
        ILookup<int, int> sources = within.ToLookup(e => e.To, e => e.From), targets = within.Where(e => e.HasGradient).ToLookup(e => e.From, e => e.To);
        for (int rank = 0; rank < table.Ranks.Count; rank++)
        {
            foreach (StageAction action in table.Ranks[rank])
            {
                if (Check(table, rank, action, done) is string wrong)
                {
                    return wrong;
                }

                bool forward = action.Kind == ActionKind.Forward;
                foreach (int other in forward ? sources[action.Stage] : action.GivesInputGradient ? targets[action.Stage] : [])
                {
                    if ((done[(long)other * count + action.MicroBatch] & (forward ? 1 : 2)) == 0)
                    {
                        return $"rank {rank} has {action} before {(forward ? "F" : "B (or I)")} of stage {other} and micro-batch {action.MicroBatch}, which it needs: put that first";
                    }
                }
            }
        }

        for (int i = 0; i < done.Length; i++)
        {
            int stage = i / count, microBatch = i % count;
            if (done[i] != 7)
            {
                string missing = (done[i] & 1) == 0 ? $"F of micro-batch {microBatch}" : (done[i] & 2) == 0 ? $"B (or I and W) of micro-batch {microBatch}" : $"W of micro-batch {microBatch}";
                return $"stage {stage} on rank {table.RankOfStage[stage]} has no {missing}: add it; each of the {count} micro-batches passes each of the {stages} stages once forward and once backward";
            }
        }

        return null;
    }

    /// <summary>Whether each stage begins with micro-batch 0 in each kind of action, which emitted code needs: it overwrites gradients and sums there,
    /// and adds to them afterwards. What is wrong, or null.</summary>
    public static string? BeginsWithFirst(ActionTable table)
    {
        var begun = new HashSet<(int Stage, ActionKind Kind)>();
        for (int rank = 0; rank < table.Ranks.Count; rank++)
        {
            foreach (StageAction action in table.Ranks[rank])
            {
                foreach (ActionKind kind in action.Kind == ActionKind.Backward ? new[] { ActionKind.InputGradient, ActionKind.WeightGradient } : [action.Kind])
                {
                    if (begun.Add((action.Stage, kind)) && action.MicroBatch != 0)
                    {
                        return $"rank {rank} has {action} before {action with { MicroBatch = 0 }}: a stage writes its gradients and its loss with micro-batch 0 and adds the others, so put micro-batch 0 first on stage {action.Stage}, forward and backward";
                    }
                }
            }
        }

        return null;
    }

    private static string? Check(ActionTable table, int rank, StageAction action, byte[] done)
    {
        int stages = table.Stages, count = table.Shape.MicroBatches;
        if (action.Stage < 0 || action.Stage >= stages || action.MicroBatch < 0 || action.MicroBatch >= count)
        {
            return $"rank {rank} has {action}, and there are the stages 0 to {stages - 1} and the micro-batches 0 to {count - 1}";
        }

        if (table.RankOfStage[action.Stage] != rank)
        {
            return $"rank {rank} has {action}, and stage {action.Stage} lies on rank {table.RankOfStage[action.Stage]}: a stage has one rank, so move the action there";
        }

        byte bits = action.Kind switch { ActionKind.Forward => 1, ActionKind.InputGradient => 2, ActionKind.WeightGradient => 4, _ => 6 };
        byte before = action.Kind switch { ActionKind.Forward => 0, ActionKind.WeightGradient => 3, _ => 1 };
        ref byte state = ref done[(long)action.Stage * count + action.MicroBatch];
        if ((state & bits) != 0)
        {
            return $"rank {rank} has {action} after it is done: remove one of the two";
        }

        if ((state & before) != before)
        {
            char first = (state & 1) == 0 ? 'F' : 'I';
            return $"rank {rank} has {action} before {action.Stage}{first}{action.MicroBatch}: put {first} first";
        }

        state |= bits;
        return null;
    }
}
