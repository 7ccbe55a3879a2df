using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Shardwright.Execution;

namespace Shardwright.Kernels;

/// <summary>What a random number depends on beside the global index of its element: never on a rank, a thread or a micro-batch.</summary>
/// <param name="Seed">Seed of the run.</param>
/// <param name="Step">Number of the step.</param>
/// <param name="Operation">Hash of the name of the operation.</param>
public readonly record struct RandomKey(ulong Seed, uint Step, ulong Operation)
{
    /// <summary>Hash of a name followed by a number's decimal digits, without making the string.</summary>
    public static ulong HashOrdinal(string name, int ordinal)
    {
        ulong hash = Hash(name);
        int divisor = 1;
        while (ordinal / divisor >= 10)
        {
            divisor *= 10;
        }

        for (; divisor > 0; divisor /= 10)
        {
            hash = unchecked((hash ^ (char)('0' + ordinal / divisor % 10)) * 1099511628211);
        }

        return hash;
    }

    /// <summary>FNV-1a, 64 bits, of the UTF-16 code units.</summary>
    public static ulong Hash(string name)
    {
        ulong hash = 14695981039346656037;
        foreach (char c in name)
        {
            hash = unchecked((hash ^ c) * 1099511628211);
        }

        return hash;
    }
}

/// <summary>The counter-based generator Philox4x32-10 (Salmon et al., SC 2011).</summary>
public static class Philox
{
    /// <summary>Four 32-bit numbers of a counter under a key.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (uint A, uint B, uint C, uint D) Draw(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1)
    {
        for (int round = 0; round < 10; round++)
        {
            ulong p0 = (ulong)0xD2511F53 * c0, p1 = (ulong)0xCD9E8D57 * c2;
            (c0, c1, c2, c3) = ((uint)(p1 >> 32) ^ c1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c3 ^ k1, (uint)p0);
            k0 = unchecked(k0 + 0x9E3779B9);
            k1 = unchecked(k1 + 0xBB67AE85);
        }

        return (c0, c1, c2, c3);
    }

    /// <summary>The number of the element with a global index: lane index mod 4 of counter index / 4.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static uint At(in RandomKey key, ulong index)
    {
        (uint a, uint b, uint c, uint d) = Block(key, index >> 2);
        return (index & 3) switch { 0 => a, 1 => b, 2 => c, _ => d };
    }

    /// <summary>The four numbers of a counter.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (uint A, uint B, uint C, uint D) Block(in RandomKey key, ulong counter)
    {
        // The operation is mixed into the key, the step into the counter: 64 bits of seed, 64 of operation, 32 of step, 62 of index.
        ulong mixed = unchecked(key.Seed ^ (key.Operation * 0x9E3779B97F4A7C15));
        return Draw((uint)counter, (uint)(counter >> 32), key.Step, (uint)(key.Operation >> 32), (uint)mixed, (uint)(mixed >> 32));
    }

    /// <summary>A number in (0, 1] of 24 bits.</summary>
    public static float Unit(uint bits) => ((bits >> 8) + 1) * (1f / 16777216f);
}

/// <summary>Dropout by key and global index.</summary>
public static unsafe class Dropout
{
    /// <summary>y = x/(1 − p) where the element is kept, else 0. The mask of an element is a function of the key and its global index.</summary>
    public static void Apply(ThreadTeam team, ref float x, ref float y, in IndexMap map, in RandomKey key, float probability)
    {
        long width = Math.Max(1, map.RowLength);
        Elementwise.Rows(team, map.Count / width, width, new Body { Map = map, Key = key, Threshold = (uint)(probability * 4294967296.0), Scale = 1 / (1 - probability), X = (float*)Unsafe.AsPointer(ref x), Y = (float*)Unsafe.AsPointer(ref y) });
    }

    private struct Body : IRangeBody
    {
        public IndexMap Map;
        public RandomKey Key;
        public uint Threshold;
        public float Scale;
        public float* X, Y;

        public void Run(long from, long to)
        {
            long width = Math.Max(1, Map.RowLength);
            for (long row = from; row < to; row++)
            {
                // The elements of a row are neighbours in the global tensor too: one draw serves four of them.
                ulong global = (ulong)Map[row * width];
                float* x = X + row * width, y = Y + row * width;
                long i = 0;
                while (i < width)
                {
                    ulong index = global + (ulong)i;
                    (uint a, uint b, uint c, uint d) = Philox.Block(Key, index >> 2);
                    int lane = (int)(index & 3);
                    for (; lane < 4 && i < width; lane++, i++)
                    {
                        uint bits = lane switch { 0 => a, 1 => b, 2 => c, _ => d };
                        y[i] = bits >= Threshold ? x[i] * Scale : 0;
                    }
                }
            }
        }
    }
}

/// <summary>Fills parameters by seed, logical path and global index: bit-identical on every mesh.</summary>
public static class Initialize
{
    /// <summary>Fills one local tensor.</summary>
    /// <param name="target">First element.</param>
    /// <param name="map">Global index of each element.</param>
    /// <param name="seed">Seed of the run.</param>
    /// <param name="path">Logical path.</param>
    /// <param name="kind">Normal, Uniform or Constant.</param>
    /// <param name="a">Mean, lower bound or value.</param>
    /// <param name="b">Standard deviation or upper bound.</param>
    /// <param name="from">Local element that the first element of the target is.</param>
    /// <param name="count">Elements to fill; negative for all.</param>
    public static void Fill(ref float target, in IndexMap map, ulong seed, string path, string kind, float a, float b, long from = 0, long count = -1)
    {
        var key = new RandomKey(seed, 0, RandomKey.Hash(path));
        for (long i = 0; i < (count < 0 ? map.Count : count); i++)
        {
            Unsafe.Add(ref target, (nint)i) = kind switch
            {
                "Normal" => a + b * Normal(key, (ulong)map[from + i]),
                "Uniform" => a + (b - a) * (Philox.Unit(Philox.At(key, (ulong)map[from + i])) - 1f / 16777216f),
                _ => a,
            };
        }
    }

    /// <summary>Box and Muller's transform on the two numbers that belong to the element alone.</summary>
    private static float Normal(in RandomKey key, ulong index)
    {
        (uint a, uint b, uint c, uint d) = Philox.Block(key, index >> 1);
        (uint u, uint v) = (index & 1) == 0 ? (a, b) : (c, d);
        return (float)(Math.Sqrt(-2 * Math.Log(Philox.Unit(u))) * Math.Cos(2 * Math.PI * Philox.Unit(v)));
    }
}
