using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using V = System.Runtime.Intrinsics.Vector256<float>;

namespace Shardwright.Kernels;

/// <content>The same text on vectors of 8: a vector of 16 on a machine without them is two of these, but each operation on it is a call to inline, and past some
/// twenty of them the compiler stops to.</content>
public static partial class VectorMath
{
    /// <summary>eˣ; 0 (2⁻¹²⁶ at most) below −87.3, largest finite value above 88.</summary>
    [MethodImpl(Inline)]
    public static V Exp(V x)
    {
        // x = n·ln 2 + r; the polynomial of eʳ is Cephes' expf.
        V clamped = Vector256.MinNative(Vector256.Create(88.0f), Vector256.MaxNative(Vector256.Create(-87.33654f), x));
        V shifted = Vector256.FusedMultiplyAdd(clamped, Vector256.Create(1.44269504f), Vector256.Create(12582912f));
        V n = shifted - Vector256.Create(12582912f);
        V r = Vector256.FusedMultiplyAdd(n, Vector256.Create(-0.693359375f), clamped);
        r = Vector256.FusedMultiplyAdd(n, Vector256.Create(2.12194440e-4f), r);
        V p = Vector256.FusedMultiplyAdd(Vector256.Create(1.9875691500e-4f), r, Vector256.Create(1.3981999507e-3f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(8.3334519073e-3f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(4.1665795894e-2f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(1.6666665459e-1f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(5.0000001201e-1f));
        p = Vector256.FusedMultiplyAdd(p, r * r, r) + Vector256.Create(1f);
        Vector256<int> exponent = (shifted.AsInt32() - Vector256.Create(0x4B400000) + Vector256.Create(127)) << 23;
        return p * exponent.AsSingle();
    }

    /// <summary>2ˣ for x up to 120, flat at 2⁻⁸⁰ below −80: results and their products stay normal. For softmax, where x ≤ 0.</summary>
    [MethodImpl(Inline)]
    public static V Exp2OfScore(V x)
    {
        // x = n + r, |r| ≤ 1/2; least squares polynomial of 2ʳ, 9e-8 relative.
        V clamped = Vector256.MaxNative(Vector256.Create(-80f), x);
        V shifted = clamped + Vector256.Create(12582912f);
        V r = clamped - (shifted - Vector256.Create(12582912f));
        V p = Vector256.FusedMultiplyAdd(Vector256.Create(0.001326472731307149f), r, Vector256.Create(0.009671512991189957f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(0.05550733581185341f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(0.24022242426872253f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(0.6931470036506653f));
        p = Vector256.FusedMultiplyAdd(p, r, Vector256.Create(1f));

        // Adding n to the exponent multiplies by 2ⁿ.
        return (p.AsInt32() + (shifted.AsInt32() << 23)).AsSingle();
    }

    /// <summary>Natural logarithm; −∞ at 0, NaN below.</summary>
    [MethodImpl(Inline)]
    public static V Log(V x)
    {
        V safe = Vector256.MaxNative(Vector256.Create(1.17549435e-38f), x);
        Vector256<int> bits = safe.AsInt32();
        V e = Vector256.ConvertToSingle((bits >> 23) - Vector256.Create(126));
        V m = ((bits & Vector256.Create(0x007FFFFF)) | Vector256.Create(0x3F000000)).AsSingle();
        V small = Vector256.LessThan(m, Vector256.Create(0.707106781f));
        e = Vector256.ConditionalSelect(small, e - Vector256.Create(1f), e);
        m = Vector256.ConditionalSelect(small, m + m, m) - Vector256.Create(1f);
        V z = m * m;
        V p = Vector256.FusedMultiplyAdd(Vector256.Create(7.0376836292e-2f), m, Vector256.Create(-1.1514610310e-1f));
        p = Vector256.FusedMultiplyAdd(p, m, Vector256.Create(1.1676998740e-1f));
        p = Vector256.FusedMultiplyAdd(p, m, Vector256.Create(-1.2420140846e-1f));
        p = Vector256.FusedMultiplyAdd(p, m, Vector256.Create(1.4249322787e-1f));
        p = Vector256.FusedMultiplyAdd(p, m, Vector256.Create(-1.6668057665e-1f));
        p = Vector256.FusedMultiplyAdd(p, m, Vector256.Create(2.0000714765e-1f));
        p = Vector256.FusedMultiplyAdd(p, m, Vector256.Create(-2.4999993993e-1f));
        p = Vector256.FusedMultiplyAdd(p, m, Vector256.Create(3.3333331174e-1f));
        V y = p * m * z;
        y = Vector256.FusedMultiplyAdd(e, Vector256.Create(-2.12194440e-4f), y);
        y = Vector256.FusedMultiplyAdd(z, Vector256.Create(-0.5f), y);
        V result = Vector256.FusedMultiplyAdd(e, Vector256.Create(0.693359375f), m + y);
        result = Vector256.ConditionalSelect(Vector256.Equals(x, V.Zero), Vector256.Create(float.NegativeInfinity), result);
        return Vector256.ConditionalSelect(Vector256.LessThan(x, V.Zero), Vector256.Create(float.NaN), result);
    }

    /// <summary>Square root.</summary>
    [MethodImpl(Inline)]
    public static V Sqrt(V x) => Vector256.Sqrt(x);

    /// <summary>1 / (1 + e⁻ˣ).</summary>
    [MethodImpl(Inline)]
    public static V Sigmoid(V x) => Vector256.Create(1f) / (Vector256.Create(1f) + Exp(-x));

    /// <summary>Hyperbolic tangent, a rational approximation with full relative accuracy near zero.</summary>
    [MethodImpl(Inline)]
    public static V Tanh(V x)
    {
        V c = Vector256.MinNative(Vector256.Create(7.90531110763549805f), Vector256.MaxNative(Vector256.Create(-7.90531110763549805f), x));
        V z = c * c;
        V p = Vector256.FusedMultiplyAdd(Vector256.Create(-2.76076847742355e-16f), z, Vector256.Create(2.00018790482477e-13f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(-8.60467152213735e-11f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(5.12229709037114e-08f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(1.48572235717979e-05f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(6.37261928875436e-04f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(4.89352455891786e-03f)) * c;
        V q = Vector256.FusedMultiplyAdd(Vector256.Create(1.19825839466702e-06f), z, Vector256.Create(1.18534705686654e-04f));
        q = Vector256.FusedMultiplyAdd(q, z, Vector256.Create(2.26843463243900e-03f));
        q = Vector256.FusedMultiplyAdd(q, z, Vector256.Create(4.89352518554385e-03f));
        return p / q;
    }

    /// <summary>Error function, a rational approximation.</summary>
    [MethodImpl(Inline)]
    public static V Erf(V x)
    {
        V c = Vector256.MinNative(Vector256.Create(4f), Vector256.MaxNative(Vector256.Create(-4f), x));
        V z = c * c;
        V p = Vector256.FusedMultiplyAdd(Vector256.Create(-2.72614225801306e-10f), z, Vector256.Create(2.77068142495902e-08f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(-2.10102402082508e-06f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(-5.69250639462346e-05f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(-7.34990630326855e-04f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(-2.95459980854025e-03f));
        p = Vector256.FusedMultiplyAdd(p, z, Vector256.Create(-1.60960333262415e-02f)) * c;
        V q = Vector256.FusedMultiplyAdd(Vector256.Create(-1.45660718464996e-05f), z, Vector256.Create(-2.13374055278905e-04f));
        q = Vector256.FusedMultiplyAdd(q, z, Vector256.Create(-1.68282697438203e-03f));
        q = Vector256.FusedMultiplyAdd(q, z, Vector256.Create(-7.37332916720468e-03f));
        q = Vector256.FusedMultiplyAdd(q, z, Vector256.Create(-1.42647390514189e-02f));
        return p / q;
    }

    /// <summary>Sine of an angle in radians, |x| up to some 10⁴.</summary>
    [MethodImpl(Inline)]
    public static V Sin(V x) => SinOrCos(x, Vector256<int>.Zero);

    /// <summary>Cosine of an angle in radians, |x| up to some 10⁴.</summary>
    [MethodImpl(Inline)]
    public static V Cos(V x) => SinOrCos(x, Vector256.Create(1));

    /// <summary>Absolute value.</summary>
    [MethodImpl(Inline)]
    public static V Abs(V x) => Vector256.Abs(x);

    /// <summary>x to the power of y, x &gt; 0.</summary>
    [MethodImpl(Inline)]
    public static V Power(V x, V y) => Exp(y * Log(x));

    /// <summary>1 where the mask is set, else 0.</summary>
    [MethodImpl(Inline)]
    public static V Flag(V mask) => Vector256.ConditionalSelect(mask, Vector256.Create(1f), V.Zero);

    /// <summary>a where the condition is not 0, else b.</summary>
    [MethodImpl(Inline)]
    public static V Select(V condition, V a, V b) => Vector256.ConditionalSelect(Vector256.Equals(condition, V.Zero), b, a);

    /// <summary>Loads up to 8 elements; the rest are 0.</summary>
    [MethodImpl(Inline)]
    public static V LoadPart(ref float source, long index, int count)
    {
        V result = V.Zero;
        for (int lane = 0; lane < count; lane++)
        {
            result = result.WithElement(lane, Unsafe.Add(ref source, (nint)index + lane));
        }

        return result;
    }

    /// <summary>Stores the first elements.</summary>
    [MethodImpl(Inline)]
    public static void StorePart(V value, ref float target, long index, int count)
    {
        for (int lane = 0; lane < count; lane++)
        {
            Unsafe.Add(ref target, (nint)index + lane) = value.GetElement(lane);
        }
    }

    [MethodImpl(Inline)]
    private static V SinOrCos(V x, Vector256<int> quarter)
    {
        V n = Vector256.FusedMultiplyAdd(x, Vector256.Create(0.636619772f), Vector256.Create(12582912f));
        Vector256<int> quadrant = n.AsInt32() + quarter;
        n -= Vector256.Create(12582912f);
        V r = Vector256.FusedMultiplyAdd(n, Vector256.Create(-1.57079637f), x);
        r = Vector256.FusedMultiplyAdd(n, Vector256.Create(4.37113883e-8f), r);
        V z = r * r;
        V s = Vector256.FusedMultiplyAdd(Vector256.Create(-1.9515295891e-4f), z, Vector256.Create(8.3321608736e-3f));
        s = Vector256.FusedMultiplyAdd(s, z, Vector256.Create(-1.6666654611e-1f)) * z;
        s = Vector256.FusedMultiplyAdd(s, r, r);
        V c = Vector256.FusedMultiplyAdd(Vector256.Create(2.443315711809948e-5f), z, Vector256.Create(-1.388731625493765e-3f));
        c = Vector256.FusedMultiplyAdd(c, z, Vector256.Create(4.166664568298827e-2f)) * z * z;
        c = c - z * Vector256.Create(0.5f) + Vector256.Create(1f);
        V odd = Vector256.Equals(quadrant & Vector256.Create(1), Vector256.Create(1)).AsSingle();
        V value = Vector256.ConditionalSelect(odd, c, s);
        return (value.AsInt32() ^ ((quadrant & Vector256.Create(2)) << 30)).AsSingle();
    }
}
