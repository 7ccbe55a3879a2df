using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of <see cref="FillKernels.Value"/> and <see cref="FillKernels.Add"/>.</summary>
public struct FillArguments
{
    /// <summary>Source and target.</summary>
    public ArrayView<float> Source, Target;

    /// <summary>Source of integers, and their target.</summary>
    public ArrayView<int> Integers;

    /// <summary>Elements.</summary>
    public long Count;

    /// <summary>Groups of four of them that are read at once.</summary>
    public long Quads;

    /// <summary>Number to fill with.</summary>
    public float Number;

    /// <summary>First number of a range.</summary>
    public int Start;
}

/// <summary>Device code: fills, conversions, sums of two.</summary>
public static class FillKernels
{
    /// <summary>target = number.</summary>
    public static void Value(FillArguments a)
    {
        for (long i = DeviceMath.Thread(); i < a.Count; i += DeviceMath.Threads())
        {
            a.Target[i] = a.Number;
        }
    }

    /// <summary>start, start + 1, …</summary>
    public static void Range(FillArguments a)
    {
        for (long i = DeviceMath.Thread(); i < a.Count; i += DeviceMath.Threads())
        {
            a.Integers[i] = a.Start + (int)i;
        }
    }

    /// <summary>Integers as floats.</summary>
    public static void FromInt(FillArguments a)
    {
        for (long i = DeviceMath.Thread(); i < a.Count; i += DeviceMath.Threads())
        {
            a.Target[i] = a.Integers[i];
        }
    }

    /// <summary>target += source, four at a time.</summary>
    public static void Add(FillArguments a)
    {
        long first = DeviceMath.Thread(), step = DeviceMath.Threads();
        ArrayView<Float4> source = a.Source.Cast<Float4>(), target = a.Target.Cast<Float4>();
        for (long q = first; q < a.Quads; q += step)
        {
            Float4 x = source[q], y = target[q];
            y.X += x.X;
            y.Y += x.Y;
            y.Z += x.Z;
            y.W += x.W;
            target[q] = y;
        }

        for (long i = a.Quads * 4 + first; i < a.Count; i += step)
        {
            a.Target[i] += a.Source[i];
        }
    }
}

/// <summary>Launches of <see cref="FillKernels"/>.</summary>
public static class Fill
{
    /// <summary>All elements get one number.</summary>
    public static void Value(DeviceArena arena, Slice<float> target, float number) =>
        arena.Launch(FillKernels.Value, Launches.Flat(arena, target.Length), new FillArguments { Target = arena.View(target), Count = target.Length, Number = number });

    /// <summary>start, start + 1, …</summary>
    public static void Range(DeviceArena arena, Slice<int> target, int start) =>
        arena.Launch(FillKernels.Range, Launches.Flat(arena, target.Length), new FillArguments { Integers = arena.View(target), Count = target.Length, Start = start });

    /// <summary>Integers as floats.</summary>
    public static void FromInt(DeviceArena arena, Slice<int> source, Slice<float> target) =>
        arena.Launch(FillKernels.FromInt, Launches.Flat(arena, target.Length), new FillArguments { Integers = arena.View(source), Target = arena.View(target), Count = target.Length });

    /// <summary>Copies.</summary>
    public static void Copy<T>(DeviceArena arena, Slice<T> source, Slice<T> target)
        where T : unmanaged => arena.Copy(source, target);

    /// <summary>target = source for the first contribution, target += source for later ones.</summary>
    public static void Accumulate(DeviceArena arena, bool first, Slice<float> source, Slice<float> target)
    {
        if (first)
        {
            arena.Copy(source, target);
            return;
        }

        long quads = ((source.Offset | target.Offset) & 15) == 0 ? source.Length / 4 : 0;
        arena.Launch(FillKernels.Add, Launches.Flat(arena, Math.Max(quads, source.Length - 4 * quads)), new FillArguments { Source = arena.View(source), Target = arena.View(target), Count = source.Length, Quads = quads });
    }
}
