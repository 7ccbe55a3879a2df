using System.Runtime.CompilerServices;

namespace Shardwright.Kernels;

/// <summary>Maps the elements of a local tensor to their index in the logical (global) tensor. Everything random and everything
/// that is saved is a function of the global index, never of a rank.</summary>
public readonly struct IndexMap
{
    /// <summary>Most dims that a tensor may have.</summary>
    public const int MaxDims = 8;

    /// <summary>Eight numbers, one for each dim.</summary>
    [InlineArray(MaxDims)]
    public struct Dims
    {
        private long _element;
    }

    private readonly Dims _sizes;
    private readonly Dims _strides;

    /// <summary>Creates a map.</summary>
    /// <param name="local">Local size of each dim, row-major, at most 8.</param>
    /// <param name="global">Global size of each dim.</param>
    /// <param name="start">Global position of the first local element in each dim.</param>
    public IndexMap(ReadOnlySpan<long> local, ReadOnlySpan<long> global, ReadOnlySpan<long> start)
    {
        if (local.Length > MaxDims || local.Length != global.Length || local.Length != start.Length)
        {
            throw new ArgumentException($"An index map takes up to {MaxDims} dims with a size, a global size and a start each; it got {local.Length}, {global.Length} and {start.Length}.");
        }

        Rank = local.Length;
        Count = 1;
        long stride = 1;
        for (int dim = local.Length - 1; dim >= 0; dim--)
        {
            _sizes[dim] = local[dim];
            _strides[dim] = stride;
            Base += start[dim] * stride;
            stride *= global[dim];
            Count *= local[dim];
        }
    }

    /// <summary>Number of dims.</summary>
    public int Rank { get; }

    /// <summary>Number of local elements.</summary>
    public long Count { get; }

    /// <summary>Global index of local element 0.</summary>
    public long Base { get; }

    /// <summary>Local elements of the last dim: they are neighbours in the global tensor too.</summary>
    public long RowLength => Rank == 0 ? 1 : _sizes[Rank - 1];

    /// <summary>Global index of a local element.</summary>
    public long this[long local]
    {
        get
        {
            long index = Base;
            for (int dim = Rank - 1; dim >= 0; dim--)
            {
                long size = _sizes[dim];
                (long rest, long at) = Math.DivRem(local, size);
                index += at * _strides[dim];
                local = rest;
            }

            return index;
        }
    }
}
