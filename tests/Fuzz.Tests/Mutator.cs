using System.Text;
using System.Text.RegularExpressions;

namespace Shardwright.Fuzz.Tests;

/// <summary>Changes to a text, drawn from a seed: the same seed gives the same text on every machine.</summary>
internal sealed partial class Mutator
{
    private static readonly string[] s_types = ["Tensor", "TokenTensor", "int", "float", "double", "bool", "string", "object", "Tensor[]", "Block", "LayerStack<Block>", "Tensor?", "var"];
    private static readonly string[] s_numbers = ["0", "-1", "1", "2", "3", "7", "1000000007", "2147483647", "-2147483648", "9223372036854775807", "1e30f", "0.5f", "float.NaN", "1_000"];
    private static readonly string[] s_odd = ["?", "=>", "{", "}", "(", ")", ";", "[", "]", "new", "default", "null", "this", "base", "await", "ref", "@", "#if X", "\"", "/*", "é", "\uD83D", "x", "is var q", "..", "static", "return"];

    private readonly Random _random;

    public Mutator(int seed) => _random = new Random(seed);

    [GeneratedRegex(@"[A-Za-z_]\w*|\d+(\.\d+)?f?|""[^""\n]*""|\S")]
    private static partial Regex Token();

    [GeneratedRegex(@"[A-Za-z_]\w*")]
    private static partial Regex Word();

    /// <summary>One to four changes of a C# source.</summary>
    public string Source(string text)
    {
        for (int n = 1 + _random.Next(4); n > 0; n--)
        {
            text = Change(text);
        }

        return text;
    }

    /// <summary>One to three changes of the text of a graph.</summary>
    public string Graph(string text, string other)
    {
        for (int n = 1 + _random.Next(3); n > 0; n--)
        {
            text = ChangeGraph(text, other);
        }

        return text;
    }

    private string Change(string text)
    {
        MatchCollection tokens = Token().Matches(text);
        if (tokens.Count == 0)
        {
            return text;
        }

        Match one = tokens[_random.Next(tokens.Count)], two = tokens[_random.Next(tokens.Count)];
        switch (_random.Next(10))
        {
            case 0: // delete some tokens
                Match last = tokens[Math.Min(tokens.Count - 1, Array.IndexOf([.. tokens], one) + _random.Next(4))];
                return text.Remove(one.Index, last.Index + last.Length - one.Index);
            case 1: // duplicate
                return text.Insert(one.Index, one.Value + " ");
            case 2: // swap
                (one, two) = one.Index <= two.Index ? (one, two) : (two, one);
                return one.Index == two.Index ? text : new StringBuilder(text).Remove(two.Index, two.Length).Insert(two.Index, one.Value).Remove(one.Index, one.Length).Insert(one.Index, two.Value).ToString();
            case 3: // rename one use to another name of the text
                return Replace(text, tokens, t => char.IsLetter(t[0]), Pick(Word().Matches(text).Select(m => m.Value).ToArray()));
            case 4: // rename everywhere
                string name = Pick(Word().Matches(text).Select(m => m.Value).ToArray());
                return Regex.Replace(text, $@"\b{name}\b", Pick([name + "2", "x", "Forward", "Loss", "Net", "w"]));
            case 5: // retype
                return Replace(text, tokens, t => s_types.Contains(t), Pick(s_types));
            case 6: // another number
                return Replace(text, tokens, t => char.IsDigit(t[0]), Pick(s_numbers));
            case 7: // truncate within a token
                return _random.Next(4) == 0 ? text[..(one.Index + _random.Next(one.Length + 1))] : text;
            case 8: // a line twice, or two lines swapped
                string[] lines = text.Split('\n');
                int a = _random.Next(lines.Length), b = _random.Next(lines.Length);
                if (_random.Next(2) == 0)
                {
                    (lines[a], lines[b]) = (lines[b], lines[a]);
                }
                else
                {
                    lines[a] += "\n" + lines[b];
                }

                return string.Join('\n', lines);
            default:
                return text.Insert(one.Index, Pick(s_odd) + " ");
        }
    }

    private string ChangeGraph(string text, string other)
    {
        MatchCollection tokens = Token().Matches(text);
        if (tokens.Count == 0)
        {
            return text;
        }

        Match one = tokens[_random.Next(tokens.Count)], two = tokens[_random.Next(tokens.Count)];
        int at = _random.Next(text.Length);
        switch (_random.Next(9))
        {
            case 0: // a flipped bit
                return text[..at] + (char)(text[at] ^ (1 << _random.Next(7))) + text[(at + 1)..];
            case 1: // a newer, older or nonsense version
                return Pick(["2;1;", "99;99;", "1;2;", "0;0;", "-1;-1;", ";;", "99999999999;1;", "1;1"]) + (text.Contains(';') ? text[(text.LastIndexOf(';', Math.Min(8, text.Length - 1)) + 1)..] : text);
            case 2: // another layer's text
                return other;
            case 3:
                return text[..at];
            case 4: // a wrong reference: a string becomes another of the text
                return Replace(text, tokens, t => t[0] == '"', Pick(tokens.Select(m => m.Value).Where(v => v[0] == '"').DefaultIfEmpty("\"\"").ToArray()));
            case 5: // a record of another kind
                return Replace(text, tokens, t => char.IsUpper(t[0]), Pick(tokens.Select(m => m.Value).Where(v => char.IsUpper(v[0])).DefaultIfEmpty("Unknown").ToArray()));
            case 6:
                return Replace(text, tokens, t => char.IsDigit(t[0]), Pick(["0", "-1", "2147483647", "99999999999999999999", "NaN", "1e400", "~", "3"]));
            case 7: // a piece twice
                int end = Math.Min(text.Length, at + _random.Next(60));
                return text.Insert(at, text[at..end]);
            default:
                return one.Index == two.Index ? text : text.Remove(one.Index, one.Length).Insert(one.Index, two.Value);
        }
    }

    private string Replace(string text, MatchCollection tokens, Func<string, bool> which, string by)
    {
        Match[] fitting = [.. tokens.Where(t => which(t.Value))];
        if (fitting.Length == 0)
        {
            return text;
        }

        Match one = fitting[_random.Next(fitting.Length)];
        return text.Remove(one.Index, one.Length).Insert(one.Index, by);
    }

    private string Pick(string[] choices) => choices.Length == 0 ? "x" : choices[_random.Next(choices.Length)];
}
