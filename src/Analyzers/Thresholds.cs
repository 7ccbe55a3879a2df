using System.Globalization;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Diagnostics;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Planning;

namespace Shardwright.Analyzers;

/// <summary>Thresholds of <c>.editorconfig</c>: a plan measures, an editor decides from where on it is worth saying. Changing one plans nothing anew, but where what is offered has to stay below it.</summary>
public static class Thresholds
{
    /// <summary>Keys and what holds where none is set, by diagnostic.</summary>
    private static readonly Dictionary<string, (string Key, double Otherwise)> s_all = new()
    {
        ["SW1006"] = ("shardwright.hidden_reshard_bytes", 1 << 20),
        ["SW2002"] = ("shardwright.imbalance_percent", 10),
        ["SW2004"] = ("shardwright.bubble_percent", 20),
        ["SW3002"] = ("shardwright.memory_headroom_percent", 10),
        ["SW4001"] = ("shardwright.exposed_communication_percent", 20),
    };

    /// <summary>All keys.</summary>
    public static IEnumerable<string> Keys => s_all.Values.Select(t => t.Key).OrderBy(k => k, StringComparer.Ordinal);

    /// <summary>The ID under which a finding is reported; null where it stays under its threshold.</summary>
    public static string? Judge(Finding finding, SyntaxTree? tree, AnalyzerOptions options)
    {
        if (finding.Measure is not { } measure || !s_all.TryGetValue(finding.Id, out (string Key, double Otherwise) threshold))
        {
            return finding.Id;
        }

        double limit = Limit(threshold, tree, options);
        return finding.Id switch
        {
            // A reshard that nobody asked for is always said; a large one as a warning.
            "SW1006" => measure > limit ? "SW1010" : "SW1006",

            // Headroom is what is left: too little of it is the finding.
            "SW3002" => measure < limit ? finding.Id : null,
            _ => measure > limit ? finding.Id : null,
        };
    }

    /// <summary>What offers have to stay below in a file.</summary>
    public static OfferLimits Limits(SyntaxTree? tree, AnalyzerOptions options) => new(Limit(s_all["SW2004"], tree, options) / 100, Limit(s_all["SW4001"], tree, options) / 100);

    private static double Limit((string Key, double Otherwise) threshold, SyntaxTree? tree, AnalyzerOptions options) =>
        tree is not null && options.AnalyzerConfigOptionsProvider.GetOptions(tree).TryGetValue(threshold.Key, out string? text)
            && double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double set) ? set : threshold.Otherwise;
}
