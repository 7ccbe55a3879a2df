using System.Text.Encodings.Web;
using System.Text.Json;

namespace Shardwright.Cli;

/// <summary>JSON as this tool writes it: camel case, UTF-8, rows of a list on lines of their own.</summary>
internal static class Json
{
    private static readonly JsonSerializerOptions s_options = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>A string in quotes.</summary>
    public static string Text(string text) => JsonSerializer.Serialize(text, s_options);

    /// <summary>One value on one line.</summary>
    public static string Line<T>(T value) => JsonSerializer.Serialize(value, s_options);

    /// <summary>An object that ends in a list.</summary>
    /// <param name="output">Where to.</param>
    /// <param name="head">The properties before it and the list's own name, with a colon.</param>
    /// <param name="rows">The list.</param>
    public static void WriteRows<T>(TextWriter output, string head, IEnumerable<T> rows)
    {
        output.Write("{" + head + "[");
        string separator = "\n";
        foreach (T row in rows)
        {
            output.Write(separator + Line(row));
            separator = ",\n";
        }

        output.WriteLine("]}");
    }
}
