using Shardwright.Execution;

namespace Shardwright.Training;

/// <summary>Loads a run, all ranks together: nothing is overwritten on any rank until every rank has found all that it needs whole and sound.</summary>
internal static class CheckpointLoader
{
    /// <summary>Loads a run; every rank of the world calls it.</summary>
    public static void Load(RankBase rank, Checkpoint checkpoint)
    {
        checkpoint.RequireModel(rank.Plan);
        var tensors = checkpoint.Index.Tensors.ToDictionary(t => t.Name, StringComparer.Ordinal);
        SavedTensor[] own = [.. SavedTensor.ToLoad(rank, states: true)];
        foreach (SavedTensor tensor in own)
        {
            if (!tensors.TryGetValue(tensor.Name, out IndexTensor? saved) || !saved.Logical.AsSpan().SequenceEqual(tensor.Piece.Logical))
            {
                throw new CheckpointException(checkpoint.Path, saved is null
                    ? $"holds no '{tensor.Name}', which {rank.Plan.Optimizer} keeps. Use another checkpoint, or export its weights and import them."
                    : $"holds '{tensor.Name}' with shape [{string.Join(", ", saved.Logical)}] and not [{string.Join(", ", tensor.Piece.Logical)}].");
            }
        }

        int ranks = rank.Context.Mesh.Ranks;
        checkpoint.Verify(rank.Context.Rank, ranks, rank.Context.ThrowIfStopping);
        if (rank.Meet(checkpoint.Step) != (double)checkpoint.Step * ranks)
        {
            throw new CheckpointException(checkpoint.Path, $"is of step {checkpoint.Step}, and another of the {ranks} ranks loads one of another step. All ranks load the same checkpoint.");
        }

        foreach (SavedTensor tensor in own)
        {
            rank.Context.ThrowIfStopping();
            checkpoint.Read(tensors[tensor.Name], tensor.Piece, tensor.Write);
        }

        rank.Resume(checkpoint.Step, checkpoint.Seed, checkpoint.LossScale);
        rank.Meet();
    }
}
