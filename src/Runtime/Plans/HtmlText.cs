using System.Globalization;
using System.Text;

namespace Shardwright.Plans;

/// <summary>HTML as it is written: lines whose values are escaped, whatever they are. The result is well-formed XML too.</summary>
internal sealed class HtmlText
{
    private readonly StringBuilder _text = new();

    /// <summary>A line of markup with values in it; strings among them are text, never markup.</summary>
    public void Line(FormattableString line) =>
        _text.AppendFormat(CultureInfo.InvariantCulture, line.Format, line.GetArguments().Select(a => a is string text ? Escape(text) : a).ToArray()).Append('\n');

    /// <summary>Markup that this assembly wrote down as a constant.</summary>
    public void Markup(string constant) => _text.Append(constant).Append('\n');

    /// <summary>A bar that others are stacked in: its share of a width, what it is, and its number for those who point at it.</summary>
    public void Segment(string style, double share, string title)
    {
        if (share > 0)
        {
            Line($"<i class=\"{style}\" style=\"width:{100 * share:0.###}%\" title=\"{title}\"></i>");
        }
    }

    /// <summary>An entry of a legend.</summary>
    public void Key(string style, string name, string value = "") => Line($"<li><i class=\"{style}\"></i>{name}<b>{value}</b></li>");

    /// <inheritdoc/>
    public override string ToString() => _text.ToString();

    private static string Escape(string text)
    {
        var escaped = new StringBuilder(text.Length);
        foreach (char c in text)
        {
            _ = c switch
            {
                '&' => escaped.Append("&amp;"), '<' => escaped.Append("&lt;"), '>' => escaped.Append("&gt;"), '"' => escaped.Append("&quot;"), '\'' => escaped.Append("&#39;"),
                < ' ' and not '\n' and not '\t' or '\uFFFE' or '\uFFFF' => escaped.Append('\uFFFD'),
                _ when char.IsSurrogate(c) => escaped.Append('\uFFFD'),
                _ => escaped.Append(c),
            };
        }

        return escaped.ToString();
    }
}
