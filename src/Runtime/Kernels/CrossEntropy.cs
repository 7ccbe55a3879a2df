using System.Runtime.CompilerServices;
using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <summary>Cross-entropy of rows of logits against integer targets; sum and weight are kept apart. The class dim may be split over ranks.</summary>
public static unsafe class CrossEntropy
{
    /// <summary>sum = Σ w·(logΣexp − logit of the target), weight = Σ w, over rows whose target is not ignored; logSumExp [rows].</summary>
    /// <exception cref="ArgumentOutOfRangeException">A target is neither a class nor the ignored number.</exception>
    public static void Forward(ThreadTeam team, int rows, int classes, ref float logits, ref int targets, ref float weights, bool hasWeights, int ignoreIndex, ref float sum, ref float weight, ref float logSumExp)
    {
        float* x = (float*)Unsafe.AsPointer(ref logits), lse = (float*)Unsafe.AsPointer(ref logSumExp), w = hasWeights ? (float*)Unsafe.AsPointer(ref weights) : null;
        int* t = (int*)Unsafe.AsPointer(ref targets);
        Elementwise.Rows(team, rows, classes, new LogSumExpBody { Classes = classes, X = x, Lse = lse });
        double total = 0, count = 0;
        for (int row = 0; row < rows; row++)
        {
            if (Check(t[row], row, classes, ignoreIndex))
            {
                float own = w == null ? 1 : w[row];
                total += (double)own * (lse[row] - x[(long)row * classes + t[row]]);
                count += own;
            }
        }

        sum = (float)total;
        weight = (float)count;
    }

    /// <summary>dLogits = dSum·w·(softmax − 1 at the target) for the classes from classOffset on; 0 for ignored rows.</summary>
    public static void Backward(ThreadTeam team, int rows, int classes, ref float logits, ref int targets, ref float weights, bool hasWeights, int ignoreIndex, int classOffset, ref float logSumExp, ref float dSum, ref float dLogits) =>
        Elementwise.Rows(team, rows, classes, new BackwardBody
        {
            Classes = classes, Ignore = ignoreIndex, Offset = classOffset, Scale = dSum, X = (float*)Unsafe.AsPointer(ref logits), Lse = (float*)Unsafe.AsPointer(ref logSumExp),
            W = hasWeights ? (float*)Unsafe.AsPointer(ref weights) : null, T = (int*)Unsafe.AsPointer(ref targets), Dx = (float*)Unsafe.AsPointer(ref dLogits),
        });

    /// <summary>Split classes, first part: the largest logit of each row on this rank.</summary>
    public static void LocalMax(ThreadTeam team, int rows, int classes, ref float logits, ref float max) =>
        Elementwise.Rows(team, rows, classes, new MaxBody { Classes = classes, X = (float*)Unsafe.AsPointer(ref logits), Max = (float*)Unsafe.AsPointer(ref max) });

    /// <summary>Split classes, second part: packed [2, rows] holds Σ exp(x − max), and the target's logit where it lies on this rank, else 0.</summary>
    public static void LocalSums(ThreadTeam team, int rows, int classes, ref float logits, ref float max, ref int targets, int classOffset, ref float packed)
    {
        float* x = (float*)Unsafe.AsPointer(ref logits), p = (float*)Unsafe.AsPointer(ref packed);
        int* t = (int*)Unsafe.AsPointer(ref targets);
        Elementwise.Rows(team, rows, classes, new SumBody { Classes = classes, X = x, Max = (float*)Unsafe.AsPointer(ref max), Packed = p });
        for (int row = 0; row < rows; row++)
        {
            long own = (long)t[row] - classOffset;
            p[rows + row] = own >= 0 && own < classes ? x[(long)row * classes + own] : 0;
        }
    }

    /// <summary>Split classes, last part, after the sums over ranks.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A target is neither a class nor the ignored number.</exception>
    public static void Finish(int rows, int classes, ref float packed, ref float max, ref int targets, ref float weights, bool hasWeights, int ignoreIndex, ref float sum, ref float weight, ref float logSumExp)
    {
        double total = 0, count = 0;
        for (int row = 0; row < rows; row++)
        {
            float lse = Unsafe.Add(ref max, row) + MathF.Log(Unsafe.Add(ref packed, row));
            Unsafe.Add(ref logSumExp, row) = lse;
            if (Check(Unsafe.Add(ref targets, row), row, classes, ignoreIndex))
            {
                float own = hasWeights ? Unsafe.Add(ref weights, row) : 1;
                total += (double)own * (lse - Unsafe.Add(ref packed, rows + row));
                count += own;
            }
        }

        sum = (float)total;
        weight = (float)count;
    }

    private static bool Check(int target, int row, int classes, int ignoreIndex)
    {
        if (target == ignoreIndex)
        {
            return false;
        }

        return (uint)target < (uint)classes ? true : throw new ArgumentOutOfRangeException("targets", $"Target {target} of row {row} lies outside of the {classes} classes, and is not the ignored {ignoreIndex}.");
    }

    private struct LogSumExpBody : IRangeBody
    {
        public int Classes;
        public float* X, Lse;

        public void Run(long from, long to)
        {
            for (long row = from; row < to; row++)
            {
                Lse[row] = RowMath.LogSumExp(X + row * Classes, Classes);
            }
        }
    }

    private struct MaxBody : IRangeBody
    {
        public int Classes;
        public float* X, Max;

        public void Run(long from, long to)
        {
            for (long row = from; row < to; row++)
            {
                Max[row] = RowMath.Max(X + row * Classes, Classes);
            }
        }
    }

    private struct SumBody : IRangeBody
    {
        public int Classes;
        public float* X, Max, Packed;

        public void Run(long from, long to)
        {
            for (long row = from; row < to; row++)
            {
                Packed[row] = RowMath.ExpSum(X + row * Classes, Max[row], Classes);
            }
        }
    }

    private struct BackwardBody : IRangeBody
    {
        public int Classes, Ignore, Offset;
        public float Scale;
        public float* X, Lse, W, Dx;
        public int* T;

        public void Run(long from, long to)
        {
            for (long row = from; row < to; row++)
            {
                float* x = X + row * Classes, dx = Dx + row * Classes;
                if (T[row] == Ignore)
                {
                    new Span<float>(dx, Classes).Clear();
                    continue;
                }

                float factor = Scale * (W == null ? 1 : W[row]);
                RowMath.ScaledExp(x, Lse[row], factor, dx, Classes);
                long own = (long)T[row] - Offset;
                if (own >= 0 && own < Classes)
                {
                    dx[own] -= factor;
                }
            }
        }
    }
}
