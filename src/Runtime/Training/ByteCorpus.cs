using Shardwright.Kernels;

namespace Shardwright;

/// <summary>A text cannot be used for training.</summary>
public sealed class CorpusException : Exception
{
    /// <summary>Creates the error.</summary>
    public CorpusException(string message)
        : base(message)
    {
    }
}

/// <summary>Text as bytes, the last tenth held out.</summary>
public sealed class ByteCorpus
{
    private static readonly string[] s_skipped = ["bin", "obj", ".git", "artifacts", "TestResults", "node_modules"];

    private readonly byte[] _bytes;
    private readonly int _training;

    /// <summary>A corpus of given bytes.</summary>
    /// <param name="bytes">The text.</param>
    /// <param name="name">For messages.</param>
    /// <param name="context">Tokens of one sequence.</param>
    /// <param name="batch">Sequences of one step.</param>
    /// <exception cref="CorpusException">The text is empty, or shorter than one batch.</exception>
    public ByteCorpus(byte[] bytes, string name, int context, int batch)
    {
        long needed = ((long)context + 1) * Math.Max(batch, 2) * 10 / 9 + 10;
        if (bytes.Length == 0)
        {
            throw new CorpusException($"'{name}' is empty: give a text of {needed:N0} bytes or more with --text.");
        }

        if (bytes.Length < needed)
        {
            throw new CorpusException($"'{name}' holds {bytes.Length:N0} bytes, which is shorter than one batch of {batch} sequences of {context + 1} tokens with a tenth held out ({needed:N0} bytes): give a longer text with --text.");
        }

        _bytes = bytes;
        _training = Math.Min(bytes.Length - context - 2, (int)(bytes.Length * 9L / 10));
        Name = name;
        Fingerprint = string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{bytes.Length} bytes, crc32c {Training.Crc32C.Text(Training.Crc32C.Of(bytes))}");
        Context = context;
        Batch = batch;
    }

    /// <summary>What it is called.</summary>
    public string Name { get; }

    /// <summary>Length and checksum of the text: two runs with one fingerprint and seed see the same batches.</summary>
    public string Fingerprint { get; }

    /// <summary>Tokens of one sequence.</summary>
    public int Context { get; }

    /// <summary>Sequences of one step.</summary>
    public int Batch { get; }

    /// <summary>Bytes for training.</summary>
    public int TrainingBytes => _training;

    /// <summary>Bytes held out.</summary>
    public int HeldOutBytes => _bytes.Length - _training;

    /// <summary>Entropy of single bytes, nats: what a model without context reaches.</summary>
    public double UnigramEntropy
    {
        get
        {
            var counts = new long[256];
            foreach (byte b in _bytes)
            {
                counts[b]++;
            }

            return counts.Where(c => c > 0).Sum(c => -(double)c / _bytes.Length * Math.Log((double)c / _bytes.Length));
        }
    }

    /// <summary>Loads a file, or all text files of a folder in the order of their names.</summary>
    /// <exception cref="CorpusException">The path is missing, empty, or too short.</exception>
    public static ByteCorpus Load(string path, int context, int batch, params string[] extensions)
    {
        if (File.Exists(path))
        {
            return new ByteCorpus(File.ReadAllBytes(path), path, context, batch);
        }

        if (!Directory.Exists(path))
        {
            throw new CorpusException($"'{path}' does not exist: give a file or a folder with --text.");
        }

        using var text = new MemoryStream();
        var options = new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true };
        foreach (string file in Directory.EnumerateFiles(path, "*", options).Order(StringComparer.Ordinal))
        {
            string[] parts = Path.GetRelativePath(path, file).Split(Path.DirectorySeparatorChar);
            if (parts.Any(s_skipped.Contains) || (extensions.Length > 0 && !extensions.Contains(Path.GetExtension(file))))
            {
                continue;
            }

            byte[] bytes = File.ReadAllBytes(file);
            if (!bytes.AsSpan(0, Math.Min(bytes.Length, 4096)).Contains((byte)0))
            {
                text.Write(bytes);
            }
        }

        return new ByteCorpus(text.ToArray(), path, context, batch);
    }

    /// <summary>Fills the batch of a training step: a pure function of seed and step.</summary>
    /// <param name="seed">Seed of the run.</param>
    /// <param name="step">Number of the step.</param>
    /// <param name="ids">[batch, context], filled.</param>
    /// <param name="targets">[batch, context], filled: each the byte after the one at its place in ids.</param>
    public void Fill(ulong seed, int step, int[] ids, int[] targets)
    {
        var key = new RandomKey(seed, (uint)step, RandomKey.Hash("batch"));
        for (int row = 0; row < Batch; row++)
        {
            Sequence((int)(Philox.At(key, (ulong)row) % (uint)(_training - Context - 1)), row, ids, targets);
        }
    }

    /// <summary>The position before a batch, for <see cref="SaveOptions.Data"/>: batches are a pure function of seed and number, so that nothing else is needed to go on.</summary>
    /// <param name="batch">Number of the next batch.</param>
    public DataPosition Position(long batch) => new(Name, Fingerprint, batch);

    /// <summary>Fills a batch of held-out text: the n-th of <see cref="HeldOutBatches"/>, spread evenly.</summary>
    public void FillHeldOut(int batch, int[] ids, int[] targets)
    {
        int room = Math.Max(1, _bytes.Length - _training - Context - 1), places = Batch * HeldOutBatches;
        for (int row = 0; row < Batch; row++)
        {
            Sequence(_training + (int)((long)(batch * Batch + row) * room / places), row, ids, targets);
        }
    }

    /// <summary>Number of batches of an evaluation.</summary>
    public int HeldOutBatches => Math.Clamp(HeldOutBytes / (Batch * Context), 1, 4);

    private void Sequence(int start, int row, int[] ids, int[] targets)
    {
        for (int i = 0; i < Context; i++)
        {
            ids[row * Context + i] = _bytes[start + i];
            targets[row * Context + i] = _bytes[start + i + 1];
        }
    }
}
