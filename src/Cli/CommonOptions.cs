using System.CommandLine;

namespace Shardwright.Cli;

/// <summary>Options that many commands share.</summary>
internal static class CommonOptions
{
    /// <summary>--json.</summary>
    public static Option<bool> Json() => new("--json") { Description = "One JSON document instead of a table; its form is in docs/cli.md." };

    /// <summary>An option that takes Name=Value pairs, as often as needed.</summary>
    public static Option<string[]> Pairs(string name, string help, string description) =>
        new(name) { HelpName = help, Description = description, AllowMultipleArgumentsPerToken = true, Arity = ArgumentArity.OneOrMore };

    /// <summary>Splits Name=Value pairs; the last of two equal names counts nothing: it is refused.</summary>
    public static IReadOnlyList<KeyValuePair<string, string>> Split(string option, IEnumerable<string>? pairs, StringComparer? names = null)
    {
        var result = new List<KeyValuePair<string, string>>();
        var seen = new HashSet<string>(names ?? StringComparer.Ordinal);
        foreach (string pair in pairs ?? [])
        {
            int equals = pair.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0 || equals == pair.Length - 1)
            {
                throw CliException.Usage($"{option} takes name=value, and got '{pair}'");
            }

            string name = pair[..equals].Trim();
            result.Add(seen.Add(name) ? new(name, pair[(equals + 1)..].Trim()) : throw CliException.Usage($"{option} gives '{name}' twice; give it once"));
        }

        return result;
    }
}
