using System.Text;

namespace Shardwright.Generators.Printing;

/// <summary>Writes indented lines that end in \n.</summary>
internal sealed class IndentedWriter
{
    private readonly StringBuilder _text = new();
    private int _depth;

    /// <summary>Writes a line; an empty one has no indentation.</summary>
    public void Line(string line = "")
    {
        if (line.Length > 0)
        {
            _text.Append(' ', 4 * _depth).Append(line);
        }

        _text.Append('\n');
    }

    /// <summary>Opens a brace.</summary>
    public void Open(string? head = null)
    {
        if (head is not null)
        {
            Line(head);
        }

        Line("{");
        _depth++;
    }

    /// <summary>Closes a brace.</summary>
    public void Close(string tail = "")
    {
        _depth--;
        Line("}" + tail);
    }

    /// <summary>Writes an XML doc comment of one element.</summary>
    public void Summary(string text) => Line($"/// <summary>{Escape(text)}</summary>");

    /// <summary>Escapes text for XML.</summary>
    public static string Escape(string text) => text.Replace("&", "&amp;").Replace("<", "&lt;").Replace(">", "&gt;").Replace("\n", " ");

    /// <inheritdoc/>
    public override string ToString() => _text.ToString();
}
