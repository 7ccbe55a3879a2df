using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Tracing;

namespace Shardwright.Compiler.Planning;

/// <summary>Numbers in source that would make a size a multiple of something: the nearest above and the nearest below, for each constant that the size is made of.</summary>
internal static class SizeFixes
{
    /// <summary>How far from its value a constant is looked for.</summary>
    private const long Farthest = 100_000;

    /// <summary>Multiples that are looked at in each direction, where the first ones are wrong for another reason.</summary>
    private const int MostTries = 6;

    /// <summary>Fixes, constants before literals, up before down.</summary>
    /// <param name="tree">How the size comes about.</param>
    /// <param name="multiple">What it must be a multiple of.</param>
    /// <param name="key">Key of the fixes.</param>
    /// <param name="works">Whether the model can be traced with another value of a constant, by its full name; null where nobody can say.</param>
    public static EquatableArray<Fix> For(SizeTree? tree, long multiple, string key, Func<string, long, bool?> works)
    {
        var fixes = new List<Fix>();
        List<SizeTree.Number> numbers = tree?.Numbers.ToList() ?? new List<SizeTree.Number>();
        bool named = numbers.Any(n => n.Name.Length > 0);

        // A literal beside constants is a factor like the 4 of 4 * hidden: what the model is made of, not how large it is.
        foreach (SizeTree.Number number in numbers.Where(n => !named || n.Name.Length > 0))
        {
            foreach (int direction in new[] { 1, -1 })
            {
                if (Nearest(tree!, number, multiple, direction, works) is { } value)
                {
                    string name = number.Name.Length > 0 ? number.Name.Substring(number.Name.LastIndexOf('.') + 1) : number.Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
                    fixes.Add(Fix.Of(
                        $"{(number.Name.Length > 0 ? $"Set '{name}' to" : $"Change {name} to")} {value} (another model: {tree!.With(number, value)} instead of {tree.With(number, number.Value)})",
                        $"{key}/{(direction > 0 ? "up" : "down")}{(number.Name.Length > 0 ? "/" + name : "")}", EditKind.SetNumber, number.Place, "", value.ToString(System.Globalization.CultureInfo.InvariantCulture)));
                }
            }
        }

        return fixes.ToEquatable();
    }

    private static long? Nearest(SizeTree tree, SizeTree.Number number, long multiple, int direction, Func<string, long, bool?> works)
    {
        int tries = 0;
        for (long step = 1; step <= Math.Min(Farthest, 64 * multiple) && tries < MostTries; step++)
        {
            long value = number.Value + direction * step;
            if (value < 1)
            {
                return null;
            }

            if (tree.With(number, value) is > 0 and long size && size % multiple == 0)
            {
                tries++;
                if (number.Name.Length == 0 || works(number.Name, value) is not false)
                {
                    return value;
                }
            }
        }

        return null;
    }
}
