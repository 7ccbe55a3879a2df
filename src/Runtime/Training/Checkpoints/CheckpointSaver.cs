using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Shardwright.Execution;

namespace Shardwright.Training;

/// <summary>Saves a run, all ranks together: each writes a file with its pieces; when all are on the disk, rank 0 reads their headers, writes the index and makes the checkpoint the last complete one.</summary>
internal static class CheckpointSaver
{
    private const string PieceNote = "piece:";
    private const int ChunkElements = 1 << 20;

    /// <summary>Saves; every rank of the world calls it, at the same step.</summary>
    public static void Save(RankBase rank, string root, SaveOptions options)
    {
        var folder = new CheckpointFolder(root);
        string partial = folder.PartialFolder(rank.Step);
        bool first = rank.Context.Rank == 0;
        if (first)
        {
            RefuseOtherModel(root, rank.Plan.Model);
            folder.Begin(rank.Step);
        }

        int ranks = rank.Context.Mesh.Ranks;
        if (rank.Meet(rank.Step) != (double)rank.Step * ranks)
        {
            throw new CheckpointException(root, $"cannot take a checkpoint: rank {rank.Context.Rank} is at step {rank.Step}, and another of the {ranks} ranks is not. All ranks save at the same step.");
        }

        WriteFile(rank, Path.Combine(partial, FileName(rank.Context.Rank, ranks)));
        rank.Meet(); // all files are on the disk
        if (first)
        {
            folder.Commit(rank.Step, IndexJson.Write(Index(rank, partial, options)), options.Keep);
        }

        rank.Meet();
    }

    private static string FileName(int rank, int ranks) => string.Create(CultureInfo.InvariantCulture, $"rank-{rank:D5}-of-{ranks:D5}.safetensors");

    private static void RefuseOtherModel(string root, string model)
    {
        string? other = null;
        try
        {
            other = Checkpoint.Exists(root) ? Checkpoint.Open(root).Model : null;
        }
        catch (CheckpointException)
        {
            // A damaged checkpoint is a reason to write a new one.
        }

        if (other is not null && other != model)
        {
            throw new CheckpointException(root, $"holds checkpoints of {other}, and this run trains {model}: give each model a folder of its own.");
        }
    }

    private static void WriteFile(RankBase rank, string path)
    {
        // A rank with both ends of a pipeline holds tied weights twice.
        SavedTensor[] own = [.. SavedTensor.Of(rank, states: true).Where(t => t.IsWrittenBy(rank.Context)).DistinctBy(t => t.Name)];
        var notes = new List<(string, string)> { ("step", rank.Step.ToString(CultureInfo.InvariantCulture)), ("seed", rank.Seed.ToString(CultureInfo.InvariantCulture)) };
        foreach (SavedTensor tensor in own)
        {
            rank.Context.ThrowIfStopping();
            uint checksum = Crc32C.Start;
            Chunks(tensor, bytes => checksum = Crc32C.Append(checksum, bytes));
            notes.Add((PieceNote + tensor.Name, $"{{\"tensor\": \"{JsonEncodedText.Encode(tensor.Name)}\", \"logical\": [{string.Join(", ", tensor.Piece.Logical)}], {IndexJson.PieceText(tensor.Piece, checksum)}}}"));
        }

        byte[] header = SafetensorsHeader.Write(path, own.Select(t => (t.Name, t.Piece.IsRange ? [t.Piece.Count] : t.Piece.Local)), notes);
        try
        {
            using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.None);
            file.Write(header);
            foreach (SavedTensor tensor in own)
            {
                Chunks(tensor, bytes =>
                {
                    rank.Context.ThrowIfStopping();
                    file.Write(bytes);
                });
            }

            file.Flush(flushToDisk: true);
        }
        catch (Exception error) when (Durable.Refused(error))
        {
            try
            {
                File.Delete(path); // the room that it took may be what others need
            }
            catch (Exception second) when (Durable.Refused(second))
            {
            }

            throw new CheckpointException(path, $"could not be written: {error.Message} The checkpoint before it is untouched.", error);
        }
    }

    private delegate void ByteSink(ReadOnlySpan<byte> bytes);

    private static void Chunks(SavedTensor tensor, ByteSink sink)
    {
        for (long at = 0; at < tensor.Piece.Count; at += ChunkElements)
        {
            sink(MemoryMarshal.AsBytes(tensor.Read(at, (int)Math.Min(ChunkElements, tensor.Piece.Count - at))));
        }
    }

    private static CheckpointIndex Index(RankBase rank, string folder, SaveOptions options)
    {
        Mesh mesh = rank.Context.Mesh;
        var files = new List<IndexFile>();
        var pieces = new SortedDictionary<string, List<IndexPiece>>(StringComparer.Ordinal);
        for (int i = 0; i < mesh.Ranks; i++)
        {
            SafetensorsFile file = SafetensorsFile.Open(Path.Combine(folder, FileName(i, mesh.Ranks)));
            files.Add(new IndexFile(Path.GetFileName(file.Path), file.Bytes, file.HeaderChecksum));
            if (file.Metadata["step"] != rank.Step.ToString(CultureInfo.InvariantCulture) || file.Metadata["seed"] != rank.Seed.ToString(CultureInfo.InvariantCulture))
            {
                throw new CheckpointException(file.Path, $"was written by rank {i} at step {file.Metadata["step"]} with seed {file.Metadata["seed"]}, and rank 0 is at step {rank.Step} with seed {rank.Seed}: all ranks must save at the same step of one run.");
            }

            foreach (SafetensorsEntry entry in file.Entries)
            {
                using JsonDocument note = JsonDocument.Parse(file.Metadata[PieceNote + entry.Name]);
                string tensor = note.RootElement.GetProperty("tensor").GetString()!;
                long[] logical = [.. note.RootElement.GetProperty("logical").EnumerateArray().Select(n => n.GetInt64())];
                (TensorPiece piece, uint checksum) = IndexJson.ReadPiece(note.RootElement, logical);
                if (!pieces.TryGetValue(tensor, out List<IndexPiece>? list))
                {
                    pieces[tensor] = list = [];
                }

                // A tensor that two ranks both keep whole, such as tied weights at both ends of a pipeline, counts once.
                if (!list.Any(p => p.Piece.Same(piece)))
                {
                    list.Add(new IndexPiece(i, entry.Name, piece, checksum));
                }
            }
        }

        foreach ((string name, List<IndexPiece> list) in pieces)
        {
            if (TensorPiece.Gap([.. list.Select(p => p.Piece)]) is { } gap)
            {
                throw new CheckpointException(folder, $"is not complete: tensor '{name}': {gap}. The checkpoint before it is untouched.");
            }
        }

        Weights.RequireParameters(folder, rank.Plan, pieces.Where(p => !p.Key.Contains('/')).Select(p => (p.Key, (IReadOnlyList<long>)p.Value[0].Piece.Logical)), "");
        return new CheckpointIndex(
            rank.Plan.Model, rank.Plan.Optimizer, mesh.Name, mesh.Axes, rank.Step, rank.Seed, options.Data, options.Notes,
            files, [.. pieces.Select(p => new IndexTensor(p.Key, "F32", p.Value[0].Piece.Logical, p.Value))], rank.LossScale);
    }
}
