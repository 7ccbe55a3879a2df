using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml;
using System.Xml.Linq;

namespace Shardwright.Cli.Tests;

/// <summary><c>report</c> and <see cref="Plan.ToHtml"/>: pages that need nothing else and say everything.</summary>
public sealed class ReportTests : IDisposable
{
    private static readonly string s_gpt = typeof(TinyGpt.Gpt).Assembly.Location;
    private static readonly string s_own = typeof(PlanTests).Assembly.Location;

    private readonly string _folder = Directory.CreateTempSubdirectory("shardwright-report").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Every_mesh_gets_a_page_that_needs_nothing_else()
    {
        string pages = Path.Combine(_folder, "new", "pages");
        (int code, string output, string error) = Tool.Run("report", s_gpt, "--out", pages);
        Assert.Equal((0, ""), (code, error));
        JsonElement[] plans = [.. Tool.Json("plan", s_gpt).GetProperty("plans").EnumerateArray()];
        string[] files = [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => l[(l.IndexOf("fits, ", StringComparison.Ordinal) + "fits, ".Length)..].TrimEnd())];
        Assert.Equal(plans.Length, files.Length);
        Assert.Equal(plans.Length, Directory.GetFiles(pages, "Gpt.On*.html").Length);
        foreach ((JsonElement plan, string file) in plans.Zip(files))
        {
            XElement page = Page(File.ReadAllText(file));
            string shown = page.Value;
            Assert.Contains("on " + plan.GetProperty("mesh").GetString(), shown, StringComparison.Ordinal);
            Assert.All(plan.GetProperty("parameters").EnumerateArray(), p => Assert.Contains(page.Descendants(), e => e.Name.LocalName == "code" && e.Value == p.GetProperty("path").GetString()));
            Assert.All(plan.GetProperty("axes").EnumerateArray(), a => Assert.Contains(page.Descendants(), e => e.Name.LocalName == "b" && e.Value == a.GetProperty("name").GetString()));
            Assert.Equal(plan.GetProperty("collectives").GetArrayLength(), Classes(page, "why").Count());
            Assert.Equal(plan.GetProperty("timeline").GetArrayLength(), Classes(page, "live").Count(e => e.Name.LocalName == "rect"));
        }
    }

    [Theory]
    [InlineData("OnPp2", 4)]
    [InlineData("OnPp2Interleaved", 4)]
    [InlineData("Pp2Dp2Tp2", 6)]
    public void The_chart_is_the_step_that_was_planned(string mesh, int microBatches)
    {
        string[] target = [s_gpt, "--mesh", mesh, "--micro-batches", $"{microBatches}", "--set", $"Batch={8 * microBatches}"];
        Plan plan = Plan.Parse(Tool.Run(["plan", .. target, "--json"]).Output);
        Assert.Equal(0, Tool.Run(["report", .. target, "--out", Path.Combine(_folder, "page.html")]).Code);
        XElement page = Page(File.ReadAllText(Path.Combine(_folder, "page.html")));
        XElement[] actions = [.. page.Descendants().Where(e => e.Name.LocalName == "g" && Regex.IsMatch((string)e.Attribute("class")!, "^[FB] c"))];
        Assert.Equal(2 * plan.Stages * microBatches, actions.Length);
        Assert.Equal(plan.Stages * microBatches, actions.Select(a => a.Value.Split(':')[0]).Count(a => a.Contains('F', StringComparison.Ordinal)));
        Assert.Equal(2 * (plan.Stages - 1) * microBatches, Classes(page, "message").Count());
        Assert.Equal(plan.Bubble, Idle(page), 0.01);
    }

    /// <summary>Share of the rows in which nothing is drawn, from the first action to the start of the update.</summary>
    private static double Idle(XElement page)
    {
        XElement[] boxes = [.. page.Descendants().Where(e => e.Name.LocalName == "g")];
        double end = boxes.Where(b => ((string)b.Attribute("class")!).StartsWith('U')).Min(b => Number(b.Elements().First(e => e.Name.LocalName == "rect"), "x")) - 0.5;
        XElement[] drawn = [.. boxes.Where(b => !((string)b.Attribute("class")!).StartsWith('U')).Select(b => b.Elements().First(e => e.Name.LocalName == "rect"))];
        return 1 - drawn.Sum(r => Number(r, "width") + 1) / (end * drawn.Select(r => Number(r, "y")).Distinct().Count());
    }

    private static double Number(XElement element, string name) => double.Parse((string)element.Attribute(name)!, System.Globalization.CultureInfo.InvariantCulture);

    [Fact]
    public void A_plan_that_does_not_fit_says_why_and_what_would()
    {
        string[] large = [s_gpt, "--mesh", "OnDp2", "--device", "Rtx4090", "--set", "Layers=24", "Hidden=1024", "Heads=16", "Context=1024", "Batch=64", "Vocab=32768"];
        JsonElement plan = Tool.Json(["plan", .. large]);
        (int code, string output, _) = Tool.Run(["report", .. large, "--out", _folder]);
        Assert.Equal(0, code);
        Assert.Contains("DOES NOT FIT", output, StringComparison.Ordinal);
        XElement fit = Assert.Single(Page(File.ReadAllText(Path.Combine(_folder, "Gpt.OnDp2.html"))).Descendants(), e => (string?)e.Attribute("id") == "fit");
        Assert.Contains("Activations", fit.Value, StringComparison.Ordinal);
        Assert.Contains("23.00 GiB", fit.Value, StringComparison.Ordinal);
        Assert.All(plan.GetProperty("waysOut").EnumerateArray(), w => Assert.Contains(fit.Descendants(), e => e.Name.LocalName == "td" && e.Value == w.GetProperty("change").GetString()));
        Assert.DoesNotContain(Page(TinyGpt.Gpt.OnDp2.Plan.ToHtml()).Descendants(), e => (string?)e.Attribute("id") == "fit");
    }

    [Fact]
    public void The_embedded_plan_renders_the_same_page()
    {
        string file = Path.Combine(_folder, "page.html");
        Assert.Equal(0, Tool.Run("report", s_own, "--mesh", "Lab", "--out", file).Code);
        Assert.Equal(File.ReadAllText(file), Models.Net.OnLab.Plan.ToHtml());
    }

    [Fact]
    public void Names_are_text_and_never_markup()
    {
        const string name = "A<script>\"x\"&'y'</script>";
        string document = Tool.Run("plan", s_own, "--mesh", "Lab", "--json").Output.Replace("Shardwright.Cli.Tests.Models.Net", name.Replace("\"", "\\\"", StringComparison.Ordinal), StringComparison.Ordinal);
        XElement page = Page(Plan.Parse(document).ToHtml());
        Assert.Contains(name, page.Descendants().Single(e => e.Name.LocalName == "title" && e.Parent!.Name.LocalName == "head").Value, StringComparison.Ordinal);
    }

    [Fact]
    public void A_plan_of_before_has_a_page_without_a_chart()
    {
        string document = Tool.Run("plan", s_gpt, "--mesh", "OnPp2", "--json").Output;
        string older = Regex.Replace(document, "  \"timing\": .*\n", "");
        Assert.NotEqual(document, older);
        Assert.DoesNotContain(Page(Plan.Parse(older).ToHtml()).Descendants(), e => (string?)e.Attribute("class") == "chart");
    }

    [Fact]
    public void Where_it_cannot_write_is_named()
    {
        string blocked = Path.Combine(_folder, "file");
        File.WriteAllText(blocked, "");
        string refusal = Tool.Refusal(ExitCodes.BadFile, "report", s_gpt, "--mesh", "OnDp2", "--out", Path.Combine(blocked, "page.html"));
        Assert.Contains($"the page cannot be written to '{Path.Combine(blocked, "page.html")}'", refusal, StringComparison.Ordinal);
        Assert.Contains("is one file, and there are ", Tool.Refusal(ExitCodes.Usage, "report", s_gpt, "--out", Path.Combine(_folder, "page.html")), StringComparison.Ordinal);
        Assert.Contains("--out", Tool.Refusal(ExitCodes.Usage, "report", s_gpt, "--mesh", "OnDp2"), StringComparison.Ordinal);
        Assert.Contains("no mesh 'Dp3' carries 'Gpt'", Tool.Refusal(ExitCodes.Usage, "report", s_gpt, "--mesh", "Dp3", "--out", _folder), StringComparison.Ordinal);
    }

    /// <summary>Reads a page, and looks for what would make a browser fetch or run something.</summary>
    private static XElement Page(string text)
    {
        using var reader = XmlReader.Create(new StringReader(text), new XmlReaderSettings { DtdProcessing = DtdProcessing.Ignore, XmlResolver = null });
        XElement page = XDocument.Load(reader).Root!;
        Assert.DoesNotContain(page.Descendants(), e => e.Name.LocalName is "script" or "link" or "img" or "iframe" or "object" or "use" or "a");
        Assert.DoesNotContain(page.Descendants().Attributes(), a => a.Name.LocalName is "src" or "href" or "onload" or "onclick");
        Assert.DoesNotMatch(@"url\(|@import|@font-face", text);
        return page;
    }

    private static IEnumerable<XElement> Classes(XElement page, string name) => page.Descendants().Where(e => ((string?)e.Attribute("class"))?.Split(' ').Contains(name) == true);
}
