using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of softmax.</summary>
/// <typeparam name="T">Element of all tensors.</typeparam>
public struct SoftmaxArguments<T>
    where T : unmanaged
{
    /// <summary>x or dy, y, dx; all [rows, n].</summary>
    public ArrayView<T> X, Y, Dx;

    /// <summary>Length of a row, groups of four in it.</summary>
    public int N, Quads;

    /// <summary>1 for the logarithm of softmax.</summary>
    public int Logarithm;
}

/// <summary>Device code of softmax: a group for each row, maximum and sum in one reading.</summary>
public static class SoftmaxKernels
{
    /// <summary>Largest element and Σ exp(x − largest) of a row.</summary>
    public static float LogSum<TGroup, T>(ArrayView<T> x, int n, int quads, ArrayView<float> shared, out float max)
        where TGroup : struct, IGroup
        where T : unmanaged
    {
        int t = Group.IdxX;
        float m = float.MinValue, s = 0;
        for (int q = t; q < quads; q += TGroup.Threads)
        {
            Float4 v = Element.LoadQuad(x, q);
            float larger = MathF.Max(m, DeviceMath.Max(v));
            s = s * MathF.Exp(m - larger) + ((MathF.Exp(v.X - larger) + MathF.Exp(v.Y - larger)) + (MathF.Exp(v.Z - larger) + MathF.Exp(v.W - larger)));
            m = larger;
        }

        for (int i = quads * 4 + t; i < n; i += TGroup.Threads)
        {
            float v = Element.Load(x, i), larger = MathF.Max(m, v);
            s = s * MathF.Exp(m - larger) + MathF.Exp(v - larger);
            m = larger;
        }

        max = TGroup.Max(m, shared);
        return TGroup.Sum(s * MathF.Exp(m - max), shared);
    }

    /// <summary>y = softmax(x), or its logarithm.</summary>
    public static void Forward<TGroup, T>(SoftmaxArguments<T> a)
        where TGroup : struct, IGroup
        where T : unmanaged
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch);
        ArrayView<T> x = a.X.SubView((long)Grid.IdxX * a.N, a.N), y = a.Y.SubView((long)Grid.IdxX * a.N, a.N);
        float sum = LogSum<TGroup, T>(x, a.N, a.Quads, shared, out float max), factor = 1f / sum, shift = max + MathF.Log(sum);
        for (int i = Group.IdxX; i < a.N; i += TGroup.Threads)
        {
            float v = Element.Load(x, i);
            Element.Store(y, i, a.Logarithm != 0 ? v - shift : MathF.Exp(v - max) * factor);
        }
    }

    /// <summary>dx from y and dy.</summary>
    public static void Backward<TGroup, T>(SoftmaxArguments<T> a)
        where TGroup : struct, IGroup
        where T : unmanaged
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch);
        ArrayView<T> dy = a.X.SubView((long)Grid.IdxX * a.N, a.N), y = a.Y.SubView((long)Grid.IdxX * a.N, a.N), dx = a.Dx.SubView((long)Grid.IdxX * a.N, a.N);
        float sum = 0;
        for (int i = Group.IdxX; i < a.N; i += TGroup.Threads)
        {
            float g = Element.Load(dy, i);
            sum += a.Logarithm != 0 ? g : Element.Load(y, i) * g;
        }

        sum = TGroup.Sum(sum, shared);
        for (int i = Group.IdxX; i < a.N; i += TGroup.Threads)
        {
            float v = Element.Load(y, i), g = Element.Load(dy, i);
            Element.Store(dx, i, a.Logarithm != 0 ? g - MathF.Exp(v) * sum : v * (g - sum));
        }
    }
}

/// <summary>Launches of <see cref="SoftmaxKernels"/>.</summary>
public static class Softmax
{
    /// <summary>y = softmax(x), or its logarithm; both [rows, n].</summary>
    public static void Forward<T>(DeviceArena arena, int rows, int n, bool logarithm, Slice<T> x, Slice<T> y)
        where T : unmanaged =>
        arena.Launch(
            Launches.Pick<SoftmaxArguments<T>>(arena, SoftmaxKernels.Forward<WarpGroup, T>, SoftmaxKernels.Forward<SharedGroup, T>, SoftmaxKernels.Forward<SmallGroup, T>), Launches.Groups(arena, rows),
            new SoftmaxArguments<T> { X = arena.View(x), Y = arena.View(y), N = n, Quads = Launches.Quads(n, x.Offset), Logarithm = logarithm ? 1 : 0 });

    /// <summary>dx from y and dy; all [rows, n].</summary>
    public static void Backward<T>(DeviceArena arena, int rows, int n, bool logarithm, Slice<T> y, Slice<T> dy, Slice<T> dx)
        where T : unmanaged =>
        arena.Launch(
            Launches.Pick<SoftmaxArguments<T>>(arena, SoftmaxKernels.Backward<WarpGroup, T>, SoftmaxKernels.Backward<SharedGroup, T>, SoftmaxKernels.Backward<SmallGroup, T>), Launches.Groups(arena, rows),
            new SoftmaxArguments<T> { X = arena.View(dy), Y = arena.View(y), Dx = arena.View(dx), N = n, Logarithm = logarithm ? 1 : 0 });
}
