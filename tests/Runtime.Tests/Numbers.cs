using Shardwright.Execution;

namespace Shardwright.Tests;

/// <summary>Operands and teams of the kernel tests.</summary>
internal static class Numbers
{
    /// <summary>Numbers from −1 to 1.</summary>
    public static float[] Random(int count, int seed)
    {
        var random = new Random(seed);
        float[] numbers = Empty(count);
        foreach (ref float number in numbers.AsSpan())
        {
            number = (float)(random.NextDouble() * 2 - 1);
        }

        return numbers;
    }

    /// <summary>Floats that the garbage collector leaves where they are: kernels work on addresses.</summary>
    public static float[] Empty(int count) => GC.AllocateArray<float>(count, pinned: true);

    /// <summary>The given numbers, likewise.</summary>
    public static float[] Of(params ReadOnlySpan<float> numbers)
    {
        float[] result = Empty(numbers.Length);
        numbers.CopyTo(result);
        return result;
    }

    /// <summary>Runs on several teams; all results must be the same bits.</summary>
    public static float[] OnTeams(int size, Action<ThreadTeam, float[]> run)
    {
        float[]? first = null;
        foreach (int threads in new[] { 1, 2, 3 })
        {
            using ThreadTeam team = ThreadTeam.Owning(threads);
            float[] result = Empty(size);
            Array.Fill(result, float.NaN);
            run(team, result);
            Assert.True(first is null || first.AsSpan().SequenceEqual(result), $"{threads} threads give other bits than one");
            first ??= result;
        }

        return first!;
    }
}
