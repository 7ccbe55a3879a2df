namespace Shardwright.Compiler.Scheduling;

/// <summary>The ordered channel of a directed edge: the first send meets the first receive, and so on.</summary>
internal sealed class Channel
{
    private readonly Queue<(int Message, double At)> _sends = new(), _receives = new();
    private double _free;

    /// <summary>Messages that are started and not yet taken.</summary>
    public int UnderWay => _sends.Count;

    /// <summary>A send that no receive has met, or a receive that no send has met; −1 if there is none.</summary>
    public int Left => _sends.Count > 0 ? _sends.Peek().Message : _receives.Count > 0 ? _receives.Peek().Message : -1;

    /// <summary>Starts a send.</summary>
    public void Send(int message, double at) => _sends.Enqueue((message, at));

    /// <summary>Posts a receive.</summary>
    public void Receive(int message, double at) => _receives.Enqueue((message, at));

    /// <summary>Takes the next pair, if both are there.</summary>
    /// <param name="sent">Message that is sent.</param>
    /// <param name="received">Message that is expected.</param>
    /// <param name="transfer">Time that a message keeps the channel.</param>
    /// <param name="rendezvous">Whether the message leaves only when it is expected.</param>
    /// <param name="left">When it has left the sender.</param>
    public bool Meet(out int sent, out int received, Func<int, double> transfer, bool rendezvous, out double left)
    {
        (sent, received, left) = (-1, -1, 0);
        if (_sends.Count == 0 || _receives.Count == 0)
        {
            return false;
        }

        (sent, double from) = _sends.Dequeue();
        (received, double posted) = _receives.Dequeue();
        left = Math.Max(rendezvous ? Math.Max(from, posted) : from, _free) + transfer(sent);
        _free = left;
        return true;
    }
}
