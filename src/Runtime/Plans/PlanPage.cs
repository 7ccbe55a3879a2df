namespace Shardwright.Plans;

/// <summary>The page of a plan, from the top: what it is, whether it fits, then a section for each question.</summary>
internal static class PlanPage
{
    /// <summary>The page as text.</summary>
    public static string Write(Plan plan)
    {
        var page = new HtmlText();
        string mesh = plan.Axes.Count == 0 ? "one rank" : string.Join(" × ", plan.Axes.Select(a => $"{a.Name} {a.Size}"));
        page.Markup("<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>");
        page.Line($"<title>{plan.Model} on {plan.Mesh}</title>");
        page.Markup(PageStyle.Sheet);
        page.Markup("</head>\n<body>\n<main>");
        page.Line($"<header><p class=\"kind\">Shardwright plan</p><h1>{ShortName(plan.Model)} <span>on {plan.Mesh}</span></h1>");
        page.Line($"<p class=\"note\">{plan.Model} · {mesh} · {plan.Optimizer} · {Precision(plan.Precision)}{(plan.Device.Length > 0 ? $" · planned for {plan.Device}" : "")}</p></header>");
        if (!plan.Fits)
        {
            FitSection.Write(page, plan);
        }

        Figures(page, plan);
        TensorSection.Write(page, plan);
        MemorySection.Write(page, plan);
        StepSection.Write(page, plan);
        CollectiveSection.Write(page, plan);
        page.Line($"<footer class=\"note\">Times are predictions, bytes are exact. The same as text: <code>shardwright plan</code>.</footer>");
        page.Markup("</main>\n</body>\n</html>");
        return page.ToString();
    }

    /// <summary>The numbers that are asked for first.</summary>
    private static void Figures(HtmlText page, Plan plan)
    {
        page.Markup("<section class=\"figures\">");
        Figure("Ranks", Invariant($"{plan.Axes.Aggregate(1L, (product, a) => product * a.Size):N0}"), plan.Stages > 1 ? $"{plan.Stages} stages, {plan.MicroBatches} micro-batches" : $"{plan.MicroBatches} micro-batch{(plan.MicroBatches == 1 ? "" : "es")}");
        Figure("Parameters", Count(plan.ParameterCount), Invariant($"{plan.ParameterCount:N0} trained"));
        Figure("Memory of a rank", Plan.Size(plan.TotalBytes), plan.Device.Length == 0 ? "largest rank" : $"{Percent((double)plan.TotalBytes / plan.UsableBytes)} of {Plan.Size(plan.UsableBytes)}");
        if (plan.StepSeconds > 0)
        {
            Figure("Step", Plan.Time(plan.StepSeconds), $"waits for the network {Plan.Time(plan.ExposedSeconds)}{(plan.Stages > 1 ? $", bubble {Percent(plan.Bubble)}" : "")}");
            Figure("MFU", Percent(plan.Mfu), $"{Count(plan.ModelFlops)}FLOP a rank and step");
        }

        page.Markup("</section>");
        void Figure(string name, string value, string note) => page.Line($"<div><span>{name}</span><strong>{value}</strong><small>{note}</small></div>");
    }

    /// <summary>A stack of the model, or the model, without its namespace.</summary>
    private static string ShortName(string model) => model[(model.LastIndexOf('.') + 1)..];

    private static string Precision(string name) => name switch { "Float32" => "fp32", "BFloat16Mixed" => "bf16 mixed", "BFloat16MixedFloat32Gradients" => "bf16 mixed, fp32 gradients", "Float16Mixed" => "fp16 mixed", _ => name };

    /// <summary>A large number in short: 12.6 G.</summary>
    internal static string Count(double number) => number switch
    {
        < 1e3 => Invariant($"{number:0} "), < 1e6 => Invariant($"{number / 1e3:0.#} k"), < 1e9 => Invariant($"{number / 1e6:0.#} M"), < 1e12 => Invariant($"{number / 1e9:0.#} G"), < 1e15 => Invariant($"{number / 1e12:0.#} T"), _ => Invariant($"{number / 1e15:0.#} P"),
    };

    /// <summary>A share as percent.</summary>
    internal static string Percent(double share) => Invariant($"{100 * share:0.#} %");

    internal static string Invariant(FormattableString text) => FormattableString.Invariant(text);
}
