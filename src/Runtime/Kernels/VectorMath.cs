using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using V = System.Runtime.Intrinsics.Vector512<float>;

namespace Shardwright.Kernels;

/// <summary>Branch-free fp32 functions on vectors of 16 and of 8, with the same bits, within a few units in the last place. Exponentials are clamped so that no result is
/// denormal: a denormal costs an assist of some 150 cycles, and managed code cannot switch them off. Clamps take the machine's own minimum and maximum, which cost one
/// instruction; with the bound on the left, they let NaN through.</summary>
public static partial class VectorMath
{
    private const MethodImplOptions Inline = MethodImplOptions.AggressiveInlining;

    /// <summary>eˣ; 0 (2⁻¹²⁶ at most) below −87.3, largest finite value above 88.</summary>
    [MethodImpl(Inline)]
    public static V Exp(V x)
    {
        if (!Vector512.IsHardwareAccelerated)
        {
            return Vector512.Create(Exp(x.GetLower()), Exp(x.GetUpper()));
        }

        // x = n·ln 2 + r; the polynomial of eʳ is Cephes' expf.
        V clamped = Vector512.MinNative(Vector512.Create(88.0f), Vector512.MaxNative(Vector512.Create(-87.33654f), x));
        V shifted = Vector512.FusedMultiplyAdd(clamped, Vector512.Create(1.44269504f), Vector512.Create(12582912f));
        V n = shifted - Vector512.Create(12582912f);
        V r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693359375f), clamped);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        V p = Vector512.FusedMultiplyAdd(Vector512.Create(1.9875691500e-4f), r, Vector512.Create(1.3981999507e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(8.3334519073e-3f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(4.1665795894e-2f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1.6666665459e-1f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(5.0000001201e-1f));
        p = Vector512.FusedMultiplyAdd(p, r * r, r) + Vector512.Create(1f);
        Vector512<int> exponent = (shifted.AsInt32() - Vector512.Create(0x4B400000) + Vector512.Create(127)) << 23;
        return p * exponent.AsSingle();
    }

    /// <summary>2ˣ for x up to 120, flat at 2⁻⁸⁰ below −80: results and their products stay normal. For softmax, where x ≤ 0.</summary>
    [MethodImpl(Inline)]
    public static V Exp2OfScore(V x)
    {
        if (!Vector512.IsHardwareAccelerated)
        {
            return Vector512.Create(Exp2OfScore(x.GetLower()), Exp2OfScore(x.GetUpper()));
        }

        // x = n + r, |r| ≤ 1/2; least squares polynomial of 2ʳ, 9e-8 relative.
        V clamped = Vector512.MaxNative(Vector512.Create(-80f), x);
        V shifted = clamped + Vector512.Create(12582912f);
        V r = clamped - (shifted - Vector512.Create(12582912f));
        V p = Vector512.FusedMultiplyAdd(Vector512.Create(0.001326472731307149f), r, Vector512.Create(0.009671512991189957f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(0.05550733581185341f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(0.24022242426872253f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(0.6931470036506653f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1f));

        // Adding n to the exponent multiplies by 2ⁿ.
        return (p.AsInt32() + (shifted.AsInt32() << 23)).AsSingle();
    }

    /// <summary>Natural logarithm; −∞ at 0, NaN below.</summary>
    [MethodImpl(Inline)]
    public static V Log(V x)
    {
        if (!Vector512.IsHardwareAccelerated)
        {
            return Vector512.Create(Log(x.GetLower()), Log(x.GetUpper()));
        }

        V safe = Vector512.MaxNative(Vector512.Create(1.17549435e-38f), x);
        Vector512<int> bits = safe.AsInt32();
        V e = Vector512.ConvertToSingle((bits >> 23) - Vector512.Create(126));
        V m = ((bits & Vector512.Create(0x007FFFFF)) | Vector512.Create(0x3F000000)).AsSingle();
        V small = Vector512.LessThan(m, Vector512.Create(0.707106781f));
        e = Vector512.ConditionalSelect(small, e - Vector512.Create(1f), e);
        m = Vector512.ConditionalSelect(small, m + m, m) - Vector512.Create(1f);
        V z = m * m;
        V p = Vector512.FusedMultiplyAdd(Vector512.Create(7.0376836292e-2f), m, Vector512.Create(-1.1514610310e-1f));
        p = Vector512.FusedMultiplyAdd(p, m, Vector512.Create(1.1676998740e-1f));
        p = Vector512.FusedMultiplyAdd(p, m, Vector512.Create(-1.2420140846e-1f));
        p = Vector512.FusedMultiplyAdd(p, m, Vector512.Create(1.4249322787e-1f));
        p = Vector512.FusedMultiplyAdd(p, m, Vector512.Create(-1.6668057665e-1f));
        p = Vector512.FusedMultiplyAdd(p, m, Vector512.Create(2.0000714765e-1f));
        p = Vector512.FusedMultiplyAdd(p, m, Vector512.Create(-2.4999993993e-1f));
        p = Vector512.FusedMultiplyAdd(p, m, Vector512.Create(3.3333331174e-1f));
        V y = p * m * z;
        y = Vector512.FusedMultiplyAdd(e, Vector512.Create(-2.12194440e-4f), y);
        y = Vector512.FusedMultiplyAdd(z, Vector512.Create(-0.5f), y);
        V result = Vector512.FusedMultiplyAdd(e, Vector512.Create(0.693359375f), m + y);
        result = Vector512.ConditionalSelect(Vector512.Equals(x, V.Zero), Vector512.Create(float.NegativeInfinity), result);
        return Vector512.ConditionalSelect(Vector512.LessThan(x, V.Zero), Vector512.Create(float.NaN), result);
    }

    /// <summary>Square root.</summary>
    [MethodImpl(Inline)]
    public static V Sqrt(V x) => Vector512.Sqrt(x);

    /// <summary>1 / (1 + e⁻ˣ).</summary>
    [MethodImpl(Inline)]
    public static V Sigmoid(V x) => Vector512.Create(1f) / (Vector512.Create(1f) + Exp(-x));

    /// <summary>Hyperbolic tangent, a rational approximation with full relative accuracy near zero.</summary>
    [MethodImpl(Inline)]
    public static V Tanh(V x)
    {
        if (!Vector512.IsHardwareAccelerated)
        {
            return Vector512.Create(Tanh(x.GetLower()), Tanh(x.GetUpper()));
        }

        V c = Vector512.MinNative(Vector512.Create(7.90531110763549805f), Vector512.MaxNative(Vector512.Create(-7.90531110763549805f), x));
        V z = c * c;
        V p = Vector512.FusedMultiplyAdd(Vector512.Create(-2.76076847742355e-16f), z, Vector512.Create(2.00018790482477e-13f));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(-8.60467152213735e-11f));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(5.12229709037114e-08f));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(1.48572235717979e-05f));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(6.37261928875436e-04f));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(4.89352455891786e-03f)) * c;
        V q = Vector512.FusedMultiplyAdd(Vector512.Create(1.19825839466702e-06f), z, Vector512.Create(1.18534705686654e-04f));
        q = Vector512.FusedMultiplyAdd(q, z, Vector512.Create(2.26843463243900e-03f));
        q = Vector512.FusedMultiplyAdd(q, z, Vector512.Create(4.89352518554385e-03f));
        return p / q;
    }

    /// <summary>Error function, a rational approximation.</summary>
    [MethodImpl(Inline)]
    public static V Erf(V x)
    {
        if (!Vector512.IsHardwareAccelerated)
        {
            return Vector512.Create(Erf(x.GetLower()), Erf(x.GetUpper()));
        }

        V c = Vector512.MinNative(Vector512.Create(4f), Vector512.MaxNative(Vector512.Create(-4f), x));
        V z = c * c;
        V p = Vector512.FusedMultiplyAdd(Vector512.Create(-2.72614225801306e-10f), z, Vector512.Create(2.77068142495902e-08f));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(-2.10102402082508e-06f));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(-5.69250639462346e-05f));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(-7.34990630326855e-04f));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(-2.95459980854025e-03f));
        p = Vector512.FusedMultiplyAdd(p, z, Vector512.Create(-1.60960333262415e-02f)) * c;
        V q = Vector512.FusedMultiplyAdd(Vector512.Create(-1.45660718464996e-05f), z, Vector512.Create(-2.13374055278905e-04f));
        q = Vector512.FusedMultiplyAdd(q, z, Vector512.Create(-1.68282697438203e-03f));
        q = Vector512.FusedMultiplyAdd(q, z, Vector512.Create(-7.37332916720468e-03f));
        q = Vector512.FusedMultiplyAdd(q, z, Vector512.Create(-1.42647390514189e-02f));
        return p / q;
    }

    /// <summary>Sine of an angle in radians, |x| up to some 10⁴.</summary>
    [MethodImpl(Inline)]
    public static V Sin(V x) => SinOrCos(x, Vector512<int>.Zero);

    /// <summary>Cosine of an angle in radians, |x| up to some 10⁴.</summary>
    [MethodImpl(Inline)]
    public static V Cos(V x) => SinOrCos(x, Vector512.Create(1));

    /// <summary>Absolute value.</summary>
    [MethodImpl(Inline)]
    public static V Abs(V x) => Vector512.Abs(x);

    /// <summary>x to the power of y, x &gt; 0.</summary>
    [MethodImpl(Inline)]
    public static V Power(V x, V y) => Exp(y * Log(x));

    /// <summary>1 where the mask is set, else 0.</summary>
    [MethodImpl(Inline)]
    public static V Flag(V mask) => Vector512.ConditionalSelect(mask, Vector512.Create(1f), V.Zero);

    /// <summary>a where the condition is not 0, else b.</summary>
    [MethodImpl(Inline)]
    public static V Select(V condition, V a, V b) => Vector512.ConditionalSelect(Vector512.Equals(condition, V.Zero), b, a);

    [MethodImpl(Inline)]
    private static V SinOrCos(V x, Vector512<int> quarter)
    {
        if (!Vector512.IsHardwareAccelerated)
        {
            return Vector512.Create(SinOrCos(x.GetLower(), quarter.GetLower()), SinOrCos(x.GetUpper(), quarter.GetUpper()));
        }

        V n = Vector512.FusedMultiplyAdd(x, Vector512.Create(0.636619772f), Vector512.Create(12582912f));
        Vector512<int> quadrant = n.AsInt32() + quarter;
        n -= Vector512.Create(12582912f);
        V r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-1.57079637f), x);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(4.37113883e-8f), r);
        V z = r * r;
        V s = Vector512.FusedMultiplyAdd(Vector512.Create(-1.9515295891e-4f), z, Vector512.Create(8.3321608736e-3f));
        s = Vector512.FusedMultiplyAdd(s, z, Vector512.Create(-1.6666654611e-1f)) * z;
        s = Vector512.FusedMultiplyAdd(s, r, r);
        V c = Vector512.FusedMultiplyAdd(Vector512.Create(2.443315711809948e-5f), z, Vector512.Create(-1.388731625493765e-3f));
        c = Vector512.FusedMultiplyAdd(c, z, Vector512.Create(4.166664568298827e-2f)) * z * z;
        c = c - z * Vector512.Create(0.5f) + Vector512.Create(1f);
        V odd = Vector512.Equals(quadrant & Vector512.Create(1), Vector512.Create(1)).AsSingle();
        V value = Vector512.ConditionalSelect(odd, c, s);
        return (value.AsInt32() ^ ((quadrant & Vector512.Create(2)) << 30)).AsSingle();
    }
}
