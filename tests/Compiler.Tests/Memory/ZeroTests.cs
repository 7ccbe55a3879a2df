using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Shardwright.Compiler.Planning;

namespace Shardwright.Compiler.Tests.Memory;

/// <summary>What ZeRO leaves on a rank, and what it refuses.</summary>
public sealed class ZeroTests
{
    private static IReadOnlyDictionary<MemoryCategory, long> Memory(RankProgram program) => PlanDocument.Memory(program, PlanDocument.Largest(program));

    [Theory]
    [InlineData("OnDp2", "AdamW")]
    [InlineData("OnDp2Tp2", "Momentum")]
    [InlineData("OnPp2Dp2Tp2", "AdamW")]
    public void StageOneHalvesTheStateOverTwoRanksAndNothingElse(string on, string optimizer)
    {
        RankProgram whole = Plans.TinyGpt.Program(on, m => m with { Optimizer = optimizer }), cut = Plans.TinyGpt.Program(on, m => m with { Optimizer = optimizer, Zero = "OptimizerState" });
        IReadOnlyDictionary<MemoryCategory, long> before = Memory(whole), after = Memory(cut);
        Assert.Equal(before[MemoryCategory.OptimizerState], 2 * after[MemoryCategory.OptimizerState]);
        Assert.Equal(before[MemoryCategory.Parameters], after[MemoryCategory.Parameters]);
        Assert.Equal(before[MemoryCategory.Gradients], after[MemoryCategory.Gradients]);
        Assert.Equal(before[MemoryCategory.OptimizerState] / 2, whole.ArenaBytes - cut.ArenaBytes);
    }

    private static string Model(string on, string weight = "readonly Tensor w = Parameter(6, 6);") => AnalysisTests.Head + $$"""
        [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] [MeshAxis("dp", 2, Role = AxisRole.Data)] [MeshAxis("tp", 2, Role = AxisRole.Tensor)] public sealed class Cube;
        [DeviceMesh] [MeshAxis("dp", 2, Role = AxisRole.Data)] [MeshAxis("dq", 2, Role = AxisRole.Data)] public sealed class Square;
        [DeviceMesh] [MeshAxis("dp", 1, Role = AxisRole.Data)] public sealed class Small;
        [ShardedLayer] public sealed partial class Block { {{weight}} public Tensor Forward(Tensor x) => x + MatMul(x, w); }
        [«{{on}}»]
        public sealed partial class Net
        {
            readonly LayerStack<Block> blocks = new(4, () => new Block());
            public Tensor Loss([Shape(8, 6), Split("dp", 0)] Tensor x) => Mean(blocks.Forward(x));
        }
        """;

    public static TheoryData<string, string, string> Faults => new()
    {
        { "SW1001", Model("ShardedOn<Cube>(MicroBatches = 2, Zero = ZeroStage.OptimizerState, ZeroAxis = \"zp\")"), "'Cube' has no axis 'zp', which ZeroAxis of 'Net' names: it has 'pp', 'dp', 'tp'" },
        { "SW1001", Model("ShardedOn<Square>(Zero = ZeroStage.OptimizerState)"), "add ZeroAxis = \"dp\"" },
        { "SW1004", Model("ShardedOn<Cube>(MicroBatches = 2, Zero = ZeroStage.OptimizerState, ZeroAxis = \"pp\")"), "use ZeroAxis = \"dp\"" },
        { "SW1004", Model("ShardedOn<Cube>(MicroBatches = 2, Zero = ZeroStage.OptimizerState, ZeroAxis = \"tp\")"), "use ZeroAxis = \"dp\"" },
        { "SW1004", Model("ShardedOn<Cube>(MicroBatches = 2, Zero = ZeroStage.OptimizerState)", "[Split(\"dp\", 1)] readonly Tensor w = Parameter(6, 6);"), "the axis splits 144 of 144 parameters already" },
        { "SW2003", Model("ShardedOn<Cube>(MicroBatches = 2, ZeroAxis = \"dp\")"), "say what with Zero = ZeroStage.OptimizerState" },
    };

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task WhatCannotBeCutIsReportedOnceWhereItIsAskedFor(string id, string marked, string says)
    {
        int start = marked.IndexOf('«', StringComparison.Ordinal), end = marked.IndexOf('»', StringComparison.Ordinal) - 1;
        CSharpCompilation compilation = AnalysisTests.Compile(marked.Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal));
        Diagnostic diagnostic = Assert.Single(await AnalysisTests.Diagnose(compilation));
        Assert.Equal(id, diagnostic.Id);
        Assert.Contains(says, diagnostic.GetMessage(), StringComparison.Ordinal);
        Assert.Equal((start, end), (diagnostic.Location.SourceSpan.Start, diagnostic.Location.SourceSpan.End));
    }

    [Theory]
    [InlineData("ShardedOn<Cube>(MicroBatches = 2, Zero = ZeroStage.OptimizerState)")]
    [InlineData("ShardedOn<Square>(Zero = ZeroStage.OptimizerState, ZeroAxis = \"dq\")")]
    [InlineData("ShardedOn<Small>(Zero = ZeroStage.OptimizerState)")]
    public async Task WhatCanBeCutCompiles(string on)
    {
        CSharpCompilation compilation = AnalysisTests.Compile(Model(on).Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal));
        Assert.Empty(await AnalysisTests.Diagnose(compilation));
        (Compilation output, _) = AnalysisTests.Generate(compilation);
        Assert.Empty(output.GetDiagnostics().Where(d => d.Severity == DiagnosticSeverity.Error));
    }
}
