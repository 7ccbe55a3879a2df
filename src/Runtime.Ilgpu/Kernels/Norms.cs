using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of the norms.</summary>
/// <typeparam name="T">Element of rows and parameters; statistics and sums are in floats.</typeparam>
public struct NormArguments<T>
    where T : unmanaged
{
    /// <summary>x, y, dy, dx [rows, n].</summary>
    public ArrayView<T> X, Y, Dy, Dx;

    /// <summary>scale, shift [n].</summary>
    public ArrayView<T> Scale, Shift;

    /// <summary>mean and reciprocal deviation [rows]; the mean is not used by the root-mean-square norm.</summary>
    public ArrayView<float> Mean, Reciprocal;

    /// <summary>Sums of columns: of dy·x̂ and of dy, [chunks, n].</summary>
    public ArrayView<float> DScale, DShift;

    /// <summary>Length of a row, groups of four in it (0 where they cannot be read at once).</summary>
    public int N, Quads;

    /// <summary>Rows in all, rows of a chunk.</summary>
    public int Rows, ChunkRows;

    /// <summary>1 for the layer norm, 0 for the root-mean-square norm.</summary>
    public int Centred;

    /// <summary>Added to the variance.</summary>
    public float Epsilon;
}

/// <summary>Device code of the norms: a group for each row, which stays in cache between its passes; columns are summed in chunks of rows of a fixed size.</summary>
public static class NormKernels
{
    /// <summary>y = (x − mean)·r·scale + shift.</summary>
    public static void Forward<TGroup, T>(NormArguments<T> a)
        where TGroup : struct, IGroup
        where T : unmanaged
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch);
        int t = Group.IdxX, row = Grid.IdxX;
        ArrayView<T> x = a.X.SubView((long)row * a.N, a.N), y = a.Y.SubView((long)row * a.N, a.N);
        float sum = 0, mean = 0;
        if (a.Centred != 0)
        {
            for (int q = t; q < a.Quads; q += TGroup.Threads)
            {
                sum += DeviceMath.Sum(Element.LoadQuad(x, q));
            }

            for (int i = a.Quads * 4 + t; i < a.N; i += TGroup.Threads)
            {
                sum += Element.Load(x, i);
            }

            mean = TGroup.Sum(sum, shared) / a.N;
        }

        sum = 0;
        for (int q = t; q < a.Quads; q += TGroup.Threads)
        {
            Float4 v = Element.LoadQuad(x, q);
            v.X -= mean;
            v.Y -= mean;
            v.Z -= mean;
            v.W -= mean;
            sum += (v.X * v.X + v.Y * v.Y) + (v.Z * v.Z + v.W * v.W);
        }

        for (int i = a.Quads * 4 + t; i < a.N; i += TGroup.Threads)
        {
            float v = Element.Load(x, i) - mean;
            sum += v * v;
        }

        float r = 1f / MathF.Sqrt(TGroup.Sum(sum, shared) / a.N + a.Epsilon);
        for (int q = t; q < a.Quads; q += TGroup.Threads)
        {
            Float4 v = Element.LoadQuad(x, q), g = Element.LoadQuad(a.Scale, q), b = default;
            if (a.Centred != 0)
            {
                b = Element.LoadQuad(a.Shift, q);
            }

            v.X = (v.X - mean) * r * g.X + b.X;
            v.Y = (v.Y - mean) * r * g.Y + b.Y;
            v.Z = (v.Z - mean) * r * g.Z + b.Z;
            v.W = (v.W - mean) * r * g.W + b.W;
            Element.StoreQuad(y, q, v);
        }

        for (int i = a.Quads * 4 + t; i < a.N; i += TGroup.Threads)
        {
            float b = 0;
            if (a.Centred != 0)
            {
                b = Element.Load(a.Shift, i);
            }

            Element.Store(y, i, (Element.Load(x, i) - mean) * r * Element.Load(a.Scale, i) + b);
        }

        if (t == 0)
        {
            a.Reciprocal[row] = r;
            if (a.Centred != 0)
            {
                a.Mean[row] = mean;
            }
        }
    }

    /// <summary>dx = r·(dy·scale − mean of dy·scale − x̂·mean of dy·scale·x̂); the first mean is 0 for the root-mean-square norm.</summary>
    public static void Backward<TGroup, T>(NormArguments<T> a)
        where TGroup : struct, IGroup
        where T : unmanaged
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch);
        int t = Group.IdxX, row = Grid.IdxX;
        long start = (long)row * a.N;
        ArrayView<T> x = a.X.SubView(start, a.N), dy = a.Dy.SubView(start, a.N), dx = a.Dx.SubView(start, a.N);
        float r = a.Reciprocal[row], mean = 0, sum = 0, dot = 0;
        if (a.Centred != 0)
        {
            mean = a.Mean[row];
        }

        for (int q = t; q < a.Quads; q += TGroup.Threads)
        {
            Float4 v = Element.LoadQuad(x, q), g = Element.LoadQuad(dy, q), s = Element.LoadQuad(a.Scale, q);
            g.X *= s.X;
            g.Y *= s.Y;
            g.Z *= s.Z;
            g.W *= s.W;
            sum += DeviceMath.Sum(g);
            dot += (g.X * (v.X - mean) + g.Y * (v.Y - mean)) + (g.Z * (v.Z - mean) + g.W * (v.W - mean));
        }

        for (int i = a.Quads * 4 + t; i < a.N; i += TGroup.Threads)
        {
            float g = Element.Load(dy, i) * Element.Load(a.Scale, i);
            sum += g;
            dot += g * (Element.Load(x, i) - mean);
        }

        dot = TGroup.Sum(dot, shared) * r / a.N;
        sum = TGroup.Sum(sum, shared) / a.N;
        if (a.Centred == 0)
        {
            sum = 0;
        }

        for (int q = t; q < a.Quads; q += TGroup.Threads)
        {
            Float4 v = Element.LoadQuad(x, q), g = Element.LoadQuad(dy, q), s = Element.LoadQuad(a.Scale, q);
            g.X = (g.X * s.X - sum - (v.X - mean) * r * dot) * r;
            g.Y = (g.Y * s.Y - sum - (v.Y - mean) * r * dot) * r;
            g.Z = (g.Z * s.Z - sum - (v.Z - mean) * r * dot) * r;
            g.W = (g.W * s.W - sum - (v.W - mean) * r * dot) * r;
            Element.StoreQuad(dx, q, g);
        }

        for (int i = a.Quads * 4 + t; i < a.N; i += TGroup.Threads)
        {
            Element.Store(dx, i, (Element.Load(dy, i) * Element.Load(a.Scale, i) - sum - (Element.Load(x, i) - mean) * r * dot) * r);
        }
    }

    /// <summary>Sums of columns over a chunk of rows: a thread owns a column, neighbouring threads read neighbouring elements.</summary>
    public static void Columns<T>(NormArguments<T> a)
        where T : unmanaged
    {
        int c = Grid.IdxX * Group.DimX + Group.IdxX, chunk = Grid.IdxY;
        if (c < a.N)
        {
            int from = chunk * a.ChunkRows, to = Math.Min(from + a.ChunkRows, a.Rows);
            float dScale = 0, dShift = 0;
            long at = (long)from * a.N + c;
            for (int row = from; row < to; row++)
            {
                float g = Element.Load(a.Dy, at), mean = 0;
                if (a.Centred != 0)
                {
                    mean = a.Mean[row];
                }

                dShift += g;
                dScale += g * ((Element.Load(a.X, at) - mean) * a.Reciprocal[row]);
                at += a.N;
            }

            a.DScale[(long)chunk * a.N + c] = dScale;
            if (a.Centred != 0)
            {
                a.DShift[(long)chunk * a.N + c] = dShift;
            }
        }
    }
}

/// <summary>Layer normalisation of rows.</summary>
public static class LayerNorm
{
    /// <summary>x, y [rows, n]; scale, shift [n]; mean and reciprocal deviation [rows].</summary>
    public static void Forward<T>(DeviceArena arena, int rows, int n, float epsilon, Slice<T> x, Slice<T> scale, Slice<T> shift, Slice<T> y, Slice<float> mean, Slice<float> reciprocal)
        where T : unmanaged =>
        Norms.Forward(arena, rows, n, epsilon, x, scale, shift, y, mean, reciprocal);

    /// <summary>dx [rows, n]; dScale, dShift [n], overwritten.</summary>
    public static void Backward<T>(DeviceArena arena, int rows, int n, Slice<T> x, Slice<T> scale, Slice<float> mean, Slice<float> reciprocal, Slice<T> dy, Slice<T> dx, Slice<T> dScale, Slice<T> dShift)
        where T : unmanaged =>
        Norms.Backward(arena, rows, n, x, scale, mean, reciprocal, dy, dx, dScale, dShift);
}

/// <summary>Root-mean-square normalisation of rows.</summary>
public static class RmsNorm
{
    /// <summary>x, y [rows, n]; scale [n]; reciprocal root mean square [rows].</summary>
    public static void Forward<T>(DeviceArena arena, int rows, int n, float epsilon, Slice<T> x, Slice<T> scale, Slice<T> y, Slice<float> reciprocal)
        where T : unmanaged =>
        Norms.Forward(arena, rows, n, epsilon, x, scale, null, y, null, reciprocal);

    /// <summary>dx [rows, n]; dScale [n], overwritten.</summary>
    public static void Backward<T>(DeviceArena arena, int rows, int n, Slice<T> x, Slice<T> scale, Slice<float> reciprocal, Slice<T> dy, Slice<T> dx, Slice<T> dScale)
        where T : unmanaged =>
        Norms.Backward(arena, rows, n, x, scale, null, reciprocal, dy, dx, dScale, null);
}

/// <summary>Launches of <see cref="NormKernels"/>.</summary>
internal static class Norms
{
    public static void Forward<T>(DeviceArena arena, int rows, int n, float epsilon, Slice<T> x, Slice<T> scale, Slice<T>? shift, Slice<T> y, Slice<float>? mean, Slice<float> reciprocal)
        where T : unmanaged
    {
        var arguments = new NormArguments<T>
        {
            X = arena.View(x), Scale = arena.View(scale), Shift = arena.View(shift ?? scale), Y = arena.View(y), Mean = arena.View(mean ?? reciprocal), Reciprocal = arena.View(reciprocal),
            N = n, Quads = Launches.Quads(n, x.Offset | y.Offset | scale.Offset | (shift ?? scale).Offset), Centred = shift is null ? 0 : 1, Epsilon = epsilon,
        };
        arena.Launch(Launches.Pick<NormArguments<T>>(arena, NormKernels.Forward<WarpGroup, T>, NormKernels.Forward<SharedGroup, T>, NormKernels.Forward<SmallGroup, T>), Launches.Groups(arena, rows), arguments);
    }

    public static void Backward<T>(DeviceArena arena, int rows, int n, Slice<T> x, Slice<T> scale, Slice<float>? mean, Slice<float> reciprocal, Slice<T> dy, Slice<T> dx, Slice<T> dScale, Slice<T>? dShift)
        where T : unmanaged
    {
        int sums = dShift is null ? 1 : 2;
        int chunks = ColumnFold.Chunks(arena, rows, (long)n * sums, out int chunkRows);

        // One chunk of floats is the result; what is stored in fewer bits is rounded once, from sums in scratch.
        bool direct = chunks == 1 && typeof(T) == typeof(float);
        if (!direct)
        {
            Launches.RequireScratch(arena, (long)chunks * n * sums * sizeof(float), "The backward pass of a norm");
        }

        var arguments = new NormArguments<T>
        {
            X = arena.View(x), Scale = arena.View(scale), Mean = arena.View(mean ?? reciprocal), Reciprocal = arena.View(reciprocal), Dy = arena.View(dy), Dx = arena.View(dx),
            DScale = direct ? arena.View(dScale).Cast<float>() : Launches.Scratch<float>(arena, (long)chunks * n),
            DShift = dShift is not { } shift ? arena.View(reciprocal) : direct ? arena.View(shift).Cast<float>() : Launches.Scratch<float>(arena, (long)chunks * n, (long)chunks * n * sizeof(float)),
            N = n, Quads = Launches.Quads(n, x.Offset | dy.Offset | dx.Offset | scale.Offset), Rows = rows, ChunkRows = chunkRows, Centred = dShift is null ? 0 : 1,
        };
        arena.Launch(Launches.Pick<NormArguments<T>>(arena, NormKernels.Backward<WarpGroup, T>, NormKernels.Backward<SharedGroup, T>, NormKernels.Backward<SmallGroup, T>), Launches.Groups(arena, rows), arguments);
        int threads = Launches.FlatThreads(arena);
        arena.Launch(NormKernels.Columns<T>, new KernelConfig(new Index3D((n + threads - 1) / threads, chunks, 1), new Index3D(threads, 1, 1)), arguments);
        if (!direct)
        {
            ColumnFold.Run(arena, 1, chunks, n, arguments.DScale, arena.View(dScale));
            if (dShift is { } target)
            {
                ColumnFold.Run(arena, 1, chunks, n, arguments.DShift, arena.View(target));
            }
        }
    }
}
