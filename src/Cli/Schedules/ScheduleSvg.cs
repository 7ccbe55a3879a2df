using System.Globalization;
using System.Text;
using Shardwright.Compiler.Pipelining;

namespace Shardwright.Cli.Schedules;

/// <summary>Draws a step: a row for each rank, a box for each action, light or dark as the viewer is.</summary>
internal static class ScheduleSvg
{
    /// <summary>Most actions of a picture.</summary>
    public const int MostActions = 50_000;

    private const double Left = 78, Right = 84, Top = 92, RowHeight = 34, BoxHeight = 26;

    private static readonly (ActionKind Kind, string Text)[] s_legend =
    [
        (ActionKind.Forward, "forward"), (ActionKind.Backward, "backward"), (ActionKind.InputGradient, "gradient of inputs"), (ActionKind.WeightGradient, "gradient of weights"),
    ];

    /// <summary>The picture as text.</summary>
    public static string Draw(ActionTable table, Simulation run, string title)
    {
        double width = Width(table, run), scale = run.Makespan > 0 ? width / run.Makespan : 0;
        double bottom = Top + table.Ranks.Count * RowHeight;
        var text = new StringBuilder();
        void Line(FormattableString line) => text.Append(FormattableString.Invariant(line)).Append('\n');
        Line($"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Left + width + Right:0.##} {bottom + 48:0.##}\" width=\"{Left + width + Right:0.##}\" height=\"{bottom + 48:0.##}\" role=\"img\" aria-label=\"{Escape(title)}\">");
        text.Append(Style);
        Line($"<rect class=\"page\" width=\"100%\" height=\"100%\"/>");
        Line($"<text class=\"title\" x=\"20\" y=\"32\">{Escape(title)}</text>");
        Line($"<text class=\"note\" x=\"20\" y=\"53\">{table.Shape.Ranks} ranks, {table.Shape.MicroBatches} micro-batches{(table.Shape.Chunks > 1 ? $", {table.Shape.Chunks} stages on each rank" : "")} · step {run.Makespan:0.###} · bubble {100 * run.Bubble:0.#} %</text>");
        Legend(table, Line);
        Axis(run, width, scale, bottom, Line);
        for (int rank = 0; rank < table.Ranks.Count; rank++)
        {
            double y = Top + rank * RowHeight;
            Line($"<text class=\"rank\" x=\"{Left - 12}\" y=\"{y + 21:0.##}\" text-anchor=\"end\">rank {rank}</text>");
            Line($"<rect class=\"idle\" x=\"{Left}\" y=\"{y + 4:0.##}\" width=\"{width:0.##}\" height=\"{BoxHeight}\" rx=\"4\"/>");
            Row(table, run, rank, y + 4, scale, Line);
            Line($"<text class=\"note\" x=\"{Left + width + 12:0.##}\" y=\"{y + 21:0.##}\">{run.Peak[rank]} alive</text>");
        }

        return text.Append("</svg>\n").ToString();
    }

    /// <summary>Wide enough for the numbers in the boxes of usual steps, and never wider than a screen can scroll.</summary>
    private static double Width(ActionTable table, Simulation run)
    {
        double shortest = double.PositiveInfinity;
        for (int rank = 0; rank < table.Ranks.Count; rank++)
        {
            for (int i = 0; i < table.Ranks[rank].Count; i++)
            {
                double time = run.Ends[rank][i] - run.Starts[rank][i];
                shortest = time > 0 ? Math.Min(shortest, time) : shortest;
            }
        }

        return double.IsInfinity(shortest) ? 640 : Math.Clamp(24 * run.Makespan / shortest, 640, 4000);
    }

    private static void Row(ActionTable table, Simulation run, int rank, double y, double scale, Action<FormattableString> line)
    {
        int[] stages = [.. table.StagesOf(rank)];
        for (int i = 0; i < table.Ranks[rank].Count; i++)
        {
            StageAction action = table.Ranks[rank][i];
            double start = run.Starts[rank][i], end = run.Ends[rank][i];
            double x = Left + start * scale, box = Math.Max(0.4, (end - start) * scale - 1);
            int chunk = Math.Min(3, Array.IndexOf(stages, action.Stage));
            line($"<g class=\"{StageAction.Letter(action.Kind)} c{chunk}\"><title>{action}: {start:0.###} to {end:0.###}</title><rect x=\"{x + 0.5:0.##}\" y=\"{y:0.##}\" width=\"{box:0.##}\" height=\"{BoxHeight}\" rx=\"{Math.Min(4, box / 3):0.##}\"/>");
            string number = action.MicroBatch.ToString(CultureInfo.InvariantCulture);
            if (box >= 7 * number.Length + 4)
            {
                line($"<text x=\"{x + 0.5 + box / 2:0.##}\" y=\"{y + 17.5:0.##}\">{number}</text>");
            }

            line($"</g>");
        }
    }

    private static void Legend(ActionTable table, Action<FormattableString> line)
    {
        double x = Left;
        var kinds = table.Ranks.SelectMany(r => r).Select(a => a.Kind).ToHashSet();
        foreach ((ActionKind kind, string text) in s_legend.Where(l => kinds.Contains(l.Kind)))
        {
            line($"<g class=\"{StageAction.Letter(kind)} c0\"><rect x=\"{x:0.##}\" y=\"68\" width=\"12\" height=\"12\" rx=\"3\"/></g><text class=\"note\" x=\"{x + 18:0.##}\" y=\"78.5\">{text}</text>");
            x += 36 + 6.6 * text.Length;
        }

        if (table.Shape.Chunks > 1)
        {
            line($"<text class=\"note\" x=\"{x:0.##}\" y=\"78.5\">later stages of a rank paler</text>");
        }
    }

    private static void Axis(Simulation run, double width, double scale, double bottom, Action<FormattableString> line)
    {
        double wanted = run.Makespan * 70 / width, power = wanted > 0 ? Math.Pow(10, Math.Floor(Math.Log10(wanted))) : 1;
        double step = new[] { 1, 2, 5, 10 }.Select(s => s * power).First(s => s >= wanted * 0.999);
        for (int i = 0; i * step <= run.Makespan * 1.0001; i++)
        {
            double x = Left + i * step * scale;
            line($"<path class=\"grid\" d=\"M{x:0.##} {Top - 2} V{bottom + 4:0.##}\"/><text class=\"tick\" x=\"{x:0.##}\" y=\"{bottom + 20:0.##}\">{i * step:0.######}</text>");
        }
    }

    private static string Escape(string text) => text.Replace("&", "&amp;", StringComparison.Ordinal).Replace("<", "&lt;", StringComparison.Ordinal).Replace("\"", "&quot;", StringComparison.Ordinal);

    private const string Style = """
        <style>
        text { font-family: system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; font-size: 12px; fill: #1f2430 }
        .page { fill: #ffffff } .idle { fill: #eef1f5 } .grid { stroke: #d5dbe4; stroke-width: 1; fill: none }
        .title { font-size: 17px; font-weight: 600 } .note, .tick { fill: #5c6675 } .tick { text-anchor: middle; font-size: 11px } .rank { font-weight: 500 }
        g text { text-anchor: middle; font-size: 11.5px; fill: #10151d; font-variant-numeric: tabular-nums }
        .F rect { fill: #7eaef5 } .B rect { fill: #7fcf9b } .I rect { fill: #f3b562 } .W rect { fill: #c79bea }
        .c1 rect { fill-opacity: .62 } .c2 rect { fill-opacity: .42 } .c3 rect { fill-opacity: .3 }
        @media (prefers-color-scheme: dark) {
        text { fill: #e6eaf1 } .page { fill: #14181f } .idle { fill: #1f252f } .grid { stroke: #333c4a } .note, .tick { fill: #9aa5b5 }
        g text { fill: #0c1016 } .c1 text, .c2 text, .c3 text { fill: #f2f5fa }
        .F rect { fill: #6fa3f2 } .B rect { fill: #66bf87 } .I rect { fill: #e3a34c } .W rect { fill: #b987e0 }
        .c1 rect { fill-opacity: .5 } .c2 rect { fill-opacity: .34 } .c3 rect { fill-opacity: .24 }
        }
        </style>

        """;
}
