namespace ILGPU;

public readonly struct Index1D(int x)
{
    public int X { get; } = x;

    public static implicit operator Index1D(int x) => new(x);

    public static implicit operator int(Index1D index) => index.X;
}

public readonly struct LongIndex1D(long x)
{
    public long X { get; } = x;

    public static implicit operator LongIndex1D(long x) => new(x);

    public static implicit operator long(LongIndex1D index) => index.X;
}

public readonly struct Index3D(int x, int y, int z)
{
    public int X { get; } = x;

    public int Y { get; } = y;

    public int Z { get; } = z;

    public long LongSize => (long)X * Y * Z;
}

/// <summary>Sizes of a launch: groups, and threads of a group.</summary>
public readonly struct KernelConfig
{
    public KernelConfig(Index1D gridDim, Index1D groupDim)
        : this(new Index3D(gridDim, 1, 1), new Index3D(groupDim, 1, 1))
    {
    }

    public KernelConfig(Index3D gridDim, Index3D groupDim)
    {
        GridDim = gridDim;
        GroupDim = groupDim;
    }

    public Index3D GridDim { get; }

    public Index3D GroupDim { get; }
}

public static class Stride1D
{
    public readonly struct Dense
    {
    }
}

public enum OptimizationLevel
{
    O0,
    O1,
    O2,
}

public enum MathMode
{
    Default,
    Fast,
    Fast32BitOnly,
}
