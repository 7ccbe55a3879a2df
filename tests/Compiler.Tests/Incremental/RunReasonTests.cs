using Shardwright.Generators;

namespace Shardwright.Compiler.Tests.Incremental;

/// <summary>The table of run reasons: what each step does after each kind of edit. Cached is free, Unchanged stops there.</summary>
public sealed class RunReasonTests
{
    private const string AllLayersCached = "Alone Cached, Dense Cached, Net Cached";

    /// <summary>Edit; then extraction, layers, models, plans, outputs; then plans that were made.</summary>
    public static TheoryData<string, string, string, string, string, string, int> Table => new()
    {
        { "clone", "Cached", AllLayersCached, "Net Cached", "Net.OnLab Cached", "Cached", 0 },
        { "body elsewhere", "Cached", AllLayersCached, "Net Cached", "Net.OnLab Cached", "Cached", 0 },
        { "comment elsewhere", "Cached", AllLayersCached, "Net Cached", "Net.OnLab Cached", "Cached", 0 },
        { "field value elsewhere", "Cached", AllLayersCached, "Net Cached", "Net.OnLab Cached", "Cached", 0 },
        { "member elsewhere", "Unchanged", AllLayersCached, "Net Cached", "Net.OnLab Cached", "Cached", 0 },
        { "file elsewhere", "Unchanged", AllLayersCached, "Net Cached", "Net.OnLab Cached", "Cached", 0 },
        { "comment in a layer", "Unchanged", AllLayersCached, "Net Cached", "Net.OnLab Cached", "Cached", 0 },
        { "body of a layer that no model holds", "Modified", "Alone Modified, Dense Cached, Net Cached", "Net Unchanged", "Net.OnLab Cached", "Cached, Modified", 0 },
        { "body of a layer", "Modified", "Alone Cached, Dense Modified, Net Cached", "Net Modified", "Net.OnLab Modified", "Cached, Modified", 1 },
        { "body of a function", "Modified", "Alone Cached, Dense Modified, Net Cached", "Net Modified", "Net.OnLab Modified", "Cached, Modified", 1 },
        { "field of a layer", "Modified", "Alone Cached, Dense Modified, Net Cached", "Net Modified", "Net.OnLab Modified", "Cached, Modified", 1 },
        { "added layer", "Modified", "Alone Cached, Dense Cached, More New, Net Cached", "Net Unchanged", "Net.OnLab Cached", "Cached, New", 0 },
        { "attribute of a parameter", "Modified", "Alone Cached, Dense Modified, Net Cached", "Net Modified", "Net.OnLab Modified", "Cached, Modified", 1 },
        { "attribute of a model", "Modified", "Alone Cached, Dense Cached, Net Modified", "Net Modified", "Net.OnLab Modified", "Cached, Modified", 1 },
        { "constant of a mesh", "Modified", "Alone Cached, Dense Cached, Net Modified", "Net Modified", "Net.OnLab Modified", "Cached, Modified", 1 },
    };

    private static void Apply(string edit, Workbench bench)
    {
        switch (edit)
        {
            case "clone": bench.Clone(); break;
            case "body elsewhere": bench.Edit("User.cs", "42", "43"); break;
            case "comment elsewhere": bench.Edit("User.cs", "public int Answer", "/* why */ public int Answer"); break;
            case "field value elsewhere": bench.Edit("User.cs", "Number = 1", "Number = 2"); break;
            case "member elsewhere": bench.Edit("User.cs", "public int Answer", "public int Another() => 1; public int Answer"); break;
            case "file elsewhere": bench.AddFile("Zebra.cs", "namespace My; public sealed class Zebra { }"); break;
            case "comment in a layer": bench.Edit("Dense.cs", "// A product, and a bump.", "// A matrix product,\n\n    /* and */ // a bump."); break;
            case "body of a layer that no model holds": bench.Edit("Alone.cs", "MatMul(x, w)", "Relu(MatMul(x, w))"); break;
            case "body of a layer": bench.Edit("Dense.cs", "MatMul(x, w)", "Relu(MatMul(x, w))"); break;
            case "body of a function": bench.Edit("Functions.cs", "v * v", "v * v * v"); break;
            case "field of a layer": bench.Edit("Dense.cs", "Parameter(n, n)", "Parameter(n, n, Init.Zeros)"); break;
            case "added layer": bench.AddFile("More.cs", Workbench.Files["Alone.cs"].Replace("Alone", "More", StringComparison.Ordinal)); break;
            case "attribute of a parameter": bench.Edit("Dense.cs", "[Split(\"tp\", 1)]", "[Split(\"tp\", 0)]"); break;
            case "attribute of a model": bench.Edit("Net.cs", "[ShardedOn<Lab>]", "[ShardedOn<Lab>(MicroBatches = 2)]"); break;
            case "constant of a mesh": bench.Edit("Sizes.cs", "Data = 2, Width = 4 * Data", "Data = 4, Width = 8"); break;
            default: throw new ArgumentException(edit);
        }
    }

    [Theory]
    [MemberData(nameof(Table))]
    public void EachStepDoesWhatTheTableSays(string edit, string extraction, string layers, string models, string plans, string outputs, int planned)
    {
        var bench = new Workbench();
        Assert.Equal(1, bench.Planned);
        Apply(edit, bench);
        Assert.Equal(
            (extraction, layers, models, plans, outputs, planned),
            (bench.Reasons(TrackingNames.Extraction), bench.Reasons(TrackingNames.Layers), bench.Reasons(TrackingNames.Models), bench.Reasons(TrackingNames.Plans), bench.Outputs(), bench.Planned));
        Assert.DoesNotContain("Modified", bench.Reasons(TrackingNames.Places), StringComparison.Ordinal);
    }

    /// <summary>What an incremental run leaves is what a run from nothing makes.</summary>
    [Theory]
    [MemberData(nameof(Table))]
    public void AnEditGivesWhatABuildGives(string edit, string extraction, string layers, string models, string plans, string outputs, int planned)
    {
        _ = (extraction, layers, models, plans, outputs, planned);
        var bench = new Workbench();
        Apply(edit, bench);
        var fresh = new Workbench(bench.Compilation.SyntaxTrees.ToDictionary(t => t.FilePath, t => t.ToString()));
        static Dictionary<string, string> Texts(Workbench b) => b.Result.GeneratedSources.ToDictionary(s => s.HintName, s => s.SourceText.ToString().Replace(b.Compilation.AssemblyName!, "A", StringComparison.Ordinal));
        Assert.Equal(Texts(fresh), Texts(bench));
    }

    [Fact]
    public void TheTableCoversEveryStep() => Assert.Equal(
        TrackingNames.All.Order(StringComparer.Ordinal), new Workbench().Result.TrackedSteps.Keys.Where(k => k.StartsWith("Shardwright.", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
}
