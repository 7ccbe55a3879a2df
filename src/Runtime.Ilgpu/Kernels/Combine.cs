using ILGPU;
using ILGPU.Runtime;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of a combination of up to eight sources, element by element in order.</summary>
/// <typeparam name="T">Element of all of them.</typeparam>
public struct CombineArguments<T>
    where T : unmanaged
{
    /// <summary>Sources; those beyond the number of sources are not read.</summary>
    public ArrayView<T> S0, S1, S2, S3, S4, S5, S6, S7;

    /// <summary>Result.</summary>
    public ArrayView<T> Target;

    /// <summary>Elements.</summary>
    public long Count;

    /// <summary>Sources, 1 to 8.</summary>
    public int Sources;

    /// <summary>1 for the largest instead of the sum.</summary>
    public int IsMax;

    /// <summary>1 where the target holds the combination of earlier sources.</summary>
    public int Continues;
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
            float total = Element.Load(a.S0, i);
            if (a.Continues != 0)
            {
                total = Join(Element.Load(a.Target, i), total, a.IsMax);
            }

            if (a.Sources > 1)
            {
                total = Join(total, Element.Load(a.S1, i), a.IsMax);
            }

            if (a.Sources > 2)
            {
                total = Join(total, Element.Load(a.S2, i), a.IsMax);
            }

            if (a.Sources > 3)
            {
                total = Join(total, Element.Load(a.S3, i), a.IsMax);
            }

            if (a.Sources > 4)
            {
                total = Join(total, Element.Load(a.S4, i), a.IsMax);
            }

            if (a.Sources > 5)
            {
                total = Join(total, Element.Load(a.S5, i), a.IsMax);
            }

            if (a.Sources > 6)
            {
                total = Join(total, Element.Load(a.S6, i), a.IsMax);
            }

            if (a.Sources > 7)
            {
                total = Join(total, Element.Load(a.S7, i), a.IsMax);
            }

            Element.Store(a.Target, i, total);
        }
    }

    private static float Join(float a, float b, int isMax) => isMax != 0 ? MathF.Max(a, b) : a + b;
}

/// <summary>Launches of <see cref="CombineKernels"/>.</summary>
internal static class Combine
{
    /// <summary>Sources of one pass.</summary>
    public const int Most = 8;

    /// <summary>target = combination of the sources in order; the target may be the first of them, and holds what came of eight where there are more: sums of bf16, which are rounded once, take no more than eight.</summary>
    public static void Run<T>(DeviceArena arena, ReadOnlySpan<ArrayView<T>> sources, ArrayView<T> target, bool max)
        where T : unmanaged
    {
        for (int from = 0; from < sources.Length; from += Most)
        {
            ReadOnlySpan<ArrayView<T>> part = sources[from..Math.Min(sources.Length, from + Most)];
            ArrayView<T> At(ReadOnlySpan<ArrayView<T>> views, int i) => views[Math.Min(i, views.Length - 1)];
            arena.Launch(CombineKernels.Run<T>, Launches.Flat(arena, target.Length), new CombineArguments<T>
            {
                S0 = At(part, 0), S1 = At(part, 1), S2 = At(part, 2), S3 = At(part, 3), S4 = At(part, 4), S5 = At(part, 5), S6 = At(part, 6), S7 = At(part, 7),
                Target = target, Count = target.Length, Sources = part.Length, IsMax = max ? 1 : 0, Continues = from > 0 ? 1 : 0,
            });
        }
    }
}
