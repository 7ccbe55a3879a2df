using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Shardwright.Analyzers;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Planning;

namespace Shardwright.Compiler.Tests;

/// <summary>Faults of our own: they are said where they happened, and what is around them goes on.</summary>
public sealed class FaultTests
{
    private const string Model = AnalysisTests.Head + """
        [ShardedLayer] public sealed partial class FaultyLayer(int n) { readonly Tensor w = Parameter(n, n); public Tensor Forward(Tensor x) => MatMul(x, w); }
        [ShardedOn<Lab>] public sealed partial class FaultyNet { readonly FaultyLayer layer = new(6); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(layer.Forward(x)); }
        [ShardedOn<Lab>] public sealed partial class SoundNet { readonly Tensor w = Parameter(6, 4); public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w)); }
        public static class User { public static object? Use() => FaultyNet.OnLab.Mesh; }
        """;

    [Fact]
    public async Task AFaultOfPlanningIsSaidAtTheMesh()
    {
        static void Fail(string model)
        {
            if (model == "My.FaultyNet, Planned")
            {
                throw new KeyNotFoundException("a state that nobody had thought of");
            }
        }

        PlanCache.Shared.Planning += Fail;
        try
        {
            await OneFaultIsSaid(AnalysisTests.CompileAs("Planned", [], Model), "ShardedOn<Lab>", "('FaultyNet' on 'Lab' was planned)");
        }
        finally
        {
            PlanCache.Shared.Planning -= Fail;
        }
    }

    [Theory]
    [InlineData("My.FaultyLayer, Extracted", "FaultyLayer")]
    [InlineData("My.FaultyNet, ExtractedNet", "FaultyNet")]
    public async Task AFaultOfExtractionIsSaidAtTheType(string type, string at)
    {
        void Fail(string extracted)
        {
            if (extracted == type)
            {
                throw new KeyNotFoundException("a state that nobody had thought of");
            }
        }

        LayerExtractor.Extracting += Fail;
        try
        {
            await OneFaultIsSaid(AnalysisTests.CompileAs(type.Split(", ")[1], [], Model), at, $"('{at}' was read)");
        }
        finally
        {
            LayerExtractor.Extracting -= Fail;
        }
    }

    /// <summary>A finding of an ID without a descriptor would be such a fault.</summary>
    [Fact]
    public void EveryIdOfAFindingHasADescriptor()
    {
        string[] known = [.. new FindingsAnalyzer().SupportedDiagnostics.Select(d => d.Id)];
        string[] made = [.. Directory.GetFiles(Path.Combine(DocumentationTests.Root, "src", "Compiler"), "*.cs", SearchOption.AllDirectories)
            .Where(f => !f.Contains("/obj/", StringComparison.Ordinal)).SelectMany(f => Regex.Matches(File.ReadAllText(f), "\"(SW\\d{4})\"").Select(m => m.Groups[1].Value)).Distinct()];
        Assert.Equal(known, made.Order(StringComparer.Ordinal));
    }

    private static async Task OneFaultIsSaid(CSharpCompilation compilation, string at, string doing)
    {
        Diagnostic found = Assert.Single(await AnalysisTests.Diagnose(compilation));
        Assert.Equal("SW9002", found.Id);
        Assert.Equal(at, found.Location.SourceTree!.GetText().ToString(found.Location.SourceSpan));
        Assert.Contains("KeyNotFoundException: a state that nobody had thought of " + doing, found.GetMessage(), StringComparison.Ordinal);
        (Compilation output, GeneratorRunResult result) = AnalysisTests.Generate(compilation);
        Assert.Null(result.Exception);
        Assert.Empty(output.GetDiagnostics().Where(d => d.Severity == DiagnosticSeverity.Error));
        Assert.Contains(result.GeneratedSources, s => s.HintName == "My.SoundNet.OnLab.Stage0.g.cs");
        Assert.DoesNotContain(result.GeneratedSources, s => s.HintName == "My.FaultyNet.OnLab.Stage0.g.cs");
    }
}
