using ILGPU;
using Shardwright.Execution;

namespace Shardwright.Gpu.Kernels;

/// <summary>Arguments of cross-entropy.</summary>
public struct CrossEntropyArguments
{
    /// <summary>logits and their gradient [rows, classes]; weights, logSumExp, max [rows]; packed [2, rows].</summary>
    public ArrayView<float> Logits, DLogits, Weights, LogSumExp, Max, Packed;

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
    public static void LogSumExp<TGroup>(CrossEntropyArguments a)
        where TGroup : struct, IGroup
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch);
        float sum = SoftmaxKernels.LogSum<TGroup>(a.Logits.SubView((long)Grid.IdxX * a.Classes, a.Classes), a.Classes, a.Quads, shared, out float max);
        if (Group.IdxX == 0)
        {
            a.LogSumExp[Grid.IdxX] = max + MathF.Log(sum);
        }
    }

    /// <summary>The largest logit of each row here.</summary>
    public static void LocalMax<TGroup>(CrossEntropyArguments a)
        where TGroup : struct, IGroup
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch), x = a.Logits.SubView((long)Grid.IdxX * a.Classes, a.Classes);
        float max = float.MinValue;
        for (int i = Group.IdxX; i < a.Classes; i += TGroup.Threads)
        {
            max = MathF.Max(max, x[i]);
        }

        max = TGroup.Max(max, shared);
        if (Group.IdxX == 0)
        {
            a.Max[Grid.IdxX] = max;
        }
    }

    /// <summary>Σ exp(x − max) of each row here, and the target's logit where it lies here.</summary>
    public static void LocalSums<TGroup>(CrossEntropyArguments a)
        where TGroup : struct, IGroup
    {
        int row = Grid.IdxX;
        ArrayView<float> shared = SharedMemory.Allocate<float>(TGroup.Scratch), x = a.Logits.SubView((long)row * a.Classes, a.Classes);
        float max = a.Max[row], sum = 0;
        for (int i = Group.IdxX; i < a.Classes; i += TGroup.Threads)
        {
            sum += MathF.Exp(x[i] - max);
        }

        sum = TGroup.Sum(sum, shared);
        if (Group.IdxX == 0)
        {
            long own = (long)a.Targets[row] - a.Offset;
            float logit = 0;
            if (own >= 0 & own < a.Classes)
            {
                logit = x[own];
            }

            a.Packed[row] = sum;
            a.Packed[(long)a.Rows + row] = logit;
        }
    }

    /// <summary>logSumExp from the sums over ranks.</summary>
    public static void Join(CrossEntropyArguments a)
    {
        for (long row = DeviceMath.Thread(); row < a.Rows; row += DeviceMath.Threads())
        {
            a.LogSumExp[row] = a.Max[row] + MathF.Log(a.Packed[row]);
        }
    }

    /// <summary>Sum and weight over all rows, one group, in double precision and a fixed order; bad targets are noted.</summary>
    public static void Total<TGroup>(CrossEntropyArguments a)
        where TGroup : struct, IGroup
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
                        own = a.Weights[row];
                    }

                    if (a.IsPacked != 0)
                    {
                        logit = a.Packed[(long)a.Rows + row];
                    }
                    else
                    {
                        logit = a.Logits[(long)row * a.Classes + target];
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
    public static void Backward(CrossEntropyArguments a)
    {
        int row = Grid.IdxX, t = Group.IdxX;
        ArrayView<float> x = a.Logits.SubView((long)row * a.Classes, a.Classes), dx = a.DLogits.SubView((long)row * a.Classes, a.Classes);
        ArrayView<Float4> x4 = x.Cast<Float4>(), dx4 = dx.Cast<Float4>();
        int target = a.Targets[row];
        float lse = a.LogSumExp[row], factor = a.DSum[0];
        if (a.HasWeights != 0)
        {
            factor *= a.Weights[row];
        }

        if (target == a.Ignore)
        {
            factor = 0;
        }

        long own = (long)target - a.Offset;
        for (int q = t; q < a.Quads; q += Group.DimX)
        {
            Float4 v = x4[q];
            long at = own - q * 4L;
            v.X = (MathF.Exp(v.X - lse) - (at == 0 ? 1f : 0f)) * factor;
            v.Y = (MathF.Exp(v.Y - lse) - (at == 1 ? 1f : 0f)) * factor;
            v.Z = (MathF.Exp(v.Z - lse) - (at == 2 ? 1f : 0f)) * factor;
            v.W = (MathF.Exp(v.W - lse) - (at == 3 ? 1f : 0f)) * factor;
            dx4[q] = v;
        }

        for (int i = a.Quads * 4 + t; i < a.Classes; i += Group.DimX)
        {
            dx[i] = (MathF.Exp(x[i] - lse) - (i == own ? 1f : 0f)) * factor;
        }
    }
}

/// <summary>Launches of <see cref="CrossEntropyKernels"/>; sum and weight are kept apart.</summary>
public static class CrossEntropy
{
    /// <summary>sum = Σ w·(logΣexp − logit of the target), weight = Σ w, over rows whose target is not ignored.</summary>
    public static void Forward(DeviceArena arena, int rows, int classes, Slice<float> logits, Slice<int> targets, Slice<float>? weights, int ignore, Slice<float> sum, Slice<float> weight, Slice<float> logSumExp)
    {
        var arguments = new CrossEntropyArguments
        {
            Logits = arena.View(logits), Targets = arena.View(targets), Weights = arena.View(weights ?? logits), HasWeights = weights is null ? 0 : 1, LogSumExp = arena.View(logSumExp), Sum = arena.View(sum), Weight = arena.View(weight),
            Packed = arena.View(logSumExp), Status = arena.View(arena.Status), Rows = rows, Classes = classes, AllClasses = classes, Ignore = ignore, Quads = Launches.Quads(classes, logits.Offset),
        };
        arena.Launch(Launches.Pick<CrossEntropyArguments>(arena, CrossEntropyKernels.LogSumExp<WarpGroup>, CrossEntropyKernels.LogSumExp<SharedGroup>, CrossEntropyKernels.LogSumExp<SmallGroup>), Launches.Groups(arena, rows), arguments);
        Total(arena, arguments);
    }

    /// <summary>dLogits for the classes from offset on.</summary>
    public static void Backward(DeviceArena arena, int rows, int classes, Slice<float> logits, Slice<int> targets, Slice<float>? weights, int ignore, int offset, Slice<float> logSumExp, Slice<float> dSum, Slice<float> dLogits) =>
        arena.Launch(CrossEntropyKernels.Backward, Launches.Groups(arena, rows), new CrossEntropyArguments
        {
            Logits = arena.View(logits), DLogits = arena.View(dLogits), Targets = arena.View(targets), Weights = arena.View(weights ?? logits), HasWeights = weights is null ? 0 : 1, LogSumExp = arena.View(logSumExp), DSum = arena.View(dSum),
            Rows = rows, Classes = classes, Offset = offset, Ignore = ignore, Quads = Launches.Quads(classes, logits.Offset | dLogits.Offset),
        });

    /// <summary>Split classes, first part: the largest logit of each row here.</summary>
    public static void LocalMax(DeviceArena arena, int rows, int classes, Slice<float> logits, Slice<float> max) =>
        arena.Launch(
            Launches.Pick<CrossEntropyArguments>(arena, CrossEntropyKernels.LocalMax<WarpGroup>, CrossEntropyKernels.LocalMax<SharedGroup>, CrossEntropyKernels.LocalMax<SmallGroup>), Launches.Groups(arena, rows),
            new CrossEntropyArguments { Logits = arena.View(logits), Max = arena.View(max), Classes = classes });

    /// <summary>Split classes, second part: packed [2, rows].</summary>
    public static void LocalSums(DeviceArena arena, int rows, int classes, Slice<float> logits, Slice<float> max, Slice<int> targets, int offset, Slice<float> packed) =>
        arena.Launch(
            Launches.Pick<CrossEntropyArguments>(arena, CrossEntropyKernels.LocalSums<WarpGroup>, CrossEntropyKernels.LocalSums<SharedGroup>, CrossEntropyKernels.LocalSums<SmallGroup>), Launches.Groups(arena, rows),
            new CrossEntropyArguments { Logits = arena.View(logits), Max = arena.View(max), Targets = arena.View(targets), Packed = arena.View(packed), Rows = rows, Classes = classes, Offset = offset });

    /// <summary>Split classes, last part, after the sums over ranks.</summary>
    public static void Finish(DeviceArena arena, int rows, int classes, Slice<float> packed, Slice<float> max, Slice<int> targets, Slice<float>? weights, int ignore, Slice<float> sum, Slice<float> weight, Slice<float> logSumExp)
    {
        var arguments = new CrossEntropyArguments
        {
            Packed = arena.View(packed), Max = arena.View(max), Targets = arena.View(targets), Weights = arena.View(weights ?? packed), HasWeights = weights is null ? 0 : 1, Logits = arena.View(packed), IsPacked = 1,
            LogSumExp = arena.View(logSumExp), Sum = arena.View(sum), Weight = arena.View(weight), Status = arena.View(arena.Status), Rows = rows, AllClasses = classes, Ignore = ignore,
        };
        arena.Launch(CrossEntropyKernels.Join, Launches.Flat(arena, rows), arguments);
        Total(arena, arguments);
    }

    private static void Total(DeviceArena arena, CrossEntropyArguments arguments) =>
        arena.Launch(Launches.Pick<CrossEntropyArguments>(arena, CrossEntropyKernels.Total<WarpGroup>, CrossEntropyKernels.Total<SharedGroup>, CrossEntropyKernels.Total<SmallGroup>), Launches.Groups(arena, 1), arguments);
}
