using System.Runtime.CompilerServices;
using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>The format of a view's elements, a constant of a compiled kernel: ILGPU takes a static field that is readonly for its value.</summary>
/// <typeparam name="T">Element of the view.</typeparam>
internal static class ElementFormat<T>
    where T : unmanaged
{
    /// <summary>1 for <see cref="Float16"/>, 2 for <see cref="BFloat16"/>, 0 for floats.</summary>
    public static readonly int Value = typeof(T) == typeof(Float16) ? 1 : typeof(T) == typeof(BFloat16) ? 2 : 0;
}

/// <summary>How numbers lie in memory: as floats; as bf16, which is the upper half of one; or as fp16. Kernels compute in floats and have one body for all of them: they read and write what may be
/// any of the three through here. The type of a view is an argument of its kernel, and its format a constant of the compiled one, where only one of the branches is left.</summary>
/// <remarks>fp16 is converted by its bits: ILGPU's own Half needs an extension on OpenCL, and its conversion on the processor cuts digits off rather than rounding to the nearest. No number below 2⁻¹⁴ is
/// computed with as such, so that fast arithmetic, which takes the least numbers for zero, changes nothing.</remarks>
public static class Element
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <summary>An element as a float.</summary>
    [MethodImpl(Inline)]
    public static float Load<T>(ArrayView<T> view, long index)
        where T : unmanaged
    {
        if (ElementFormat<T>.Value == 2)
        {
            return Interop.IntAsFloat((uint)view.Cast<ushort>()[index] << 16);
        }

        if (ElementFormat<T>.Value == 1)
        {
            return Widened(view.Cast<ushort>()[index]);
        }

        return view.Cast<float>()[index];
    }

    /// <summary>Stores a float, rounded to the nearest.</summary>
    [MethodImpl(Inline)]
    public static void Store<T>(ArrayView<T> view, long index, float value)
        where T : unmanaged
    {
        if (ElementFormat<T>.Value == 2)
        {
            view.Cast<ushort>()[index] = (ushort)(Rounded(value) >> 16);
        }
        else if (ElementFormat<T>.Value == 1)
        {
            view.Cast<ushort>()[index] = (ushort)Narrowed(value);
        }
        else
        {
            view.Cast<float>()[index] = value;
        }
    }

    /// <summary>Four elements in one access: of 128 bits, or of 64.</summary>
    [MethodImpl(Inline)]
    public static Float4 LoadQuad<T>(ArrayView<T> view, long quad)
        where T : unmanaged
    {
        if (ElementFormat<T>.Value == 0)
        {
            return view.Cast<Float4>()[quad];
        }

        ulong bits = view.Cast<ulong>()[quad];
        Float4 value;
        if (ElementFormat<T>.Value == 1)
        {
            value.X = Widened((uint)bits & 0xFFFFu);
            value.Y = Widened((uint)bits >> 16);
            value.Z = Widened((uint)(bits >> 32) & 0xFFFFu);
            value.W = Widened((uint)(bits >> 48));
        }
        else
        {
            value.X = Interop.IntAsFloat((uint)bits << 16);
            value.Y = Interop.IntAsFloat((uint)bits & 0xFFFF0000u);
            value.Z = Interop.IntAsFloat((uint)(bits >> 32) << 16);
            value.W = Interop.IntAsFloat((uint)(bits >> 32) & 0xFFFF0000u);
        }

        return value;
    }

    /// <summary>Stores four elements in one access.</summary>
    [MethodImpl(Inline)]
    public static void StoreQuad<T>(ArrayView<T> view, long quad, Float4 value)
        where T : unmanaged
    {
        if (ElementFormat<T>.Value == 2)
        {
            uint low = (Rounded(value.X) >> 16) | (Rounded(value.Y) & 0xFFFF0000u), high = (Rounded(value.Z) >> 16) | (Rounded(value.W) & 0xFFFF0000u);
            view.Cast<ulong>()[quad] = low | ((ulong)high << 32);
        }
        else if (ElementFormat<T>.Value == 1)
        {
            uint low = Narrowed(value.X) | (Narrowed(value.Y) << 16), high = Narrowed(value.Z) | (Narrowed(value.W) << 16);
            view.Cast<ulong>()[quad] = low | ((ulong)high << 32);
        }
        else
        {
            view.Cast<Float4>()[quad] = value;
        }
    }

    /// <summary>Bits of a float whose upper half is the nearest bf16, of two alike the one whose last bit is 0; NaN stays NaN.</summary>
    [MethodImpl(Inline)]
    private static uint Rounded(float value)
    {
        uint bits = Interop.FloatAsInt(value);
        return (bits & 0x7FFFFFFFu) > 0x7F800000u ? bits | 0x00400000u : bits + 0x7FFFu + ((bits >> 16) & 1u);
    }

    /// <summary>An fp16 as a float: its exponent counts from 15, and that of a float from 127.</summary>
    [MethodImpl(Inline)]
    private static float Widened(uint half)
    {
        uint shifted = (half & 0x7FFFu) << 13, exponent = shifted & 0x0F800000u;
        uint bits = shifted + (112u << 23);
        if (exponent == 0x0F800000u)
        {
            bits += 112u << 23; // infinity and NaN
        }

        if (exponent == 0)
        {
            // Fraction · 2⁻²⁴: behind the point of 2⁻¹⁴, from which that is taken away.
            bits = Interop.FloatAsInt(Interop.IntAsFloat(shifted + (113u << 23)) - Interop.IntAsFloat(113u << 23));
        }

        return Interop.IntAsFloat(bits | ((half & 0x8000u) << 16));
    }

    /// <summary>Bits of the nearest fp16, of two alike the one whose last bit is 0; infinity from 65,520 on; NaN stays NaN.</summary>
    [MethodImpl(Inline)]
    private static uint Narrowed(float value)
    {
        uint bits = Interop.FloatAsInt(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
        uint half = (magnitude + 0xFFFu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
        if (magnitude < 113u << 23)
        {
            // Below 2⁻¹⁴ a unit is 2⁻²⁴, as it is in 0.5 of a float: the sum is rounded to it.
            half = Interop.FloatAsInt(Interop.IntAsFloat(magnitude) + 0.5f) - Interop.FloatAsInt(0.5f);
        }

        if (magnitude >= 0x477FF000u)
        {
            half = magnitude > 0x7F800000u ? 0x7E00u : 0x7C00u;
        }

        return half | sign;
    }
}
