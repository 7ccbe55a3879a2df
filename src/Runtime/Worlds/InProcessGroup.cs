using System.Runtime.CompilerServices;
using Shardwright.Execution;
using Shardwright.Observability;

namespace Shardwright.Worlds;

/// <summary>A group of ranks that are threads of this process.</summary>
internal sealed class InProcessGroup : ProcessGroup
{
    /// <summary>Lane of a ticket that has been waited for.</summary>
    private const int Ended = -1;

    private readonly Shared _shared;
    private readonly GroupWatch _watch;

    public InProcessGroup(Shared shared, int member, RankTrace? trace)
    {
        _shared = shared;
        _watch = new GroupWatch(shared.Name, shared.Ranks, member, trace);
        Rank = member;
    }

    /// <summary>What the members share: a lane for collectives, and one for each directed edge.</summary>
    internal sealed class Shared
    {
        private readonly World _world;
        private readonly Exchange?[] _edges;

        public Shared(World world, string name, int[] ranks)
        {
            _world = world;
            Name = name;
            Ranks = ranks;
            Collectives = world.Register(new Exchange(world, name, ranks));
            _edges = new Exchange[ranks.Length * ranks.Length];
        }

        public string Name { get; }

        public int[] Ranks { get; }

        /// <summary>Whether collectives run beside compute.</summary>
        public bool Overlaps => _world.Overlaps;

        public Exchange Collectives { get; }

        public Exchange Edge(int from, int to)
        {
            lock (_edges)
            {
                return _edges[from * Ranks.Length + to] ??= _world.Register(new Exchange(_world, $"{Name}, edge {Ranks[from]} to {Ranks[to]}", [Ranks[from], Ranks[to]]));
            }
        }
    }

    /// <inheritdoc/>
    public override int Size => _shared.Ranks.Length;

    /// <inheritdoc/>
    public override int Rank { get; }

    /// <inheritdoc/>
    public override string Name => _shared.Name;

    /// <inheritdoc/>
    public override Ticket StartAllReduce<T>(Arena arena, Slice<T> buffer, ReduceKind kind = ReduceKind.Sum)
    {
        NumberFormat format = NarrowNumbers.FormatOf<T>();
        return Start(new Transfer(kind == ReduceKind.Sum ? TransferKind.AllReduce : TransferKind.AllReduceMax, arena, buffer.Offset, buffer.Offset, buffer.Length, Unsafe.SizeOf<T>(), 0, format));
    }

    /// <inheritdoc/>
    public override Ticket StartReduceScatter<T>(Arena arena, Slice<T> source, Slice<T> target)
    {
        NumberFormat format = NarrowNumbers.FormatOf<T>();
        CheckParts("ReduceScatter", source.Length, target.Length);
        return Start(new Transfer(TransferKind.ReduceScatter, arena, source.Offset, target.Offset, target.Length, Unsafe.SizeOf<T>(), 0, format));
    }

    /// <inheritdoc/>
    public override Ticket StartAllGather<T>(Arena arena, Slice<T> source, Slice<T> target)
    {
        CheckParts("AllGather", target.Length, source.Length);
        return Start(new Transfer(TransferKind.AllGather, arena, source.Offset, target.Offset, source.Length, Unsafe.SizeOf<T>(), 0));
    }

    /// <inheritdoc/>
    public override Ticket StartAllToAll<T>(Arena arena, Slice<T> source, Slice<T> target)
    {
        CheckParts("AllToAll", source.Length, source.Length / Size);
        return Start(new Transfer(TransferKind.AllToAll, arena, source.Offset, target.Offset, source.Length / Size, Unsafe.SizeOf<T>(), 0));
    }

    /// <inheritdoc/>
    public override Ticket StartBroadcast<T>(Arena arena, Slice<T> buffer, int root) =>
        Start(new Transfer(TransferKind.Broadcast, arena, buffer.Offset, buffer.Offset, buffer.Length, Unsafe.SizeOf<T>(), root));

    /// <inheritdoc/>
    public override Ticket StartSend<T>(Arena arena, Slice<T> buffer, int to) =>
        Start(_shared.Edge(Rank, to), 0, 1 + 2 * to, new Transfer(TransferKind.SendReceive, arena, buffer.Offset, -1, buffer.Length, Unsafe.SizeOf<T>(), 0));

    /// <inheritdoc/>
    public override Ticket StartReceive<T>(Arena arena, Slice<T> buffer, int from) =>
        Start(_shared.Edge(from, Rank), 1, 2 + 2 * from, new Transfer(TransferKind.SendReceive, arena, -1, buffer.Offset, buffer.Length, Unsafe.SizeOf<T>(), 0));

    /// <inheritdoc/>
    public override void Wait(Ticket ticket)
    {
        if (ticket.Lane <= 0)
        {
            if (Size > 1 && ticket.Lane == 0)
            {
                Wait(_shared.Collectives, Rank, ticket);
            }

            return;
        }

        int other = (ticket.Lane - 1) / 2;
        bool sends = ticket.Lane % 2 == 1;
        Wait(sends ? _shared.Edge(Rank, other) : _shared.Edge(other, Rank), sends ? 0 : 1, ticket);
    }

    private void Wait(Exchange exchange, int member, Ticket ticket)
    {
        long since = _watch.Now();
        _watch.Waited(ticket, since, exchange.Wait(member, ticket.Sequence));
    }

    private Ticket Start(Exchange exchange, int member, int lane, in Transfer transfer)
    {
        long since = _watch.Now();
        var ticket = new Ticket(exchange.Start(member, transfer), lane);
        _watch.Started(ticket, transfer, since);
        return ticket;
    }

    private Ticket Start(in Transfer transfer)
    {
        if (Size == 1)
        {
            if (transfer.Source != transfer.Target)
            {
                transfer.Arena.Move([transfer], 0);
            }

            return default;
        }

        Ticket ticket = Start(_shared.Collectives, Rank, 0, transfer);
        if (_shared.Overlaps)
        {
            return ticket;
        }

        Wait(ticket);
        return ticket with { Lane = Ended };
    }

    private void CheckParts(string operation, long whole, long part)
    {
        if (whole != part * Size)
        {
            throw new ArgumentException($"{operation} in group '{Name}': {whole} elements are not {Size} parts of {part}.");
        }
    }
}
