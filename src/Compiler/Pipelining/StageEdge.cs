using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Pipelining;

/// <summary>What one stage hands to another for each micro-batch.</summary>
/// <param name="From">Stage that makes it.</param>
/// <param name="To">Stage that uses it, a later one.</param>
/// <param name="Bytes">Bytes of one micro-batch.</param>
/// <param name="HasGradient">Whether a gradient of the same size comes back; false for token numbers, masks and the like.</param>
public sealed record StageEdge(int From, int To, long Bytes, bool HasGradient = true)
{
    /// <summary>Each stage to the next, all of one size.</summary>
    public static EquatableArray<StageEdge> Chain(int stages, long bytes = 0) =>
        Enumerable.Range(0, Math.Max(0, stages - 1)).Select(s => new StageEdge(s, s + 1, bytes)).ToEquatable();
}

/// <summary>A value that a stage makes and a later one uses.</summary>
/// <param name="Name">Name for the reader.</param>
/// <param name="From">Stage that makes it.</param>
/// <param name="To">Last stage that uses it.</param>
/// <param name="Bytes">Bytes of one micro-batch.</param>
/// <param name="HasGradient">Whether a gradient comes back.</param>
public sealed record StageValue(string Name, int From, int To, long Bytes, bool HasGradient = true);

/// <summary>The values that pass from one stage to the next.</summary>
/// <param name="From">The earlier stage; the other is the one after it.</param>
/// <param name="Values">Positions in the list of values, ascending: those that are used there, and those that only pass through.</param>
/// <param name="Edge">Edge with their bytes together.</param>
public sealed record StageCrossing(int From, EquatableArray<int> Values, StageEdge Edge);

/// <summary>Values that skip stages travel through those between: one message per crossing, so that order and lifetime stay those of the chain.</summary>
public static class EdgeRouting
{
    /// <summary>What crosses from each stage to the next. A crossing that carries nothing is left out.</summary>
    public static EquatableArray<StageCrossing> Route(IReadOnlyList<StageValue> values, int stages)
    {
        foreach (StageValue value in values)
        {
            if (value.From < 0 || value.To >= stages || value.From >= value.To)
            {
                throw new ArgumentException($"'{value.Name}' goes from stage {value.From} to stage {value.To}: values go to a later one of the stages 0 to {stages - 1}");
            }
        }

        var crossings = new List<StageCrossing>();
        for (int stage = 0; stage + 1 < stages; stage++)
        {
            int[] carried = Enumerable.Range(0, values.Count).Where(v => values[v].From <= stage && values[v].To > stage).ToArray();
            if (carried.Length > 0)
            {
                crossings.Add(new StageCrossing(stage, carried.ToEquatable(), new StageEdge(stage, stage + 1, carried.Sum(v => values[v].Bytes), carried.Any(v => values[v].HasGradient))));
            }
        }

        return crossings.ToEquatable();
    }
}
