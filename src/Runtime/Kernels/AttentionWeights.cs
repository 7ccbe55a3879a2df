using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Shardwright.Kernels;

/// <content>Scores to weights, for the two widths of vectors: the same text and, lane by lane, the same bits.</content>
public static unsafe partial class Attention
{
    /// <summary>Queries that are weighted together.</summary>
    private static int Lanes => Vector512.IsHardwareAccelerated ? 16 : 8;

    /// <summary>As many queries as there are lanes: scores, in units of log 2, to 2^(score − max); maxima, and the sums that lie a block of queries behind, go on, and so does the output, [width, queries].</summary>
    /// <param name="scores">Scores, [keys, queries].</param>
    /// <param name="stride">From key to key.</param>
    /// <param name="keys">Number of keys.</param>
    /// <param name="clean">Keys before this one are seen by all of the queries; of the others each score is looked at: −∞ is hidden.</param>
    /// <param name="diagonal">Lane i sees keys up to i + diagonal.</param>
    /// <param name="max">Maxima so far.</param>
    /// <param name="output">Output so far.</param>
    /// <param name="width">Size of a head.</param>
    private static void Weights(float* scores, int stride, int keys, int clean, int diagonal, float* max, float* output, int width)
    {
        if (Vector512.IsHardwareAccelerated)
        {
            Weights16(scores, stride, keys, clean, diagonal, max, output, width);
        }
        else
        {
            Weights8(scores, stride, keys, clean, diagonal, max, output, width);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Weights16(float* scores, int stride, int keys, int clean, int diagonal, float* max, float* output, int width)
    {
        Vector512<float> before = Vector512.Load(max), largest = before, other = before, none = Vector512.Create(float.NegativeInfinity);
        Vector512<int> lanes = Vector512<int>.Indices;
        float* row = scores;
        int key = 0;
        for (; key <= clean - 2; key += 2, row += 2 * stride)
        {
            largest = Vector512.MaxNative(largest, Vector512.Load(row));
            other = Vector512.MaxNative(other, Vector512.Load(row + stride));
        }

        for (; key < keys; key++, row += stride)
        {
            Vector512<float> score = Vector512.ConditionalSelect(Vector512.LessThan(lanes, Vector512.Create(key - diagonal)).AsSingle(), none, Vector512.Load(row));
            largest = Vector512.MaxNative(largest, score);
            Vector512.Store(score, row);
        }

        // Where every key is hidden so far the largest is −∞, and the shift must be finite.
        largest = Vector512.MaxNative(largest, other);
        Vector512.Store(largest, max);
        Vector512<float> shift = Vector512.MaxNative(largest, Vector512.Create(-1e30f)), sum = default;
        row = scores;
        for (key = 0; key < clean; key++, row += stride)
        {
            Vector512<float> weight = VectorMath.Exp2OfScore(Vector512.Load(row) - shift);
            sum += weight;
            Vector512.Store(weight, row);
        }

        for (; key < keys; key++, row += stride)
        {
            Vector512<float> score = Vector512.Load(row), weight = Vector512.ConditionalSelect(Vector512.Equals(score, none), default, VectorMath.Exp2OfScore(score - shift));
            sum += weight;
            Vector512.Store(weight, row);
        }

        Vector512<float> keep = VectorMath.Exp2OfScore(before - shift), sums = Vector512.Load(max + QueryBlock);
        Vector512.Store(Vector512.FusedMultiplyAdd(sums, keep, sum), max + QueryBlock);
        if (Vector512.EqualsAll(keep, Vector512.Create(1f)))
        {
            return;
        }

        for (int i = 0; i < width; i++, output += stride)
        {
            Vector512.Store(Vector512.Load(output) * keep, output);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Weights8(float* scores, int stride, int keys, int clean, int diagonal, float* max, float* output, int width)
    {
        Vector256<float> before = Vector256.Load(max), largest = before, other = before, none = Vector256.Create(float.NegativeInfinity);
        Vector256<int> lanes = Vector256<int>.Indices;
        float* row = scores;
        int key = 0;
        for (; key <= clean - 2; key += 2, row += 2 * stride)
        {
            largest = Vector256.MaxNative(largest, Vector256.Load(row));
            other = Vector256.MaxNative(other, Vector256.Load(row + stride));
        }

        for (; key < keys; key++, row += stride)
        {
            Vector256<float> score = Vector256.ConditionalSelect(Vector256.LessThan(lanes, Vector256.Create(key - diagonal)).AsSingle(), none, Vector256.Load(row));
            largest = Vector256.MaxNative(largest, score);
            Vector256.Store(score, row);
        }

        // Where every key is hidden so far the largest is −∞, and the shift must be finite.
        largest = Vector256.MaxNative(largest, other);
        Vector256.Store(largest, max);
        Vector256<float> shift = Vector256.MaxNative(largest, Vector256.Create(-1e30f)), sum = default;
        row = scores;
        for (key = 0; key < clean; key++, row += stride)
        {
            Vector256<float> weight = VectorMath.Exp2OfScore(Vector256.Load(row) - shift);
            sum += weight;
            Vector256.Store(weight, row);
        }

        for (; key < keys; key++, row += stride)
        {
            Vector256<float> score = Vector256.Load(row), weight = Vector256.ConditionalSelect(Vector256.Equals(score, none), default, VectorMath.Exp2OfScore(score - shift));
            sum += weight;
            Vector256.Store(weight, row);
        }

        Vector256<float> keep = VectorMath.Exp2OfScore(before - shift), sums = Vector256.Load(max + QueryBlock);
        Vector256.Store(Vector256.FusedMultiplyAdd(sums, keep, sum), max + QueryBlock);
        if (Vector256.EqualsAll(keep, Vector256.Create(1f)))
        {
            return;
        }

        for (int i = 0; i < width; i++, output += stride)
        {
            Vector256.Store(Vector256.Load(output) * keep, output);
        }
    }

    /// <summary>One row of <see cref="BackwardBody"/>: scores to weights P = 2^(score − lse), dP to dS = scale·P·(dP − delta), in whole vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Weigh16(float* weights, float* gradients, float lse, float delta, float scale, int keys, bool hidden)
    {
        Vector512<float> shift = Vector512.Create(lse), mean = Vector512.Create(delta), factor = Vector512.Create(scale), none = Vector512.Create(float.NegativeInfinity);
        for (int key = 0; key < keys; key += 16)
        {
            Vector512<float> score = Vector512.Load(weights + key), weight = VectorMath.Exp2OfScore(score - shift);
            if (hidden)
            {
                weight = Vector512.ConditionalSelect(Vector512.Equals(score, none), default, weight);
            }

            Vector512.Store(weight, weights + key);
            Vector512.Store(weight * (Vector512.Load(gradients + key) - mean) * factor, gradients + key);
        }
    }

    /// <summary>One row of <see cref="BackwardBody"/> on narrower vectors: scores to weights P = 2^(score − lse), dP to dS = scale·P·(dP − delta), in whole vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Weigh8(float* weights, float* gradients, float lse, float delta, float scale, int keys, bool hidden)
    {
        Vector256<float> shift = Vector256.Create(lse), mean = Vector256.Create(delta), factor = Vector256.Create(scale), none = Vector256.Create(float.NegativeInfinity);
        for (int key = 0; key < keys; key += 8)
        {
            Vector256<float> score = Vector256.Load(weights + key), weight = VectorMath.Exp2OfScore(score - shift);
            if (hidden)
            {
                weight = Vector256.ConditionalSelect(Vector256.Equals(score, none), default, weight);
            }

            Vector256.Store(weight, weights + key);
            Vector256.Store(weight * (Vector256.Load(gradients + key) - mean) * factor, gradients + key);
        }
    }
}
