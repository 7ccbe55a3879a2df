using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of rotary embeddings.</summary>
/// <typeparam name="T">Element of x and y.</typeparam>
public struct RopeArguments<T>
    where T : unmanaged
{
    /// <summary>x and y [outer, positions, width].</summary>
    public ArrayView<T> X, Y;

    /// <summary>Rows in all; positions, width, first position.</summary>
    public long Rows, Positions, Width, Offset;

    /// <summary>ln(theta), and −1 for the inverse.</summary>
    public double LogTheta, Sign;
}

/// <summary>Device code of rotary embeddings: the angle is reduced in double precision, its sine and cosine are taken in single.</summary>
public static class RopeKernels
{
    /// <summary>Pairs (i, i + width/2) turn by (offset + position) · theta^(−2i/width).</summary>
    public static void Turn<T>(RopeArguments<T> a)
        where T : unmanaged
    {
        long half = a.Width / 2;
        for (long item = DeviceMath.Thread(); item < a.Rows * half; item += DeviceMath.Threads())
        {
            long row = item / half, i = item % half;
            double turns = (a.Offset + row % a.Positions) * Math.Exp(-2.0 * i / a.Width * a.LogTheta) * 0.15915494309189535;
            float angle = (float)((turns - Math.Floor(turns + 0.5)) * 6.283185307179586 * a.Sign), sin = MathF.Sin(angle), cos = MathF.Cos(angle);
            long at = row * a.Width + i;
            float x = Element.Load(a.X, at), y = Element.Load(a.X, at + half);
            Element.Store(a.Y, at, x * cos - y * sin);
            Element.Store(a.Y, at + half, y * cos + x * sin);
        }
    }
}

/// <summary>Launches of <see cref="RopeKernels"/>.</summary>
public static class Rope
{
    /// <summary>y from x [outer, positions, width], backwards with <paramref name="inverse"/>.</summary>
    public static void Apply<T>(DeviceArena arena, long outer, int positions, int width, int offset, float theta, bool inverse, Slice<T> x, Slice<T> y)
        where T : unmanaged =>
        arena.Launch(RopeKernels.Turn<T>, Launches.Flat(arena, outer * positions * (width / 2)), new RopeArguments<T>
        {
            X = arena.View(x), Y = arena.View(y), Rows = outer * positions, Positions = positions, Width = width, Offset = offset, LogTheta = Math.Log(theta), Sign = inverse ? -1 : 1,
        });
}
