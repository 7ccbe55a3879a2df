using System.Runtime.Intrinsics;
using V = System.Runtime.Intrinsics.Vector256<float>;

namespace Shardwright.Kernels;

/// <summary>Sums and maxima of one row, in an order that depends on its length alone: four vectors of 8 go side by side, for one would wait for itself.
/// Vectors of 8 on every machine: memory is the limit, and the bits are the same.</summary>
internal static unsafe class RowMath
{
    public static float Sum(float* x, int n)
    {
        V a = default, b = default, c = default, d = default;
        int i = 0;
        for (; i <= n - 32; i += 32)
        {
            a += Vector256.Load(x + i);
            b += Vector256.Load(x + i + 8);
            c += Vector256.Load(x + i + 16);
            d += Vector256.Load(x + i + 24);
        }

        for (; i <= n - 8; i += 8)
        {
            a += Vector256.Load(x + i);
        }

        float tail = 0;
        for (; i < n; i++)
        {
            tail += x[i];
        }

        return Vector256.Sum((a + b) + (c + d)) + tail;
    }

    public static float Dot(float* x, float* y, int n)
    {
        V a = default, b = default, c = default, d = default;
        int i = 0;
        for (; i <= n - 32; i += 32)
        {
            a = Vector256.FusedMultiplyAdd(Vector256.Load(x + i), Vector256.Load(y + i), a);
            b = Vector256.FusedMultiplyAdd(Vector256.Load(x + i + 8), Vector256.Load(y + i + 8), b);
            c = Vector256.FusedMultiplyAdd(Vector256.Load(x + i + 16), Vector256.Load(y + i + 16), c);
            d = Vector256.FusedMultiplyAdd(Vector256.Load(x + i + 24), Vector256.Load(y + i + 24), d);
        }

        for (; i <= n - 8; i += 8)
        {
            a = Vector256.FusedMultiplyAdd(Vector256.Load(x + i), Vector256.Load(y + i), a);
        }

        float tail = 0;
        for (; i < n; i++)
        {
            tail += x[i] * y[i];
        }

        return Vector256.Sum((a + b) + (c + d)) + tail;
    }

    /// <summary>The largest; where NaN is among them, any: what is made with it is NaN then.</summary>
    public static float Max(float* x, int n)
    {
        V a = Vector256.Create(float.NegativeInfinity), b = a, c = a, d = a;
        int i = 0;
        for (; i <= n - 32; i += 32)
        {
            a = Vector256.MaxNative(a, Vector256.Load(x + i));
            b = Vector256.MaxNative(b, Vector256.Load(x + i + 8));
            c = Vector256.MaxNative(c, Vector256.Load(x + i + 16));
            d = Vector256.MaxNative(d, Vector256.Load(x + i + 24));
        }

        for (; i <= n - 8; i += 8)
        {
            a = Vector256.MaxNative(a, Vector256.Load(x + i));
        }

        a = Vector256.MaxNative(Vector256.MaxNative(a, b), Vector256.MaxNative(c, d));
        Vector128<float> four = Vector128.MaxNative(a.GetLower(), a.GetUpper());
        four = Vector128.MaxNative(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        float result = Vector128.MaxNative(four, Vector128.Shuffle(four, Vector128.Create(1, 0, 3, 2))).ToScalar();
        for (; i < n; i++)
        {
            result = MathF.Max(result, x[i]);
        }

        return result;
    }

    /// <summary>y = exp(x − shift); returns the sum.</summary>
    public static float ExpSum(float* x, float shift, float* y, int n)
    {
        V a = default, b = default, s = Vector256.Create(shift);
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            V first = VectorMath.Exp(Vector256.Load(x + i) - s), second = VectorMath.Exp(Vector256.Load(x + i + 8) - s);
            a += first;
            b += second;
            Vector256.Store(first, y + i);
            Vector256.Store(second, y + i + 8);
        }

        float tail = 0;
        for (; i < n; i += 8)
        {
            V rest = VectorMath.Exp(VectorMath.LoadPart(ref *x, i, Math.Min(8, n - i)) - s);
            for (int lane = 0; lane < Math.Min(8, n - i); lane++)
            {
                y[i + lane] = rest.GetElement(lane);
                tail += y[i + lane];
            }
        }

        return Vector256.Sum(a + b) + tail;
    }

    /// <summary>Σ exp(x − shift).</summary>
    public static float ExpSum(float* x, float shift, int n)
    {
        V a = default, b = default, s = Vector256.Create(shift);
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            a += VectorMath.Exp(Vector256.Load(x + i) - s);
            b += VectorMath.Exp(Vector256.Load(x + i + 8) - s);
        }

        float tail = 0;
        for (; i < n; i += 8)
        {
            V rest = VectorMath.Exp(VectorMath.LoadPart(ref *x, i, Math.Min(8, n - i)) - s);
            for (int lane = 0; lane < Math.Min(8, n - i); lane++)
            {
                tail += rest.GetElement(lane);
            }
        }

        return Vector256.Sum(a + b) + tail;
    }

    /// <summary>y = a·x.</summary>
    public static void Scale(float* x, float a, float* y, int n)
    {
        V v = Vector256.Create(a);
        int i = 0;
        for (; i <= n - 8; i += 8)
        {
            Vector256.Store(Vector256.Load(x + i) * v, y + i);
        }

        for (; i < n; i++)
        {
            y[i] = x[i] * a;
        }
    }

    /// <summary>y += x.</summary>
    public static void AddTo(float* x, float* y, int n)
    {
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            V first = Vector256.Load(y + i) + Vector256.Load(x + i), second = Vector256.Load(y + i + 8) + Vector256.Load(x + i + 8);
            Vector256.Store(first, y + i);
            Vector256.Store(second, y + i + 8);
        }

        for (; i < n; i++)
        {
            y[i] += x[i];
        }
    }
}
