using System.Runtime.InteropServices;

namespace Shardwright.Execution;

/// <summary>How numbers that are computed with as floats lie in memory.</summary>
public enum NumberFormat
{
    /// <summary>As floats.</summary>
    Float32,

    /// <summary>As <see cref="Execution.BFloat16"/>.</summary>
    BFloat16,

    /// <summary>As <see cref="Execution.Float16"/>.</summary>
    Float16,
}

/// <summary>A number of two bytes that stands for a float: it is read as one, and is the nearest to one.</summary>
/// <typeparam name="TSelf">The type that implements it.</typeparam>
public interface INarrowNumber<TSelf>
    where TSelf : unmanaged, INarrowNumber<TSelf>
{
    /// <summary>The nearest to a float, of two alike the one whose last bit is 0; NaN stays NaN.</summary>
    static abstract explicit operator TSelf(float value);

    /// <summary>As a float, exactly.</summary>
    static abstract implicit operator float(TSelf value);
}

/// <summary>Conversions of many numbers at once, and the format that a type has.</summary>
public static class NarrowNumbers
{
    /// <summary>Rounds floats.</summary>
    /// <param name="source">The floats.</param>
    /// <param name="target">As many numbers or more.</param>
    public static void Narrow<T>(ReadOnlySpan<float> source, Span<T> target)
        where T : unmanaged, INarrowNumber<T>
    {
        for (int i = 0; i < source.Length; i++)
        {
            target[i] = (T)source[i];
        }
    }

    /// <summary>As floats.</summary>
    /// <param name="source">The numbers.</param>
    /// <param name="target">As many floats or more.</param>
    public static void Widen<T>(ReadOnlySpan<T> source, Span<float> target)
        where T : unmanaged, INarrowNumber<T>
    {
        for (int i = 0; i < source.Length; i++)
        {
            target[i] = source[i];
        }
    }

    /// <summary>Rounds floats to a format of two bytes.</summary>
    public static void Narrow(NumberFormat format, ReadOnlySpan<float> source, Span<ushort> target)
    {
        if (format == NumberFormat.BFloat16)
        {
            Narrow(source, MemoryMarshal.Cast<ushort, BFloat16>(target));
        }
        else
        {
            Narrow(source, MemoryMarshal.Cast<ushort, Float16>(target));
        }
    }

    /// <summary>A format of two bytes as floats.</summary>
    public static void Widen(NumberFormat format, ReadOnlySpan<ushort> source, Span<float> target)
    {
        if (format == NumberFormat.BFloat16)
        {
            Widen(MemoryMarshal.Cast<ushort, BFloat16>(source), target);
        }
        else
        {
            Widen(MemoryMarshal.Cast<ushort, Float16>(source), target);
        }
    }

    /// <summary>The format of elements that can be added.</summary>
    /// <exception cref="ArgumentException">It is none of the three.</exception>
    internal static NumberFormat FormatOf<T>() => typeof(T) == typeof(float) ? NumberFormat.Float32 : typeof(T) == typeof(BFloat16) ? NumberFormat.BFloat16 : typeof(T) == typeof(Float16) ? NumberFormat.Float16
        : throw new ArgumentException($"Elements of type {typeof(T).Name} are not added: float, {nameof(BFloat16)} and {nameof(Float16)} are.");
}
