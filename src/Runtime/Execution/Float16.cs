namespace Shardwright.Execution;

/// <summary>A float of 16 bits (IEEE 754 binary16): a sign, 5 bits of exponent, 10 of fraction. The largest is 65,504, the least above zero 2⁻²⁴. What lies in memory so is computed with as floats.</summary>
/// <param name="Bits">Its bits.</param>
public readonly record struct Float16(ushort Bits) : INarrowNumber<Float16>
{
    /// <summary>The nearest, of two alike the one whose last bit is 0: infinity from 65,520 on; NaN stays NaN.</summary>
    public static explicit operator Float16(float value) => new(BitConverter.HalfToUInt16Bits((Half)value));

    /// <summary>As a float, exactly.</summary>
    public static implicit operator float(Float16 value) => (float)BitConverter.UInt16BitsToHalf(value.Bits);

    /// <inheritdoc/>
    public override string ToString() => ((float)this).ToString("R", System.Globalization.CultureInfo.InvariantCulture);
}
