using System.Diagnostics;
using Shardwright.Observability;

namespace Shardwright.Worlds;

/// <summary>What a rank tells of its operations in a group: instruments always, spans where they are recorded.</summary>
internal sealed class GroupWatch
{
    private readonly RankTrace? _trace;
    private readonly string _name;
    private readonly int _rank;
    private readonly int[] _ranks;
    private readonly Dictionary<Ticket, (TransferKind Kind, long Since, long Bytes)>? _under;

    public GroupWatch(string name, int[] ranks, int member, RankTrace? trace)
    {
        _name = name;
        _rank = ranks[member];
        _ranks = ranks;
        _trace = trace;
        _under = trace is null ? null : [];
    }

    /// <summary>The time, where somebody wants to know.</summary>
    public long Now() => _trace is not null || Telemetry.Exposed.Enabled ? Stopwatch.GetTimestamp() : 0;

    /// <summary>An operation has been started.</summary>
    public void Started(Ticket ticket, in Transfer transfer, long since)
    {
        if (_trace is null && !Telemetry.Sent.Enabled)
        {
            return;
        }

        long bytes = transfer.Source < 0 ? 0 : (long)transfer.BytesSent(_ranks.Length);
        if (Telemetry.Sent.Enabled && bytes > 0)
        {
            Telemetry.Sent.Add(bytes, new TagList { { "shardwright.rank", _rank }, { "shardwright.group", _name }, { "shardwright.operation", transfer.Kind.ToString() } });
        }

        if (_under is not null)
        {
            _under[ticket] = (transfer.Kind, since, bytes);
        }
    }

    /// <summary>An operation has been waited for.</summary>
    public void Waited(Ticket ticket, long since, long over)
    {
        if (since == 0)
        {
            return;
        }

        long now = Stopwatch.GetTimestamp();
        if (Telemetry.Exposed.Enabled)
        {
            Telemetry.Exposed.Add((now - since) / (double)Stopwatch.Frequency, new TagList { { "shardwright.rank", _rank }, { "shardwright.group", _name } });
        }

        if (_trace is not null && _under!.Remove(ticket, out (TransferKind Kind, long Since, long Bytes) operation))
        {
            string name = operation.Kind.ToString();
            string lane = ticket.Lane == 0 ? _name : ticket.Lane % 2 == 1 ? $"{_name}, to rank {_ranks[(ticket.Lane - 1) / 2]}" : $"{_name}, from rank {_ranks[(ticket.Lane - 1) / 2]}";
            _trace.Add(SpanKind.Wait, "", name, since, now);
            _trace.Add(SpanKind.Communication, lane, name, operation.Since, Math.Max(operation.Since, Math.Min(over, now)), operation.Bytes);
        }
    }
}
