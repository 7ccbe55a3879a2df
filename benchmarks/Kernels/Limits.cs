using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Shardwright.Benchmarks;

/// <summary>What the machine can do at best: multiply-adds in registers, bytes copied and added.</summary>
internal static unsafe class Limits
{
    /// <summary>GFLOP/s of one core with nothing but multiply-adds in registers.</summary>
    public static double FmaPeak()
    {
        const long Rounds = 100_000;
        int lanes = Vector512.IsHardwareAccelerated ? 16 : Vector256.IsHardwareAccelerated ? 8 : 4;
        double[] times = Measure.InTurn(() => Fma(Rounds))[0];
        return Rounds * 12 * 2 * lanes / times.Min() / 1e9;
    }

    /// <summary>Twelve multiply-adds a round, in the widest registers there are: work that needs a core and nothing else.</summary>
    public static float Fma(long rounds) => Vector512.IsHardwareAccelerated ? Fma512(rounds) : Vector256.IsHardwareAccelerated ? Fma256(rounds) : Fma128(rounds);

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void Copy(float* from, float* to, long count)
    {
        for (long i = 0; i < count; i += 16)
        {
            Vector512.Store(Vector512.Load(from + i), to + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    public static void Triad(float* a, float* b, float* c, long count)
    {
        Vector512<float> s = Vector512.Create(3f);
        for (long i = 0; i < count; i += 16)
        {
            Vector512.Store(Vector512.FusedMultiplyAdd(s, Vector512.Load(b + i), Vector512.Load(a + i)), c + i);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Fma512(long rounds)
    {
        Vector512<float> x = Vector512.Create(1.0001f), y = Vector512.Create(0.9999f);
        Vector512<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (; rounds > 0; rounds--)
        {
            a = Vector512.FusedMultiplyAdd(a, y, x);
            b = Vector512.FusedMultiplyAdd(b, y, x);
            c = Vector512.FusedMultiplyAdd(c, y, x);
            d = Vector512.FusedMultiplyAdd(d, y, x);
            e = Vector512.FusedMultiplyAdd(e, y, x);
            f = Vector512.FusedMultiplyAdd(f, y, x);
            g = Vector512.FusedMultiplyAdd(g, y, x);
            h = Vector512.FusedMultiplyAdd(h, y, x);
            i = Vector512.FusedMultiplyAdd(i, y, x);
            j = Vector512.FusedMultiplyAdd(j, y, x);
            k = Vector512.FusedMultiplyAdd(k, y, x);
            l = Vector512.FusedMultiplyAdd(l, y, x);
        }

        return Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Fma256(long rounds)
    {
        Vector256<float> x = Vector256.Create(1.0001f), y = Vector256.Create(0.9999f);
        Vector256<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (; rounds > 0; rounds--)
        {
            a = Vector256.FusedMultiplyAdd(a, y, x);
            b = Vector256.FusedMultiplyAdd(b, y, x);
            c = Vector256.FusedMultiplyAdd(c, y, x);
            d = Vector256.FusedMultiplyAdd(d, y, x);
            e = Vector256.FusedMultiplyAdd(e, y, x);
            f = Vector256.FusedMultiplyAdd(f, y, x);
            g = Vector256.FusedMultiplyAdd(g, y, x);
            h = Vector256.FusedMultiplyAdd(h, y, x);
            i = Vector256.FusedMultiplyAdd(i, y, x);
            j = Vector256.FusedMultiplyAdd(j, y, x);
            k = Vector256.FusedMultiplyAdd(k, y, x);
            l = Vector256.FusedMultiplyAdd(l, y, x);
        }

        return Vector256.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Fma128(long rounds)
    {
        Vector128<float> x = Vector128.Create(1.0001f), y = Vector128.Create(0.9999f);
        Vector128<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (; rounds > 0; rounds--)
        {
            a = Vector128.MultiplyAddEstimate(a, y, x);
            b = Vector128.MultiplyAddEstimate(b, y, x);
            c = Vector128.MultiplyAddEstimate(c, y, x);
            d = Vector128.MultiplyAddEstimate(d, y, x);
            e = Vector128.MultiplyAddEstimate(e, y, x);
            f = Vector128.MultiplyAddEstimate(f, y, x);
            g = Vector128.MultiplyAddEstimate(g, y, x);
            h = Vector128.MultiplyAddEstimate(h, y, x);
            i = Vector128.MultiplyAddEstimate(i, y, x);
            j = Vector128.MultiplyAddEstimate(j, y, x);
            k = Vector128.MultiplyAddEstimate(k, y, x);
            l = Vector128.MultiplyAddEstimate(l, y, x);
        }

        return Vector128.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }
}
