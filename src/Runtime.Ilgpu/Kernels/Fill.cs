using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of <see cref="FillKernels"/>.</summary>
/// <typeparam name="TSource">Element of the source.</typeparam>
/// <typeparam name="TTarget">Element of the target.</typeparam>
public struct FillArguments<TSource, TTarget>
    where TSource : unmanaged
    where TTarget : unmanaged
{
    /// <summary>Source.</summary>
    public ArrayView<TSource> Source;

    /// <summary>Target.</summary>
    public ArrayView<TTarget> Target;

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
    public static void Value<T>(FillArguments<T, T> a)
        where T : unmanaged
    {
        for (long i = DeviceMath.Thread(); i < a.Count; i += DeviceMath.Threads())
        {
            Element.Store(a.Target, i, a.Number);
        }
    }

    /// <summary>start, start + 1, …</summary>
    public static void Range(FillArguments<int, int> a)
    {
        for (long i = DeviceMath.Thread(); i < a.Count; i += DeviceMath.Threads())
        {
            a.Target[i] = a.Start + (int)i;
        }
    }

    /// <summary>Integers as floats.</summary>
    public static void FromInt<T>(FillArguments<int, T> a)
        where T : unmanaged
    {
        for (long i = DeviceMath.Thread(); i < a.Count; i += DeviceMath.Threads())
        {
            Element.Store(a.Target, i, a.Source[i]);
        }
    }

    /// <summary>target = source, as another element.</summary>
    public static void Convert<TSource, TTarget>(FillArguments<TSource, TTarget> a)
        where TSource : unmanaged
        where TTarget : unmanaged
    {
        for (long i = DeviceMath.Thread(); i < a.Count; i += DeviceMath.Threads())
        {
            Element.Store(a.Target, i, Element.Load(a.Source, i));
        }
    }

    /// <summary>target += source, four at a time.</summary>
    public static void Add<TSource, TTarget>(FillArguments<TSource, TTarget> a)
        where TSource : unmanaged
        where TTarget : unmanaged
    {
        long first = DeviceMath.Thread(), step = DeviceMath.Threads();
        for (long q = first; q < a.Quads; q += step)
        {
            Float4 x = Element.LoadQuad(a.Source, q), y = Element.LoadQuad(a.Target, q);
            y.X += x.X;
            y.Y += x.Y;
            y.Z += x.Z;
            y.W += x.W;
            Element.StoreQuad(a.Target, q, y);
        }

        for (long i = a.Quads * 4 + first; i < a.Count; i += step)
        {
            Element.Store(a.Target, i, Element.Load(a.Target, i) + Element.Load(a.Source, i));
        }
    }
}

/// <summary>Launches of <see cref="FillKernels"/>.</summary>
public static class Fill
{
    /// <summary>All elements get one number.</summary>
    public static void Value<T>(DeviceArena arena, Slice<T> target, float number)
        where T : unmanaged =>
        arena.Launch(FillKernels.Value<T>, Launches.Flat(arena, target.Length), new FillArguments<T, T> { Target = arena.View(target), Count = target.Length, Number = number });

    /// <summary>start, start + 1, …</summary>
    public static void Range(DeviceArena arena, Slice<int> target, int start) =>
        arena.Launch(FillKernels.Range, Launches.Flat(arena, target.Length), new FillArguments<int, int> { Target = arena.View(target), Count = target.Length, Start = start });

    /// <summary>Integers as floats.</summary>
    public static void FromInt<T>(DeviceArena arena, Slice<int> source, Slice<T> target)
        where T : unmanaged =>
        arena.Launch(FillKernels.FromInt<T>, Launches.Flat(arena, target.Length), new FillArguments<int, T> { Source = arena.View(source), Target = arena.View(target), Count = target.Length });

    /// <summary>Copies.</summary>
    public static void Copy<T>(DeviceArena arena, Slice<T> source, Slice<T> target)
        where T : unmanaged => arena.Copy(source, target);

    /// <summary>Copies as another element.</summary>
    public static void Convert<TSource, TTarget>(DeviceArena arena, Slice<TSource> source, Slice<TTarget> target)
        where TSource : unmanaged
        where TTarget : unmanaged =>
        arena.Launch(FillKernels.Convert<TSource, TTarget>, Launches.Flat(arena, target.Length), new FillArguments<TSource, TTarget> { Source = arena.View(source), Target = arena.View(target), Count = target.Length });

    /// <summary>target = source for the first contribution, target += source for later ones.</summary>
    public static void Accumulate<TSource, TTarget>(DeviceArena arena, bool first, Slice<TSource> source, Slice<TTarget> target)
        where TSource : unmanaged
        where TTarget : unmanaged
    {
        if (first && typeof(TSource) == typeof(TTarget))
        {
            arena.Copy(source, new Slice<TSource>(target.Offset, target.Length));
            return;
        }

        if (first)
        {
            Convert(arena, source, target);
            return;
        }

        long quads = ((source.Offset | target.Offset) & 15) == 0 ? source.Length / 4 : 0;
        arena.Launch(FillKernels.Add<TSource, TTarget>, Launches.Flat(arena, Math.Max(quads, source.Length - 4 * quads)), new FillArguments<TSource, TTarget> { Source = arena.View(source), Target = arena.View(target), Count = source.Length, Quads = quads });
    }
}
