using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of cross-entropy.</summary>
/// <typeparam name="T">Element of logits and weights; what is kept of each row is in floats.</typeparam>
public struct CrossEntropyArguments<T>
    where T : unmanaged
{
    /// <summary>logits and their gradient [rows, classes]; weights [rows].</summary>
    public ArrayView<T> Logits, DLogits, Weights;

    /// <summary>logSumExp, max [rows]; packed [2, rows].</summary>
    public ArrayView<float> LogSumExp, Max, Packed;

    /// <summary>Sum and weight of the loss, gradient of the sum: one number each.</summary>
    public ArrayView<float> Sum, Weight, DSum;

    /// <summary>Targets [rows]; where bad ones are noted.</summary>
    public ArrayView<int> Targets, Status;

    /// <summary>Sizes here; groups of four of a row; all classes; first class here; the ignored target.</summary>
    public int Rows, Classes, Quads, AllClasses, Offset, Ignore;

    /// <summary>1 where there are weights.</summary>
    public int HasWeights;

    /// <summary>1 where the target's logit lies in Packed, 0 where it is read from Logits.</summary>
    public int IsPacked;
}

/// <summary>Device code of cross-entropy. The class dim may be split over ranks.</summary>
public static class CrossEntropyKernels
{
    /// <summary>logSumExp of each row.</summary>
    public static void LogSumExp<TGroup, T>(CrossEntropyArguments<T> a)
        where TGroup : struct, IGroup
        where T : unmanaged
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch);
        float sum = SoftmaxKernels.LogSum<TGroup, T>(a.Logits.SubView((long)Grid.IdxX * a.Classes, a.Classes), a.Classes, a.Quads, shared, out float max);
        if (Group.IdxX == 0)
        {
            a.LogSumExp[Grid.IdxX] = max + MathF.Log(sum);
        }
    }

    /// <summary>The largest logit of each row here.</summary>
    public static void LocalMax<TGroup, T>(CrossEntropyArguments<T> a)
        where TGroup : struct, IGroup
        where T : unmanaged
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch);
        ArrayView<T> x = a.Logits.SubView((long)Grid.IdxX * a.Classes, a.Classes);
        float max = float.MinValue;
        for (int i = Group.IdxX; i < a.Classes; i += TGroup.Threads)
        {
            max = MathF.Max(max, Element.Load(x, i));
        }

        max = TGroup.Max(max, shared);
        if (Group.IdxX == 0)
        {
            a.Max[Grid.IdxX] = max;
        }
    }

    /// <summary>Σ exp(x − max) of each row here, and the target's logit where it lies here.</summary>
    public static void LocalSums<TGroup, T>(CrossEntropyArguments<T> a)
        where TGroup : struct, IGroup
        where T : unmanaged
    {
        int row = Grid.IdxX;
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch);
        ArrayView<T> x = a.Logits.SubView((long)row * a.Classes, a.Classes);
        float max = a.Max[row], sum = 0;
        for (int i = Group.IdxX; i < a.Classes; i += TGroup.Threads)
        {
            sum += MathF.Exp(Element.Load(x, i) - max);
        }

        sum = TGroup.Sum(sum, shared);
        if (Group.IdxX == 0)
        {
            long own = (long)a.Targets[row] - a.Offset;
            float logit = 0;
            if (own >= 0 & own < a.Classes)
            {
                logit = Element.Load(x, own);
            }

            a.Packed[row] = sum;
            a.Packed[(long)a.Rows + row] = logit;
        }
    }

    /// <summary>logSumExp from the sums over ranks.</summary>
    public static void Join<T>(CrossEntropyArguments<T> a)
        where T : unmanaged
    {
        for (long row = DeviceMath.Thread(); row < a.Rows; row += DeviceMath.Threads())
        {
            a.LogSumExp[row] = a.Max[row] + MathF.Log(a.Packed[row]);
        }
    }

    /// <summary>Sum and weight over all rows, one group, in double precision and a fixed order; bad targets are noted.</summary>
    public static void Total<TGroup, T>(CrossEntropyArguments<T> a)
        where TGroup : struct, IGroup
        where T : unmanaged
    {
        ArrayView<double> shared = SharedMemory.Allocate<double>(2 * TGroup.Threads);
        int t = Group.IdxX;
        double sum = 0, weight = 0;
        for (int row = t; row < a.Rows; row += TGroup.Threads)
        {
            int target = a.Targets[row];
            if (target != a.Ignore)
            {
                if (target < 0 | target >= a.AllClasses)
                {
                    if (Atomic.CompareExchange(ref a.Status[0], 0, DeviceStatus.BadTarget) == 0)
                    {
                        a.Status[1] = target;
                        a.Status[2] = row;
                        a.Status[3] = a.AllClasses;
                    }
                }
                else
                {
                    float own = 1, logit = 0;
                    if (a.HasWeights != 0)
                    {
                        own = Element.Load(a.Weights, row);
                    }

                    if (a.IsPacked != 0)
                    {
                        logit = a.Packed[(long)a.Rows + row];
                    }
                    else
                    {
                        logit = Element.Load(a.Logits, (long)row * a.Classes + target);
                    }

                    sum += (double)own * (a.LogSumExp[row] - logit);
                    weight += own;
                }
            }
        }

        shared[t] = sum;
        shared[TGroup.Threads + t] = weight;
        Group.Barrier();
        if (t == 0)
        {
            for (int i = 1; i < TGroup.Threads; i++)
            {
                sum += shared[i];
                weight += shared[TGroup.Threads + i];
            }

            a.Sum[0] = (float)sum;
            a.Weight[0] = (float)weight;
        }
    }

    /// <summary>dLogits = dSum·w·(softmax − 1 at the target), 0 for ignored rows; a group for each row.</summary>
    public static void Backward<T>(CrossEntropyArguments<T> a)
        where T : unmanaged
    {
        int row = Grid.IdxX, t = Group.IdxX;
        ArrayView<T> x = a.Logits.SubView((long)row * a.Classes, a.Classes), dx = a.DLogits.SubView((long)row * a.Classes, a.Classes);
        int target = a.Targets[row];
        float lse = a.LogSumExp[row], factor = a.DSum[0];
        if (a.HasWeights != 0)
        {
            factor *= Element.Load(a.Weights, row);
        }

        if (target == a.Ignore)
        {
            factor = 0;
        }

        long own = (long)target - a.Offset;
        for (int q = t; q < a.Quads; q += Group.DimX)
        {
            Float4 v = Element.LoadQuad(x, q);
            long at = own - q * 4L;
            v.X = (MathF.Exp(v.X - lse) - (at == 0 ? 1f : 0f)) * factor;
            v.Y = (MathF.Exp(v.Y - lse) - (at == 1 ? 1f : 0f)) * factor;
            v.Z = (MathF.Exp(v.Z - lse) - (at == 2 ? 1f : 0f)) * factor;
            v.W = (MathF.Exp(v.W - lse) - (at == 3 ? 1f : 0f)) * factor;
            Element.StoreQuad(dx, q, v);
        }

        for (int i = a.Quads * 4 + t; i < a.Classes; i += Group.DimX)
        {
            Element.Store(dx, i, (MathF.Exp(Element.Load(x, i) - lse) - (i == own ? 1f : 0f)) * factor);
        }
    }
}

/// <summary>Launches of <see cref="CrossEntropyKernels"/>; sum and weight are kept apart.</summary>
public static class CrossEntropy
{
    /// <summary>sum = Σ w·(logΣexp − logit of the target), weight = Σ w, over rows whose target is not ignored.</summary>
    public static void Forward<T>(DeviceArena arena, int rows, int classes, Slice<T> logits, Slice<int> targets, Slice<T>? weights, int ignore, Slice<float> sum, Slice<float> weight, Slice<float> logSumExp)
        where T : unmanaged
    {
        var arguments = new CrossEntropyArguments<T>
        {
            Logits = arena.View(logits), Targets = arena.View(targets), Weights = arena.View(weights ?? logits), HasWeights = weights is null ? 0 : 1, LogSumExp = arena.View(logSumExp), Sum = arena.View(sum), Weight = arena.View(weight),
            Packed = arena.View(logSumExp), Status = arena.View(arena.Status), Rows = rows, Classes = classes, AllClasses = classes, Ignore = ignore, Quads = Launches.Quads(classes, logits.Offset),
        };
        arena.Launch(Launches.Pick<CrossEntropyArguments<T>>(arena, CrossEntropyKernels.LogSumExp<WarpGroup, T>, CrossEntropyKernels.LogSumExp<SharedGroup, T>, CrossEntropyKernels.LogSumExp<SmallGroup, T>), Launches.Groups(arena, rows), arguments);
        Total(arena, arguments);
    }

    /// <summary>dLogits for the classes from offset on.</summary>
    public static void Backward<T>(DeviceArena arena, int rows, int classes, Slice<T> logits, Slice<int> targets, Slice<T>? weights, int ignore, int offset, Slice<float> logSumExp, Slice<float> dSum, Slice<T> dLogits)
        where T : unmanaged =>
        arena.Launch(CrossEntropyKernels.Backward<T>, Launches.Groups(arena, rows), new CrossEntropyArguments<T>
        {
            Logits = arena.View(logits), DLogits = arena.View(dLogits), Targets = arena.View(targets), Weights = arena.View(weights ?? logits), HasWeights = weights is null ? 0 : 1, LogSumExp = arena.View(logSumExp), DSum = arena.View(dSum),
            Rows = rows, Classes = classes, Offset = offset, Ignore = ignore, Quads = Launches.Quads(classes, logits.Offset | dLogits.Offset),
        });

    /// <summary>Split classes, first part: the largest logit of each row here.</summary>
    public static void LocalMax<T>(DeviceArena arena, int rows, int classes, Slice<T> logits, Slice<float> max)
        where T : unmanaged =>
        arena.Launch(
            Launches.Pick<CrossEntropyArguments<T>>(arena, CrossEntropyKernels.LocalMax<WarpGroup, T>, CrossEntropyKernels.LocalMax<SharedGroup, T>, CrossEntropyKernels.LocalMax<SmallGroup, T>), Launches.Groups(arena, rows),
            new CrossEntropyArguments<T> { Logits = arena.View(logits), Max = arena.View(max), Classes = classes });

    /// <summary>Split classes, second part: packed [2, rows].</summary>
    public static void LocalSums<T>(DeviceArena arena, int rows, int classes, Slice<T> logits, Slice<float> max, Slice<int> targets, int offset, Slice<float> packed)
        where T : unmanaged =>
        arena.Launch(
            Launches.Pick<CrossEntropyArguments<T>>(arena, CrossEntropyKernels.LocalSums<WarpGroup, T>, CrossEntropyKernels.LocalSums<SharedGroup, T>, CrossEntropyKernels.LocalSums<SmallGroup, T>), Launches.Groups(arena, rows),
            new CrossEntropyArguments<T> { Logits = arena.View(logits), Max = arena.View(max), Targets = arena.View(targets), Packed = arena.View(packed), Rows = rows, Classes = classes, Offset = offset });

    /// <summary>Split classes, last part, after the sums over ranks.</summary>
    public static void Finish<T>(DeviceArena arena, int rows, int classes, Slice<float> packed, Slice<float> max, Slice<int> targets, Slice<T>? weights, int ignore, Slice<float> sum, Slice<float> weight, Slice<float> logSumExp)
        where T : unmanaged
    {
        var arguments = new CrossEntropyArguments<T>
        {
            Packed = arena.View(packed), Max = arena.View(max), Targets = arena.View(targets), Weights = weights is { } given ? arena.View(given) : arena.View(packed).Cast<T>(), HasWeights = weights is null ? 0 : 1, Logits = arena.View(packed).Cast<T>(), IsPacked = 1,
            LogSumExp = arena.View(logSumExp), Sum = arena.View(sum), Weight = arena.View(weight), Status = arena.View(arena.Status), Rows = rows, AllClasses = classes, Ignore = ignore,
        };
        arena.Launch(CrossEntropyKernels.Join<T>, Launches.Flat(arena, rows), arguments);
        Total(arena, arguments);
    }

    private static void Total<T>(DeviceArena arena, CrossEntropyArguments<T> arguments)
        where T : unmanaged =>
        arena.Launch(Launches.Pick<CrossEntropyArguments<T>>(arena, CrossEntropyKernels.Total<WarpGroup, T>, CrossEntropyKernels.Total<SharedGroup, T>, CrossEntropyKernels.Total<SmallGroup, T>), Launches.Groups(arena, 1), arguments);
}
