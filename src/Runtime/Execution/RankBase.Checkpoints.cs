using Shardwright.Training;

namespace Shardwright.Execution;

/// <summary>Saving and loading. Every rank of the world makes the same call at the same step; a rank that fails ends the world with the cause.</summary>
public abstract partial class RankBase
{
    /// <summary>Saves the run: parameters, optimizer state, step, seed, and what the options say. A crash at any moment leaves the last complete checkpoint.</summary>
    /// <param name="folder">Folder of the run's checkpoints, the same on every rank, on a disk that all ranks see. It is made where it is missing.</param>
    /// <param name="options">How many are kept, and where the run stands in its data.</param>
    /// <exception cref="CheckpointException">The folder cannot be written, or holds checkpoints of another model.</exception>
    public void Save(string folder, SaveOptions? options = null)
    {
        Ready();
        options ??= new SaveOptions();
        CheckpointSaver.Save(this, folder, options.Keep > 0 ? options : throw new ArgumentException($"Keep is {options.Keep}: one checkpoint at least is kept, the one just saved.", nameof(options)));
    }

    /// <summary>Goes on where a saved run was, on any mesh: on the mesh that saved it bit for bit, on another one within the rounding of its reductions. Nothing is overwritten before
    /// everything has been checked.</summary>
    /// <param name="checkpoint">The checkpoint; all ranks of a process may share one.</param>
    /// <exception cref="CheckpointException">It is damaged, or of another model or optimizer.</exception>
    public void Load(Checkpoint checkpoint)
    {
        Ready();
        CheckpointLoader.Load(this, checkpoint);
    }

    /// <summary>Goes on where a saved run was: see <see cref="Load(Checkpoint)"/>.</summary>
    /// <param name="path">The folder that a run was saved to, for its last complete checkpoint; or the folder of one checkpoint.</param>
    /// <exception cref="CheckpointException">There is none, it is damaged, or of another model or optimizer.</exception>
    public void Load(string path) => Load(Checkpoint.Open(path));

    /// <summary>Writes the parameters, whole and under their logical paths, as one safetensors file that other tools read.</summary>
    /// <param name="file">Path of the file, the same on every rank; what was there stays until the new one is complete.</param>
    /// <exception cref="CheckpointException">The file cannot be written.</exception>
    public void ExportWeights(string file)
    {
        Ready();
        Weights.Export(this, file);
    }

    /// <summary>Sets the parameters from a safetensors file of whole tensors under their logical paths: F32, F16, BF16 or F64. Step and optimizer state stay as they are.</summary>
    /// <param name="file">Path of the file.</param>
    /// <exception cref="CheckpointException">It is no such file, or its tensors are not the parameters of this model.</exception>
    public void ImportWeights(string file)
    {
        Ready();
        Weights.Import(this, file);
    }

    /// <summary>Returns when every rank of the world has called it, with the sum of what they gave.</summary>
    internal double Meet(double value = 0)
    {
        Span<double> sum = [value];
        SumOver(Context.Group([.. Context.Mesh.Axes.Select(a => a.Name)]), sum);
        return sum[0];
    }

    /// <summary>Sets what a checkpoint holds beside tensors.</summary>
    internal void Resume(int step, ulong seed, LossScale? lossScale)
    {
        Step = step;
        Random.Seed = seed;
        Scaling.Resume(lossScale);
    }

    private void Ready()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        Context.ThrowIfStopping();
    }
}
