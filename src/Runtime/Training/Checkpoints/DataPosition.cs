namespace Shardwright;

/// <summary>Where a run stands in its data; a part of its state, saved and loaded with it.</summary>
/// <param name="Source">What the data is called.</param>
/// <param name="Fingerprint">Tells this data from other data: <see cref="ByteCorpus"/> gives length and checksum.</param>
/// <param name="Batch">Number of the next batch.</param>
public sealed record DataPosition(string Source, string Fingerprint, long Batch);

/// <summary>How a checkpoint is saved.</summary>
public sealed record SaveOptions
{
    /// <summary>Complete checkpoints that are kept, this one included; older ones are deleted once this one is complete.</summary>
    public int Keep { get; init; } = 2;

    /// <summary>Where the run stands in its data.</summary>
    public DataPosition? Data { get; init; }

    /// <summary>What else a run needs to go on, by name; the same on every rank.</summary>
    public IReadOnlyDictionary<string, string> Notes { get; init; } = new Dictionary<string, string>();
}
