using System.Runtime.CompilerServices;
using ILGPU;

namespace Shardwright.Gpu.Kernels;

/// <summary>Scalar functions of emitted kernels. All of them have a right form on every accelerator: built-in hyperbolic tangents are 11-bit approximations on GPUs,
/// fused multiply-add, log2 and cube root do not compile to PTX.</summary>
public static class DeviceMath
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <summary>eˣ.</summary>
    [MethodImpl(Inline)]
    public static float Exp(float x) => MathF.Exp(x);

    /// <summary>Natural logarithm.</summary>
    [MethodImpl(Inline)]
    public static float Log(float x) => MathF.Log(x);

    /// <summary>Square root.</summary>
    [MethodImpl(Inline)]
    public static float Sqrt(float x) => MathF.Sqrt(x);

    /// <summary>Sine, radians.</summary>
    [MethodImpl(Inline)]
    public static float Sin(float x) => MathF.Sin(x);

    /// <summary>Cosine, radians.</summary>
    [MethodImpl(Inline)]
    public static float Cos(float x) => MathF.Cos(x);

    /// <summary>Absolute value.</summary>
    [MethodImpl(Inline)]
    public static float Abs(float x) => MathF.Abs(x);

    /// <summary>1 / (1 + e⁻ˣ).</summary>
    [MethodImpl(Inline)]
    public static float Sigmoid(float x) => 1f / (1f + MathF.Exp(-x));

    /// <summary>Hyperbolic tangent, the rational approximation of the CPU kernels: full relative accuracy near zero.</summary>
    [MethodImpl(Inline)]
    public static float Tanh(float x)
    {
        float c = MathF.Min(MathF.Max(x, -7.90531110763549805f), 7.90531110763549805f), z = c * c;
        float p = -2.76076847742355e-16f * z + 2.00018790482477e-13f;
        p = p * z + -8.60467152213735e-11f;
        p = p * z + 5.12229709037114e-08f;
        p = p * z + 1.48572235717979e-05f;
        p = p * z + 6.37261928875436e-04f;
        p = (p * z + 4.89352455891786e-03f) * c;
        float q = 1.19825839466702e-06f * z + 1.18534705686654e-04f;
        q = q * z + 2.26843463243900e-03f;
        q = q * z + 4.89352518554385e-03f;
        return p / q;
    }

    /// <summary>Error function, the rational approximation of the CPU kernels.</summary>
    [MethodImpl(Inline)]
    public static float Erf(float x)
    {
        float c = MathF.Min(MathF.Max(x, -4f), 4f), z = c * c;
        float p = -2.72614225801306e-10f * z + 2.77068142495902e-08f;
        p = p * z + -2.10102402082508e-06f;
        p = p * z + -5.69250639462346e-05f;
        p = p * z + -7.34990630326855e-04f;
        p = p * z + -2.95459980854025e-03f;
        p = (p * z + -1.60960333262415e-02f) * c;
        float q = -1.45660718464996e-05f * z + -2.13374055278905e-04f;
        q = q * z + -1.68282697438203e-03f;
        q = q * z + -7.37332916720468e-03f;
        q = q * z + -1.42647390514189e-02f;
        return p / q;
    }

    /// <summary>x to the power of y, x &gt; 0.</summary>
    [MethodImpl(Inline)]
    public static float Power(float x, float y) => MathF.Exp(y * MathF.Log(x));

    /// <summary>1 where a &lt; b, else 0.</summary>
    [MethodImpl(Inline)]
    public static float Less(float a, float b) => a < b ? 1f : 0f;

    /// <summary>1 where a ≤ b, else 0.</summary>
    [MethodImpl(Inline)]
    public static float LessOrEqual(float a, float b) => a <= b ? 1f : 0f;

    /// <summary>1 where a = b, else 0.</summary>
    [MethodImpl(Inline)]
    public static float Equal(float a, float b) => a == b ? 1f : 0f;

    /// <summary>a where the condition is not 0, else b.</summary>
    [MethodImpl(Inline)]
    public static float Select(float condition, float a, float b) => condition != 0f ? a : b;

    /// <summary>Sum of four, in a fixed order.</summary>
    [MethodImpl(Inline)]
    public static float Sum(Float4 v) => (v.X + v.Y) + (v.Z + v.W);

    /// <summary>Largest of four.</summary>
    [MethodImpl(Inline)]
    public static float Max(Float4 v) => MathF.Max(MathF.Max(v.X, v.Y), MathF.Max(v.Z, v.W));

    /// <summary>Number of this thread in the whole launch.</summary>
    [MethodImpl(Inline)]
    public static long Thread() => (long)Grid.IdxX * Group.DimX + Group.IdxX;

    /// <summary>Number of threads in the whole launch.</summary>
    [MethodImpl(Inline)]
    public static long Threads() => (long)Grid.DimX * Group.DimX;
}
