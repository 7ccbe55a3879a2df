using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of softmax.</summary>
public struct SoftmaxArguments
{
    /// <summary>x or dy, y, dx; all [rows, n].</summary>
    public ArrayView<float> X, Y, Dx;

    /// <summary>Length of a row, groups of four in it.</summary>
    public int N, Quads;

    /// <summary>1 for the logarithm of softmax.</summary>
    public int Logarithm;
}

/// <summary>Device code of softmax: a group for each row, maximum and sum in one reading.</summary>
public static class SoftmaxKernels
{
    /// <summary>Largest element and Σ exp(x − largest) of a row.</summary>
    public static float LogSum<TGroup>(ArrayView<float> x, int n, int quads, ArrayView<float> shared, out float max)
        where TGroup : struct, IGroup
    {
        ArrayView<Float4> x4 = x.Cast<Float4>();
        int t = Group.IdxX;
        float m = float.MinValue, s = 0;
        for (int q = t; q < quads; q += TGroup.Threads)
        {
            Float4 v = x4[q];
            float larger = MathF.Max(m, DeviceMath.Max(v));
            s = s * MathF.Exp(m - larger) + ((MathF.Exp(v.X - larger) + MathF.Exp(v.Y - larger)) + (MathF.Exp(v.Z - larger) + MathF.Exp(v.W - larger)));
            m = larger;
        }

        for (int i = quads * 4 + t; i < n; i += TGroup.Threads)
        {
            float v = x[i], larger = MathF.Max(m, v);
            s = s * MathF.Exp(m - larger) + MathF.Exp(v - larger);
            m = larger;
        }

        max = TGroup.Max(m, shared);
        return TGroup.Sum(s * MathF.Exp(m - max), shared);
    }

    /// <summary>y = softmax(x), or its logarithm.</summary>
    public static void Forward<TGroup>(SoftmaxArguments a)
        where TGroup : struct, IGroup
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch);
        ArrayView<float> x = a.X.SubView((long)Grid.IdxX * a.N, a.N), y = a.Y.SubView((long)Grid.IdxX * a.N, a.N);
        float sum = LogSum<TGroup>(x, a.N, a.Quads, shared, out float max), factor = 1f / sum, shift = max + MathF.Log(sum);
        for (int i = Group.IdxX; i < a.N; i += TGroup.Threads)
        {
            y[i] = a.Logarithm != 0 ? x[i] - shift : MathF.Exp(x[i] - max) * factor;
        }
    }

    /// <summary>dx from y and dy.</summary>
    public static void Backward<TGroup>(SoftmaxArguments a)
        where TGroup : struct, IGroup
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch);
        ArrayView<float> dy = a.X.SubView((long)Grid.IdxX * a.N, a.N), y = a.Y.SubView((long)Grid.IdxX * a.N, a.N), dx = a.Dx.SubView((long)Grid.IdxX * a.N, a.N);
        float sum = 0;
        for (int i = Group.IdxX; i < a.N; i += TGroup.Threads)
        {
            sum += a.Logarithm != 0 ? dy[i] : y[i] * dy[i];
        }

        sum = TGroup.Sum(sum, shared);
        for (int i = Group.IdxX; i < a.N; i += TGroup.Threads)
        {
            dx[i] = a.Logarithm != 0 ? dy[i] - MathF.Exp(y[i]) * sum : y[i] * (dy[i] - sum);
        }
    }
}

/// <summary>Launches of <see cref="SoftmaxKernels"/>.</summary>
public static class Softmax
{
    /// <summary>y = softmax(x), or its logarithm; both [rows, n].</summary>
    public static void Forward(DeviceArena arena, int rows, int n, bool logarithm, Slice<float> x, Slice<float> y) =>
        arena.Launch(
            Launches.Pick<SoftmaxArguments>(arena, SoftmaxKernels.Forward<WarpGroup>, SoftmaxKernels.Forward<SharedGroup>, SoftmaxKernels.Forward<SmallGroup>), Launches.Groups(arena, rows),
            new SoftmaxArguments { X = arena.View(x), Y = arena.View(y), N = n, Quads = Launches.Quads(n, x.Offset), Logarithm = logarithm ? 1 : 0 });

    /// <summary>dx from y and dy; all [rows, n].</summary>
    public static void Backward(DeviceArena arena, int rows, int n, bool logarithm, Slice<float> y, Slice<float> dy, Slice<float> dx) =>
        arena.Launch(
            Launches.Pick<SoftmaxArguments>(arena, SoftmaxKernels.Backward<WarpGroup>, SoftmaxKernels.Backward<SharedGroup>, SoftmaxKernels.Backward<SmallGroup>), Launches.Groups(arena, rows),
            new SoftmaxArguments { X = arena.View(dy), Y = arena.View(y), Dx = arena.View(dx), N = n, Logarithm = logarithm ? 1 : 0 });
}
