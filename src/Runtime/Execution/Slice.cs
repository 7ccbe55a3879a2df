namespace Shardwright.Execution;

/// <summary>A typed piece of a rank's arena: where it starts (bytes from the start of the arena) and how many elements it holds.
/// It is a name for memory, not memory: only a backend can turn it into a pointer.</summary>
/// <typeparam name="T">Element type.</typeparam>
/// <param name="Offset">Bytes from the start of the arena; a multiple of 64.</param>
/// <param name="Length">Number of elements.</param>
public readonly record struct Slice<T>(long Offset, long Length) where T : unmanaged
{
    /// <summary>A piece of this slice, in elements.</summary>
    /// <param name="start">First element.</param>
    /// <param name="length">Number of elements.</param>
    public unsafe Slice<T> Part(long start, long length)
    {
        System.Diagnostics.Debug.Assert(start >= 0 && length >= 0 && start + length <= Length, "part lies outside of the slice");
        return new Slice<T>(Offset + start * sizeof(T), length);
    }

    /// <summary>The same memory as bytes, for what only moves it.</summary>
    public unsafe Slice<byte> Bytes => new(Offset, Length * sizeof(T));
}

/// <summary>Equal slices at equal distances: what a layer stack keeps for each layer (layer × slot).</summary>
/// <typeparam name="T">Element type.</typeparam>
/// <param name="Offset">Bytes from the start of the arena to the first slice.</param>
/// <param name="Length">Elements of one slice.</param>
/// <param name="Stride">Bytes from one slice to the next.</param>
/// <param name="Count">Number of slots; an index is taken modulo this count, so two slots make a ring.</param>
public readonly record struct SliceStack<T>(long Offset, long Length, long Stride, int Count) where T : unmanaged
{
    /// <summary>The slice of one layer.</summary>
    public Slice<T> this[int layer] => new(Offset + (layer % Count) * Stride, Length);

    /// <summary>All slots as one slice; only where they lie without gaps.</summary>
    public unsafe Slice<T> Whole
    {
        get
        {
            System.Diagnostics.Debug.Assert(Stride == Length * sizeof(T), "a stack with gaps has no whole");
            return new Slice<T>(Offset, Length * Count);
        }
    }
}
