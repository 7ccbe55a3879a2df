using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using V = System.Runtime.Intrinsics.Vector256<float>;

namespace Shardwright.Kernels;

/// <summary>Sums and maxima of one row, in an order that depends on its length alone: four vectors of 8 go side by side, for one would wait for itself.
/// Vectors of 8 on every machine where memory is the limit; an exponential is a long chain, of which wider vectors keep more under way. The bits are the same.</summary>
internal static unsafe class RowMath
{
    private const float Log2E = 1.44269504f;

    /// <summary>Elements of a piece of a long row that stays in the first cache between two passes.</summary>
    private const int Piece = 1024;

    /// <summary>Asks the memory for two lines that a later pass needs: the output of this row, or the row that comes next. Rows are too short, and passes over them too far apart,
    /// for the memory to see them coming. Beyond the last row it asks for nothing that is there; null asks for nothing.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Ask(float* ahead, int i)
    {
        if (Sse.IsSupported && ahead != null)
        {
            Sse.Prefetch0(ahead + i);
            Sse.Prefetch0(ahead + i + 16);
        }
    }

    public static float Sum(float* x, int n, float* ahead = null)
    {
        V a = default, b = default, c = default, d = default;
        int i = 0;
        for (; i <= n - 32; i += 32)
        {
            Ask(ahead, i);
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

    public static float Dot(float* x, float* y, int n, float* ahead = null)
    {
        V a = default, b = default, c = default, d = default;
        int i = 0;
        for (; i <= n - 32; i += 32)
        {
            Ask(ahead, i);
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
    public static float Max(float* x, int n, float* ahead = null)
    {
        V a = Vector256.Create(float.NegativeInfinity), b = a, c = a, d = a;
        int i = 0;
        for (; i <= n - 32; i += 32)
        {
            Ask(ahead, i);
            a = Vector256.MaxNative(a, Vector256.Load(x + i));
            b = Vector256.MaxNative(b, Vector256.Load(x + i + 8));
            c = Vector256.MaxNative(c, Vector256.Load(x + i + 16));
            d = Vector256.MaxNative(d, Vector256.Load(x + i + 24));
        }

        for (; i <= n - 8; i += 8)
        {
            a = Vector256.MaxNative(a, Vector256.Load(x + i));
        }

        float result = Largest(Vector256.MaxNative(Vector256.MaxNative(a, b), Vector256.MaxNative(c, d)));
        for (; i < n; i++)
        {
            result = MathF.Max(result, x[i]);
        }

        return result;
    }

    private static float Largest(V x)
    {
        Vector128<float> four = Vector128.MaxNative(x.GetLower(), x.GetUpper());
        four = Vector128.MaxNative(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return Vector128.MaxNative(four, Vector128.Shuffle(four, Vector128.Create(1, 0, 3, 2))).ToScalar();
    }

    /// <summary>ln Σ exp x, in pieces that come from memory once. Exponentials of a piece are taken relative to the largest of the pieces before, while its own largest is looked for:
    /// only where that is a good deal larger they are taken again.</summary>
    public static float LogSumExp(float* x, int n)
    {
        const float Larger = 8;
        float shift = float.NegativeInfinity, sum = 0;
        for (int from = 0; from < n; from += Piece)
        {
            int size = Math.Min(Piece, n - from);
            float max = float.PositiveInfinity, added = 0;
            if (!float.IsNegativeInfinity(shift))
            {
                added = ExpSum(x + from, shift, size, out max);
            }

            if (!(max <= shift + Larger))
            {
                max = Max(x + from, size);
                float larger = MathF.Max(shift, max);
                if (float.IsNegativeInfinity(larger))
                {
                    continue;
                }

                sum = sum == 0 ? 0 : sum * MathF.Exp(shift - larger);
                added = ExpSum(x + from, larger, size);
                shift = larger;
            }

            sum += added;
        }

        return shift + MathF.Log(sum);
    }

    /// <summary>y = exp(x − shift), with the shift the largest; returns the sum.</summary>
    public static float ExpSum(float* x, float shift, float* y, int n, float* ahead = null)
    {
        V a = default, b = default, s = Vector256.Create(shift), log = Vector256.Create(Log2E);
        int i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<float> both = default, wideShift = Vector512.Create(shift), wideLog = Vector512.Create(Log2E);
            for (; i <= n - 16; i += 16)
            {
                Ask(i % 32 == 0 ? ahead : null, i);
                Vector512<float> e = VectorMath.Exp2OfScore((Vector512.Load(x + i) - wideShift) * wideLog);
                both += e;
                Vector512.Store(e, y + i);
            }

            (a, b) = (both.GetLower(), both.GetUpper());
        }

        for (; i <= n - 16; i += 16)
        {
            Ask(i % 32 == 0 ? ahead : null, i);
            V first = VectorMath.Exp2OfScore((Vector256.Load(x + i) - s) * log), second = VectorMath.Exp2OfScore((Vector256.Load(x + i + 8) - s) * log);
            a += first;
            b += second;
            Vector256.Store(first, y + i);
            Vector256.Store(second, y + i + 8);
        }

        float tail = 0;
        for (; i < n; i += 8)
        {
            V rest = VectorMath.Exp2OfScore((VectorMath.LoadPart(ref *x, i, Math.Min(8, n - i)) - s) * log);
            for (int lane = 0; lane < Math.Min(8, n - i); lane++)
            {
                y[i + lane] = rest.GetElement(lane);
                tail += y[i + lane];
            }
        }

        return Vector256.Sum(a + b) + tail;
    }

    /// <summary>Σ exp(x − shift), with the shift no less than the largest.</summary>
    public static float ExpSum(float* x, float shift, int n, float* ahead = null)
    {
        V a = default, b = default, s = Vector256.Create(shift), log = Vector256.Create(Log2E);
        int i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<float> both = default, wideShift = Vector512.Create(shift), wideLog = Vector512.Create(Log2E);
            for (; i <= n - 16; i += 16)
            {
                Ask(i % 32 == 0 ? ahead : null, i);
                both += VectorMath.Exp2OfScore((Vector512.Load(x + i) - wideShift) * wideLog);
            }

            (a, b) = (both.GetLower(), both.GetUpper());
        }

        for (; i <= n - 16; i += 16)
        {
            Ask(i % 32 == 0 ? ahead : null, i);
            a += VectorMath.Exp2OfScore((Vector256.Load(x + i) - s) * log);
            b += VectorMath.Exp2OfScore((Vector256.Load(x + i + 8) - s) * log);
        }

        float tail = 0;
        for (; i < n; i += 8)
        {
            V rest = VectorMath.Exp2OfScore((VectorMath.LoadPart(ref *x, i, Math.Min(8, n - i)) - s) * log);
            for (int lane = 0; lane < Math.Min(8, n - i); lane++)
            {
                tail += rest.GetElement(lane);
            }
        }

        return Vector256.Sum(a + b) + tail;
    }

    /// <summary>Σ exp(x − shift) and the largest x, in one pass: where that is larger than the shift by more than some 80, the sum means nothing.</summary>
    public static float ExpSum(float* x, float shift, int n, out float max)
    {
        V a = default, b = default, s = Vector256.Create(shift), log = Vector256.Create(Log2E), top = Vector256.Create(80f), largest = Vector256.Create(float.NegativeInfinity), other = largest;
        int i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<float> both = default, wideShift = Vector512.Create(shift), wideLog = Vector512.Create(Log2E), wideTop = Vector512.Create(80f), most = Vector512.Create(float.NegativeInfinity);
            for (; i <= n - 16; i += 16)
            {
                Vector512<float> v = Vector512.Load(x + i);
                most = Vector512.MaxNative(most, v);
                both += VectorMath.Exp2OfScore(Vector512.MinNative(wideTop, (v - wideShift) * wideLog));
            }

            (a, b, largest, other) = (both.GetLower(), both.GetUpper(), most.GetLower(), most.GetUpper());
        }

        for (; i <= n - 16; i += 16)
        {
            V first = Vector256.Load(x + i), second = Vector256.Load(x + i + 8);
            largest = Vector256.MaxNative(largest, first);
            other = Vector256.MaxNative(other, second);
            a += VectorMath.Exp2OfScore(Vector256.MinNative(top, (first - s) * log));
            b += VectorMath.Exp2OfScore(Vector256.MinNative(top, (second - s) * log));
        }

        max = MathF.Max(Largest(Vector256.MaxNative(largest, other)), i < n ? Max(x + i, n - i) : float.NegativeInfinity);
        return Vector256.Sum(a + b) + (i < n ? ExpSum(x + i, shift, n - i) : 0);
    }

    /// <summary>y = a·exp(x − shift), with the shift no less than the largest; y may be x.</summary>
    public static void ScaledExp(float* x, float shift, float a, float* y, int n)
    {
        V s = Vector256.Create(shift), log = Vector256.Create(Log2E), factor = Vector256.Create(a);
        int i = 0;
        if (Vector512.IsHardwareAccelerated)
        {
            Vector512<float> wideShift = Vector512.Create(shift), wideLog = Vector512.Create(Log2E), wideFactor = Vector512.Create(a);
            for (; i <= n - 16; i += 16)
            {
                Vector512.Store(VectorMath.Exp2OfScore((Vector512.Load(x + i) - wideShift) * wideLog) * wideFactor, y + i);
            }
        }

        for (; i <= n - 16; i += 16)
        {
            V first = VectorMath.Exp2OfScore((Vector256.Load(x + i) - s) * log) * factor, second = VectorMath.Exp2OfScore((Vector256.Load(x + i + 8) - s) * log) * factor;
            Vector256.Store(first, y + i);
            Vector256.Store(second, y + i + 8);
        }

        for (; i < n; i += 8)
        {
            int left = Math.Min(8, n - i);
            VectorMath.StorePart(VectorMath.Exp2OfScore((VectorMath.LoadPart(ref *x, i, left) - s) * log) * factor, ref *y, i, left);
        }
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
