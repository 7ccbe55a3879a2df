using System.Runtime.CompilerServices;
using Shardwright.Execution;

namespace Shardwright.Benchmarks;

/// <summary>Floats with small random values, in memory like that of a rank.</summary>
internal sealed unsafe class Floats : IDisposable
{
    private readonly Arena _arena;

    public Floats(long count)
    {
        _arena = new Arena(count * sizeof(float) + 64, 0);
        Start = (float*)Unsafe.AsPointer(ref _arena.Ref(new Slice<float>(0, count)));
        Count = count;
        uint state = 12345;
        for (long i = 0; i < count; i++)
        {
            state = state * 1664525 + 1013904223;
            Start[i] = ((state >> 8) / (float)(1 << 24)) - 0.5f;
        }
    }

    public float* Start { get; }

    public long Count { get; }

    public void Dispose() => _arena.Dispose();
}
