namespace Shardwright.Compiler.Frontend;

/// <summary>Extractions by the content that they were made from, so that an edit costs a walk of the layers that it touches. Bounded and thread-safe.</summary>
internal sealed class ExtractionCache
{
    private const int EntriesPerType = 4, MaxTypes = 4096;

    private readonly object _gate = new();
    private readonly Dictionary<string, List<(ContentHash Key, Extraction Extraction)>> _types = new(StringComparer.Ordinal);

    /// <summary>The one of this process.</summary>
    public static ExtractionCache Shared { get; } = new();

    /// <summary>What is known of a type, if it still holds.</summary>
    public Extraction? Find(string name, CompilationSurface surface)
    {
        (ContentHash Key, Extraction Extraction)[] known;
        lock (_gate)
        {
            if (!_types.TryGetValue(name, out List<(ContentHash, Extraction)>? entries))
            {
                return null;
            }

            known = entries.ToArray();
        }

        foreach ((ContentHash key, Extraction extraction) in known)
        {
            if (surface.Key(extraction.Reads) == key)
            {
                return extraction;
            }
        }

        return null;
    }

    /// <summary>Keeps an extraction; the newest of a type comes first.</summary>
    public void Add(string name, CompilationSurface surface, Extraction extraction)
    {
        ContentHash key = surface.Key(extraction.Reads);
        lock (_gate)
        {
            if (_types.Count >= MaxTypes && !_types.ContainsKey(name))
            {
                _types.Clear();
            }

            if (!_types.TryGetValue(name, out List<(ContentHash, Extraction)>? entries))
            {
                _types[name] = entries = new List<(ContentHash, Extraction)>();
            }

            entries.Insert(0, (key, extraction));
            if (entries.Count > EntriesPerType)
            {
                entries.RemoveAt(EntriesPerType);
            }
        }
    }
}
