using System.Runtime.Intrinsics;
using Shardwright.Execution;
using V = System.Runtime.Intrinsics.Vector256<float>;

namespace Shardwright.Worlds;

/// <summary>Kinds of operations that ranks do together.</summary>
public enum TransferKind
{
    /// <summary>Sum in place.</summary>
    AllReduce,

    /// <summary>Maximum in place.</summary>
    AllReduceMax,

    /// <summary>Sum, own part.</summary>
    ReduceScatter,

    /// <summary>All parts.</summary>
    AllGather,

    /// <summary>Transposes parts.</summary>
    AllToAll,

    /// <summary>From the root.</summary>
    Broadcast,

    /// <summary>Member 0 to member 1.</summary>
    SendReceive,
}

/// <summary>One member's part of an operation.</summary>
/// <param name="Kind">The operation: the same for all members.</param>
/// <param name="Arena">The member's memory.</param>
/// <param name="Source">Bytes from its start to the source; −1 for none.</param>
/// <param name="Target">Bytes to the target; −1 for none. In-place operations have both alike.</param>
/// <param name="Length">Elements of a part: of the buffer for in-place operations, of one rank's piece for others.</param>
/// <param name="ElementBytes">Size of an element.</param>
/// <param name="Root">The member that a broadcast copies from.</param>
/// <param name="Format">What is combined: how its numbers lie in memory.</param>
public readonly record struct Transfer(TransferKind Kind, Arena Arena, long Source, long Target, long Length, int ElementBytes, int Root, NumberFormat Format = NumberFormat.Float32)
{
    /// <summary>Bytes that a member sends where the operation goes round a ring of members.</summary>
    internal double BytesSent(int members) => Length * ElementBytes * Kind switch
    {
        TransferKind.AllReduce or TransferKind.AllReduceMax => 2.0 * (members - 1) / members,
        TransferKind.ReduceScatter or TransferKind.AllGather or TransferKind.AllToAll => members - 1.0,
        _ => 1,
    };
}

/// <summary>Does operations in host memory, directly on all buffers: nothing is staged. Terms are combined in member order, so that all members and all runs get the same bits.</summary>
internal static unsafe class HostTransfers
{
    /// <summary>Does one member's share of an operation.</summary>
    public static void Run(ReadOnlySpan<Transfer> all, int member)
    {
        int members = all.Length;
        Transfer own = all[member];
        long bytes = own.Length * own.ElementBytes;
        switch (own.Kind)
        {
            case TransferKind.AllReduce:
            case TransferKind.AllReduceMax:
                (long from, long to) = Share(own.Length, members, member);
                if (own.Format == NumberFormat.Float32)
                {
                    Combine(all, from, from, to - from, own.Kind == TransferKind.AllReduceMax);
                }
                else
                {
                    CombineNarrow(own.Format, all, from, to - from, own.Kind == TransferKind.AllReduceMax, null);
                }

                break;
            case TransferKind.ReduceScatter when own.Format != NumberFormat.Float32:
                CombineNarrow(own.Format, all, member * own.Length, own.Length, max: false, Target(own));
                break;
            case TransferKind.ReduceScatter:
                Combine(all, member * own.Length, -1, own.Length, max: false, (float*)Target(own));
                break;
            case TransferKind.AllGather:
                for (int i = 0; i < members; i++)
                {
                    Copy(Source(all[i]), Target(own) + i * bytes, bytes);
                }

                break;
            case TransferKind.AllToAll:
                for (int i = 0; i < members; i++)
                {
                    Copy(Source(all[i]) + member * bytes, Target(own) + i * bytes, bytes);
                }

                break;
            case TransferKind.Broadcast:
                Copy(Source(all[own.Root]), Target(own), bytes);
                break;
            case TransferKind.SendReceive when member == 1:
                Copy(Source(all[0]), Target(own), bytes);
                break;
        }
    }

    /// <summary>A member's share of the elements of an in-place operation. Shares begin at multiples of 16 elements: each cache line has one writer.</summary>
    public static (long From, long To) Share(long length, int members, int member)
    {
        long share = ((length + members - 1) / members + 15) / 16 * 16, from = Math.Min(length, member * share);
        return (from, Math.Min(length, from + share));
    }

    private static byte* Source(in Transfer transfer) => transfer.Arena.Pointer(new Slice<byte>(transfer.Source, 0));

    private static byte* Target(in Transfer transfer) => transfer.Arena.Pointer(new Slice<byte>(transfer.Target, 0));

    private static void Copy(byte* source, byte* target, long bytes)
    {
        if (source != target)
        {
            Buffer.MemoryCopy(source, target, bytes, bytes);
        }
    }

    /// <summary>Combines the same elements of all sources in member order, in registers, into the target or into all. Lines are written right after they were read, so that nothing is fetched twice.</summary>
    private static void Combine(ReadOnlySpan<Transfer> all, long from, long into, long length, bool max, float* target = null)
    {
        float** sources = stackalloc float*[all.Length], targets = stackalloc float*[target == null ? all.Length : 1];
        for (int i = 0; i < all.Length; i++)
        {
            sources[i] = (float*)Source(all[i]) + from;
            if (target == null)
            {
                targets[i] = (float*)Target(all[i]) + into;
            }
        }

        int outputs = all.Length;
        if (target != null)
        {
            targets[0] = target;
            outputs = 1;
        }

        if (all.Length == 2 && !max)
        {
            AddPair(sources[0], sources[1], targets[0], targets[outputs - 1], length);
            return;
        }

        long at = 0;
        for (; at <= length - 16; at += 16)
        {
            V first = Vector256.Load(sources[0] + at), second = Vector256.Load(sources[0] + at + 8);
            for (int i = 1; i < all.Length; i++)
            {
                V a = Vector256.Load(sources[i] + at), b = Vector256.Load(sources[i] + at + 8);
                (first, second) = max ? (Vector256.Max(first, a), Vector256.Max(second, b)) : (first + a, second + b);
            }

            for (int i = 0; i < outputs; i++)
            {
                Vector256.Store(first, targets[i] + at);
                Vector256.Store(second, targets[i] + at + 8);
            }
        }

        for (; at < length; at++)
        {
            float total = sources[0][at];
            for (int i = 1; i < all.Length; i++)
            {
                total = max ? MathF.Max(total, sources[i][at]) : total + sources[i][at];
            }

            for (int i = 0; i < outputs; i++)
            {
                targets[i][at] = total;
            }
        }
    }

    /// <summary>The same for numbers of two bytes, which the kernels of the host do not make: plain, in floats, rounded once.</summary>
    private static void CombineNarrow(NumberFormat format, ReadOnlySpan<Transfer> all, long from, long length, bool max, byte* target)
    {
        if (format == NumberFormat.BFloat16)
        {
            CombineNarrow(all, from, length, max, (BFloat16*)target);
        }
        else
        {
            CombineNarrow(all, from, length, max, (Float16*)target);
        }
    }

    private static void CombineNarrow<T>(ReadOnlySpan<Transfer> all, long from, long length, bool max, T* target)
        where T : unmanaged, INarrowNumber<T>
    {
        for (long at = 0; at < length; at++)
        {
            float total = ((T*)Source(all[0]))[from + at];
            for (int i = 1; i < all.Length; i++)
            {
                float term = ((T*)Source(all[i]))[from + at];
                total = max ? MathF.Max(total, term) : total + term;
            }

            if (target != null)
            {
                target[at] = (T)total;
                continue;
            }

            for (int i = 0; i < all.Length; i++)
            {
                ((T*)Target(all[i]))[from + at] = (T)total;
            }
        }
    }

    private static void AddPair(float* a, float* b, float* first, float* second, long length)
    {
        long at = 0;
        for (; at <= length - 16; at += 16)
        {
            V low = Vector256.Load(a + at) + Vector256.Load(b + at), high = Vector256.Load(a + at + 8) + Vector256.Load(b + at + 8);
            Vector256.Store(low, first + at);
            Vector256.Store(high, first + at + 8);
            Vector256.Store(low, second + at);
            Vector256.Store(high, second + at + 8);
        }

        for (; at < length; at++)
        {
            first[at] = second[at] = a[at] + b[at];
        }
    }
}
