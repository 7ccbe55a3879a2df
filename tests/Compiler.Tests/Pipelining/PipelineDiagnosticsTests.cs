using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Tests.Memory;

namespace Shardwright.Compiler.Tests.Pipelining;

using Plans = Shardwright.Compiler.Tests.Memory.Plans;

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

    /// <summary>A layer before the stack, and one after it.</summary>
    private static string Around(string first, string blocks, string last) => Model("ShardedOn<Pair>(MicroBatches = 2)", blocks: $"{first} readonly Block first = new(); {blocks} readonly LayerStack<Block> blocks = new(4, () => new Block()); {last} readonly Block last = new();")
        .Replace("blocks.Forward(x)", "last.Forward(blocks.Forward(first.Forward(x)))", StringComparison.Ordinal);

    private static string Own(string schedule) => Model("«ShardedOn<Pair>(MicroBatches = 2, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(Mine))»", schedule);

    public static TheoryData<string, string, string> Faults => new()
    {
        { "SW2001", Model("ShardedOn<Pair>(MicroBatches = 2)", blocks: "[«Stages(1, 2)»] readonly LayerStack<Block> blocks = new(4, () => new Block());"), "[Stages(2, 2)] adds up" },
        { "SW2001", Model("«ShardedOn<Pair>(MicroBatches = 2)»", blocks: "readonly LayerStack<Block> blocks = new(1, () => new Block());"), "a size of 1 or less" },
        { "SW2001", Model("«ShardedOn<Pair>(MicroBatches = 2, Schedule = PipelineSchedule.Interleaved, Chunks = 3)»"), "'Net' has 4 pieces to share out (each layer of a stack, and what has parameters before and after), and 'Pair' has 6 stages (pp = 2, 3 on each): Chunks = 2 would do" },
        { "SW2001", Model("ShardedOn<Pair>(MicroBatches = 2)", blocks: "[«Stages(4, 0)»] readonly LayerStack<Block> blocks = new(4, () => new Block());"), "stage 1 of 'Net' on 'Pair' has no parameters to train: [Stages(2, 2)] on 'blocks' would do" },
        { "SW2003", Model("«ShardedOn<Pair>(MicroBatches = 4, Schedule = PipelineSchedule.Interleaved, GroupSize = 3)»"), "4 micro-batches are not divisible by the group size 3: a group size of 2 or 4 would do" },
        { "SW2003", Model("«ShardedOn<Pair>(MicroBatches = 4, GroupSize = 2)»"), "1f1b has no groups of micro-batches, and a group size of 2 is asked for: leave it out, or use interleaved" },
        { "SW2003", Model("«ShardedOn<Pair>(MicroBatches = 2, Schedule = PipelineSchedule.GPipe, Chunks = 2)»"), "gpipe runs 1 stage on each rank, and 2 are asked for: give 1" },
        { "SW2003", Model("«ShardedOn<Pair>(MicroBatches = 2, Schedule = PipelineSchedule.GPipe, HopAwareWarmUp = true)»"), "gpipe has no hop-aware warm-up: leave it out, or use 1f1b or zb-h1" },
        { "SW2003", Model("«ShardedOn<Pair>(MicroBatches = 3)»"), "the batch of 'Net' is 8, which MicroBatches = 3 does not divide: use 2" },
        { "SW2003", Model("«ShardedOn<Pair>(MicroBatches = 2, Schedule = PipelineSchedule.Interleaved, Chunks = 1)»", blocks: "[Stages(1, 1, 1, 1)] readonly LayerStack<Block> blocks = new(4, () => new Block());"), "Chunks = 1 and [Stages] with 4 numbers for 2 ranks do not agree: leave Chunks out, or give 2 numbers" },
        { "SW2003", Model("«ShardedOn<Pair>(MicroBatches = 2, Schedule = PipelineSchedule.Custom, OwnSchedule = typeof(Mine), Chunks = 2)»", Good), "leave out Chunks, GroupSize and HopAwareWarmUp" },
        { "SW2006", Around("[«Stage(1)»]", "", ""), "it makes 'firstAdd', which is needed on stage 0 of 'Net' on 'Pair', and stages only pass forward: [Stage(0)] would do" },
        { "SW2006", Around("", "[Stages(2, 2)]", "[«Stage(0)»]"), "it reads 'blocksAdd', which is made on stage 1 of 'Net' on 'Pair', and stages only pass forward: [Stage(1)] would do" },
        { "SW2001", Around("", "", "[«Stage(2)»]"), "[Stage(2)] on 'last': 'Pair' has the stages 0 to 1" },
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
    [InlineData("ShardedOn<Pair>(MicroBatches = 4, Schedule = PipelineSchedule.Interleaved, Chunks = 2, GroupSize = 2, HopAwareWarmUp = true)")]
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
    public void AValueThatSkipsStagesIsHandedOnAndCounted()
    {
        RankProgram program = Plans.Of("""
            [DeviceMesh] [MeshAxis("pp", 4, Role = AxisRole.Pipeline)] public sealed class Four;
            [ShardedLayer] public sealed partial class Block { readonly Tensor w = Parameter(6, 6); public Tensor Forward(Tensor x) => x + MatMul(x, w); }
            [ShardedOn<Four>(MicroBatches = 2)]
            public sealed partial class Net
            {
                readonly Block first = new();
                [Stages(1, 1, 1, 1)] readonly LayerStack<Block> blocks = new(4, () => new Block());
                public Tensor Loss([Shape(8, 6)] Tensor x)
                {
                    var skip = first.Forward(x);
                    return Mean(Square(blocks.Forward(skip)) * skip);
                }
            }
            """).Program("OnFour");
        for (int stage = 0; stage < 4; stage++)
        {
            // What the block hands on and what skips it, [4, 6] each, forward and back.
            EquatableArray<BoundaryPlan> passing = program.Stages[program.Ranks[stage].Chunks[0].Program].Entries[0].Boundaries;
            foreach ((bool arrives, bool gradient) in new[] { (true, false), (false, false), (true, true), (false, true) })
            {
                bool edge = stage == (arrives != gradient ? 0 : 3);
                Assert.Equal(edge ? [] : [96L, 96L], passing.Where(b => b.Arrives == arrives && b.IsGradient == gradient).Select(b => b.Bytes));
            }
        }
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
