using System.Runtime.Intrinsics;

namespace Shardwright.Kernels;

/// <summary>Sums and maxima of one row, in an order that depends on its length alone.</summary>
internal static unsafe class RowMath
{
    public static float Sum(float* x, int n)
    {
        Vector512<float> sum = default;
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            sum += Vector512.Load(x + i);
        }

        float tail = 0;
        for (; i < n; i++)
        {
            tail += x[i];
        }

        return Vector512.Sum(sum) + tail;
    }

    public static float Dot(float* x, float* y, int n)
    {
        Vector512<float> sum = default;
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            sum = Vector512.FusedMultiplyAdd(Vector512.Load(x + i), Vector512.Load(y + i), sum);
        }

        float tail = 0;
        for (; i < n; i++)
        {
            tail += x[i] * y[i];
        }

        return Vector512.Sum(sum) + tail;
    }

    public static float Max(float* x, int n)
    {
        Vector512<float> max = Vector512.Create(float.NegativeInfinity);
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            max = Vector512.Max(max, Vector512.Load(x + i));
        }

        float result = float.NegativeInfinity;
        for (int lane = 0; lane < 16; lane++)
        {
            result = MathF.Max(result, max.GetElement(lane));
        }

        for (; i < n; i++)
        {
            result = MathF.Max(result, x[i]);
        }

        return result;
    }

    /// <summary>y = exp(x − shift); returns the sum.</summary>
    public static float ExpSum(float* x, float shift, float* y, int n)
    {
        Vector512<float> sum = default, s = Vector512.Create(shift);
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            Vector512<float> e = VectorMath.Exp(Vector512.Load(x + i) - s);
            sum += e;
            Vector512.Store(e, y + i);
        }

        float tail = 0;
        if (i < n)
        {
            Vector512<float> e = VectorMath.Exp(VectorMath.LoadPart(ref *x, i, n - i) - s);
            for (int lane = 0; i < n; i++, lane++)
            {
                y[i] = e.GetElement(lane);
                tail += y[i];
            }
        }

        return Vector512.Sum(sum) + tail;
    }

    /// <summary>Σ exp(x − shift).</summary>
    public static float ExpSum(float* x, float shift, int n)
    {
        Vector512<float> sum = default, s = Vector512.Create(shift);
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            sum += VectorMath.Exp(Vector512.Load(x + i) - s);
        }

        float tail = 0;
        if (i < n)
        {
            Vector512<float> e = VectorMath.Exp(VectorMath.LoadPart(ref *x, i, n - i) - s);
            for (int lane = 0; i < n; i++, lane++)
            {
                tail += e.GetElement(lane);
            }
        }

        return Vector512.Sum(sum) + tail;
    }

    /// <summary>y = a·x.</summary>
    public static void Scale(float* x, float a, float* y, int n)
    {
        Vector512<float> v = Vector512.Create(a);
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            Vector512.Store(Vector512.Load(x + i) * v, y + i);
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
            Vector512.Store(Vector512.Load(y + i) + Vector512.Load(x + i), y + i);
        }

        for (; i < n; i++)
        {
            y[i] += x[i];
        }
    }
}
