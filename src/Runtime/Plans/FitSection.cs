namespace Shardwright.Plans;

/// <summary>Why a plan does not fit, and what would.</summary>
internal static class FitSection
{
    public static void Write(HtmlText page, Plan plan)
    {
        page.Markup("<section class=\"card refused\" id=\"fit\">");
        page.Line($"<h2>Does not fit</h2><p>The largest rank needs <b>{Plan.Size(plan.TotalBytes)}</b>, and {plan.Device} leaves an arena <b>{Plan.Size(plan.UsableBytes)}</b>: <b>{Plan.Size(plan.TotalBytes - plan.UsableBytes)}</b> too many. At most {Plan.Size(plan.LowerBound)} are live at one time.</p>");
        IEnumerable<string> largest = plan.Memory.OrderByDescending(m => m.Value).Take(3).Where(m => m.Value > 0).Select(m => $"{MemorySection.Name(m.Key)} {Plan.Size(m.Value)} ({PlanPage.Percent((double)m.Value / Math.Max(1, plan.TotalBytes))})");
        page.Line($"<p>Most of it: {string.Join(", ", largest)}.</p>");
        if (plan.WaysOut.Count == 0)
        {
            page.Line($"<p>This plan names no change that makes it fit. <code>shardwright plan</code> and <code>report</code> try other recomputation, micro-batches, ZeRO and splits of the same ranks; where these name none either, it takes more ranks, smaller sizes or a larger device.</p>");
        }
        else
        {
            page.Markup("<h3>What would fit, the shortest step first</h3><div class=\"scroll\"><table class=\"ways\"><thead><tr><th>Change</th><th class=\"n\">Memory of a rank</th><th class=\"n\">Step</th></tr></thead><tbody>");
            foreach (PlanWayOut way in plan.WaysOut)
            {
                page.Line($"<tr><td>{way.Change}</td><td class=\"n\">{Plan.Size(way.TotalBytes)}</td><td class=\"n\">{Plan.Time(way.StepSeconds)}</td></tr>");
            }

            page.Markup("</tbody></table></div>");
        }

        page.Markup("</section>");
    }
}
