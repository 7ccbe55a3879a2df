using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Shardwright.Compiler.Tests;

/// <summary>
/// Walks through docs/getting-started.md as its reader does. A comment before a block says what to do with it: make a file, change lines of it,
/// find exactly these diagnostics, find these lines in a generated file. Between the steps the project must compile.
/// </summary>
public sealed class GuideTests
{
    private const string ImplicitUsings = "global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq; global using System.Threading; global using System.Threading.Tasks;";

    [Fact]
    public async Task TheFirstHourGoesAsWritten()
    {
        string page = await File.ReadAllTextAsync(Path.Combine(DocumentationTests.Root, "docs", "getting-started.md"));
        MatchCollection steps = Regex.Matches(page, @"<!-- (?<what>.*?) -->\n```\w*\n(?<text>.*?)```", RegexOptions.Singleline);
        Assert.Equal(Regex.Matches(page, "<!-- ").Count, steps.Count);
        Assert.Equal(Regex.Matches(page, "```csharp").Count, steps.Count(s => !s.Groups["what"].Value.StartsWith("reports", StringComparison.Ordinal)));
        var files = new Dictionary<string, string>();
        for (int i = 0; i < steps.Count; i++)
        {
            string what = steps[i].Groups["what"].Value, text = steps[i].Groups["text"].Value;
            switch (what.Split(' ')[0])
            {
                case "file":
                    files[what.Split(' ')[1]] = text;
                    break;
                case "change":
                    files[what.Split(' ')[1]] = Change(files[what.Split(' ')[1]], what, text);
                    break;
                case "reports":
                    Assert.Equal(text.TrimEnd().Split('\n'), (await AnalysisTests.Diagnose(Compile(files))).OrderBy(d => d.Location.SourceSpan.Start).Select(Line));
                    continue;
                case "generated":
                    string generated = AnalysisTests.Generate(Compile(files)).Result.GeneratedSources.Single(s => s.HintName == what.Split(' ')[1]).SourceText.ToString();
                    Assert.All(text.Split('\n', StringSplitOptions.RemoveEmptyEntries), l => Assert.Contains(l.Trim(), generated, StringComparison.Ordinal));
                    continue;
                default:
                    Assert.Fail($"the guide asks for '{what}', which this test does not know");
                    break;
            }

            if (files.Count == 2 && !(i + 1 < steps.Count && steps[i + 1].Groups["what"].Value.StartsWith("reports", StringComparison.Ordinal)))
            {
                Compilation compilation = Compile(files);
                Assert.Empty(await AnalysisTests.Diagnose(compilation));
                Assert.Empty(AnalysisTests.Generate(compilation).Output.GetDiagnostics().Where(d => d.Severity >= DiagnosticSeverity.Warning));
            }
        }
    }

    private static string Change(string file, string what, string text)
    {
        List<string> lines = [.. file.TrimEnd('\n').Split('\n')];
        string[] quoted = [.. Regex.Matches(what, "\"([^\"]+)\"").Select(m => m.Groups[1].Value)];
        int start = lines.FindIndex(l => l.Contains(quoted[0], StringComparison.Ordinal));
        Assert.True(start >= 0, $"there is no line with '{quoted[0]}'");
        int end = what.Contains(" before ", StringComparison.Ordinal) ? start
            : what.EndsWith("to the end", StringComparison.Ordinal) ? lines.Count
            : lines.FindIndex(start, l => l.Contains(quoted[1], StringComparison.Ordinal)) + 1;
        Assert.True(end >= start, $"there is no line with '{quoted[^1]}'");
        lines.RemoveRange(start, end - start);
        lines.InsertRange(start, text.TrimEnd('\n').Split('\n'));
        return string.Join('\n', lines) + "\n";
    }

    private static CSharpCompilation Compile(Dictionary<string, string> files) => CSharpCompilation.Create(
        "First",
        [.. files.Append(new("Usings.cs", ImplicitUsings)).Select(f => CSharpSyntaxTree.ParseText(f.Value, new CSharpParseOptions(LanguageVersion.CSharp12), f.Key))],
        AnalysisTests.s_references,
        new CSharpCompilationOptions(OutputKind.ConsoleApplication, nullableContextOptions: NullableContextOptions.Enable));

    private static string Line(Diagnostic diagnostic)
    {
        FileLinePositionSpan place = diagnostic.Location.GetLineSpan();
        return $"{place.Path}({place.StartLinePosition.Line + 1},{place.StartLinePosition.Character + 1}): {diagnostic.Severity.ToString().ToLowerInvariant()} {diagnostic.Id}: {diagnostic.GetMessage()}";
    }
}
