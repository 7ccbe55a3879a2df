using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Sharding;

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

    /// <summary>Bytes per parameter of memory-and-cost: parameters, gradients, state, each whole or in shards. Padding is named: it is what a bucket has beside its parameters.</summary>
    [Theory]
    [InlineData("OnDp2", "AdamW", "None", 2)]
    [InlineData("OnDp2", "AdamW", "OptimizerState", 2)]
    [InlineData("OnDp2", "AdamW", "Gradients", 2)]
    [InlineData("OnDp2", "AdamW", "Parameters", 2)]
    [InlineData("OnDp2", "AdamW", "Parameters", 7)]
    [InlineData("OnDp2Tp2", "Momentum", "Gradients", 3)]
    [InlineData("OnDp2Tp2", "Sgd", "Parameters", 4)]
    [InlineData("OnPp2Dp2Tp2", "AdamW", "Gradients", 5)]
    [InlineData("OnPp2Dp2Tp2", "AdamW", "Parameters", 2)]
    public void ModelStateFollowsTheTable(string on, string optimizer, string zero, int n)
    {
        RankProgram program = Plans.TinyGpt.Program(
            on, m => m with { Optimizer = optimizer, Zero = zero, Mesh = m.Mesh with { Axes = m.Mesh.Axes.Select(a => a.Name == "dp" ? a with { Size = n } : a).ToEquatable() } }, ("Batch", 16 * n));
        int stage = Array.IndexOf(["None", "OptimizerState", "Gradients", "Parameters"], zero);
        int states = optimizer switch { "AdamW" => 2, "Momentum" => 1, _ => 0 };
        foreach (RankPlan rank in program.Ranks)
        {
            List<ParameterGroup> groups = [.. rank.Chunks.SelectMany(c => program.Stages[c.Program].Groups)];
            IReadOnlyDictionary<MemoryCategory, long> memory = PlanDocument.Memory(program, rank);
            long elements = rank.Chunks.SelectMany(c => program.Stages[c.Program].Parameters).Sum(p => Math.Max(1, p.Layers) * p.Local.Aggregate(1L, (a, b) => a * b));
            Assert.Equal(elements, groups.Sum(g => g.Elements));

            // Times n, so that the bytes of a shard are whole numbers.
            long padding = groups.Sum(g => (g.Shards is { } s ? s.Length * s.Buckets : g.ParameterElements) - g.Elements);
            long Kept(int from, int copies) => 4 * copies * (elements + padding) * (stage >= from ? 1 : n);
            Assert.Equal(Kept(3, 1), n * memory[MemoryCategory.Parameters]);
            Assert.Equal(Kept(2, 1), n * memory[MemoryCategory.Gradients]);
            Assert.Equal(Kept(1, states), n * memory[MemoryCategory.OptimizerState]);
            Assert.InRange(padding, 0, groups.Sum(g => 16L * n * g.Buckets));

            // What the plan names is the same, rounded down for each group and region.
            double named = 4.0 * padding * ((stage >= 3 ? 1 : n) + (stage >= 2 ? 1 : n) + states * (stage >= 1 ? 1 : n)) / n;
            Assert.InRange(PlanDocument.Padding(program, rank), named - 3 * groups.Count, named);
        }
    }

    [Fact]
    public void ALayerIsGatheredOnceInEachDirectionIntoAWindowOfTwoLayers()
    {
        RankProgram program = Plans.TinyGpt.Program("OnDp2", m => m with { Zero = "Parameters" }, ("Layers", 12)), whole = Plans.TinyGpt.Program("OnDp2", overrides: ("Layers", 12));
        EntryPlan train = program.Stages[0].Entries[0];
        List<ParameterGroup> layers = [.. program.Stages[0].Groups.Where(g => g.Buckets == 12)];
        Assert.Equal(12 * 128 * 128 * 12 + 4 * 128 * 12, layers.Sum(g => g.Elements));
        foreach (string method in new[] { "ForwardBlocks", "BackwardBlocks" })
        {
            List<ProgramStatement.Start> starts = [.. train.Methods.Single(m => m.Name == method).Statements.OfType<ProgramStatement.Start>()];
            Assert.Equal(layers.Count, starts.Count(s => s.Kind == CollectiveKind.AllGather));
            Assert.Equal(method == "BackwardBlocks" ? layers.Count : 0, starts.Count(s => s.Kind == CollectiveKind.ReduceScatter));
        }

        // No buffer beside the shards is larger than a bucket, and no parameter has a buffer of its own.
        Assert.All(program.Stages[0].Buffers.Where(b => b.Category == MemoryCategory.Parameters && b.Space == MemorySpace.Step), b => Assert.Contains(program.Stages[0].Groups, g => g.Shards!.Length == b.Length && b.Slots == (g.Buckets > 1 ? 2 : 1)));
        Assert.All(program.Stages[0].Buffers.Where(b => b.Category == MemoryCategory.Parameters && b.Space == MemorySpace.State), b => Assert.StartsWith("group", b.Name, StringComparison.Ordinal));

        // Half of all state is gone; what windows add is less than two layers and what stands outside of them.
        long state = 16 * whole.Stages[0].Groups.Sum(g => g.Elements), outside = 8 * program.Stages[0].Groups.Where(g => g.Buckets == 1).Sum(g => g.Shards!.Length), layer = 8 * layers.Sum(g => g.Shards!.Length);
        Assert.InRange(program.ArenaBytes, whole.ArenaBytes - state / 2, whole.ArenaBytes - state / 2 + outside + 2 * layer);
    }

    /// <summary>The next layer's parameters are under way while a layer computes: in forward those of the layer above, in backward those of the layer below. The first one is gathered beside what comes before
    /// the loop; both loops share one ring, in which backward finds the last two layers.</summary>
    [Theory]
    [InlineData("ForwardBlocks", SlotIndex.NextLayer, 1, 0, -1)]
    [InlineData("BackwardBlocks", SlotIndex.PreviousLayer, -1, 1, 2)]
    public void TheNextLayerIsGatheredBesideALayersKernels(string loop, SlotIndex next, int offset, int second, int waited)
    {
        StageProgram stage = Plans.TinyGpt.Program("OnDp2", m => m with { Zero = "Parameters" }, ("Layers", 12)).Stages[0];
        EntryPlan train = stage.Entries[0];
        ProgramStatement[] layer = [.. train.Methods.Single(m => m.Name == loop).Statements], hosts = [.. train.Methods.Single(m => m.Name == "ForwardBeforeBlocks").Statements];
        List<ProgramStatement.Start> starts = [.. layer.OfType<ProgramStatement.Start>().Where(s => s.Kind == CollectiveKind.AllGather)];
        Assert.NotEmpty(starts);
        int kernel = Array.FindIndex(layer, s => s is ProgramStatement.Run), awaited = Array.FindLastIndex(layer, kernel, s => s is ProgramStatement.Wait);
        foreach (ProgramStatement.Start start in starts)
        {
            // The wait of a ticket comes before the start that overwrites it, and that before all kernels; the kernels read the slot of their own layer.
            Assert.Equal(new LayerGuard(offset, 12, second), start.Guard);
            Assert.Equal((next, next), (start.Source.Slot, start.Target!.Slot));
            Assert.Contains(layer.Take(awaited + 1).OfType<ProgramStatement.Wait>(), w => w.Ticket == start.Ticket && w.Guard == new LayerGuard(waited, 12));
            Assert.InRange(Array.IndexOf(layer, start), awaited + 1, kernel - 1);
            Assert.All(layer.OfType<ProgramStatement.Run>().SelectMany(r => r.Operands).Where(o => o.Buffer == start.Target.Buffer), o => Assert.Equal(SlotIndex.Layer, o.Slot));

            ProgramStatement.Start one = Assert.Single(hosts.OfType<ProgramStatement.Start>(), s => s.Ticket == start.Ticket);
            Assert.Equal((SlotIndex.First, 12, null, start.Target.Buffer), (one.Target!.Slot, one.Target.Layers, one.Guard, one.Target.Buffer));
            Assert.InRange(Array.IndexOf(hosts, one), 0, Array.FindIndex(hosts, s => s is ProgramStatement.Run) - 1);
            Assert.Single(train.Main.OfType<ProgramStatement.Wait>(), w => w.Ticket == start.Ticket);
            Assert.Single(train.Methods.SelectMany(m => m.Statements).OfType<ProgramStatement.Start>(), s => s.Ticket == start.Ticket && s.Guard is null);
        }
    }

    /// <summary>A layer is gathered in both directions, less the two that each finds in the ring where it turns; only the first micro-batch begins with an empty one.</summary>
    [Theory]
    [InlineData(1, 12, 22)]
    [InlineData(4, 12, 22 + 3 * 20)]
    [InlineData(4, 2, 2)]
    [InlineData(2, 3, 4 + 2)]
    public void WhatIsInTheRingIsNotGatheredAgain(int microBatches, int layers, int gathers)
    {
        EntryPlan train = Plans.TinyGpt.Program("OnDp2", m => m with { Zero = "Parameters", MicroBatches = new Expression.Integer(microBatches, -1) }, ("Layers", layers)).Stages[0].Entries[0];
        var rings = train.Collectives.Where(c => c.Start.Beside is not null && c.Start.Kind == CollectiveKind.AllGather).GroupBy(c => c.Start.Ticket).ToList();
        Assert.NotEmpty(rings);
        Assert.All(rings, r => Assert.Equal(gathers, r.Sum(c => c.Times)));
    }

    /// <summary>A layer's sums are under way beside backward of the layer below, end before their slot is written again, and reach the shards of their own layer; the last ones end behind what comes after the loop.</summary>
    [Theory]
    [InlineData("OnDp2", "Gradients", 1)]
    [InlineData("OnDp2", "Parameters", 4)]
    [InlineData("OnDp2Tp2", "Gradients", 2)]
    public void ALayersGradientsAreSummedBesideTheLayerBelow(string on, string zero, int microBatches)
    {
        StageProgram stage = Plans.TinyGpt.Program(on, m => m with { Zero = zero, MicroBatches = new Expression.Integer(microBatches, -1) }, ("Layers", 5)).Stages[0];
        EntryPlan train = stage.Entries[0];
        ProgramStatement[] layer = [.. train.Methods.Single(m => m.Name == "BackwardBlocks").Statements], after = [.. train.Methods.Single(m => m.Name == "BackwardAfterBlocks").Statements];
        List<ProgramStatement.Start> starts = [.. layer.OfType<ProgramStatement.Start>().Where(s => s.Kind == CollectiveKind.ReduceScatter)];
        Assert.NotEmpty(starts);
        int kernel = Array.FindLastIndex(layer, s => s is ProgramStatement.Run);
        foreach (ProgramStatement.Start start in starts)
        {
            Assert.Equal((SlotIndex.Layer, null), (start.Source.Slot, start.Guard));
            Assert.Equal(2, stage.Buffers[start.Source.Buffer].Slots);
            int awaited = Array.FindIndex(layer, s => s is ProgramStatement.Wait w && w.Ticket == start.Ticket);
            Assert.Equal(new LayerGuard(1, 5), layer[awaited].Guard);
            Assert.InRange(awaited, kernel + 1, Array.IndexOf(layer, start) - 1);

            // What is added up, and dies, is the slot of the layer above.
            List<ProgramStatement.Accumulate> added = [.. layer.OfType<ProgramStatement.Accumulate>().Where(a => a.Contribution.Buffer == start.Source.Buffer)];
            Assert.Equal(microBatches > 1 ? 1 : 0, added.Count);
            Assert.All(added, a => Assert.Equal((SlotIndex.NextLayer, SlotIndex.NextLayer, new LayerGuard(1, 5)), (a.Contribution.Slot, a.Gradient.Slot, a.Guard)));
            Assert.Equal(SlotIndex.NextLayer, Assert.Single(layer.OfType<ProgramStatement.Dies>(), d => d.Operand.Buffer == start.Source.Buffer).Operand.Slot);

            int ended = Array.FindIndex(after, s => s is ProgramStatement.Wait w && w.Ticket == start.Ticket);
            Assert.InRange(ended, Array.FindLastIndex(after, s => s is ProgramStatement.Run) + 1, after.Length);
            Assert.Equal(5 * microBatches, train.Collectives.Where(c => c.Start.Ticket == start.Ticket && c.Start.Kind == CollectiveKind.ReduceScatter).Sum(c => c.Times));

            // There only in the last micro-batch: of the others before the next one's loop.
            Assert.Equal(microBatches > 1 ? MicroBatchGuard.Last : MicroBatchGuard.All, after[ended].On);
            List<ProgramStatement> main = [.. train.Main];
            int carried = main.FindIndex(s => s is ProgramStatement.Wait w && w.Ticket == start.Ticket);
            Assert.Equal(microBatches > 1, carried >= 0);
            if (microBatches > 1)
            {
                Assert.Equal(MicroBatchGuard.NotFirst, main[carried].On);
                Assert.InRange(carried, 0, main.FindIndex(s => s is ProgramStatement.Call { Layers: > 0, Reversed: true }) - 1);
                Assert.True(Assert.Single(main.OfType<ProgramStatement.Accumulate>(), a => a.Contribution.Buffer == start.Source.Buffer) is { IsOfPrevious: true, On: MicroBatchGuard.NotFirst });
            }
        }
    }

    [Fact]
    public void ALoopOfOneLayerHasAWindowOfOne()
    {
        StageProgram stage = Plans.TinyGpt.Program("OnDp2", m => m with { Zero = "Parameters" }, ("Layers", 1)).Stages[0];
        Assert.All(stage.Buffers.Where(b => b.Name.Contains("Window", StringComparison.Ordinal)), b => Assert.Equal(1, b.Slots));
        Assert.DoesNotContain(stage.Entries[0].Collectives, c => c.Start.Guard is not null);
    }

    private static string Emitted(string on, int layers, string hint)
    {
        CSharpCompilation compilation = AnalysisTests.Compile(Model(on).Replace("«", "", StringComparison.Ordinal).Replace("»", "", StringComparison.Ordinal).Replace("new(4, ", $"new({layers}, ", StringComparison.Ordinal));
        return string.Concat(AnalysisTests.Generate(compilation).Result.GeneratedSources.Where(s => s.HintName.Contains(hint, StringComparison.Ordinal)).Select(s => s.SourceText.ToString())).Replace("\r", "", StringComparison.Ordinal);
    }

    [Fact]
    public void TheEmittedLoopStartsTheNextLayersGather()
    {
        string stage = Emitted("ShardedOn<Square>(MicroBatches = 2, Zero = ZeroStage.Parameters, ZeroAxis = \"dq\")", 4, "Stage0");
        Assert.Contains("private Ticket group0Gathered; // under way from layer to layer", stage, StringComparison.Ordinal);
        Assert.Matches(
            @"private void ForwardBlocks\(int layer[^)]*\)\s+\{\s+if \(layer >= 1 && \(layer >= 2 \|\| microBatch == 0\)\)\s+\{\s+dqGroup\.Wait\(group0Gathered\);\s+\}\s+if \(layer \+ 1 < 4 && \(layer >= 1 \|\| microBatch == 0\)\)\s+\{\s+// AllGather over dq: parameters, [^\n]*, of the next layer, under way beside this one; [^\n]* per rank\s+group0Gathered = dqGroup\.StartAllGather\(arena, group0Parameters\[layer \+ 1\], group0ParameterWindow\[layer \+ 1\]\);\s+\}\s+kernels\.", stage);
        Assert.Matches(@"of the first layer[^\n]*\s+group0Gathered = dqGroup\.StartAllGather\(arena, group0Parameters\[0\], group0ParameterWindow\[0\]\);", stage);
    }

    /// <summary>On a pipeline a loop says what it finds, and does for the actions beside it; what an action begins and leaves is a method of its own. Stages of three layers have the slots of their rings by turns.</summary>
    [Fact]
    public void TheEmittedActionGathersForTheNextOneAndEndsTheSumsOfTheOneBefore()
    {
        string stage = Emitted("ShardedOn<Cube>(MicroBatches = 2, Schedule = PipelineSchedule.GPipe, Zero = ZeroStage.Parameters)", 6, "Stage0");
        Assert.Matches(
            @"private void ForwardBlocks\(int layer[^)]*\)\s+\{\s+if \(layer >= 2 \|\| !m\.Turns\)\s+\{\s+dpGroup\.Wait\(group0Gathered\);\s+\}\s+if \(layer \+ 1 < 3 && \(layer >= 1 \|\| !m\.Turns\)\)\s+\{\s+// AllGather over dp: parameters, [^\n]*, of the next layer, under way beside this one; [^\n]* per rank\s+group0Gathered = dpGroup\.StartAllGather\(arena, group0Parameters\[layer \+ 1\], group0ParameterWindow\[m, layer \+ 1 \+ m\.GatheredFrom\]\);\s+\}\s+if \(layer == 2\)\s+\{\s+turn\.StartNext\(\); [^\n]*\s+\}\s+kernels\.", stage);
        Assert.Matches(@"if \(layer == 2\)\s+\{\s+turn\.EndPrevious\(\); [^\n]*\s+\}\s+(kernels\.Clear[^\n]*\s+)*// ReduceScatter[^\n]*under way beside the next layer; [^\n]*\s+group0Scattered = dpGroup\.StartReduceScatter\(arena, group0GradientWindow\[m, layer \+ m\.SummedFrom\]", stage);
        Assert.Matches(@"void OpenTrainBackward\(in SlotSet m\)\s+\{\s+if \(!m\.Turns\)\s+\{\s+// AllGather[^\n]*of the first layer, under way beside the action before[^\n]*\s+group0Gathered = dpGroup\.StartAllGather\(arena, group0Parameters\[2\], group0ParameterWindow\[m, 2 \+ m\.GatheredFrom\]\);", stage);
        Assert.Matches(@"void CloseTrainBackward\(int microBatch, in SlotSet m\)\s+\{\s+dpGroup\.Wait\(group0Scattered\);\s+kernels\.Accumulate\(group0GradientWindow\[m, m\.SummedFrom\]\.Part\([^)]*\), group0Gradients\[0\], microBatch\);", stage);

        // A stage of two layers keeps both as long as its rank stays.
        Assert.Matches(@"private void ForwardBlocks\(int layer[^)]*\)\s+\{\s+if \(!m\.Stays\)", Emitted("ShardedOn<Cube>(MicroBatches = 2, Schedule = PipelineSchedule.GPipe, Zero = ZeroStage.Parameters)", 4, "Stage0"));
    }

    private static string Model(string on, string weight = "readonly Tensor w = Parameter(6, 6);") => AnalysisTests.Head + $$"""
        [DeviceMesh] [MeshAxis("pp", 2, Role = AxisRole.Pipeline)] [MeshAxis("dp", 2, Role = AxisRole.Data)] [MeshAxis("tp", 2, Role = AxisRole.Tensor)] public sealed class Cube;
        [DeviceMesh] [MeshAxis("dp", 2, Role = AxisRole.Data)] [MeshAxis("dq", 2, Role = AxisRole.Data)] public sealed class Square;
        [DeviceMesh] [MeshAxis("dp", 1, Role = AxisRole.Data)] public sealed class Small;
        [DeviceMesh] [MeshAxis("dp", 2, Role = AxisRole.Tensor)] public sealed class Odd;
        [DeviceMesh] public sealed class Alone;
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
        { "SW1001", Model("ShardedOn<Square>(Zero = ZeroStage.OptimizerState)"), "2 of its axes ('dp', 'dq') split the batch: add ZeroAxis = \"dp\"" },
        { "SW1001", Model("ShardedOn<Odd>(Zero = ZeroStage.Parameters)"), "none of its axes ('dp') splits the batch: give the mesh an axis of the role Data" },
        { "SW1001", Model("ShardedOn<Alone>(Zero = ZeroStage.Gradients)"), "the mesh has none: give the mesh an axis of the role Data" },
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
