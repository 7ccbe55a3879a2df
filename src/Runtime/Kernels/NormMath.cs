using System.Runtime.Intrinsics;
using V = System.Runtime.Intrinsics.Vector256<float>;

namespace Shardwright.Kernels;

/// <summary>Inner loops of the norms, on one row: it comes from memory once, and later passes find it in the first cache.</summary>
internal static unsafe class NormMath
{
    /// <summary>y = x − mean.</summary>
    public static void Center(float* x, float mean, float* y, int n)
    {
        V m = Vector256.Create(mean);
        int i = 0;
        for (; i <= n - 8; i += 8)
        {
            Vector256.Store(Vector256.Load(x + i) - m, y + i);
        }

        for (; i < n; i++)
        {
            y[i] = x[i] - mean;
        }
    }

    /// <summary>Σ (x − mean)².</summary>
    public static float Squares(float* x, float mean, int n, float* ahead)
    {
        V m = Vector256.Create(mean), a = default, b = default, c = default, d = default;
        int i = 0;
        for (; i <= n - 32; i += 32)
        {
            RowMath.Ask(ahead, i);
            V first = Vector256.Load(x + i) - m, second = Vector256.Load(x + i + 8) - m, third = Vector256.Load(x + i + 16) - m, fourth = Vector256.Load(x + i + 24) - m;
            a = Vector256.FusedMultiplyAdd(first, first, a);
            b = Vector256.FusedMultiplyAdd(second, second, b);
            c = Vector256.FusedMultiplyAdd(third, third, c);
            d = Vector256.FusedMultiplyAdd(fourth, fourth, d);
        }

        for (; i <= n - 8; i += 8)
        {
            V first = Vector256.Load(x + i) - m;
            a = Vector256.FusedMultiplyAdd(first, first, a);
        }

        float tail = 0;
        for (; i < n; i++)
        {
            tail += (x[i] - mean) * (x[i] - mean);
        }

        return Vector256.Sum((a + b) + (c + d)) + tail;
    }

    /// <summary>y = (x − mean)·r·scale + shift.</summary>
    public static void Finish(float* x, float mean, float r, float* scale, float* shift, float* y, int n)
    {
        V v = Vector256.Create(r), m = Vector256.Create(mean);
        int i = 0;
        for (; i <= n - 8; i += 8)
        {
            RowMath.Ask(i % 32 == 0 ? x + n : null, i);
            Vector256.Store(Vector256.FusedMultiplyAdd((Vector256.Load(x + i) - m) * v, Vector256.Load(scale + i), Vector256.Load(shift + i)), y + i);
        }

        for (; i < n; i++)
        {
            y[i] = MathF.FusedMultiplyAdd((x[i] - mean) * r, scale[i], shift[i]);
        }
    }

    /// <summary>y = x·r·scale.</summary>
    public static void Finish(float* x, float r, float* scale, float* y, int n)
    {
        V v = Vector256.Create(r);
        int i = 0;
        for (; i <= n - 8; i += 8)
        {
            RowMath.Ask(i % 32 == 0 ? x + n : null, i);
            Vector256.Store(Vector256.Load(x + i) * v * Vector256.Load(scale + i), y + i);
        }

        for (; i < n; i++)
        {
            y[i] = x[i] * r * scale[i];
        }
    }

    /// <summary>Σ dy·scale and Σ dy·scale·x̂, with x̂ = (x − mean)·r; dScale += dy·x̂ and, where there is one, dShift += dy.</summary>
    public static void Sums(float* x, float* dy, float* scale, float mean, float r, int n, float* dScale, float* dShift, float* ahead, out float sum, out float dot)
    {
        V s = default, d = default, s2 = default, d2 = default, m = Vector256.Create(mean), v = Vector256.Create(r);
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            RowMath.Ask(i % 32 == 0 ? ahead : null, i);
            V dy0 = Vector256.Load(dy + i), hat0 = (Vector256.Load(x + i) - m) * v, dy1 = Vector256.Load(dy + i + 8), hat1 = (Vector256.Load(x + i + 8) - m) * v;
            Vector256.Store(Vector256.FusedMultiplyAdd(dy0, hat0, Vector256.Load(dScale + i)), dScale + i);
            Vector256.Store(Vector256.FusedMultiplyAdd(dy1, hat1, Vector256.Load(dScale + i + 8)), dScale + i + 8);
            if (dShift != null)
            {
                Vector256.Store(Vector256.Load(dShift + i) + dy0, dShift + i);
                Vector256.Store(Vector256.Load(dShift + i + 8) + dy1, dShift + i + 8);
            }

            V g0 = dy0 * Vector256.Load(scale + i), g1 = dy1 * Vector256.Load(scale + i + 8);
            s += g0;
            s2 += g1;
            d = Vector256.FusedMultiplyAdd(g0, hat0, d);
            d2 = Vector256.FusedMultiplyAdd(g1, hat1, d2);
        }

        float st = 0, dt = 0;
        for (; i < n; i++)
        {
            float hat = (x[i] - mean) * r, g = dy[i] * scale[i];
            dScale[i] += dy[i] * hat;
            if (dShift != null)
            {
                dShift[i] += dy[i];
            }

            st += g;
            dt += g * hat;
        }

        sum = Vector256.Sum(s + s2) + st;
        dot = Vector256.Sum(d + d2) + dt;
    }

    /// <summary>dx = r·(dy·scale − meanOfSum − x̂·meanOfDot).</summary>
    public static void Gradient(float* x, float* dy, float* scale, float mean, float r, float sum, float dot, float* dx, int n)
    {
        V s = Vector256.Create(sum), d = Vector256.Create(dot), m = Vector256.Create(mean), v = Vector256.Create(r);
        int i = 0;
        for (; i <= n - 8; i += 8)
        {
            float* x1 = i % 32 == 0 ? x + n : null, dy1 = i % 32 == 0 ? dy + n : null;
            RowMath.Ask(x1, i);
            RowMath.Ask(dy1, i);
            V hat = (Vector256.Load(x + i) - m) * v;
            Vector256.Store((Vector256.Load(dy + i) * Vector256.Load(scale + i) - s - hat * d) * v, dx + i);
        }

        for (; i < n; i++)
        {
            float hat = (x[i] - mean) * r;
            dx[i] = (dy[i] * scale[i] - sum - hat * dot) * r;
        }
    }
}
