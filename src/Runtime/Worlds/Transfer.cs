using System.Numerics.Tensors;
using Shardwright.Execution;

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
public readonly record struct Transfer(TransferKind Kind, Arena Arena, long Source, long Target, long Length, int ElementBytes, int Root)
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
                Combine(all, from, from, to - from, own.Kind == TransferKind.AllReduceMax);
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

    /// <summary>Combines the same elements of all sources in member order, a block at a time, into the target or into all.</summary>
    private static void Combine(ReadOnlySpan<Transfer> all, long from, long into, long length, bool max, float* target = null)
    {
        const int Block = 1024;
        float* sum = stackalloc float[Block];
        for (long start = 0; start < length; start += Block)
        {
            int n = (int)Math.Min(Block, length - start);
            var total = new Span<float>(sum, n);
            new Span<float>((float*)Source(all[0]) + from + start, n).CopyTo(total);
            for (int i = 1; i < all.Length; i++)
            {
                var term = new ReadOnlySpan<float>((float*)Source(all[i]) + from + start, n);
                if (max)
                {
                    TensorPrimitives.Max(total, term, total);
                }
                else
                {
                    TensorPrimitives.Add(total, term, total);
                }
            }

            if (target != null)
            {
                total.CopyTo(new Span<float>(target + start, n));
                continue;
            }

            for (int i = 0; i < all.Length; i++)
            {
                total.CopyTo(new Span<float>((float*)Target(all[i]) + into + start, n));
            }
        }
    }
}
