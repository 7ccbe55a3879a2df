using System.Reflection;
using System.Text.RegularExpressions;
using Shardwright.Analyzers;

namespace Shardwright.Compiler.Tests;

/// <summary>The pages say what the code does: every op has a row, every diagnostic a page and a line in the release file, every link leads somewhere.</summary>
public sealed class DocumentationTests
{
    internal static string Root { get; } = FindRoot();

    [Fact]
    public void EveryOpHasARow()
    {
        string page = File.ReadAllText(Path.Combine(Root, "docs", "ops.md"));
        string[] rows = [.. page.Split('\n').Where(l => l.StartsWith("| `", StringComparison.Ordinal)).Select(l => l.Split('|')[1])];
        IEnumerable<string> ops = typeof(Shardwright.Ops).GetMethods(BindingFlags.Public | BindingFlags.Static).Select(m => m.Name).Distinct();
        Assert.DoesNotContain(ops, o => !rows.Any(r => Regex.IsMatch(r, $@"`{o}\(")));
    }

    [Fact]
    public void EveryDiagnosticHasAPageThatShowsBothWays()
    {
        var analyzer = new FindingsAnalyzer();
        string released = File.ReadAllText(Path.Combine(Root, "src", "Analyzers", "AnalyzerReleases.Unshipped.md"));
        foreach (var descriptor in analyzer.SupportedDiagnostics)
        {
            string file = Path.Combine(Root, "docs", "rules", descriptor.Id + ".md");
            Assert.True(File.Exists(file), $"{descriptor.Id} has no page");
            string page = File.ReadAllText(file);
            Assert.StartsWith($"# {descriptor.Id}: {descriptor.Title}", page, StringComparison.Ordinal);
            Assert.Contains("## Reported", page, StringComparison.Ordinal);
            Assert.Contains("## Right", page, StringComparison.Ordinal);
            Assert.Contains($"{descriptor.Id} | Shardwright | {descriptor.DefaultSeverity} | {descriptor.Title}", released, StringComparison.Ordinal);
            Assert.EndsWith($"docs/rules/{descriptor.Id}.md", descriptor.HelpLinkUri, StringComparison.Ordinal);
        }

        Assert.Equal(analyzer.SupportedDiagnostics.Length, Directory.GetFiles(Path.Combine(Root, "docs", "rules")).Length);
    }

    [Fact]
    public void LinksLeadSomewhere()
    {
        foreach (string page in Directory.GetFiles(Path.Combine(Root, "docs"), "*.md", SearchOption.AllDirectories).Append(Path.Combine(Root, "README.md")))
        {
            foreach (Match link in Regex.Matches(File.ReadAllText(page), @"\]\((?!http)([^)#]+)\)"))
            {
                string target = Path.Combine(Path.GetDirectoryName(page)!, link.Groups[1].Value);
                Assert.True(File.Exists(target) || Directory.Exists(target), $"{Path.GetFileName(page)} links to {link.Groups[1].Value}");
            }
        }
    }

    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Generators.sln")))
        {
            folder = folder.Parent;
        }

        return folder?.FullName ?? throw new InvalidOperationException("the repository was not found above the tests");
    }
}
