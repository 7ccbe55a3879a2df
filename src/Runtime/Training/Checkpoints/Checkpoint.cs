using Shardwright.Training;

namespace Shardwright;

/// <summary>A logical tensor of a checkpoint.</summary>
/// <param name="Name">Logical path of a parameter; with a slash and the state's name behind it for an optimizer state: <c>blocks.3.attention.query/firstMoment</c>.</param>
/// <param name="DType">Element type as safetensors names it.</param>
/// <param name="Shape">Logical sizes.</param>
public sealed record CheckpointTensor(string Name, string DType, IReadOnlyList<long> Shape);

/// <summary>A saved run, opened: what it holds is known and well formed; elements are read when a rank loads them. It may be shared by all ranks of a process.</summary>
public sealed class Checkpoint
{
    private readonly CheckpointIndex _index;
    private readonly SafetensorsFile?[] _files;
    private volatile bool _verified;

    private Checkpoint(string path, CheckpointIndex index)
    {
        Path = path;
        _index = index;
        _files = new SafetensorsFile?[index.Files.Count];
    }

    /// <summary>Its folder.</summary>
    public string Path { get; }

    /// <summary>Full name of the model.</summary>
    public string Model => _index.Model;

    /// <summary>Optimizer whose states it holds: AdamW, Momentum or Sgd.</summary>
    public string Optimizer => _index.Optimizer;

    /// <summary>Name of the mesh that wrote it. Any mesh may load it.</summary>
    public string Mesh => _index.Mesh;

    /// <summary>Axes of that mesh, outermost first.</summary>
    public IReadOnlyList<MeshAxisInfo> Axes => _index.Axes;

    /// <summary>Training steps done.</summary>
    public int Step => _index.Step;

    /// <summary>Seed of the run.</summary>
    public ulong Seed => _index.Seed;

    /// <summary>Where the scale of the loss stood; null where the precision of the run scaled none. Runs of other precisions do not read it.</summary>
    public LossScale? LossScale => _index.LossScale;

    /// <summary>Where the run stood in its data; null where it did not say.</summary>
    public DataPosition? Data => _index.Data;

    /// <summary>What else the run noted.</summary>
    public IReadOnlyDictionary<string, string> Notes => _index.Notes;

    /// <summary>Its logical tensors, whatever pieces they lie in.</summary>
    public IEnumerable<CheckpointTensor> Tensors => _index.Tensors.Select(t => new CheckpointTensor(t.Name, t.DType, t.Logical));

    /// <summary>Names, checksums and pieces, for those who load.</summary>
    internal CheckpointIndex Index => _index;

    /// <summary>Whether there is a checkpoint to open: false for a folder to which no run has completed one.</summary>
    public static bool Exists(string path) => CheckpointFolder.Holds(path);

    /// <summary>Checks that a run can save to a folder, which is made where it is missing: before the run, rather than at its first checkpoint.</summary>
    /// <exception cref="CheckpointException">It cannot.</exception>
    public static void RequireWritable(string folder) => new CheckpointFolder(folder).Probe();

    /// <summary>Opens a checkpoint: its index is read and checked, and its files must be there with their lengths.</summary>
    /// <param name="path">The folder that a run was saved to, for its last complete checkpoint; or the folder of one checkpoint.</param>
    /// <exception cref="CheckpointException">There is none, it is damaged, or it was written by a newer version.</exception>
    public static Checkpoint Open(string path)
    {
        try
        {
            string folder = CheckpointFolder.Resolve(path), file = System.IO.Path.Combine(folder, CheckpointIndex.FileName);
            CheckpointIndex index = IndexJson.Read(file, File.ReadAllBytes(file));
            foreach (IndexFile part in index.Files)
            {
                var info = new FileInfo(System.IO.Path.Combine(folder, part.Name));
                if (!info.Exists || info.Length != part.Bytes)
                {
                    throw new CheckpointException(info.FullName, info.Exists
                        ? $"holds {info.Length:N0} bytes, and the checkpoint was saved with {part.Bytes:N0}: it is {(info.Length < part.Bytes ? "truncated" : "damaged")}. Use another checkpoint."
                        : "is missing: the checkpoint was saved with it. Use another checkpoint.");
                }
            }

            return new Checkpoint(folder, index);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new CheckpointException(path, $"cannot be read: {error.Message}", error);
        }
    }

    /// <summary>Reads every file and compares all checksums.</summary>
    /// <exception cref="CheckpointException">A file is damaged.</exception>
    public void Verify()
    {
        Verify(0, 1, () => { });
        _verified = true;
    }

    /// <summary>Checks that the checkpoint is one of this model, with these parameters and this optimizer. Needs no rank: nothing has been allocated yet.</summary>
    /// <exception cref="CheckpointException">It is not; the message names what is missing, unknown or has another shape.</exception>
    public void RequireModel(Plan plan)
    {
        if (plan.Optimizer != Optimizer)
        {
            throw new CheckpointException(Path, $"holds the state of {Optimizer}, and {plan.Model} on {plan.Mesh} trains with {plan.Optimizer}: give the model that optimizer, or export the weights of the checkpoint and import them.");
        }

        Weights.RequireParameters(Path, plan, _index.Tensors.Where(t => !t.Name.Contains('/')).Select(t => (t.Name, (IReadOnlyList<long>)t.Logical)), Model == plan.Model ? "" : $" It was saved by {Model}.");
    }

    /// <summary>Writes the parameters, whole, as one safetensors file that other tools read.</summary>
    /// <param name="file">Path of the file; what was there stays until the new one is complete.</param>
    /// <exception cref="CheckpointException">The checkpoint is damaged, or the file cannot be written.</exception>
    public void ExportWeights(string file)
    {
        if (!_verified)
        {
            Verify();
        }

        IndexTensor[] weights = [.. _index.Tensors.Where(t => !t.Name.Contains('/'))];
        var target = new WholeFile(file, [.. weights.Select(t => (t.Name, t.Logical))]);
        target.Create();
        target.Write(write =>
        {
            foreach (IndexTensor tensor in weights)
            {
                Read(tensor, TensorPiece.Whole(tensor.Logical), (at, values) => write(tensor.Name, at, values));
            }
        });
        target.Complete();
    }

    /// <summary>Checks a share of the pieces; that of rank i of n is what all n shares together check once.</summary>
    internal void Verify(int share, int shares, Action between)
    {
        if (_verified)
        {
            return;
        }

        int n = 0;
        foreach (IndexTensor tensor in _index.Tensors)
        {
            foreach (IndexPiece piece in tensor.Pieces)
            {
                if (n++ % shares == share)
                {
                    SafetensorsFile file = OpenFile(piece.File);
                    SafetensorsEntry entry = Entry(file, piece);
                    uint checksum = PieceReader.Checksum(file, entry, between);
                    if (checksum != piece.Checksum)
                    {
                        throw new CheckpointException(file.Path, $"is damaged: '{piece.Name}' has the checksum {Crc32C.Text(checksum)}, and was saved with {Crc32C.Text(piece.Checksum)}. Use another checkpoint.");
                    }
                }
            }
        }

        for (int i = share; i < _files.Length; i += shares)
        {
            OpenFile(i);
        }
    }

    /// <summary>Reads a piece of a tensor from whichever files hold parts of it.</summary>
    internal void Read(IndexTensor tensor, TensorPiece target, PieceSink sink)
    {
        foreach (IndexPiece piece in tensor.Pieces)
        {
            if (target.Overlaps(piece.Piece))
            {
                SafetensorsFile file = OpenFile(piece.File);
                PieceReader.Read(file, Entry(file, piece), target.RunsFrom(piece.Piece), sink);
            }
        }
    }

    private static SafetensorsEntry Entry(SafetensorsFile file, IndexPiece piece)
    {
        SafetensorsEntry? entry = file.Find(piece.Name);
        return entry is { DType: "F32" } && entry.Elements == piece.Piece.Count
            ? entry
            : throw new CheckpointException(file.Path, $"does not hold '{piece.Name}' with {piece.Piece.Count} elements of F32, as the index of its checkpoint says. Use another checkpoint.");
    }

    private SafetensorsFile OpenFile(int number)
    {
        if (Volatile.Read(ref _files[number]) is { } open)
        {
            return open;
        }

        IndexFile expected = _index.Files[number];
        SafetensorsFile file = SafetensorsFile.Open(System.IO.Path.Combine(Path, expected.Name));
        if (file.HeaderChecksum != expected.HeaderChecksum || file.Bytes != expected.Bytes)
        {
            throw new CheckpointException(file.Path, $"is damaged: its header has the checksum {Crc32C.Text(file.HeaderChecksum)}, and was saved with {Crc32C.Text(expected.HeaderChecksum)}. Use another checkpoint.");
        }

        Volatile.Write(ref _files[number], file);
        return file;
    }
}
