using Shardwright.Execution;

namespace Shardwright.Training;

/// <summary>Files of plain weights: whole tensors under their logical paths, without optimizer state.</summary>
internal static class Weights
{
    private const int CopyElements = 1 << 20;

    /// <summary>Names and shapes of a plan's parameters, each layer's its own.</summary>
    public static IEnumerable<(string Name, IReadOnlyList<long> Shape)> ParametersOf(Plan plan)
    {
        foreach (PlanParameter parameter in plan.Parameters)
        {
            for (int layer = 0; layer < Math.Max(1, parameter.Layers); layer++)
            {
                yield return (parameter.Path.Replace("{0}", layer.ToString(System.Globalization.CultureInfo.InvariantCulture), StringComparison.Ordinal), parameter.Logical);
            }
        }
    }

    /// <summary>Fails where tensors are not the parameters of a plan.</summary>
    /// <param name="path">For the message.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="given">The tensors.</param>
    /// <param name="note">What else the message says.</param>
    public static void RequireParameters(string path, Plan plan, IEnumerable<(string Name, IReadOnlyList<long> Shape)> given, string note)
    {
        var found = given.ToDictionary(t => t.Name, t => t.Shape, StringComparer.Ordinal);
        var problems = new List<string>();
        int count = 0;
        foreach ((string name, IReadOnlyList<long> wanted) in ParametersOf(plan))
        {
            count++;
            if (!found.Remove(name, out IReadOnlyList<long>? shape))
            {
                problems.Add($"'{name}' is missing");
            }
            else if (!shape.SequenceEqual(wanted))
            {
                problems.Add($"'{name}' has shape [{string.Join(", ", shape)}] and not [{string.Join(", ", wanted)}]");
            }
        }

        problems.AddRange(found.Keys.Order(StringComparer.Ordinal).Select(name => $"'{name}' is unknown to the model"));
        if (problems.Count > 0)
        {
            throw new CheckpointException(path, $"does not hold the {count} parameters of {plan.Model}: {string.Join("; ", problems.Take(6))}{(problems.Count > 6 ? $"; and {problems.Count - 6} more" : "")}.{note}");
        }
    }

    /// <summary>Loads parameters from a file of whole tensors; step and optimizer state stay as they are.</summary>
    public static void Import(RankBase rank, string path)
    {
        SafetensorsFile file = SafetensorsFile.Open(path);
        RequireParameters(path, rank.Plan, file.Entries.Select(e => (e.Name, e.Shape)), "");
        if (file.Entries.FirstOrDefault(e => e.DType is not ("F32" or "F16" or "BF16" or "F64")) is { } other)
        {
            throw new CheckpointException(path, $"holds '{other.Name}' as {other.DType}: only F32, F16, BF16 and F64 can be read as floats.");
        }

        rank.Meet();
        foreach (SavedTensor tensor in SavedTensor.ToLoad(rank, states: false))
        {
            rank.Context.ThrowIfStopping();
            PieceReader.Read(file, file.Find(tensor.Name)!, tensor.Piece.RunsFrom(TensorPiece.Whole(tensor.Piece.Logical)), tensor.Write);
        }

        rank.Meet();
    }

    /// <summary>Writes parameters as one file of whole tensors.</summary>
    public static void Export(RankBase rank, string path)
    {
        SavedTensor[] own = [.. SavedTensor.Of(rank, states: false)];
        var file = new WholeFile(path, ParametersOf(rank.Plan).Select(p => (p.Name, (long[])[.. p.Shape])));
        if (rank.Context.Rank == 0)
        {
            file.Create();
        }

        rank.Meet();
        file.Write(write =>
        {
            foreach (SavedTensor tensor in own.Where(t => t.IsWrittenBy(rank.Context)))
            {
                rank.Context.ThrowIfStopping();
                foreach (PieceRun run in TensorPiece.Whole(tensor.Piece.Logical).RunsFrom(tensor.Piece))
                {
                    for (long at = 0; at < run.Length; at += CopyElements)
                    {
                        write(tensor.Name, run.Target + at, tensor.Read(run.Source + at, (int)Math.Min(CopyElements, run.Length - at)));
                    }
                }
            }
        });
        rank.Meet();
        if (rank.Context.Rank == 0)
        {
            file.Complete();
        }

        rank.Meet();
    }
}
