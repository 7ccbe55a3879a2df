namespace Shardwright.Compiler.Sharding;

/// <summary>Variables by the size of the table that eliminating each would make. Any small one will do, so of those the one with the lowest number comes first;
/// else the smallest size, and of equal sizes the lowest number.</summary>
internal sealed class VariableQueue
{
    private const int BitsPerWord = 64;
    private readonly int _small;
    private readonly int[] _sizes;
    private readonly ulong[] _smallOnes;
    private readonly List<long> _heap = new();

    /// <summary>Makes an empty queue.</summary>
    /// <param name="count">Number of variables.</param>
    /// <param name="small">A table of so many entries or fewer is small.</param>
    public VariableQueue(int count, int small)
    {
        _small = small;
        _sizes = Enumerable.Repeat(-1, count).ToArray();
        _smallOnes = new ulong[(count + BitsPerWord - 1) / BitsPerWord];
    }

    /// <summary>Variables in the queue.</summary>
    public int Count { get; private set; }

    /// <summary>Whether a variable is in the queue.</summary>
    public bool Contains(int variable) => _sizes[variable] >= 0;

    /// <summary>Puts a variable in, or gives it another size.</summary>
    public void Set(int variable, int size)
    {
        int before = _sizes[variable];
        if (before == size)
        {
            return;
        }

        if (before >= 0)
        {
            Remove(variable);
        }

        Count++;
        _sizes[variable] = size;
        if (size <= _small)
        {
            _smallOnes[variable / BitsPerWord] |= 1UL << (variable % BitsPerWord);
        }
        else
        {
            Push(((long)size << 32) | (uint)variable);
        }
    }

    /// <summary>Takes a variable out. What the heap holds of it is dropped when it comes up.</summary>
    public void Remove(int variable)
    {
        if (_sizes[variable] <= _small)
        {
            _smallOnes[variable / BitsPerWord] &= ~(1UL << (variable % BitsPerWord));
        }

        _sizes[variable] = -1;
        Count--;
    }

    /// <summary>The next variable and its size; the queue is not empty.</summary>
    public (int Variable, int Size) Peek()
    {
        for (int word = 0; word < _smallOnes.Length; word++)
        {
            if (_smallOnes[word] != 0)
            {
                int bit = 0;
                while ((_smallOnes[word] >> bit & 1) == 0)
                {
                    bit++;
                }

                int variable = word * BitsPerWord + bit;
                return (variable, _sizes[variable]);
            }
        }

        while (_sizes[(int)(uint)_heap[0]] != (int)(_heap[0] >> 32))
        {
            Pop();
        }

        return ((int)(uint)_heap[0], (int)(_heap[0] >> 32));
    }

    private void Push(long entry)
    {
        int at = _heap.Count;
        _heap.Add(entry);
        while (at > 0 && _heap[(at - 1) / 2] > entry)
        {
            _heap[at] = _heap[(at - 1) / 2];
            at = (at - 1) / 2;
        }

        _heap[at] = entry;
    }

    private void Pop()
    {
        long entry = _heap[_heap.Count - 1];
        _heap.RemoveAt(_heap.Count - 1);
        if (_heap.Count == 0)
        {
            return;
        }

        int at = 0;
        while (2 * at + 1 < _heap.Count)
        {
            int child = 2 * at + 1;
            child += child + 1 < _heap.Count && _heap[child + 1] < _heap[child] ? 1 : 0;
            if (_heap[child] >= entry)
            {
                break;
            }

            _heap[at] = _heap[child];
            at = child;
        }

        _heap[at] = entry;
    }
}
