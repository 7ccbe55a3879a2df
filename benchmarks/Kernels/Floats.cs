using System.Runtime.InteropServices;

namespace Shardwright.Benchmarks;

/// <summary>Native floats with small random values.</summary>
internal sealed unsafe class Floats : IDisposable
{
    public Floats(long count)
    {
        Start = (float*)NativeMemory.AlignedAlloc((nuint)count * sizeof(float) + 64, 64);
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

    public void Dispose() => NativeMemory.AlignedFree(Start);
}
