using Shardwright.Execution;
using Shardwright.Gpu;

namespace Shardwright.Tests;

/// <summary>A rank's memory on an accelerator for tests of single blocks: hands out slices, one after another.</summary>
public sealed class Bench : IDisposable
{
    private readonly GpuBackend _backend;
    private readonly Random _random = new(7);
    private long _top;

    /// <param name="form">Small groups of 4 and 16, or groups of 256 with warps of 32.</param>
    /// <param name="scratch">Bytes of scratch: little of it makes blocks work in pieces.</param>
    public Bench(GroupForm form, int scratch = 64 << 10)
    {
        _backend = GpuBackend.Create(new GpuOptions { Kind = GpuKind.Cpu, CpuShape = form switch { GroupForm.Warps => (32, 8, 1), GroupForm.Shared => (16, 16, 1), _ => (4, 4, 1) } });
        Assert.Equal(form, _backend.Devices[0].Form);
        Arena = new DeviceArena(_backend.Devices[0], 4 << 20, new Slice<byte>((4 << 20) - scratch, scratch), 0);
    }

    public DeviceArena Arena { get; }

    public float[] Random(int count, float scale = 1) => [.. Enumerable.Range(0, count).Select(_ => (_random.NextSingle() * 2 - 1) * scale)];

    public int[] Ids(int count, int below) => [.. Enumerable.Range(0, count).Select(_ => _random.Next(below))];

    public Slice<T> Put<T>(T[] values, int shift = 0)
        where T : unmanaged
    {
        Slice<T> slice = Room<T>(values.Length, shift);
        values.CopyTo(Arena.BeginWrite(slice));
        Arena.EndWrite(slice);
        return slice;
    }

    /// <summary>Memory for elements; shifted by so many elements from where vectors may begin.</summary>
    public Slice<T> Room<T>(int count, int shift = 0)
        where T : unmanaged
    {
        var slice = new Slice<T>(_top + shift * 4, count);
        _top += ((count + shift) * 8 + 63) / 64 * 64;
        return slice;
    }

    public T[] Get<T>(Slice<T> slice)
        where T : unmanaged => Arena.Read(slice).ToArray();

    public void AssertClose(float[] expected, Slice<float> actual, double bound = 2e-6)
    {
        float[] values = Get(actual);
        double scale = Math.Max(1e-6, expected.Max(v => Math.Abs((double)v)));
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.True(Math.Abs((double)expected[i] - values[i]) <= bound * scale, $"element {i} is {values[i]:R}, not {expected[i]:R}");
        }
    }

    public void Dispose()
    {
        Arena.Dispose();
        _backend.Dispose();
    }
}
