using System.Text;

namespace Shardwright.Compiler.Graph;

/// <summary>Fixes as one text, which is how they travel with a diagnostic; places travel beside it, in the order of the edits.</summary>
public static class FixText
{
    /// <summary>The property of a diagnostic that holds the text.</summary>
    public const string Property = "shardwright.fixes";

    /// <summary>Writes fixes.</summary>
    public static string Write(IEnumerable<Fix> fixes)
    {
        var text = new StringBuilder();
        foreach (Fix fix in fixes)
        {
            Line("fix", fix.Title, fix.Key);
            foreach (FixEdit edit in fix.Edits)
            {
                Line(edit.Kind.ToString(), edit.Name, edit.Value);
            }
        }

        return text.ToString();

        void Line(string what, string first, string second) => text.Append(what).Append('\t').Append(Escape(first)).Append('\t').Append(Escape(second)).Append('\n');
    }

    /// <summary>Reads fixes; the place of an edit is its number among all edits. Text that is not ours yields none.</summary>
    public static ImmutableArray<Fix> Read(string? text)
    {
        var fixes = ImmutableArray.CreateBuilder<Fix>();
        var edits = new List<FixEdit>();
        (string Title, string Key)? open = null;
        int place = 0;
        foreach (string[] parts in (text ?? "").Split('\n').Select(l => l.Split('\t')).Where(p => p.Length == 3))
        {
            if (parts[0] == "fix")
            {
                Close();
                open = (Unescape(parts[1]), Unescape(parts[2]));
            }
            else if (Enum.TryParse(parts[0], out EditKind kind))
            {
                edits.Add(new FixEdit(kind, (place++).ToString(System.Globalization.CultureInfo.InvariantCulture), Unescape(parts[1]), Unescape(parts[2])));
            }
        }

        Close();
        return fixes.ToImmutable();

        void Close()
        {
            if (open is { } fix)
            {
                fixes.Add(new Fix(fix.Title, fix.Key, edits.ToEquatable()));
            }

            edits.Clear();
        }
    }

    private static string Escape(string text) => text.Replace("\\", "\\\\").Replace("\t", "\\t").Replace("\n", "\\n");

    private static string Unescape(string text)
    {
        var result = new StringBuilder();
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\' || i + 1 == text.Length)
            {
                result.Append(text[i]);
                continue;
            }

            i++;
            result.Append(text[i] switch { 't' => '\t', 'n' => '\n', char other => other });
        }

        return result.ToString();
    }
}
