namespace Shardwright.Cli;

/// <summary>Names that a person may have meant.</summary>
internal static class Suggestions
{
    /// <summary>What is allowed, near names first: "did you mean 'Hidden'? Names are Batch, …".</summary>
    public static string For(string name, IEnumerable<string> allowed, string what)
    {
        string[] names = [.. allowed.Distinct().Order(StringComparer.Ordinal)];
        if (names.Length == 0)
        {
            return $"there are no {what}";
        }

        string[] near = [.. names.Select(n => (Name: n, Distance: Distance(name, n))).Where(n => n.Distance <= Math.Max(1, name.Length / 3)).OrderBy(n => n.Distance).Take(3).Select(n => n.Name)];
        string list = $"{what} are {string.Join(", ", names.Take(60))}{(names.Length > 60 ? $", and {names.Length - 60} more" : "")}";
        return near.Length > 0 ? $"did you mean {string.Join(" or ", near.Select(n => $"'{n}'"))}? {list}" : list;
    }

    /// <summary>Edits that make one name the other, whatever their case; where one is the end of the other after a dot, none.</summary>
    private static int Distance(string a, string b)
    {
        const int Longest = 200;
        a = a.ToUpperInvariant();
        b = b.ToUpperInvariant();
        if (b.EndsWith("." + a, StringComparison.Ordinal) || a.EndsWith("." + b, StringComparison.Ordinal))
        {
            return 0;
        }

        if (a.Length > Longest || b.Length > Longest)
        {
            return int.MaxValue;
        }

        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int above = row[j];
                row[j] = Math.Min(Math.Min(above, row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1));
                diagonal = above;
            }
        }

        return row[b.Length];
    }
}
