using System.Runtime.CompilerServices;
using ILGPU;
using ILGPU.Runtime;

namespace Shardwright.Gpu.Kernels;

/// <summary>Eight sources of a combination; those beyond the number of sources are not read.</summary>
/// <typeparam name="T">Their element.</typeparam>
public struct CombineSources<T>
    where T : unmanaged
{
    /// <summary>The sources.</summary>
    public ArrayView<T> S0, S1, S2, S3, S4, S5, S6, S7;
}

/// <summary>Arguments of a combination of up to eight sources, element by element in order.</summary>
/// <typeparam name="T">Element of all of them.</typeparam>
public struct CombineArguments<T>
    where T : unmanaged
{
    /// <summary>The sources.</summary>
    public CombineSources<T> Sources;

    /// <summary>Result.</summary>
    public ArrayView<T> Target;

    /// <summary>Elements.</summary>
    public long Count;

    /// <summary>Number of sources.</summary>
    public int Number;

    /// <summary>1 for the largest instead of the sum.</summary>
    public int IsMax;

    /// <summary>1 where the target holds the combination of earlier sources.</summary>
    public int Continues;
}

/// <summary>The same of up to 32: so that a sum of numbers of two bytes is rounded once.</summary>
/// <typeparam name="T">Element of all of them.</typeparam>
public struct CombineManyArguments<T>
    where T : unmanaged
{
    /// <summary>The sources from 8 on, eight each.</summary>
    public CombineSources<T> Second, Third, Fourth;

    /// <summary>All else.</summary>
    public CombineArguments<T> First;
}

/// <summary>Device code of collectives: terms of all ranks in rank order, so that every rank and every run gets the same bits.</summary>
public static class CombineKernels
{
    /// <summary>target = s0 ∘ s1 ∘ …</summary>
    public static void Run<T>(CombineArguments<T> a)
        where T : unmanaged
    {
        for (long i = DeviceMath.Thread(); i < a.Count; i += DeviceMath.Threads())
        {
            Element.Store(a.Target, i, Joined(First(a, i), a.Sources, 1, a.Number, a.IsMax, i));
        }
    }

    /// <summary>The same for more sources.</summary>
    public static void RunMany<T>(CombineManyArguments<T> a)
        where T : unmanaged
    {
        for (long i = DeviceMath.Thread(); i < a.First.Count; i += DeviceMath.Threads())
        {
            int number = a.First.Number, isMax = a.First.IsMax;
            float total = Joined(First(a.First, i), a.First.Sources, 1, number, isMax, i);
            total = Joined(total, a.Second, 0, number - 8, isMax, i);
            total = Joined(total, a.Third, 0, number - 16, isMax, i);
            total = Joined(total, a.Fourth, 0, number - 24, isMax, i);
            Element.Store(a.First.Target, i, total);
        }
    }

    /// <summary>The first source, behind what the target holds.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float First<T>(in CombineArguments<T> a, long i)
        where T : unmanaged
    {
        float total = Element.Load(a.Sources.S0, i);
        if (a.Continues != 0)
        {
            total = Join(Element.Load(a.Target, i), total, a.IsMax);
        }

        return total;
    }

    /// <summary>A total with the sources of eight from one on.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Joined<T>(float total, in CombineSources<T> s, int from, int number, int isMax, long i)
        where T : unmanaged
    {
        if (from == 0 & number > 0)
        {
            total = Join(total, Element.Load(s.S0, i), isMax);
        }

        if (number > 1)
        {
            total = Join(total, Element.Load(s.S1, i), isMax);
        }

        if (number > 2)
        {
            total = Join(total, Element.Load(s.S2, i), isMax);
        }

        if (number > 3)
        {
            total = Join(total, Element.Load(s.S3, i), isMax);
        }

        if (number > 4)
        {
            total = Join(total, Element.Load(s.S4, i), isMax);
        }

        if (number > 5)
        {
            total = Join(total, Element.Load(s.S5, i), isMax);
        }

        if (number > 6)
        {
            total = Join(total, Element.Load(s.S6, i), isMax);
        }

        if (number > 7)
        {
            total = Join(total, Element.Load(s.S7, i), isMax);
        }

        return total;
    }

    private static float Join(float a, float b, int isMax) => isMax != 0 ? MathF.Max(a, b) : a + b;
}

/// <summary>Launches of <see cref="CombineKernels"/>.</summary>
internal static class Combine
{
    /// <summary>Most sources of one pass.</summary>
    public const int Most = 32;

    private const int Few = 8;

    /// <summary>target = combination of the sources in order; the target may be one of the first <see cref="Most"/>. It holds what came of those where there are more: sums of numbers of two bytes, which are rounded once, take no more.</summary>
    public static void Run<T>(DeviceArena arena, ReadOnlySpan<ArrayView<T>> sources, ArrayView<T> target, bool max)
        where T : unmanaged
    {
        for (int from = 0; from < sources.Length; from += Most)
        {
            ReadOnlySpan<ArrayView<T>> part = sources[from..Math.Min(sources.Length, from + Most)];
            var arguments = new CombineArguments<T> { Sources = Eight(part, 0), Target = target, Count = target.Length, Number = part.Length, IsMax = max ? 1 : 0, Continues = from > 0 ? 1 : 0 };
            if (part.Length <= Few)
            {
                arena.Launch(CombineKernels.Run<T>, Launches.Flat(arena, target.Length), arguments);
            }
            else
            {
                arena.Launch(CombineKernels.RunMany<T>, Launches.Flat(arena, target.Length), new CombineManyArguments<T> { First = arguments, Second = Eight(part, Few), Third = Eight(part, 2 * Few), Fourth = Eight(part, 3 * Few) });
            }
        }
    }

    private static CombineSources<T> Eight<T>(ReadOnlySpan<ArrayView<T>> sources, int from)
        where T : unmanaged
    {
        static ArrayView<T> At(ReadOnlySpan<ArrayView<T>> views, int i) => views[Math.Min(i, views.Length - 1)];
        return new CombineSources<T>
        {
            S0 = At(sources, from), S1 = At(sources, from + 1), S2 = At(sources, from + 2), S3 = At(sources, from + 3), S4 = At(sources, from + 4), S5 = At(sources, from + 5), S6 = At(sources, from + 6), S7 = At(sources, from + 7),
        };
    }
}
