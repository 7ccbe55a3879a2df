namespace Shardwright.Plans;

/// <summary>What goes over the links: a row for each collective of a step, most bytes first.</summary>
internal static class CollectiveSection
{
    public static void Write(HtmlText page, Plan plan)
    {
        IReadOnlyList<CollectiveExposure> rows = CollectiveExposure.Of(plan);
        page.Markup("<section class=\"card\" id=\"collectives\"><h2>Collectives</h2>");
        if (rows.Count == 0)
        {
            page.Markup("<p class=\"note\">This mesh needs none: no rank waits for another.</p></section>");
            return;
        }

        page.Line($"<p class=\"note\">Bytes that a rank sends in a step, and how long its links take for them. Exposed is what the rank that waits longest waits for: no work beside it hides that. Waits for messages between stages are in the bubble.</p>");
        page.Markup("<div class=\"scroll\"><table class=\"rows\"><thead><tr><th>Collective</th><th>For</th><th class=\"n\">Times</th><th class=\"n\">Each</th><th class=\"n\">Bytes a step</th><th class=\"n\">On the link</th><th class=\"n\">Exposed</th></tr></thead><tbody>");
        double most = Math.Max(1, rows[0].Bytes);
        foreach (CollectiveExposure row in rows)
        {
            PlanCollective c = row.Collective;
            page.Line($"<tr><td class=\"main\">{c.Op} <span class=\"chip\">{c.Axis}</span></td><td class=\"why\">{c.Reason}<small>{c.Where}{(c.Chunks > 1 ? $"; in {c.Chunks} chunks" : "")}{(c.Beside.Length > 0 ? "; beside " + c.Beside : "")}{(row.Why.Length > 0 ? "; " + row.Why : "")}</small></td><td class=\"n\" data-l=\"Times\">{c.Times:N0}</td><td class=\"n\" data-l=\"Each\">{Plan.Size(c.BytesPerRank)}</td>");
            page.Line($"<td class=\"n share\" data-l=\"Bytes a step\"><i style=\"width:{100 * row.Bytes / most:0.##}%\"></i>{Plan.Size(row.Bytes)}</td><td class=\"n\" data-l=\"On the link\">{(row.Seconds > 0 ? Plan.Time(row.Seconds) : "–")}</td><td class=\"n\" data-l=\"Exposed\">{Exposed(plan, row)}</td></tr>");
        }

        page.Markup("</tbody></table></div></section>");
    }

    private static string Exposed(Plan plan, CollectiveExposure row) =>
        row.Exposed is not { } seconds ? "in the bubble" : row.Seconds <= 0 || plan.StepSeconds <= 0 ? "–" : seconds > 0 ? $"{Plan.Time(seconds)} ({PlanPage.Percent(seconds / plan.StepSeconds)})" : plan.Ranks.Count > 1 ? "–" : "hidden";
}
