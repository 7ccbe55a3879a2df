using System.Text.RegularExpressions;

namespace Shardwright.Compiler.Tests;

/// <summary>Who may know whom: folders of the compiler look only at those before them, printers do not decide, the runtime knows no compiler.</summary>
public sealed class StructureTests
{
    /// <summary>In order: each may use itself and those before it.</summary>
    private static readonly string[] s_folders = ["Machine", "Graph", "Differentiation", "Sharding", "Fusion", "Pipelining", "Scheduling", "Memory", "Planning"];

    [Fact]
    public void FoldersOfTheCompilerLookOnlyBack()
    {
        string compiler = Path.Combine(DocumentationTests.Root, "src", "Compiler");
        for (int i = 0; i < s_folders.Length; i++)
        {
            foreach (string file in Directory.GetFiles(Path.Combine(compiler, s_folders[i]), "*.cs", SearchOption.AllDirectories))
            {
                foreach (Match use in Regex.Matches(File.ReadAllText(file), @"^using Shardwright\.Compiler\.(\w+)", RegexOptions.Multiline))
                {
                    int used = Array.IndexOf(s_folders, use.Groups[1].Value);
                    Assert.True(used >= 0 && used <= i, $"{Path.GetFileName(file)} in {s_folders[i]} uses {use.Groups[1].Value}");
                }
            }
        }
    }

    [Fact]
    public void OnlyTheFrontendKnowsRoslyn()
    {
        string compiler = Path.Combine(DocumentationTests.Root, "src", "Compiler");
        foreach (string file in Directory.GetFiles(compiler, "*.cs", SearchOption.AllDirectories).Where(f => !f.Contains("Frontend", StringComparison.Ordinal) && !f.Contains("/obj/", StringComparison.Ordinal)))
        {
            Assert.False(File.ReadAllText(file).Contains("using Microsoft.CodeAnalysis", StringComparison.Ordinal), $"{Path.GetFileName(file)} uses Roslyn");
        }
    }

    [Fact]
    public void TheRuntimeKnowsNoCompiler()
    {
        string[] references = [.. typeof(Tensor).Assembly.GetReferencedAssemblies().Select(a => a.Name!)];
        Assert.DoesNotContain(references, r => r.StartsWith("Shardwright", StringComparison.Ordinal) || r.StartsWith("Microsoft.CodeAnalysis", StringComparison.Ordinal));
    }

    [Fact]
    public void FilesAreShortOrSayWhyNot()
    {
        foreach (string file in Directory.GetFiles(Path.Combine(DocumentationTests.Root, "src"), "*.cs", SearchOption.AllDirectories).Where(f => !f.Contains("/obj/", StringComparison.Ordinal)))
        {
            string[] lines = File.ReadAllLines(file);
            Assert.True(lines.Length <= 500 || lines.Take(20).Any(l => l.Contains("lines long because", StringComparison.Ordinal)), $"{Path.GetFileName(file)} has {lines.Length} lines");
        }
    }
}
