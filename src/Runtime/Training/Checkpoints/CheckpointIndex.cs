namespace Shardwright.Training;

/// <summary>A file of a checkpoint.</summary>
/// <param name="Name">Name within the checkpoint's folder.</param>
/// <param name="Bytes">Its length.</param>
/// <param name="HeaderChecksum">Checksum of its length field and header.</param>
internal sealed record IndexFile(string Name, long Bytes, uint HeaderChecksum);

/// <summary>A piece of a tensor.</summary>
/// <param name="File">Position in the index's files.</param>
/// <param name="Name">Name of the tensor within that file.</param>
/// <param name="Piece">Which elements it has.</param>
/// <param name="Checksum">Checksum of its bytes.</param>
internal sealed record IndexPiece(int File, string Name, TensorPiece Piece, uint Checksum);

/// <summary>A logical tensor.</summary>
/// <param name="Name">Logical path of a parameter; with a slash and the state's name behind it for an optimizer state.</param>
/// <param name="DType">Element type as safetensors names it.</param>
/// <param name="Logical">Logical sizes.</param>
/// <param name="Pieces">Its pieces: each element once.</param>
internal sealed record IndexTensor(string Name, string DType, long[] Logical, IReadOnlyList<IndexPiece> Pieces);

/// <summary>What a checkpoint's index says.</summary>
/// <param name="Model">Full name of the model.</param>
/// <param name="Optimizer">AdamW, Momentum or Sgd.</param>
/// <param name="Mesh">Mesh that wrote it.</param>
/// <param name="Axes">Its axes.</param>
/// <param name="Step">Steps done.</param>
/// <param name="Seed">Seed of parameters and dropout.</param>
/// <param name="Data">Where the run stood in its data.</param>
/// <param name="Notes">What else the run noted.</param>
/// <param name="Files">Its files, one for each rank.</param>
/// <param name="Tensors">Its logical tensors.</param>
/// <param name="LossScale">Where the scale of the loss stood; null where the precision of the run scaled none.</param>
internal sealed record CheckpointIndex(
    string Model, string Optimizer, string Mesh, IReadOnlyList<MeshAxisInfo> Axes, int Step, ulong Seed, DataPosition? Data,
    IReadOnlyDictionary<string, string> Notes, IReadOnlyList<IndexFile> Files, IReadOnlyList<IndexTensor> Tensors, LossScale? LossScale = null)
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "index.json";

    /// <summary>Format that is written: 2 has the scale of the loss.</summary>
    public const int Format = 2;

    /// <summary>Oldest format whose reader understands what is written.</summary>
    public const int OldestReader = 1;
}
