namespace Shardwright.Compiler.Scheduling;

/// <summary>The collectives of a group, in the order of its members: the k-th of one meets the k-th of all others.</summary>
internal sealed class GroupLane
{
    private readonly Dictionary<int, int> _started = [], _awaited = [];
    private readonly List<Round> _open = [];
    private int _oldest;
    private double _free;

    /// <summary>Makes the lane of a group.</summary>
    public GroupLane(LaneGroup group)
    {
        Group = group;
        foreach (int member in group.Members)
        {
            (_started[member], _awaited[member]) = (0, 0);
        }
    }

    /// <summary>The group.</summary>
    public LaneGroup Group { get; }

    /// <summary>Ends of the collectives that are done.</summary>
    public List<double> Ends { get; } = [];

    /// <summary>Whether a rank belongs to it.</summary>
    public bool Has(int rank) => _started.ContainsKey(rank);

    /// <summary>Collectives that a rank has started.</summary>
    public int StartedBy(int rank) => _started[rank];

    /// <summary>The next one that a rank has not waited for.</summary>
    public int Awaited(int rank) => _awaited[rank];

    /// <summary>The rank has waited for its next one.</summary>
    public void Take(int rank) => _awaited[rank]++;

    /// <summary>The oldest collective that some member has started and another has not; null if there is none.</summary>
    public (string Text, int First)? Open => _oldest == _open.Count ? null : (_open[_oldest].Text, _open[_oldest].First);

    /// <summary>A rank starts its next collective.</summary>
    /// <returns>The rank that started another one in its place, and which; null if they agree.</returns>
    public (int Rank, string Text)? Start(int rank, string text, double at, double time)
    {
        int number = _started[rank]++ - Ends.Count;
        if (_oldest + number == _open.Count)
        {
            _open.Add(new Round(rank, text));
        }

        Round round = _open[_oldest + number];
        if (round.Text != text)
        {
            return (round.First, round.Text);
        }

        round.Count++;
        round.At = Math.Max(round.At, at);
        round.Time = Math.Max(round.Time, time);
        if (number == 0 && round.Count == _started.Count)
        {
            // The first open one is full only when its last member comes, so no later one can be full before it.
            Close();
            _free = Math.Max(_free, round.At) + round.Time;
            Ends.Add(_free);
        }

        return null;
    }

    /// <summary>Leaves out the oldest; what is left out is let go of now and then, so that a lane of many collectives holds those that are open.</summary>
    private void Close()
    {
        if (++_oldest > _open.Count / 2)
        {
            _open.RemoveRange(0, _oldest);
            _oldest = 0;
        }
    }

    private sealed class Round(int first, string text)
    {
        public int First { get; } = first;

        public string Text { get; } = text;

        public int Count { get; set; }

        public double At { get; set; }

        public double Time { get; set; }
    }
}
