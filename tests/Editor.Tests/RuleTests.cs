using Microsoft.CodeAnalysis.CodeActions;
using Microsoft.CodeAnalysis.CSharp;
using Shardwright.Analyzers;
using Shardwright.CodeFixes;
using Shardwright.Compiler.Planning;

namespace Shardwright.Editor.Tests;

/// <summary>What holds for every rule, one by one: a rule without an example fails here.</summary>
public sealed class RuleTests
{
    static RuleTests() => PlanCache.Shared.Planning += model =>
    {
        if (model.StartsWith("My." + Rule.Faulty, StringComparison.Ordinal))
        {
            throw new KeyNotFoundException("nobody had thought of this");
        }
    };

    public static TheoryData<string> Ids => [.. new FindingsAnalyzer().SupportedDiagnostics.Select(d => d.Id)];

    [Fact]
    public void TheTableHoldsEveryRuleOnce() => Assert.Equal(new FindingsAnalyzer().SupportedDiagnostics.Select(d => d.Id), Rule.All.Select(r => r.Id));

    [Theory]
    [MemberData(nameof(Ids))]
    public async Task ARuleFiresAtItsPlaceInItsFileAndIsSilentOnFixedCode(string id)
    {
        Rule rule = Find(id);
        Desk desk = Open(rule.Source, rule);
        Diagnostic found = Assert.Single(await desk.Live(), d => d.Id == id);
        int start = Rule.Head.Length + rule.Reported.IndexOf('«', StringComparison.Ordinal), end = Rule.Head.Length + rule.Reported.IndexOf('»', StringComparison.Ordinal) - 1;
        Assert.Equal(rule.Source[start..end], rule.Source[found.Location.SourceSpan.Start..found.Location.SourceSpan.End]);
        Assert.Equal(start, found.Location.SourceSpan.Start);

        // File by file as in a build, each in its own.
        Assert.DoesNotContain(await desk.Live("Lab.cs"), d => d.Id == id);
        Assert.Equal((await desk.Build()).Select(d => d.ToString()).Order(StringComparer.Ordinal), (await desk.Live()).Concat(await desk.Live("Lab.cs")).Select(d => d.ToString()).Order(StringComparer.Ordinal));
        Assert.Empty(await desk.Errors());
        if (rule.Right.Length > 0)
        {
            Desk right = Open(Rule.Head + rule.Right, rule);
            Assert.DoesNotContain(await right.Build(), d => d.Id == id || d.Severity == DiagnosticSeverity.Error);
            Assert.Empty(await right.Errors());
        }
    }

    [Theory]
    [MemberData(nameof(Ids))]
    public async Task SeverityAndPragmaAreHonouredWhereThereIsAPlan(string id)
    {
        Rule rule = Find(id);
        bool configurable = !new FindingsAnalyzer().SupportedDiagnostics.Single(d => d.Id == id).CustomTags.Contains(WellKnownDiagnosticTags.NotConfigurable);
        ImmutableArray<Diagnostic> none = await Open(rule.Source, rule, $"dotnet_diagnostic.{id}.severity = none").Live(), pragma = await Open($"#pragma warning disable {id}\n" + rule.Source, rule).Live();
        Assert.Equal(!configurable, none.Any(d => d.Id == id));
        Assert.Equal(!configurable, pragma.Any(d => d.Id == id));
        foreach (DiagnosticSeverity severity in new[] { DiagnosticSeverity.Error, DiagnosticSeverity.Warning })
        {
            Diagnostic set = Assert.Single(await Open(rule.Source, rule, $"dotnet_diagnostic.{id}.severity = {severity.ToString().ToLowerInvariant()}").Live(), d => d.Id == id);
            Assert.Equal(configurable ? severity : DiagnosticSeverity.Error, set.Severity);
        }
    }

    /// <summary>A rule that can be fixed offers a fix for its example, and each one that it offers compiles and silences it; a page says that there are fixes just where there are.</summary>
    [Theory]
    [MemberData(nameof(Ids))]
    public async Task EveryFixThatIsOfferedCompilesAndSilences(string id)
    {
        Rule rule = Find(id);
        Desk desk = Open(rule.Source, rule);
        List<CodeAction> actions = await desk.Fixes(Assert.Single(await desk.Live(), d => d.Id == id));
        Assert.Equal(new FindingsCodeFix().FixableDiagnosticIds.Contains(id), actions.Count > 0);
        foreach (CodeAction action in actions)
        {
            Assert.StartsWith(id == "SW1010" || id == "SW1005" ? "SW1006/" : id + "/", action.EquivalenceKey, StringComparison.Ordinal);
            Desk after = await desk.Apply(action);
            Assert.NotEqual(desk.Text() + desk.Text("Lab.cs"), after.Text() + after.Text("Lab.cs"));
            Assert.Empty(await after.Errors());
            Assert.DoesNotContain(await after.Build(), d => d.Id == id || d.Severity == DiagnosticSeverity.Error);
        }

        string page = File.ReadAllText(Path.Combine(Root, "docs", "rules", id + ".md"));
        Assert.Equal(actions.Count > 0, page.Contains("\n## Fix\n", StringComparison.Ordinal));
    }

    /// <summary>The same for everything that the corpus of bad partitions is offered.</summary>
    [Theory]
    [MemberData(nameof(CorpusTests.Bad), MemberType = typeof(CorpusTests))]
    public async Task EveryFixOfABadPartitionCompilesAndSilences(string name)
    {
        (_, string id, string marked) = BadPartitions.All.Single(b => b.Name == name);
        Desk desk = Desk.Of([("Model.cs", Rule.Head + Rule.Plain(marked)), ("Lab.cs", Rule.Lab)], assembly: CorpusTests.Assembly(name));
        foreach (Diagnostic diagnostic in (await desk.Live()).Where(d => d.Id == id))
        {
            foreach (CodeAction action in await desk.Fixes(diagnostic))
            {
                Desk after = await desk.Apply(action);
                Assert.Empty(await after.Errors());
                ImmutableArray<Diagnostic> left = await after.Live();
                Assert.True(left.All(d => d.Id != id), $"{action.Title} leaves {left.FirstOrDefault(d => d.Id == id)}");
            }
        }
    }

    private static string Root
    {
        get
        {
            DirectoryInfo? folder = new(AppContext.BaseDirectory);
            while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "Generators.sln")))
            {
                folder = folder.Parent;
            }

            return folder?.FullName ?? throw new InvalidOperationException("the repository was not found above the tests");
        }
    }

    private static Rule Find(string id) => Rule.All.Single(r => r.Id == id);

    private static Desk Open(string source, Rule rule, string config = "") =>
        Desk.Of([("Model.cs", source), ("Lab.cs", Rule.Lab)], config, references: rule.Library.Length == 0 ? [] : [Desk.Library(rule.Library)], assembly: rule.Id);
}
