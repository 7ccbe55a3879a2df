using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Tests.Pipelining;

/// <summary>What cannot be cut or ordered is reported once, where it is asked for; «…» marks where.</summary>
public sealed class PipelineDiagnosticsTests
{
    private const string Good = """
        [RankActions(0, "0F0 0F1 0B0 0B1")] [RankActions(1, "1F0 1F1 1B0 1B1")] public sealed class Mine;
        """;

    private static string Model(string on, string more = "", string blocks = "readonly LayerStack<Block> blocks = new(4, () => new Block());") => AnalysisTests.Head + $$"""
        [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] public sealed class Pair;
        [ShardedLayer] public sealed partial class Block { readonly Tensor w = Parameter(6, 6); public Tensor Forward(Tensor x) => x + MatMul(x, w); }
        {{more}}
        [{{on}}]
        public sealed partial class Net
        {
            {{blocks}}
            public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(blocks.Forward(x));
        }
        """;

    private static string Own(string schedule) => Model("«ShardedOn<Pair>(MicroBatches = 2, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(Mine))»", schedule);

    public static TheoryData<string, string, string> Faults => new()
    {
        { "SW2001", Model("ShardedOn<Pair>(MicroBatches = 2)", blocks: "[«Stages(1, 2)»] readonly LayerStack<Block> blocks = new(4, () => new Block());"), "[Stages(2, 2)] adds up" },
        { "SW2001", Model("«ShardedOn<Pair>(MicroBatches = 2)»", blocks: "readonly LayerStack<Block> blocks = new(1, () => new Block());"), "a size of 1 or less" },
        {
            "SW2006",
            Model("«ShardedOn<Pair>(MicroBatches = 2)»", blocks: "[Stage(1)] readonly Block first = new(); readonly LayerStack<Block> blocks = new(4, () => new Block());").Replace("blocks.Forward(x)", "blocks.Forward(first.Forward(x))", StringComparison.Ordinal),
            "made on stage 1 of 'Net' and needed on stage 0"
        },
        { "SW2003", Model("«ShardedOn<Pair>(MicroBatches = 2, OwnSchedule = typeof(Mine))»", Good), "set Schedule = PipelineSchedule.Custom" },
        { "SW2007", Model("«ShardedOn<Pair>(MicroBatches = 2, Schedule = PipelineSchedule.Custom)»"), "add OwnSchedule = typeof(…)" },
        { "SW2007", Own("public sealed class Mine;"), "'Mine' has no actions" },
        { "SW2007", Own(Good.Replace("1F1", "1G1", StringComparison.Ordinal)), "schedule 'Mine', rank 1, column 5: '1G1' is no action" },
        { "SW2007", Own(Good.Replace(" 1B1", "", StringComparison.Ordinal)), "stage 1 on rank 1 has no B (or I and W) of micro-batch 1" },
        { "SW2007", Own(Good.Replace("1B0 1B1", "1B1 1B0", StringComparison.Ordinal)), "rank 1 has 1B1 before 1B0: a stage writes its gradients and its loss with micro-batch 0" },
        { "SW2007", Own(Good.Replace("0F1 0B0", "0B0 0F1", StringComparison.Ordinal)), "the ranks wait for each other: rank 0 waits at" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task AFaultIsReportedOnceWhereItIsAskedFor(string id, string marked, string says)
    {
        int start = marked.IndexOf('«', StringComparison.Ordinal), end = marked.IndexOf('»', StringComparison.Ordinal) - 1;
        CSharpCompilation compilation = AnalysisTests.Compile(marked.Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal));
        Diagnostic diagnostic = Assert.Single(await AnalysisTests.Diagnose(compilation));
        Assert.Equal(id, diagnostic.Id);
        Assert.Contains(says, diagnostic.GetMessage(), StringComparison.Ordinal);
        Assert.Equal((start, end), (diagnostic.Location.SourceSpan.Start, diagnostic.Location.SourceSpan.End));
    }

    [Theory]
    [InlineData("ShardedOn<Pair>(MicroBatches = 2)")]
    [InlineData("ShardedOn<Pair>(MicroBatches = 2, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(Mine))")]
    public void AModelSurvivesItsText(string on)
    {
        CSharpCompilation compilation = AnalysisTests.Compile(Model(on, Good));
        Extraction extraction = LayerExtractor.Extract(compilation.GetTypeByMetadataName("My.Net")!, compilation, default);
        var model = new ModelDefinition(extraction.Definition, extraction.Layer.Meshes);
        Assert.Equal(on.Contains("Mine", StringComparison.Ordinal) ? 2 : 0, Assert.Single(model.Meshes).OwnSchedule?.Ranks.Count ?? 0);
        DefinitionText.Result read = DefinitionText.Read(DefinitionText.Write(model));
        Assert.Equal(("", model), (read.Error, read.Model));
    }

    [Fact]
    public async Task AScheduleOfAUserIsEmittedAsItIsWritten()
    {
        CSharpCompilation compilation = AnalysisTests.Compile(Own(Good).Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal));
        Assert.Empty(await AnalysisTests.Diagnose(compilation));
        (Compilation output, GeneratorRunResult result) = AnalysisTests.Generate(compilation);
        Assert.Null(result.Exception);
        Assert.Empty(output.GetDiagnostics().Where(d => d.Severity == DiagnosticSeverity.Error));
        Assert.Contains(result.GeneratedSources, s => s.SourceText.ToString().Contains("// Mine, 2 stages on 2 ranks, 2 micro-batches", StringComparison.Ordinal));
    }
}
