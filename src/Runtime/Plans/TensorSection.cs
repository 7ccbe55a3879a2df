namespace Shardwright.Plans;

/// <summary>The mesh, and where each tensor lies on it.</summary>
internal static class TensorSection
{
    private const int MostCells = 128;

    public static void Write(HtmlText page, Plan plan)
    {
        page.Markup("<section class=\"card\" id=\"mesh\"><h2>Mesh</h2>");
        if (plan.Axes.Count == 0)
        {
            page.Markup("<p class=\"note\">One rank holds everything.</p>");
        }
        else
        {
            Axes(page, plan);
            Ranks(page, plan);
        }

        page.Line($"<h3>Where each tensor lies</h3><p class=\"note\">S(d) is split along dim d, B is whole on every rank of the axis, P is a sum of terms. Filled: the part of the first rank.</p>");
        bool staged = plan.Parameters.Any(p => p.Stages is not null);
        page.Line($"<div class=\"scroll\"><table class=\"rows\"><thead><tr><th>Tensor</th><th>Placement</th>");
        page.Markup((staged ? "<th>Stages</th>" : "") + "<th class=\"n\">Layers</th><th class=\"n\">Whole</th><th class=\"n\">On a rank</th></tr></thead><tbody>");
        foreach (PlanParameter parameter in plan.Parameters)
        {
            page.Line($"<tr><td class=\"main\"><code>{parameter.Path}</code></td><td class=\"lies\">");
            foreach (string placement in parameter.Placement.Split(", "))
            {
                Placement(page, plan, parameter, placement);
            }

            page.Markup("</td>");
            if (staged)
            {
                page.Line($"<td data-l=\"Stages\">{Stages(parameter.Stages ?? [])}</td>");
            }

            page.Line($"<td class=\"n\" data-l=\"Layers\">{(parameter.Layers > 0 ? PlanPage.Invariant($"{parameter.Layers:N0}") : "–")}</td><td class=\"n\" data-l=\"Whole\">{Sizes(parameter.Logical)}</td><td class=\"n\" data-l=\"On a rank\">{Sizes(parameter.Local)}</td></tr>");
        }

        page.Markup("</tbody></table></div></section>");
    }

    /// <summary>A placement on one axis, with a picture of a matrix and the part of it that the first rank holds.</summary>
    private static void Placement(HtmlText page, Plan plan, PlanParameter parameter, string placement)
    {
        int colon = placement.IndexOf(": ", StringComparison.Ordinal);
        string axis = colon < 0 ? "" : placement[..colon], kind = placement[(colon + 1)..].Trim();
        int parts = Math.Clamp(plan.Axes.Where(a => a.Name == axis).Select(a => a.Size).FirstOrDefault(1), 1, 8);
        bool split = kind.StartsWith("S(", StringComparison.Ordinal) && parts > 1;
        bool across = split && parameter.Logical.Count > 1 && kind == PlanPage.Invariant($"S({parameter.Logical.Count - 1})");
        page.Line($"<span class=\"place\"><svg viewBox=\"0 0 24 16\" width=\"24\" height=\"16\" aria-hidden=\"true\"><rect class=\"whole\" x=\"0.5\" y=\"0.5\" width=\"23\" height=\"15\" rx=\"2\"/><rect class=\"part\" x=\"0.5\" y=\"0.5\" width=\"{(across ? 23.0 / parts : 23):0.##}\" height=\"{(split && !across ? 15.0 / parts : 15):0.##}\" rx=\"2\"/>");
        for (int i = 1; i < (split ? parts : 0); i++)
        {
            page.Line($"<path class=\"cut\" d=\"{(across ? PlanPage.Invariant($"M{0.5 + 23.0 * i / parts:0.##} 0.5 V15.5") : PlanPage.Invariant($"M0.5 {0.5 + 15.0 * i / parts:0.##} H23.5"))}\"/>");
        }

        page.Line($"</svg>{(axis.Length == 0 ? "" : axis + " ")}<b>{kind}</b></span>");
    }

    private static string Sizes(IReadOnlyList<long> sizes) => sizes.Count == 0 ? "1" : string.Join(" × ", sizes);

    /// <summary>0–3, 5.</summary>
    private static string Stages(IReadOnlyList<int> stages)
    {
        var runs = new List<string>();
        for (int i = 0; i < stages.Count;)
        {
            int first = i;
            for (i++; i < stages.Count && stages[i] == stages[i - 1] + 1; i++)
            {
            }

            runs.Add(i - first == 1 ? PlanPage.Invariant($"{stages[first]}") : PlanPage.Invariant($"{stages[first]}–{stages[i - 1]}"));
        }

        return string.Join(", ", runs);
    }

    private static void Axes(HtmlText page, Plan plan)
    {
        page.Markup("<div class=\"axes\">");
        foreach (MeshAxisInfo axis in plan.Axes)
        {
            PlanLink? link = plan.Timing.Links.FirstOrDefault(l => l.Axis == axis.Name);
            page.Line($"<div><b>{axis.Name}</b> <strong>{axis.Size:N0}</strong><small>{(axis.Name == plan.PipelineAxis ? "pipeline stages" : link is null ? "" : "ranks")}</small>");
            if (link is not null)
            {
                page.Line($"<small>{link.Name}: {link.BytesPerSecond / 1e9:0.##} GB/s, {Plan.Time(link.LatencySeconds)}</small>");
            }

            page.Markup("</div>");
        }

        page.Markup("</div>");
    }

    /// <summary>The ranks as cells: the innermost axis from left to right, all others from top to bottom.</summary>
    private static void Ranks(HtmlText page, Plan plan)
    {
        double count = plan.Axes.Aggregate(1.0, (product, a) => product * a.Size);
        int columns = plan.Axes[^1].Size;
        if (count > MostCells || columns > 16)
        {
            page.Line($"<p class=\"note\">{count:N0} ranks, numbered with {plan.Axes[^1].Name} running fastest.</p>");
            return;
        }

        page.Line($"<div class=\"grid-ranks\" style=\"grid-template-columns:repeat({columns},minmax(0,1fr))\" role=\"img\" aria-label=\"{count:N0} ranks by their coordinates\">");
        for (int rank = 0; rank < count; rank++)
        {
            var at = new List<string>();
            int left = rank, stage = -1;
            foreach (MeshAxisInfo axis in plan.Axes.Reverse())
            {
                at.Insert(0, PlanPage.Invariant($"{axis.Name} {left % axis.Size}"));
                stage = axis.Name == plan.PipelineAxis ? left % axis.Size : stage;
                left /= axis.Size;
            }

            page.Line($"<div class=\"{(stage >= 0 ? PlanPage.Invariant($"s{stage % 4}") : "s0")}\"><b>{rank}</b><small>{string.Join(" · ", at)}</small></div>");
        }

        page.Markup("</div>");
    }
}
