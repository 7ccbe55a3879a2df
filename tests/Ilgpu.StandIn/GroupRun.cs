using System.Runtime.InteropServices;

namespace ILGPU;

/// <summary>The threads of one group at a time, with real barriers. Exactly one of them runs at any moment; between two barriers they take their turns upwards, then
/// downwards, so that a barrier that is missing shows as a wrong number, the same one in every run. A group whose threads meet at different barriers, or leave
/// while others wait, is refused: on a GPU it would hang or worse.</summary>
internal sealed unsafe class GroupRun : IDisposable
{
    private enum State
    {
        Ready,
        AtGroup,
        AtWarp,
        Done,
    }

    /// <summary>What a thread waits for, without spinning: only one thread has work.</summary>
    private sealed class Turn
    {
        private bool _given;

        public void Release()
        {
            lock (this)
            {
                _given = true;
                Monitor.Pulse(this);
            }
        }

        public void Wait()
        {
            lock (this)
            {
                while (!_given)
                {
                    Monitor.Wait(this);
                }

                _given = false;
            }
        }
    }

    private readonly int _threads;
    private readonly int _sharedLimit;
    private readonly State[] _states;
    private readonly Turn[] _turns;
    private readonly Thread[] _workers;
    private readonly List<(nint Start, long Bytes, long Capacity)> _shared = [];
    private readonly Index3D _groupDim;
    private readonly KernelThread[] _lanes;
    private Action? _body;
    private Index3D _gridDim;
    private Exception? _error;
    private volatile bool _stopped;
    private bool _upwards = true;

    public GroupRun(Index3D groupDim, int warpSize, int sharedLimit)
    {
        _groupDim = groupDim;
        _threads = (int)groupDim.LongSize;
        _sharedLimit = sharedLimit;
        WarpSize = warpSize;
        Lanes = new ulong[_threads + warpSize];
        _states = new State[_threads];
        _turns = [.. Enumerable.Range(0, _threads).Select(_ => new Turn())];
        _lanes = new KernelThread[_threads];
        _workers = new Thread[_threads - 1];
        for (int t = 0; t < _threads; t++)
        {
            _lanes[t] = new KernelThread { Run = this, Linear = t, GroupDim = groupDim, GroupIdx = new Index3D(t % groupDim.X, t / groupDim.X % groupDim.Y, t / groupDim.X / groupDim.Y) };
            if (t > 0)
            {
                int thread = t;
                _workers[t - 1] = new Thread(() => Work(thread), 256 << 10) { IsBackground = true, Name = $"kernel thread {t}" };
                _workers[t - 1].Start();
            }
        }
    }

    public int WarpSize { get; }

    public ulong[] Lanes { get; }

    /// <summary>Runs all groups of a launch; the caller is thread 0.</summary>
    public void Run(Index3D gridDim, Action body)
    {
        _body = body;
        _gridDim = gridDim;
        _error = null;
        KernelThread? before = KernelThread.Current;
        KernelThread.Current = _lanes[0];
        try
        {
            for (long group = 0; group < gridDim.LongSize; group++)
            {
                var index = new Index3D((int)(group % gridDim.X), (int)(group / gridDim.X % gridDim.Y), (int)(group / gridDim.X / gridDim.Y));
                Begin(index);
                One(0);
                if (Next() is int next and > 0)
                {
                    _turns[next].Release();
                    _turns[0].Wait();
                }

                if (_error is { } error)
                {
                    throw new InvalidOperationException($"kernel, group ({index.X}, {index.Y}, {index.Z}): {error.Message}", error);
                }
            }
        }
        finally
        {
            KernelThread.Current = before;
        }
    }

    /// <summary>A barrier of the group, or of the thread's warp.</summary>
    public void Meet(bool warp)
    {
        int own = KernelThread.Current!.Linear;
        _states[own] = warp ? State.AtWarp : State.AtGroup;
        int next = Next();
        if (next != own)
        {
            _turns[next].Release();
            _turns[own].Wait();
        }

        if (_error is not null)
        {
            throw new OperationCanceledException();
        }
    }

    /// <summary>Memory of the group for its n-th allocation, filled with what no kernel may rely on.</summary>
    public (nint Start, long Bytes) Share(int ordinal, long bytes)
    {
        if (ordinal == _shared.Count)
        {
            _shared.Add((0, 0, 0));
        }

        (nint start, long size, long capacity) = _shared[ordinal];
        if (size == 0)
        {
            if (_shared.Sum(s => s.Bytes) + bytes > _sharedLimit)
            {
                throw new InvalidOperationException($"{_shared.Sum(s => s.Bytes) + bytes} bytes of shared memory; a group has {_sharedLimit}");
            }

            if (capacity < bytes)
            {
                NativeMemory.AlignedFree((void*)start);
                start = (nint)NativeMemory.AlignedAlloc((nuint)bytes, 256);
                capacity = bytes;
            }

            _shared[ordinal] = (start, bytes, capacity);
            NativeMemory.Fill((void*)start, (nuint)bytes, 0xFF);
        }
        else if (size != bytes)
        {
            throw new InvalidOperationException("the threads of a group allocate shared memory of different sizes");
        }

        return (start, bytes);
    }

    public void Dispose()
    {
        _stopped = true;
        foreach (Turn turn in _turns)
        {
            turn.Release();
        }

        foreach ((nint start, _, _) in _shared)
        {
            NativeMemory.AlignedFree((void*)start);
        }
    }

    private void Begin(Index3D group)
    {
        _upwards = true;
        for (int i = 0; i < _shared.Count; i++)
        {
            _shared[i] = (_shared[i].Start, 0, _shared[i].Capacity);
        }

        for (int t = 0; t < _threads; t++)
        {
            _states[t] = State.Ready;
            _lanes[t].GridIdx = group;
            _lanes[t].GridDim = _gridDim;
            _lanes[t].Allocations = 0;
        }
    }

    private void Work(int thread)
    {
        KernelThread.Current = _lanes[thread];
        while (true)
        {
            _turns[thread].Wait();
            if (_stopped)
            {
                return;
            }

            One(thread);
            int next = Next();
            _turns[Math.Max(0, next)].Release();
        }
    }

    private void One(int thread)
    {
        try
        {
            if (_error is null)
            {
                _body!();
            }
        }
        catch (Exception error)
        {
            _error ??= error;
        }

        _states[thread] = State.Done;
    }

    /// <summary>Whose turn it is; −1 where the group is finished.</summary>
    private int Next()
    {
        if (Ready() is int ready and >= 0)
        {
            return ready;
        }

        if (_error is not null)
        {
            // The others unwind, one after another.
            return Array.FindIndex(_states, s => s != State.Done);
        }

        if (All(0, _threads, State.Done))
        {
            return -1;
        }

        _upwards = !_upwards;
        bool released = false;
        for (int from = 0; from < _threads; from += WarpSize)
        {
            int to = Math.Min(_threads, from + WarpSize);
            if (All(from, to, State.AtWarp))
            {
                _states.AsSpan(from, to - from).Fill(State.Ready);
                released = true;
            }
        }

        if (!released && All(0, _threads, State.AtGroup))
        {
            Array.Fill(_states, State.Ready);
            released = true;
        }

        if (!released)
        {
            _error = new InvalidOperationException("the threads of a group meet at different barriers, or some have left while others wait: " + string.Join(", ", _states.Distinct()));
            return Array.FindIndex(_states, s => s != State.Done);
        }

        return Ready();
    }

    private bool All(int from, int to, State state)
    {
        for (int t = from; t < to; t++)
        {
            if (_states[t] != state)
            {
                return false;
            }
        }

        return true;
    }

    private int Ready()
    {
        int step = _upwards ? 1 : _threads - 1;
        for (int i = 0, t = _upwards ? 0 : _threads - 1; i < _threads; i++, t = (t + step) % _threads)
        {
            if (_states[t] == State.Ready)
            {
                return t;
            }
        }

        return -1;
    }
}
