using Microsoft.CodeAnalysis;
using Shardwright.Compiler.Planning;

namespace Shardwright.Compiler.Tests.Memory;

/// <summary>What is kept from forward to backward, and what is computed again.</summary>
public sealed class RecomputeTests
{
    private static RankProgram Gpt(string mode, string on = "OnSingle", params (string, long)[] overrides) => Plans.TinyGpt.Program(on, m => m with { Recompute = mode }, overrides);

    /// <summary>Bytes per layer of what lies in blocks of one slot for each layer.</summary>
    private static long PerLayer(RankProgram program, int layers) => program.Stages[0].Buffers.Where(b => b.Category == MemoryCategory.Activations && b.Slots >= layers && layers > 1).Sum(b => b.Length * 4);

    private static long Activations(RankProgram program) => PlanDocument.Memory(program, program.Ranks[0])[MemoryCategory.Activations];

    [Fact]
    public void FullKeepsTheInputOfEachLayerAlone()
    {
        // [16, 128, 128] floats: s·b·h · 4 bytes.
        const long Input = 16 * 128 * 128 * 4;
        RankProgram full = Gpt("Full"), none = Gpt("None");
        Assert.Equal(Input, PerLayer(full, 4));
        Assert.True(PerLayer(none, 4) > 10 * Input);

        // The rest does not depend on the number of layers: one layer's working set.
        RankProgram deep = Gpt("Full", "OnSingle", ("Layers", 24));
        Assert.Equal(20 * Input, Activations(deep) - Activations(full));
    }

    [Fact]
    public void LessIsKeptTheMoreIsComputedAgain()
    {
        RankProgram[] plans = [.. new[] { "None", "Selective", "Full" }.Select(m => Gpt(m, "OnDp2Tp2", ("Layers", 12)))];
        long[] bytes = [.. plans.Select(Activations)];
        Assert.True(bytes[1] < 0.8 * bytes[0], $"selective {bytes[1]} of {bytes[0]}");
        Assert.True(bytes[2] < bytes[1], $"full {bytes[2]}, selective {bytes[1]}");

        // Selective runs no product and no collective again; full runs both.
        static int Products(RankProgram p) => p.Stages[0].Entries[0].Methods.Single(m => m.Name == "BackwardBlocks").Statements.OfType<ProgramStatement.Run>().Count(r => p.Kernels[r.Kernel] is Fusion.GemmKernel);
        static int Collectives(RankProgram p) => p.Stages[0].Entries[0].Methods.Single(m => m.Name == "BackwardBlocks").Statements.OfType<ProgramStatement.Start>().Count();
        Assert.Equal(Products(plans[0]), Products(plans[1]));
        Assert.Equal(Collectives(plans[0]), Collectives(plans[1]));
        Assert.True(Products(plans[2]) > Products(plans[0]));
        Assert.True(Collectives(plans[2]) > Collectives(plans[0]));
    }

    [Fact]
    public void AutoComputesNoMoreAgainThanFittingTakes()
    {
        long none = Gpt("None").ArenaBytes, full = Gpt("Full").ArenaBytes;
        RankProgram Within(long bytes) => Plans.TinyGpt.Program("OnSingle", m => m with { Recompute = "Auto", Mesh = m.Mesh with { Device = m.Mesh.Device with { UsableBytes = bytes, ReserveBytes = 0 } } });
        Assert.Equal(none, Within(none).ArenaBytes);
        Assert.Equal(full, Within(1 << 20).ArenaBytes);
        long last = full;
        int runs = Runs(Gpt("Full"));
        for (int share = 1; share <= 4; share++)
        {
            long budget = full + (none - full) * share / 4;
            RankProgram auto = Within(budget);
            Assert.InRange(auto.ArenaBytes, last, budget);
            Assert.True(Runs(auto) <= runs, "more room, more work");
            last = auto.ArenaBytes;
            runs = Runs(auto);
        }

        static int Runs(RankProgram p) => p.Stages[0].Entries[0].Methods.SelectMany(m => m.Statements).OfType<ProgramStatement.Run>().Count(r => r.Comment.Contains("again, for backward", StringComparison.Ordinal));
    }

    private const string Marked = """
        [ShardedLayer] public sealed partial class Half(int n)
        {
            readonly Tensor w = Parameter(n, n);
            public Tensor Forward(Tensor x) => Tanh(MatMul(Gelu(MatMul(x, w)), w));
        }
        [ShardedLayer] public sealed partial class Both(int n)
        {
            /*1*/ readonly Half first = new(n);
            readonly Half second = new(n);
            public Tensor Forward(Tensor x) => second.Forward(first.Forward(x));
        }
        [ShardedOn<Lab>] public sealed partial class Net
        {
            /*2*/ readonly LayerStack<Both> layers = new(5, () => new Both(16));
            /*3*/ readonly Half last = new(16);
            public Tensor Loss([Shape(64, 16), Split("dp", 0)] Tensor x) => Mean(last.Forward(layers.Forward(x)));
        }
        """;

    [Theory]
    [InlineData("/*1*/", "layers.{0}.first", "layers.{0}.second")]
    [InlineData("/*2*/", "layers", "last")]
    [InlineData("/*3*/", "last", "layers")]
    [InlineData("[ShardedLayer] public sealed partial class Half", "layers.{0}.first", "")]
    public void AnAttributeSaysWhichLayerRunsAgain(string at, string again, string kept)
    {
        string source = Marked.Replace(at, at.StartsWith('/') ? "[Recompute]" : at.Replace("[ShardedLayer]", "[ShardedLayer, Recompute]", StringComparison.Ordinal), StringComparison.Ordinal);
        RankProgram program = Plans.Of(source).Program("OnLab"), plain = Plans.Of(Marked).Program("OnLab");
        Assert.True(Activations(program) <= Activations(plain));
        var runs = program.Stages[0].Entries[0].Methods.Where(m => m.Name.Contains("Backward", StringComparison.Ordinal)).SelectMany(m => m.Statements).OfType<ProgramStatement.Run>()
            .Where(r => r.Comment.Contains("again", StringComparison.Ordinal)).ToList();
        Assert.NotEmpty(runs);
        Assert.DoesNotContain(plain.Stages[0].Entries[0].Methods.SelectMany(m => m.Statements).OfType<ProgramStatement.Run>(), r => r.Comment.Contains("again", StringComparison.Ordinal));
        bool loop = again.StartsWith("layers", StringComparison.Ordinal);
        Assert.Contains(program.Stages[0].Entries[0].Methods, m => m.Name.StartsWith(loop ? "BackwardLayers" : "Backward", StringComparison.Ordinal) && m.Statements.OfType<ProgramStatement.Run>().Any(r => runs.Contains(r)));
        if (kept == "layers")
        {
            Assert.DoesNotContain(program.Stages[0].Entries[0].Methods.Single(m => m.Name == "BackwardLayers").Statements.OfType<ProgramStatement.Run>(), r => r.Comment.Contains("again", StringComparison.Ordinal));
        }
    }

    [Theory]
    [InlineData("[ShardedLayer, Recompute] public sealed partial class Shift(int n)", "[ShardedOn<Lab>]", "SW3004", "'shift'")]
    [InlineData("[ShardedLayer] public sealed partial class Shift(int n)", "[ShardedOn<Lab>(Recompute = RecomputeMode.Full)]", "SW3004", "Recompute = Full of 'Net'")]
    [InlineData("[ShardedLayer] public sealed partial class Shift(int n)", "[ShardedOn<Lab>]", "", "")]
    public async Task ALayerWithNothingToComputeAgainIsSaid(string layer, string on, string id, string says)
    {
        ImmutableArray<Diagnostic> found = await AnalysisTests.Diagnose(AnalysisTests.Compile(AnalysisTests.Head + $$"""
            {{layer}} { readonly Tensor by = Parameter(n); public Tensor Forward(Tensor x) => x + by; }
            {{on}} public sealed partial class Net
            {
                readonly Shift shift = new(6);
                public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(shift.Forward(x));
            }
            """));
        if (id.Length == 0)
        {
            Assert.Empty(found);
            return;
        }

        Diagnostic diagnostic = Assert.Single(found);
        Assert.Equal((id, DiagnosticSeverity.Warning), (diagnostic.Id, diagnostic.Severity));
        Assert.Contains(says, diagnostic.GetMessage(), StringComparison.Ordinal);
    }
}
