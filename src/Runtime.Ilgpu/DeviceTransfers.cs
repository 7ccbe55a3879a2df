using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using ILGPU;
using ILGPU.Runtime;
using Shardwright.Execution;
using Shardwright.Gpu.Kernels;
using Shardwright.Worlds;

namespace Shardwright.Gpu;

/// <summary>Does operations of a group in device memory. Members on one device, and on devices that reach each other, read and write each other's slabs; others pass through
/// page-locked memory of the host. Terms are combined in member order either way: the bits are the same.</summary>
internal static class DeviceTransfers
{
    private const int Block = 1 << 20;

    /// <summary>Does one member's share; its stream does the work and is waited for.</summary>
    public static void Run(ReadOnlySpan<Transfer> all, int member)
    {
        Transfer own = all[member];
        var arena = (DeviceArena)own.Arena;
        bool direct = true;
        foreach (Transfer other in all)
        {
            direct &= arena.Device.Reaches(((DeviceArena)other.Arena).Device);
        }

        long bytes = own.Length * own.ElementBytes;
        switch (own.Kind)
        {
            case TransferKind.AllReduce:
            case TransferKind.AllReduceMax:
                (long from, long to) = Share(own.Length, all.Length, member);
                if (to > from)
                {
                    Combine(arena, all, from * own.ElementBytes, to - from, own.Kind == TransferKind.AllReduceMax, direct, toAll: true, (DeviceArena)all[0].Arena, all[0].Target + from * own.ElementBytes);
                }

                break;
            case TransferKind.ReduceScatter:
                // The sum may take the place of this member's own term (shards of ZeRO). The first pass must then be the one that reads it.
                bool late = own.Target == own.Source + member * bytes && member >= Kernels.Combine.Most;
                Combine(arena, all, member * bytes, own.Length, max: false, direct && !late, toAll: false, arena, own.Target);
                break;
            case TransferKind.AllGather:
                for (int i = 0; i < all.Length; i++)
                {
                    Copy(all[i], all[i].Source, own, own.Target + i * bytes, bytes, direct);
                }

                break;
            case TransferKind.AllToAll:
                for (int i = 0; i < all.Length; i++)
                {
                    Copy(all[i], all[i].Source + member * bytes, own, own.Target + i * bytes, bytes, direct);
                }

                break;
            case TransferKind.Broadcast:
                Copy(all[own.Root], all[own.Root].Source, own, own.Target, bytes, direct);
                break;
            case TransferKind.SendReceive when member == 1:
                Copy(all[0], all[0].Source, own, own.Target, bytes, direct);
                break;
        }

        arena.Stream.Synchronize();
    }

    /// <summary>A member's share of an in-place operation, beginning at a multiple of 16 elements.</summary>
    private static (long From, long To) Share(long length, int members, int member)
    {
        long share = ((length + members - 1) / members + 15) / 16 * 16, from = Math.Min(length, member * share);
        return (from, Math.Min(length, from + share));
    }

    private static void Copy(in Transfer from, long source, in Transfer to, long target, long bytes, bool direct)
    {
        var sender = (DeviceArena)from.Arena;
        var receiver = (DeviceArena)to.Arena;
        if (sender == receiver && source == target)
        {
            return;
        }

        if (direct)
        {
            sender.Piece(source, bytes).CopyTo(receiver.Stream, receiver.Piece(target, bytes));
            return;
        }

        using HostBlock host = HostBlock.Of(receiver);
        for (long done = 0; done < bytes; done += Block)
        {
            long n = Math.Min(Block, bytes - done);
            host.Fetch(sender, source + done, n);
            host.Send(receiver, target + done, n);
        }
    }

    /// <summary>Combines elements that lie at one distance from the source of each member, into the target or into the same place of all members.</summary>
    private static void Combine(DeviceArena arena, ReadOnlySpan<Transfer> all, long distance, long length, bool max, bool direct, bool toAll, DeviceArena owner, long target)
    {
        // What takes more than one pass goes through the target, which would round after each: in host memory there are floats for it.
        bool once = direct && all.Length <= Kernels.Combine.Most;
        switch (all[0].Format)
        {
            case NumberFormat.Float32:
                Combine<float>(NumberFormat.Float32, arena, all, distance, length, max, direct, toAll, owner, target);
                break;
            case NumberFormat.BFloat16:
                Combine<BFloat16>(NumberFormat.BFloat16, arena, all, distance, length, max, once, toAll, owner, target);
                break;
            default:
                Combine<Float16>(NumberFormat.Float16, arena, all, distance, length, max, once, toAll, owner, target);
                break;
        }
    }

    private static void Combine<T>(NumberFormat format, DeviceArena arena, ReadOnlySpan<Transfer> all, long distance, long length, bool max, bool direct, bool toAll, DeviceArena owner, long target)
        where T : unmanaged
    {
        int width = Unsafe.SizeOf<T>();
        if (direct)
        {
            var sources = new ArrayView<T>[all.Length];
            for (int i = 0; i < sources.Length; i++)
            {
                sources[i] = ((DeviceArena)all[i].Arena).Piece(all[i].Source + distance, length * width).Cast<T>();
            }

            // In place the result goes where the first member has its term: that is read before any of the passes writes.
            ArrayView<T> result = owner.Piece(target, length * width).Cast<T>();
            Kernels.Combine.Run(arena, sources, result, max);
            for (int i = 0; toAll && i < all.Length; i++)
            {
                if (all[i].Arena != owner)
                {
                    owner.Piece(target, length * width).CopyTo(arena.Stream, ((DeviceArena)all[i].Arena).Piece(all[i].Target + distance, length * width));
                }
            }

            return;
        }

        using HostBlock host = HostBlock.Of(arena);
        var total = new float[Math.Min(length, Block / sizeof(float))];
        var terms = new float[format == NumberFormat.Float32 ? 0 : total.Length];
        for (long done = 0; done < length; done += total.Length)
        {
            int n = (int)Math.Min(total.Length, length - done);
            Span<float> sum = total.AsSpan(0, n);
            for (int i = 0; i < all.Length; i++)
            {
                ReadOnlySpan<float> term = Floats(format, host.Fetch((DeviceArena)all[i].Arena, all[i].Source + distance + done * width, (long)n * width), terms);
                if (i == 0)
                {
                    term.CopyTo(sum);
                }
                else if (max)
                {
                    TensorPrimitives.Max(sum, term, sum);
                }
                else
                {
                    TensorPrimitives.Add(sum, term, sum);
                }
            }

            if (format == NumberFormat.Float32)
            {
                sum.CopyTo(MemoryMarshal.Cast<byte, float>(host.Span));
            }
            else
            {
                NarrowNumbers.Narrow(format, sum, MemoryMarshal.Cast<byte, ushort>(host.Span));
            }

            if (!toAll)
            {
                host.Send(owner, target + done * width, (long)n * width);
                continue;
            }

            foreach (Transfer other in all)
            {
                host.Send((DeviceArena)other.Arena, other.Target + distance + done * width, (long)n * width);
            }
        }
    }

    /// <summary>What was fetched as floats: itself, or widened into a buffer.</summary>
    private static ReadOnlySpan<float> Floats(NumberFormat format, ReadOnlySpan<byte> fetched, float[] buffer)
    {
        if (format == NumberFormat.Float32)
        {
            return MemoryMarshal.Cast<byte, float>(fetched);
        }

        ReadOnlySpan<ushort> narrow = MemoryMarshal.Cast<byte, ushort>(fetched);
        NarrowNumbers.Widen(format, narrow, buffer);
        return buffer.AsSpan(0, narrow.Length);
    }
}
