using System.Runtime.CompilerServices;
using Shardwright.Kernels;

namespace Shardwright.Gpu.Kernels;

/// <summary>Key of a dropout as kernels take it: with the index of an element it gives the number of the CPU kernels, bit by bit.</summary>
public struct DropoutKey
{
    /// <summary>Step, high half of the operation, halves of the mixed key.</summary>
    public uint Step, Operation, Low, High;

    /// <summary>From the key of the run, the step and the operation.</summary>
    public static DropoutKey Of(RandomKey key)
    {
        ulong mixed = unchecked(key.Seed ^ (key.Operation * 0x9E3779B97F4A7C15));
        return new DropoutKey { Step = key.Step, Operation = (uint)(key.Operation >> 32), Low = (uint)mixed, High = (uint)(mixed >> 32) };
    }

    /// <summary>The number of an element: Philox4x32-10, lane index mod 4 of counter index / 4.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public readonly uint Draw(ulong index)
    {
        ulong counter = index >> 2;
        uint c0 = (uint)counter, c1 = (uint)(counter >> 32), c2 = Step, c3 = Operation, k0 = Low, k1 = High;
        for (int round = 0; round < 10; round++)
        {
            ulong p0 = 0xD2511F53ul * c0, p1 = 0xCD9E8D57ul * c2;
            c0 = (uint)(p1 >> 32) ^ c1 ^ k0;
            c1 = (uint)p1;
            c2 = (uint)(p0 >> 32) ^ c3 ^ k1;
            c3 = (uint)p0;
            k0 = unchecked(k0 + 0x9E3779B9u);
            k1 = unchecked(k1 + 0xBB67AE85u);
        }

        uint lane = (uint)(index & 3), even = lane == 0 ? c0 : c2, odd = lane == 1 ? c1 : c3;
        return (lane & 1) == 0 ? even : odd;
    }
}
