namespace Shardwright.Kernels;

/// <summary>The register tile of a matrix product, one for each width of vectors. Each accumulator is a local of its own, and nothing else is inlined:
/// an array of accumulators, or an epilogue in the same method, spills and costs a factor of three. Every element is one chain of multiply-adds in
/// rising order, so that all tiles give the same bits wherever multiply-add is fused.</summary>
internal unsafe interface IGemmTile
{
    /// <summary>Rows of the full tile.</summary>
    static abstract int Rows { get; }

    /// <summary>Columns of the full tile.</summary>
    static abstract int Columns { get; }

    /// <summary>C (+)= A·B with A(r, p) = a[p·stepA + r] and B(p, j) = b[p·stepB + j], by the smallest tile that covers rows × columns. It reads and writes
    /// that whole tile: less than the full one only into a buffer.</summary>
    static abstract void Run(int rows, int columns, nint depth, float* a, nint stepA, float* b, nint stepB, float* c, nint stride, bool accumulate);
}
