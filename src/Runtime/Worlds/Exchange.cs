using System.Numerics.Tensors;

namespace Shardwright.Worlds;

/// <summary>Kinds of operations of an exchange.</summary>
internal enum Operation
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

/// <summary>One ordered lane on which a fixed set of members meets, operation after operation. A member publishes its buffers when it starts. Once all have started,
/// members that wait take shares of the work, directly on all buffers (nothing is staged), until none is left: an operation ends although some members, busy
/// elsewhere, have not begun to wait for it.</summary>
internal sealed unsafe class Exchange
{
    private const int Slots = 64;
    private const int Spins = 40;

    private readonly World _world;
    private readonly string _name;
    private readonly int[] _ranks;
    private readonly Slot[] _slots;
    private readonly long[] _next;
    private readonly object _gate = new();
    private int _parked;

    public Exchange(World world, string name, int[] ranks)
    {
        _world = world;
        _name = name;
        _ranks = ranks;
        _next = new long[ranks.Length];
        _slots = new Slot[Slots];
        for (int i = 0; i < Slots; i++)
        {
            _slots[i] = new Slot(ranks.Length, i);
        }
    }

    private sealed class Slot(int members, long sequence)
    {
        public readonly Entry[] Entries = new Entry[members];
        public long Sequence = sequence;
        public int Arrived;
        public int Taken;
        public int Done;
        public int Left;
    }

    private struct Entry
    {
        public Operation Operation;
        public byte* Source;
        public byte* Target;
        public long Length;
        public int ElementBytes;
        public int Root;
        public bool Present;
    }

    /// <summary>Publishes a member's part of the next operation.</summary>
    public long Start(int member, Operation operation, byte* source, byte* target, long length, int elementBytes, int root)
    {
        long sequence = _next[member]++;
        Slot slot = _slots[sequence % Slots];
        if (Volatile.Read(ref slot.Sequence) != sequence)
        {
            Await(slot, sequence, 0, member);
        }

        slot.Entries[member] = new Entry { Operation = operation, Source = source, Target = target, Length = length, ElementBytes = elementBytes, Root = root, Present = true };
        Interlocked.Increment(ref slot.Arrived);
        Pulse();
        return sequence;
    }

    /// <summary>Takes shares of the work once all have started, and returns when all shares are done.</summary>
    public void Wait(int member, long sequence)
    {
        Slot slot = _slots[sequence % Slots];
        int members = _ranks.Length;
        Await(slot, sequence, 1, member);
        Check(slot, sequence);
        for (int share; (share = Interlocked.Increment(ref slot.Taken) - 1) < members;)
        {
            Work(slot, share);
            if (Interlocked.Increment(ref slot.Done) == members)
            {
                Pulse();
            }
        }

        Await(slot, sequence, 2, member);
        if (Interlocked.Increment(ref slot.Left) == members)
        {
            Array.Clear(slot.Entries);
            slot.Arrived = slot.Taken = slot.Done = slot.Left = 0;
            Volatile.Write(ref slot.Sequence, sequence + Slots);
            Pulse();
        }
    }

    /// <summary>Wakes all waiting members: the world has ended, or a rank has.</summary>
    public void Wake()
    {
        lock (_gate)
        {
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Forgets half-done operations after a cancelled run.</summary>
    public void Reset()
    {
        Array.Clear(_next);
        for (int i = 0; i < Slots; i++)
        {
            _slots[i] = new Slot(_ranks.Length, i);
        }
    }

    private void Pulse()
    {
        Interlocked.MemoryBarrier();
        if (Volatile.Read(ref _parked) > 0)
        {
            Wake();
        }
    }

    /// <summary>Waits for a stage of a slot: 0 its turn, 1 all arrived, 2 all done. Spins briefly, then parks.</summary>
    private void Await(Slot slot, long sequence, int stage, int member)
    {
        var spinner = default(SpinWait);
        for (int i = 0; i < Spins; i++)
        {
            if (Reached(slot, sequence, stage))
            {
                return;
            }

            spinner.SpinOnce(sleep1Threshold: -1);
        }

        lock (_gate)
        {
            _parked++;
            Interlocked.MemoryBarrier();
            try
            {
                while (!Reached(slot, sequence, stage))
                {
                    if (_world.Stopping)
                    {
                        throw new RankInterruptedException();
                    }

                    CheckMissing(slot, sequence, stage, member);
                    Monitor.Wait(_gate);
                }
            }
            finally
            {
                _parked--;
            }
        }
    }

    private bool Reached(Slot slot, long sequence, int stage) => stage switch
    {
        0 => Volatile.Read(ref slot.Sequence) == sequence,
        1 => Volatile.Read(ref slot.Arrived) == _ranks.Length,
        _ => Volatile.Read(ref slot.Done) == _ranks.Length,
    };

    private void CheckMissing(Slot slot, long sequence, int stage, int member)
    {
        for (int i = 0; stage == 1 && i < _ranks.Length; i++)
        {
            if (!slot.Entries[i].Present && _world.HasEnded(_ranks[i]) && !Reached(slot, sequence, stage))
            {
                throw new CollectiveMismatchException($"Rank {_ranks[member]} waits for operation {sequence} ({slot.Entries[member].Operation}) of group '{_name}', but rank {_ranks[i]} has ended without it: every rank of a group must run the same steps.");
            }
        }
    }

    private void Check(Slot slot, long sequence)
    {
        ref Entry first = ref slot.Entries[0];
        for (int i = 1; i < _ranks.Length; i++)
        {
            ref Entry entry = ref slot.Entries[i];
            if (entry.Operation != first.Operation || entry.Length != first.Length || entry.ElementBytes != first.ElementBytes || entry.Root != first.Root)
            {
                throw Mismatch(slot, sequence);
            }
        }
    }

    private CollectiveMismatchException Mismatch(Slot slot, long sequence)
    {
        string calls = string.Join("; ", slot.Entries.Select((entry, m) => $"rank {_ranks[m]}: {entry.Operation} of {entry.Length} elements"));
        return new CollectiveMismatchException($"Ranks of group '{_name}' disagree on operation {sequence}: {calls}. All ranks of a group must run the same operations in the same order.");
    }

    private void Work(Slot slot, int member)
    {
        Entry[] entries = slot.Entries;
        int members = entries.Length;
        ref Entry own = ref entries[member];
        long bytes = own.Length * own.ElementBytes;
        switch (own.Operation)
        {
            case Operation.AllReduce:
            case Operation.AllReduceMax:
                // Shares begin at multiples of 16 elements: each cache line has one writer.
                long share = ((own.Length + members - 1) / members + 15) / 16 * 16, from = Math.Min(own.Length, member * share), to = Math.Min(own.Length, from + share);
                Combine(entries, from, from, to - from, own.Operation == Operation.AllReduceMax);
                break;
            case Operation.ReduceScatter:
                Combine(entries, member * own.Length, -1, own.Length, max: false, (float*)own.Target);
                break;
            case Operation.AllGather:
                for (int i = 0; i < members; i++)
                {
                    Copy(entries[i].Source, own.Target + i * bytes, bytes);
                }

                break;
            case Operation.AllToAll:
                for (int i = 0; i < members; i++)
                {
                    Copy(entries[i].Source + member * bytes, own.Target + i * bytes, bytes);
                }

                break;
            case Operation.Broadcast:
                Copy(entries[own.Root].Source, own.Target, bytes);
                break;
            case Operation.SendReceive when member == 1:
                Copy(entries[0].Source, own.Target, bytes);
                break;
        }
    }

    private static void Copy(byte* source, byte* target, long bytes)
    {
        if (source != target)
        {
            Buffer.MemoryCopy(source, target, bytes, bytes);
        }
    }

    /// <summary>Adds the same elements of all sources in member order, a block at a time, into the target or into all.</summary>
    private static void Combine(Entry[] entries, long from, long into, long length, bool max, float* target = null)
    {
        const int Block = 1024;
        float* sum = stackalloc float[Block];
        for (long start = 0; start < length; start += Block)
        {
            int n = (int)Math.Min(Block, length - start);
            var total = new Span<float>(sum, n);
            new Span<float>((float*)entries[0].Source + from + start, n).CopyTo(total);
            for (int i = 1; i < entries.Length; i++)
            {
                var term = new ReadOnlySpan<float>((float*)entries[i].Source + from + start, n);
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

            for (int i = 0; i < entries.Length; i++)
            {
                total.CopyTo(new Span<float>((float*)entries[i].Target + into + start, n));
            }
        }
    }
}
