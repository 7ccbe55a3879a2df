namespace Shardwright.Plans;

/// <summary>Time: a bar for each stage, then the step as its ranks run it, with what they send.</summary>
internal static class StepSection
{
    private const double Row = 36, Box = 26, Axis = 24;

    public static void Write(HtmlText page, Plan plan)
    {
        if (plan.StepSeconds <= 0)
        {
            return;
        }

        page.Markup("<section class=\"card\" id=\"step\"><h2>Step</h2>");
        page.Line($"<p class=\"note\">Predicted {Plan.Time(plan.StepSeconds)}: kernels {Plan.Time(plan.ComputeSeconds)}, communication {Plan.Time(plan.CommunicationSeconds)} on the rank with most of them; of it {Plan.Time(plan.ExposedSeconds)} exposed, at least {Plan.Time(plan.LeastExposedSeconds)} by what depends on what{(plan.Stages > 1 ? $"; {plan.Schedule}, in which ranks wait {PlanPage.Percent(plan.Bubble)} of the time" : "")}.</p>");
        Bars(page, plan);
        if (StepRun.Of(plan) is { } run)
        {
            Chart(page, plan, run);
        }
        else if (plan.Timing.Stages.Count > 0)
        {
            page.Line($"<p class=\"note\">The chart is left out: {plan.Stages:N0} stages × {plan.MicroBatches:N0} micro-batches are too many actions to look at.</p>");
        }

        page.Markup("</section>");
    }

    /// <summary>Time of each stage over a step; what is left to the full width, its rank works on another stage, or waits.</summary>
    private static void Bars(HtmlText page, Plan plan)
    {
        if (plan.Timing.Stages.Count == 0)
        {
            return;
        }

        double longest = plan.Timing.Stages.Max(s => Total(plan, s).Total);
        bool splits = plan.Timing.Stages.Any(s => s.Weight.Total > 0);
        page.Markup("<div class=\"bars\">");
        for (int i = 0; i < plan.Timing.Stages.Count; i++)
        {
            PlanStageTime stage = plan.Timing.Stages[i];
            string layers = string.Join(", ", plan.StageLayers.Where(l => i < l.Value.Count).Select(l => $"{l.Value[i]} of {l.Key}"));
            page.Line($"<div class=\"bar\"><span>{(plan.Stages > 1 ? PlanPage.Invariant($"stage {i}") : "each rank")}<small>{layers}</small></span><div class=\"track\">");
            Part("F", "Forward", plan.MicroBatches * stage.Forward.Compute);
            Part(splits ? "I" : "B", splits ? "Gradients of inputs" : "Backward", plan.MicroBatches * stage.Input.Compute);
            Part("W", "Gradients of weights", plan.MicroBatches * stage.Weight.Compute);
            Part("U", "Optimizer", stage.Update.Compute);
            Part("C", "Waits for collectives", Total(plan, stage).Communication);
            page.Line($"</div><b>{Plan.Time(Total(plan, stage).Total)}</b></div>");
        }

        page.Markup("</div><ul class=\"legend\">");
        page.Key("F", "Forward");
        page.Key(splits ? "I" : "B", splits ? "Gradients of inputs" : "Backward");
        if (splits)
        {
            page.Key("W", "Gradients of weights");
        }

        page.Key("U", "Optimizer");
        page.Key("C", "Waits for collectives");
        page.Markup("</ul>");
        void Part(string style, string name, double seconds) => page.Segment(style, 0.98 * seconds / Math.Max(1e-12, longest), $"{name}: {Plan.Time(seconds)}");
    }

    private static PlanTime Total(Plan plan, PlanStageTime stage)
    {
        PlanTime once = stage.Forward + stage.Input + stage.Weight;
        return new PlanTime(plan.MicroBatches * once.Compute, plan.MicroBatches * once.Communication) + stage.Update;
    }

    private static void Chart(HtmlText page, Plan plan, StepRun run)
    {
        PlanTime[] updates = [.. run.Ranks.Select((_, rank) => (plan.Stages > 1 ? plan.Ranks.FirstOrDefault(r => r.Coordinate == rank)?.Stages ?? [] : [0]).Aggregate(default(PlanTime), (sum, s) => sum + plan.Timing.Stages[s].Update))];
        double end = run.Makespan + updates.Max(u => u.Total), shortest = run.Ranks.SelectMany(r => r).Select(a => a.Time.Total).Where(t => t > 0).DefaultIfEmpty(end).Min();
        double width = Math.Clamp(22 * end / shortest, 1040, 4000), scale = end > 0 ? width / end : 0, height = run.Ranks.Count * Row + Axis;
        page.Line($"<h3>{(plan.Stages > 1 ? "Schedule" : "Order of a step")}</h3><p class=\"note\">Numbers are micro-batches. The strip at the foot of a box is its share of waits for collectives{(run.Messages.Count > 0 ? "; lines are messages between stages" : "")}.</p><div class=\"chart\"><div class=\"names\">");
        for (int rank = 0; rank < run.Ranks.Count; rank++)
        {
            page.Line($"<span>{(plan.Stages > 1 ? PlanPage.Invariant($"{plan.PipelineAxis} {rank}") : "each rank")}</span>");
        }

        page.Line($"</div><div class=\"scroll\"><svg viewBox=\"0 0 {width:0.##} {height:0.##}\" width=\"{width:0.##}\" height=\"{height:0.##}\" role=\"img\" aria-label=\"What each rank does along a step\">");
        Ticks(page, end, scale, width, height);
        for (int rank = 0; rank < run.Ranks.Count; rank++)
        {
            double y = rank * Row + (Row - Box) / 2;
            int[] stages = [.. run.Ranks[rank].Select(a => a.Stage).Distinct().Order()];
            page.Line($"<rect class=\"idle\" x=\"0\" y=\"{y:0.##}\" width=\"{width:0.##}\" height=\"{Box}\" rx=\"3\"/>");
            foreach (StepAction action in run.Ranks[rank])
            {
                Action(page, action.Kind.ToString(), Math.Max(0, Math.Min(3, Array.IndexOf(stages, action.Stage))), action.Start * scale, y, action.Time, scale, PlanPage.Invariant($"{action.MicroBatch}"), action.ToString());
            }

            Action(page, "U", 0, run.Makespan * scale, y, updates[rank], scale, "update", "Gradients reduced, optimizer");
        }

        foreach (StepMessage message in run.Messages)
        {
            double Edge(int rank, bool below) => rank * Row + (Row + (below ? Box : -Box)) / 2;
            bool down = message.To > message.From;
            page.Line($"<path class=\"message\" d=\"M{message.Start * scale:0.##} {Edge(message.From, down):0.##} L{message.Arrival * scale:0.##} {Edge(message.To, !down):0.##}\"/>");
        }

        page.Markup("</svg></div></div>");
        if (plan.Ranks.Any(r => r.Stages.Count > 1))
        {
            page.Markup("<p class=\"note\">Later stages of a rank are fainter.</p>");
        }
    }

    private static void Action(HtmlText page, string style, int chunk, double x, double y, PlanTime time, double scale, string text, string name)
    {
        double width = Math.Max(0.4, time.Total * scale - 1), strip = time.Total > 0 ? width * time.Communication / time.Total : 0;
        page.Line($"<g class=\"{style} c{chunk}\"><title>{name}: {Plan.Time(time.Total)}, of it waits for collectives {Plan.Time(time.Communication)}</title><rect x=\"{x + 0.5:0.##}\" y=\"{y:0.##}\" width=\"{width:0.##}\" height=\"{Box}\" rx=\"{Math.Min(3, width / 3):0.##}\"/>");
        if (strip >= 0.2)
        {
            page.Line($"<rect class=\"strip\" x=\"{x + 0.5:0.##}\" y=\"{y + Box - 5:0.##}\" width=\"{strip:0.##}\" height=\"5\"/>");
        }

        if (width >= 7 * text.Length + 4)
        {
            page.Line($"<text x=\"{x + 0.5 + width / 2:0.##}\" y=\"{y + 15:0.##}\">{text}</text>");
        }

        page.Markup("</g>");
    }

    private static void Ticks(HtmlText page, double end, double scale, double width, double height)
    {
        double wanted = end * 110 / width, power = wanted > 0 ? Math.Pow(10, Math.Floor(Math.Log10(wanted))) : 1, step = new[] { 1, 2, 5, 10 }.Select(s => s * power).First(s => s >= wanted * 0.999);
        for (int i = 0; i * step < end * 0.97; i++)
        {
            page.Line($"<path class=\"grid\" d=\"M{i * step * scale:0.##} 0 V{height - Axis + 4:0.##}\"/><text class=\"tick\" x=\"{i * step * scale + 2:0.##}\" y=\"{height - 6:0.##}\">{(i == 0 ? "0" : Plan.Time(i * step))}</text>");
        }
    }
}
