using System.Diagnostics;

namespace Shardwright.Worlds;

/// <summary>One ordered lane on which a fixed set of members meets, operation after operation. A member publishes its buffers when it starts. Once all have started,
/// members that wait take shares of the work, directly on all buffers (nothing is staged), until none is left: an operation ends although some members, busy
/// elsewhere, have not begun to wait for it. Starting never waits: where more operations are under way than there are slots, there will be more slots.</summary>
internal sealed class Exchange
{
    private const int FirstSlots = 64;
    private const int Spins = 40;

    private readonly World _world;
    private readonly string _name;
    private readonly int[] _ranks;
    private readonly long[] _next;
    private readonly LinkClock.Link?[]? _ring;
    private readonly object _gate = new();
    private Slot[] _slots;
    private int _parked;

    public Exchange(World world, string name, int[] ranks)
    {
        _world = world;
        _name = name;
        _ranks = ranks;
        _next = new long[ranks.Length];
        _ring = world.Links?.Ring(ranks);
        _slots = NewSlots();
    }

    private sealed class Slot(int members, long sequence)
    {
        public readonly Transfer[] Entries = new Transfer[members];
        public long Sequence = sequence;
        public long HasLeft;
        public long IsThere;
        public long Moved;
        public int Entered;
        public int Arrived;
        public int Taken;
        public int Done;
        public int Left;
    }

    /// <summary>Publishes a member's part of the next operation.</summary>
    public long Start(int member, in Transfer transfer)
    {
        long sequence = _next[member]++;
        Slot slot = At(sequence);
        if (Volatile.Read(ref slot.Sequence) != sequence)
        {
            slot = Grow(sequence);
        }

        transfer.Arena.BeforeTransfer();
        slot.Entries[member] = transfer;
        if (_ring is not null && Interlocked.Increment(ref slot.Entered) == _ranks.Length)
        {
            (slot.HasLeft, slot.IsThere) = _world.Links!.Book(_ring, transfer);
        }

        Interlocked.Increment(ref slot.Arrived);
        Pulse();
        return sequence;
    }

    /// <summary>Takes shares of the work once all have started, and returns when all shares are done.</summary>
    /// <returns>When it was done, a reading of <see cref="Stopwatch.GetTimestamp"/>: before this call, for an operation that was over by then.</returns>
    public long Wait(int member, long sequence)
    {
        Slot slot = At(sequence);
        int members = _ranks.Length;
        Await(slot, sequence, done: false, member);
        Check(slot, sequence);
        if (Volatile.Read(ref slot.Taken) < members)
        {
            Work(slot, sequence, member);
        }

        Await(slot, sequence, done: true, member);
        long over = Volatile.Read(ref slot.Moved);
        if (slot.IsThere != 0)
        {
            // A sender has its buffer back when the message has left; all others wait until it is there.
            over = member == 0 && slot.Entries[0].Kind == TransferKind.SendReceive ? slot.HasLeft : slot.IsThere;
            Sleep(over);
        }

        if (Interlocked.Increment(ref slot.Left) == members)
        {
            Array.Clear(slot.Entries);
            slot.HasLeft = slot.IsThere = 0;
            slot.Entered = slot.Arrived = slot.Taken = slot.Done = slot.Left = 0;
            lock (_gate)
            {
                Volatile.Write(ref slot.Sequence, sequence + _slots.Length);
            }
        }

        return over;
    }

    /// <summary>Takes shares until none is left. A member that ends early gives its memory back without having waited: it is held meanwhile, and where it is gone, nobody works on it.</summary>
    private void Work(Slot slot, long sequence, int member)
    {
        int members = _ranks.Length, held = 0;
        try
        {
            while (held < members && slot.Entries[held].Arena.TryHold())
            {
                held++;
            }

            for (int share; held == members && (share = Interlocked.Increment(ref slot.Taken) - 1) < members;)
            {
                slot.Entries[share].Arena.Move(slot.Entries, share);
                if (Interlocked.Increment(ref slot.Done) == members)
                {
                    Volatile.Write(ref slot.Moved, Stopwatch.GetTimestamp());
                    Pulse();
                }
            }
        }
        finally
        {
            for (int i = 0; i < held; i++)
            {
                slot.Entries[i].Arena.Release();
            }
        }

        if (held < members && !Reached(slot, done: true))
        {
            throw Lost(slot, sequence, member, held);
        }
    }

    /// <summary>Why the memory of a member is gone: its rank has failed, which the world is about to be told, or was stopped; else it did not wait for what it had started.</summary>
    private Exception Lost(Slot slot, long sequence, int member, int gone)
    {
        long until = Stopwatch.GetTimestamp() + Stopwatch.Frequency;
        lock (_gate)
        {
            while (!_world.Stopping && !_world.HasEnded(_ranks[gone]) && Stopwatch.GetTimestamp() < until)
            {
                Monitor.Wait(_gate, 100);
            }
        }

        return _world.Stopping
            ? new RankInterruptedException()
            : new CollectiveMismatchException($"Rank {_ranks[gone]} gave its memory back before operation {sequence} ({slot.Entries[gone].Kind}) of group '{_name}' was done, for which rank {_ranks[member]} waits: wait for what has been started before the memory goes.");
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
        _slots = NewSlots();
    }

    private Slot[] NewSlots() => [.. Enumerable.Range(0, FirstSlots).Select(i => new Slot(_ranks.Length, i))];

    /// <summary>The slot of an operation. A slot keeps its operation when there come to be more, and a member reads no older array than the one it started the operation in.</summary>
    private Slot At(long sequence)
    {
        Slot[] slots = Volatile.Read(ref _slots);
        return slots[sequence & (slots.Length - 1)];
    }

    /// <summary>Doubles the slots until an operation has one of its own.</summary>
    private Slot Grow(long sequence)
    {
        lock (_gate)
        {
            while (At(sequence) is var slot && slot.Sequence != sequence)
            {
                // Each old slot has an operation that is under way, or the next one of its place; these lie within twice their number, so that no two meet in the new array.
                Slot[] old = _slots;
                var slots = new Slot[2 * old.Length];
                long oldest = old.Min(s => s.Sequence);
                foreach (Slot kept in old)
                {
                    slots[kept.Sequence & (slots.Length - 1)] = kept;
                }

                for (long next = oldest; next < oldest + slots.Length; next++)
                {
                    // Those of the first half that no slot has are done: their place serves the next round.
                    slots[next & (slots.Length - 1)] ??= new Slot(_ranks.Length, next < oldest + old.Length ? next + slots.Length : next);
                }

                Volatile.Write(ref _slots, slots);
            }

            return At(sequence);
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

    /// <summary>Waits until all members have arrived, or until all shares are done. Spins briefly, then parks.</summary>
    private void Await(Slot slot, long sequence, bool done, int member)
    {
        var spinner = default(SpinWait);
        for (int i = 0; i < Spins; i++)
        {
            if (Reached(slot, done))
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
                while (!Reached(slot, done))
                {
                    if (_world.Stopping)
                    {
                        throw new RankInterruptedException();
                    }

                    CheckMissing(slot, sequence, done, member);
                    Monitor.Wait(_gate);
                }
            }
            finally
            {
                _parked--;
            }
        }
    }

    /// <summary>Waits for a moment without using the processor, but for the last half of a millisecond, which no timer meets.</summary>
    private void Sleep(long until)
    {
        while (Stopwatch.GetTimestamp() is var now && now < until)
        {
            double left = (until - now) * 1000.0 / Stopwatch.Frequency;
            if (left < 0.5)
            {
                Thread.Yield();
                continue;
            }

            lock (_gate)
            {
                if (!_world.Stopping)
                {
                    Monitor.Wait(_gate, (int)Math.Max(1, Math.Round(left)));
                }
            }

            if (_world.Stopping)
            {
                throw new RankInterruptedException();
            }
        }
    }

    private bool Reached(Slot slot, bool done) => Volatile.Read(ref done ? ref slot.Done : ref slot.Arrived) == _ranks.Length;

    private void CheckMissing(Slot slot, long sequence, bool done, int member)
    {
        for (int i = 0; !done && i < _ranks.Length; i++)
        {
            if (slot.Entries[i].Arena is null && _world.HasEnded(_ranks[i]) && !Reached(slot, done))
            {
                throw new CollectiveMismatchException($"Rank {_ranks[member]} waits for operation {sequence} ({slot.Entries[member].Kind}) of group '{_name}', but rank {_ranks[i]} has ended without it: every rank of a group must run the same steps.");
            }
        }
    }

    private void Check(Slot slot, long sequence)
    {
        ref Transfer first = ref slot.Entries[0];
        for (int i = 1; i < _ranks.Length; i++)
        {
            ref Transfer entry = ref slot.Entries[i];
            if (entry.Kind != first.Kind || entry.Length != first.Length || entry.ElementBytes != first.ElementBytes || entry.Format != first.Format || entry.Root != first.Root)
            {
                throw Mismatch(slot, sequence);
            }
        }
    }

    private CollectiveMismatchException Mismatch(Slot slot, long sequence)
    {
        string calls = string.Join("; ", slot.Entries.Select((entry, m) => $"rank {_ranks[m]}: {entry.Kind} of {entry.Length} elements"));
        return new CollectiveMismatchException($"Ranks of group '{_name}' disagree on operation {sequence}: {calls}. All ranks of a group must run the same operations in the same order.");
    }
}
