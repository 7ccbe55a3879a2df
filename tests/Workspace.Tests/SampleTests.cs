namespace Shardwright.Workspace.Tests;

/// <summary>The sample in a workspace that MSBuild opens: diagnostics come from the analyzers that its project names, fixes change its files, and what is on the disk then builds and trains.</summary>
public sealed class SampleTests
{
    [Fact]
    public async Task TheSampleShowsItsPlansAndNothingElse()
    {
        using OpenProject sample = await OpenProject.Open(Path.Combine(SampleCopy.Root, "samples", "TinyGpt", "TinyGpt.csproj"));
        ImmutableArray<Diagnostic> found = await sample.Live("Model.cs");
        int meshes = (await sample.Document("Model.cs").GetTextAsync()).ToString().Split("[ShardedOn<").Length - 1;
        Assert.True(meshes > 5);
        Assert.Equal(meshes, found.Count(d => d.Id == "SW9001"));
        Assert.DoesNotContain(found, d => d.Severity >= DiagnosticSeverity.Warning);
        foreach (Document document in sample.Project.Documents.Where(d => d.Name != "Model.cs" && d.Folders.Count == 0))
        {
            Assert.Empty(await sample.Live(document.Name));
        }
    }

    [Fact]
    public async Task ACopyIsFixedShardedBuiltAndTrained()
    {
        using SampleCopy copy = SampleCopy.Make();
        using (OpenProject project = await OpenProject.Open(copy.ProjectFile))
        {
            Assert.Equal(["SW1001", "SW1001", "SW0006"], (await project.Live("Model.cs")).Where(d => d.Severity >= DiagnosticSeverity.Warning).Select(d => d.Id));
            await project.FixAll("Model.cs", "SW1001/nearest");
            await project.Fix(Assert.Single(await project.Live("Model.cs"), d => d.Id == "SW0006"), "SW0006/remove");
            Assert.DoesNotContain(await project.Live("Model.cs"), d => d.Severity >= DiagnosticSeverity.Warning);
            await project.Refactor("Model.cs", "class Gpt", "SW1009/Gpt/OnDp2Tp2");
            Assert.DoesNotContain(await project.Live("Model.cs"), d => d.Severity >= DiagnosticSeverity.Warning);
            Assert.Empty(await project.Errors());
        }

        string text = copy.Text("Model.cs");
        Assert.DoesNotContain("idle", text, StringComparison.Ordinal);
        Assert.DoesNotContain("\"tpp\"", text, StringComparison.Ordinal);
        Assert.Contains("[Split(\"tp\", dim: 1)] readonly Tensor up", text, StringComparison.Ordinal);
        Assert.Contains("[Split(\"tp\", dim: 1)] readonly Tensor query", text, StringComparison.Ordinal);
        Assert.Equal(2 + 1, text.Split("[Split(\"dp\", dim: 0)]").Length - 1);
        Func<string, double[]> losses = copy.BuildAndTrain();
        double[] one = losses("single"), four = losses("sharded");
        Assert.Equal(10, one.Length);
        Assert.True(one[^1] < 0.8 * one[0], $"{one[0]} … {one[^1]}");
        Assert.All(one.Zip(four), p => Assert.InRange(Math.Abs(p.Second / p.First - 1), 0, 1e-5));
        Assert.Equal(one.Length, four.Length);
    }
}
