namespace Shardwright.Plans;

/// <summary>Memory: a bar for each class of ranks by category, then what is live along a step.</summary>
internal static class MemorySection
{
    private const double Height = 200;
    private static readonly string[] s_kept = ["Parameters", "Gradients", "OptimizerState", "Workspace"];

    /// <summary>A category in words.</summary>
    public static string Name(string category) => category == "OptimizerState" ? "Optimizer state" : category;

    public static void Write(HtmlText page, Plan plan)
    {
        // What a device leaves far above everything would press the rest flat: it is named instead.
        bool near = plan.Device.Length > 0 && plan.UsableBytes < 1.6 * plan.TotalBytes;
        double most = 1.04 * Math.Max(1, near ? Math.Max(plan.TotalBytes, plan.UsableBytes) : plan.TotalBytes);
        page.Markup("<section class=\"card\" id=\"memory\"><h2>Memory</h2>");
        page.Line($"<p class=\"note\">{Plan.Size(plan.TotalBytes)} are allocated once{(plan.Ranks.Count > 1 ? " on the largest rank" : " on each rank")}; at most {Plan.Size(plan.LowerBound)} of it are live at one time. {(plan.Device.Length == 0 ? "" : $"{plan.Device} leaves an arena {Plan.Size(plan.UsableBytes)}{(plan.Fits ? "" : ", too little")}.")}</p>");
        page.Markup("<div class=\"bars\">");
        foreach (PlanRank rank in plan.Ranks)
        {
            string name = plan.Stages > 1 ? $"{plan.PipelineAxis} = {rank.Coordinate}" : "each rank";
            page.Line($"<div class=\"bar\"><span>{name}</span><div class=\"track\">");
            foreach ((string category, long bytes) in rank.Memory)
            {
                page.Segment($"m-{category}", bytes / most, $"{Name(category)}: {Plan.Size(bytes)}");
            }

            if (near)
            {
                page.Line($"<em style=\"left:{100 * plan.UsableBytes / most:0.###}%\" title=\"usable: {Plan.Size(plan.UsableBytes)}\"></em>");
            }

            page.Line($"</div><b>{Plan.Size(rank.TotalBytes)}</b></div>");
        }

        page.Line($"</div><ul class=\"legend\" aria-label=\"{(plan.Ranks.Count > 1 ? "Largest rank" : "Each rank")}\">");
        foreach ((string category, long bytes) in plan.Memory)
        {
            page.Key($"m-{category}", Name(category), Plan.Size(bytes));
        }

        if (near)
        {
            page.Key("limit", "Usable", Plan.Size(plan.UsableBytes));
        }

        page.Markup("</ul>");
        if (plan.Timeline.Count > 0)
        {
            Timeline(page, plan, most, near);
        }

        page.Markup("</section>");
    }

    private static void Timeline(HtmlText page, Plan plan, double most, bool near)
    {
        PlanPoint peak = plan.Timeline.MaxBy(p => p.Bytes)!;
        double Y(double bytes) => Height * (1 - bytes / most);
        page.Line($"<h3>Live bytes along a training step{(plan.Ranks.Count > 1 ? ", largest rank" : "")}</h3><p class=\"note\">Peak {Plan.Size(peak.Bytes)}{(peak.Where.Length == 0 ? " at the start" : $" in {peak.Where}")}.</p>");
        page.Line($"<div class=\"plot\"><div class=\"scale\"><span>{Plan.Size((long)most)}</span><span>{Plan.Size((long)(most / 2))}</span><span>0</span></div><div class=\"area\"><svg viewBox=\"0 0 {plan.Timeline.Count} {Height}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"Live bytes along a training step\">");
        page.Line($"<path class=\"grid\" d=\"M0 {Height / 2} H{plan.Timeline.Count}\"/>");
        for (int i = 0; i < plan.Timeline.Count; i++)
        {
            PlanPoint point = plan.Timeline[i];
            page.Line($"<rect class=\"live\" x=\"{i}\" y=\"{Y(point.Bytes):0.##}\" width=\"1.02\" height=\"{Height - Y(point.Bytes):0.##}\"><title>{(point.Where.Length == 0 ? "start" : point.Where)}: {Plan.Size(point.Bytes)}</title></rect>");
        }

        double kept = 0;
        foreach (string category in s_kept)
        {
            double bytes = plan.Memory.TryGetValue(category, out long found) ? found : 0;
            page.Line($"<rect class=\"m-{category}\" x=\"0\" y=\"{Y(kept + bytes):0.##}\" width=\"{plan.Timeline.Count}\" height=\"{Y(kept) - Y(kept + bytes):0.##}\"><title>{Name(category)}: {Plan.Size((long)bytes)}, all the time</title></rect>");
            kept += bytes;
        }

        page.Line($"<path class=\"arena\" d=\"M0 {Y(plan.TotalBytes):0.##} H{plan.Timeline.Count}\"/>");
        if (near)
        {
            page.Line($"<path class=\"usable\" d=\"M0 {Y(plan.UsableBytes):0.##} H{plan.Timeline.Count}\"/>");
        }

        page.Markup("</svg><div class=\"ticks\">");
        for (int part = 0; part < 4; part++)
        {
            int at = part * plan.Timeline.Count / 4;
            PlanPoint? point = plan.Timeline.Skip(at).FirstOrDefault(p => p.Where.Length > 0);
            page.Line($"<span>{point?.Where ?? ""}</span>");
        }

        page.Markup("</div></div></div>");
        page.Line($"<ul class=\"legend\"><li><i class=\"live\"></i>Live beside what is kept</li><li><i class=\"m-Parameters\"></i><i class=\"m-Gradients\"></i><i class=\"m-OptimizerState\"></i><i class=\"m-Workspace\"></i>Kept for the whole run</li><li><i class=\"line\"></i>Allocated</li>");
        if (near)
        {
            page.Key("limit", "Usable");
        }

        page.Markup("</ul>");
    }
}
