using System.Runtime.Intrinsics;
using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <summary>Inner loops of the norms, on one row.</summary>
internal static unsafe class NormMath
{
    /// <summary>y = x − mean.</summary>
    public static void Center(float* x, float mean, float* y, int n)
    {
        Vector512<float> m = Vector512.Create(mean);
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            Vector512.Store(Vector512.Load(x + i) - m, y + i);
        }

        for (; i < n; i++)
        {
            y[i] = x[i] - mean;
        }
    }

    /// <summary>y = y·r·scale + shift.</summary>
    public static void Finish(float* y, float r, float* scale, float* shift, int n)
    {
        Vector512<float> v = Vector512.Create(r);
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            Vector512.Store(Vector512.FusedMultiplyAdd(Vector512.Load(y + i) * v, Vector512.Load(scale + i), Vector512.Load(shift + i)), y + i);
        }

        for (; i < n; i++)
        {
            y[i] = MathF.FusedMultiplyAdd(y[i] * r, scale[i], shift[i]);
        }
    }

    /// <summary>Σ dy·scale and Σ dy·scale·x̂, with x̂ = (x − mean)·r.</summary>
    public static void Sums(float* x, float* dy, float* scale, float mean, float r, int n, out float sum, out float dot)
    {
        Vector512<float> s = default, d = default, m = Vector512.Create(mean), v = Vector512.Create(r);
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            Vector512<float> g = Vector512.Load(dy + i) * Vector512.Load(scale + i);
            s += g;
            d = Vector512.FusedMultiplyAdd(g, (Vector512.Load(x + i) - m) * v, d);
        }

        float st = 0, dt = 0;
        for (; i < n; i++)
        {
            float g = dy[i] * scale[i];
            st += g;
            dt += g * ((x[i] - mean) * r);
        }

        sum = Vector512.Sum(s) + st;
        dot = Vector512.Sum(d) + dt;
    }

    /// <summary>dx = r·(dy·scale − meanOfSum − x̂·meanOfDot).</summary>
    public static void Gradient(float* x, float* dy, float* scale, float mean, float r, float sum, float dot, float* dx, int n)
    {
        Vector512<float> s = Vector512.Create(sum), d = Vector512.Create(dot), m = Vector512.Create(mean), v = Vector512.Create(r);
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            Vector512<float> hat = (Vector512.Load(x + i) - m) * v;
            Vector512.Store((Vector512.Load(dy + i) * Vector512.Load(scale + i) - s - hat * d) * v, dx + i);
        }

        for (; i < n; i++)
        {
            float hat = (x[i] - mean) * r;
            dx[i] = (dy[i] * scale[i] - sum - hat * dot) * r;
        }
    }

    /// <summary>dScale += dy·x̂, dShift += dy, for a run of columns of one row.</summary>
    public static void AddColumns(float* x, float* dy, float mean, float r, float* dScale, float* dShift, int n)
    {
        Vector512<float> m = Vector512.Create(mean), v = Vector512.Create(r);
        int i = 0;
        for (; i <= n - 16; i += 16)
        {
            Vector512<float> g = Vector512.Load(dy + i);
            Vector512.Store(Vector512.Load(dScale + i) + g * ((Vector512.Load(x + i) - m) * v), dScale + i);
            Vector512.Store(Vector512.Load(dShift + i) + g, dShift + i);
        }

        for (; i < n; i++)
        {
            dScale[i] += dy[i] * ((x[i] - mean) * r);
            dShift[i] += dy[i];
        }
    }
}

/// <summary>Sums over rows: the columns are cut over the threads, each thread takes all rows in order.</summary>
internal static class ColumnSums
{
    public static void Run<TBody>(ThreadTeam team, int rows, int columns, TBody body)
        where TBody : struct, IRangeBody
    {
        // Pieces of 64 columns at least, so that a cache line belongs to one thread.
        const int Width = 64;
        int parts = (columns + Width - 1) / Width;
        team.Run(parts, new Pieces<TBody> { Body = body, Columns = columns });
    }

    private struct Pieces<TBody> : IParallelBody
        where TBody : struct, IRangeBody
    {
        public TBody Body;
        public int Columns;

        public void Run(int part, int thread) => Body.Run(part * 64L, Math.Min(Columns, (part + 1) * 64L));
    }
}
