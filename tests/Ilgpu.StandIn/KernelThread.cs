using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace ILGPU;

/// <summary>One thread of a group as its kernel sees it.</summary>
internal sealed class KernelThread
{
    [ThreadStatic]
    public static KernelThread? Current;

    public Index3D GridDim, GroupDim, GridIdx, GroupIdx;
    public int Linear;
    public int Allocations;
    public GroupRun? Run;

    /// <summary>The group's run; threads that share memory or meet at barriers have one.</summary>
    public static GroupRun Group => Current?.Run ?? throw new InvalidOperationException("shared memory, barriers and shuffles exist inside of kernels only");

    public static KernelThread Now => Current ?? throw new InvalidOperationException("indices of a thread exist inside of kernels only");
}

public static class Grid
{
    public static int IdxX => KernelThread.Now.GridIdx.X;

    public static int IdxY => KernelThread.Now.GridIdx.Y;

    public static int IdxZ => KernelThread.Now.GridIdx.Z;

    public static int DimX => KernelThread.Now.GridDim.X;

    public static int DimY => KernelThread.Now.GridDim.Y;

    public static int DimZ => KernelThread.Now.GridDim.Z;
}

public static class Group
{
    public static int IdxX => KernelThread.Now.GroupIdx.X;

    public static int DimX => KernelThread.Now.GroupDim.X;

    public static void Barrier() => KernelThread.Group.Meet(warp: false);
}

public static class Warp
{
    public static int WarpSize => KernelThread.Group.WarpSize;

    public static int LaneIdx => KernelThread.Now.Linear % WarpSize;

    public static void Barrier() => KernelThread.Group.Meet(warp: true);

    public static T Shuffle<T>(T variable, int sourceLane)
        where T : unmanaged => Exchange(variable, sourceLane & (WarpSize - 1));

    public static T ShuffleXor<T>(T variable, int mask)
        where T : unmanaged => Exchange(variable, LaneIdx ^ mask);

    public static T ShuffleDown<T>(T variable, int delta)
        where T : unmanaged => Exchange(variable, LaneIdx + delta < WarpSize ? LaneIdx + delta : LaneIdx);

    private static T Exchange<T>(T variable, int lane)
        where T : unmanaged
    {
        if (Unsafe.SizeOf<T>() is not (4 or 8))
        {
            throw new NotSupportedException($"shuffles move 32 and 64 bits, not {typeof(T).Name}");
        }

        GroupRun run = KernelThread.Group;
        int own = KernelThread.Now.Linear, from = own / run.WarpSize * run.WarpSize + lane;
        Unsafe.As<ulong, T>(ref run.Lanes[own]) = variable;
        Barrier();
        T result = Unsafe.As<ulong, T>(ref run.Lanes[from]);
        Barrier();
        return result;
    }
}

public static unsafe class SharedMemory
{
    public static ArrayView<T> Allocate<T>(int extent)
        where T : unmanaged
    {
        (nint start, long bytes) = KernelThread.Group.Share(KernelThread.Now.Allocations++, (long)extent * sizeof(T));
        return new ArrayView<T>((T*)start, bytes / sizeof(T));
    }
}

public static class Interop
{
    public static uint FloatAsInt(float value) => BitConverter.SingleToUInt32Bits(value);

    public static float IntAsFloat(uint value) => BitConverter.UInt32BitsToSingle(value);
}

public static class Atomic
{
    public static int CompareExchange(ref int target, int compare, int value) => Interlocked.CompareExchange(ref target, value, compare);
}
