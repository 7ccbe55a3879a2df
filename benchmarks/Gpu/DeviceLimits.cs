using System.Diagnostics;
using Shardwright.Execution;
using Shardwright.Gpu;
using Blocks = Shardwright.Gpu.Kernels;

namespace Shardwright.Benchmarks.Accelerators;

/// <summary>What a device reaches: the bandwidth of a copy, the rate of a large product, the time from a launch to its end.</summary>
/// <param name="CopyBytesPerSecond">Bytes read and written.</param>
/// <param name="ProductFlops">Operations a second, in fp32 or TF32.</param>
/// <param name="Library">What made the product.</param>
/// <param name="LaunchSeconds">A kernel that does nothing, waited for.</param>
internal sealed record DeviceLimits(double CopyBytesPerSecond, double ProductFlops, string Library, double LaunchSeconds)
{
    private const int Rounds = 9;

    /// <summary>Measures a device.</summary>
    /// <param name="device">The device.</param>
    /// <param name="copyBytes">Bytes of a copy; beyond all caches, for a number that means something.</param>
    /// <param name="side">Edge of the product.</param>
    public static DeviceLimits Measure(GpuDevice device, long copyBytes, int side)
    {
        long matrix = (long)side * side, scratch = 1 << 20, half = (Math.Max(copyBytes, 12 * matrix) + 255) / 256 * 256;
        using var arena = new DeviceArena(device, 2 * half + scratch, new Slice<byte>(2 * half, scratch), 0);
        var source = new Slice<byte>(0, copyBytes);
        var target = new Slice<byte>(half, copyBytes);
        Slice<float> a = new(0, matrix), b = new(4 * matrix, matrix), c = new(8 * matrix, matrix);
        double copy = Least(arena, () => arena.Copy(source, target));
        double product = Least(arena, () => Blocks.Product.Run(arena, 1, side, side, side, false, false, false, a, b, c));
        double launch = Least(arena, () => Blocks.Fill.Value(arena, a.Part(0, 1), 0));
        return new DeviceLimits(2.0 * copyBytes / copy, 2.0 * side * side * side / product, arena.Product?.Description ?? "tiled kernel", launch);
    }

    private static double Least(DeviceArena arena, Action work)
    {
        double least = double.MaxValue;
        for (int i = 0; i <= Rounds; i++)
        {
            arena.Stream.Synchronize();
            long start = Stopwatch.GetTimestamp();
            work();
            arena.Stream.Synchronize();
            long ticks = Math.Max(1, Stopwatch.GetTimestamp() - start); // a small copy takes less than a TimeSpan can tell from nothing
            least = i == 0 ? least : Math.Min(least, ticks / (double)Stopwatch.Frequency); // the first compiles
        }

        return least;
    }
}
