using System.Runtime.CompilerServices;
using ILGPU;

namespace Shardwright.Gpu.Kernels;

/// <summary>How numbers lie in memory: as floats, or as bf16, which is the upper half of one. Kernels compute in floats and have one body for both: all of them read and write what may be
/// either through here. The type of a view is an argument of its kernel, and its size a constant of the compiled one, where only one of the branches is left.</summary>
public static class Element
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <summary>An element as a float.</summary>
    [MethodImpl(Inline)]
    public static float Load<T>(ArrayView<T> view, long index)
        where T : unmanaged
    {
        if (Interop.SizeOf<T>() == sizeof(ushort))
        {
            return Interop.IntAsFloat((uint)view.Cast<ushort>()[index] << 16);
        }

        return view.Cast<float>()[index];
    }

    /// <summary>Stores a float, rounded to the nearest.</summary>
    [MethodImpl(Inline)]
    public static void Store<T>(ArrayView<T> view, long index, float value)
        where T : unmanaged
    {
        if (Interop.SizeOf<T>() == sizeof(ushort))
        {
            view.Cast<ushort>()[index] = (ushort)(Rounded(value) >> 16);
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
        if (Interop.SizeOf<T>() == sizeof(ushort))
        {
            ulong bits = view.Cast<ulong>()[quad];
            Float4 value;
            value.X = Interop.IntAsFloat((uint)bits << 16);
            value.Y = Interop.IntAsFloat((uint)bits & 0xFFFF0000u);
            value.Z = Interop.IntAsFloat((uint)(bits >> 32) << 16);
            value.W = Interop.IntAsFloat((uint)(bits >> 32) & 0xFFFF0000u);
            return value;
        }

        return view.Cast<Float4>()[quad];
    }

    /// <summary>Stores four elements in one access.</summary>
    [MethodImpl(Inline)]
    public static void StoreQuad<T>(ArrayView<T> view, long quad, Float4 value)
        where T : unmanaged
    {
        if (Interop.SizeOf<T>() == sizeof(ushort))
        {
            uint low = (Rounded(value.X) >> 16) | (Rounded(value.Y) & 0xFFFF0000u), high = (Rounded(value.Z) >> 16) | (Rounded(value.W) & 0xFFFF0000u);
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
}
