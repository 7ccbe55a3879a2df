extern alias runtime;

using System.Text;

namespace Shardwright.Cli.Plans;

/// <summary>Draws how much of the largest rank's arena is live along a training step, under what it allocates and what its device leaves it; light or dark as the viewer is.</summary>
internal static class MemorySvg
{
    private const double Left = 84, Top = 78, Height = 300, Width = 860;
    private static readonly string[] s_kept = ["Parameters", "Gradients", "OptimizerState", "Workspace"];

    /// <summary>The picture as text.</summary>
    public static string Draw(runtime::Shardwright.Plan plan)
    {
        // What a device leaves far above everything would press the rest flat: it is named instead.
        double most = plan.UsableBytes < 1.6 * plan.TotalBytes ? Math.Max(plan.TotalBytes, plan.UsableBytes) : plan.TotalBytes, bottom = Top + Height, bar = Width / Math.Max(1, plan.Timeline.Count);
        double Y(double bytes) => bottom - Height * bytes / (most * 1.06);
        var text = new StringBuilder();
        void Line(FormattableString line) => text.Append(FormattableString.Invariant(line)).Append('\n');
        string title = $"{plan.Model} on {plan.Mesh}: live bytes of a training step{(plan.Stages > 1 ? " on the largest rank" : "")}";
        Line($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Left + Width + 120} {bottom + 56}\" width=\"{Left + Width + 120}\" height=\"{bottom + 56}\" role=\"img\" aria-label=\"{Escape(title)}\">");
        text.Append(Style);
        Line($"<rect class=\"page\" width=\"100%\" height=\"100%\"/>");
        Line($"<text class=\"title\" x=\"20\" y=\"32\">{Escape(title)}</text>");
        Line($"<text class=\"note\" x=\"20\" y=\"53\">{Size(plan.TotalBytes)} allocated, at most {Size(plan.LowerBound)} of it live at one time; '{Escape(plan.Device)}' leaves an arena {Size(plan.UsableBytes)}{(plan.Fits ? "" : ": does not fit")}</text>");
        double at = 0;
        for (int i = 0; i < plan.Timeline.Count; i++)
        {
            runtime::Shardwright.PlanPoint point = plan.Timeline[i];
            double x = Left + i * bar;
            Line($"<g class=\"live\"><title>{Escape(point.Where.Length == 0 ? "start" : point.Where)}: {Size(point.Bytes)}</title><rect x=\"{x:0.##}\" y=\"{Y(point.Bytes):0.##}\" width=\"{bar:0.##}\" height=\"{bottom - Y(point.Bytes):0.##}\"/></g>");
            if (point.Where.Length > 0 && (i == 0 || plan.Timeline[i - 1].Where != point.Where) && x >= at)
            {
                Line($"<text class=\"tick\" x=\"{x:0.##}\" y=\"{bottom + 18}\">{Escape(point.Where)}</text>");
                at = x + 6.4 * point.Where.Length + 12;
            }
        }

        double kept = 0;
        foreach (string category in s_kept)
        {
            double bytes = plan.Memory.TryGetValue(category, out long found) ? found : 0;
            Line($"<g class=\"{category}\"><title>{category}: {Size((long)bytes)}</title><rect x=\"{Left}\" y=\"{Y(kept + bytes):0.##}\" width=\"{Width}\" height=\"{Y(kept) - Y(kept + bytes):0.##}\"/></g>");
            if (Y(kept) - Y(kept + bytes) > 13)
            {
                Line($"<text class=\"note\" x=\"{Left + Width + 8}\" y=\"{(Y(kept) + Y(kept + bytes)) / 2 + 4:0.##}\">{category}</text>");
            }

            kept += bytes;
        }

        Limit(plan.TotalBytes, "arena", "arena");
        Limit(plan.UsableBytes, "usable", "usable");
        for (int i = 0; i <= 4; i++)
        {
            Line($"<text class=\"axis\" x=\"{Left - 8}\" y=\"{Y(most * i / 4) + 4:0.##}\" text-anchor=\"end\">{Size((long)(most * i / 4))}</text>");
        }

        return text.Append("</svg>\n").ToString();

        void Limit(double bytes, string name, string style)
        {
            if (bytes <= most)
            {
                Line($"<path class=\"{style}\" d=\"M{Left} {Y(bytes):0.##} H{Left + Width}\"/><text class=\"note\" x=\"{Left + Width + 8}\" y=\"{Y(bytes) + 4:0.##}\">{name}</text>");
            }
        }
    }

    private static string Size(long bytes) => bytes switch
    {
        < 1 << 20 => FormattableString.Invariant($"{bytes / 1024.0:0.#} KiB"),
        < 1 << 30 => FormattableString.Invariant($"{bytes / 1048576.0:0.#} MiB"),
        _ => FormattableString.Invariant($"{bytes / 1073741824.0:0.##} GiB"),
    };

    private static string Escape(string text) => text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal).Replace("\"", "&quot;", StringComparison.Ordinal);

    private const string Style = """
        <style>
        text { font-family: system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; font-size: 12px; fill: #1f2430 }
        .page { fill: #ffffff } .title { font-size: 17px; font-weight: 600 } .note, .tick, .axis { fill: #5c6675 } .tick, .axis { font-size: 11px }
        .live rect { fill: #7eaef5 } .Parameters rect { fill: #7fcf9b } .Gradients rect { fill: #f3b562 } .OptimizerState rect { fill: #c79bea } .Workspace rect { fill: #aab4c3 }
        .arena { stroke: #1f2430; stroke-width: 1.5; fill: none } .usable { stroke: #d0483e; stroke-width: 1.5; stroke-dasharray: 6 4; fill: none }
        @media (prefers-color-scheme: dark) {
        text { fill: #e6eaf1 } .page { fill: #14181f } .note, .tick, .axis { fill: #9aa5b5 }
        .live rect { fill: #5f93e0 } .Parameters rect { fill: #57a877 } .Gradients rect { fill: #cf9342 } .OptimizerState rect { fill: #a476cc } .Workspace rect { fill: #6d7889 }
        .arena { stroke: #e6eaf1 } .usable { stroke: #ff7b70 }
        }
        </style>

        """;
}
