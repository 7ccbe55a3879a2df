using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Machine;
using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Sharding;
using Xunit.Abstractions;

namespace Shardwright.Compiler.Tests.Memory;

/// <summary>The sample's own model with the sizes of GPT-3 175B on 1,536 ranks, against formulas.</summary>
public sealed class LargeModelTests(ITestOutputHelper output)
{
    private const int Stages = 8, Tensor = 8, Data = 24, MicroBatches = 64, Layers = 96;
    private const double Hidden = 12288, Context = 2048, Vocab = 51200;
    private static readonly (string, long)[] s_sizes = [("Layers", Layers), ("Hidden", (long)Hidden), ("Heads", 96), ("Batch", Data * MicroBatches), ("Context", (long)Context), ("Vocab", (long)Vocab)];

    private static DeviceDefinition A100(double usable) => new("A100", Gib(80), Gib(usable), Gib(1), 2039, 19.5, 312, 5, 1);

    private static long Gib(double count) => (long)(count * (1L << 30));

    private static RankProgram Plan(string recompute, Func<ShardedOnDefinition, ShardedOnDefinition>? change = null, double usable = 80) => Plans.TinyGpt.Program(
        "OnPp2Dp2Tp2", m =>
        {
            ShardedOnDefinition on = m with
            {
                Recompute = recompute,
                Precision = "BFloat16Mixed",
                MicroBatches = new Expression.Integer(MicroBatches, -1),
                Mesh = m.Mesh with
                {
                    Axes = m.Mesh.Axes.Select(a => a with { Size = a.Name switch { "pp" => Stages, "dp" => Data, _ => Tensor } }).ToEquatable(),
                    Device = A100(usable),
                },
            };
            return change?.Invoke(on) ?? on;
        },
        s_sizes);

    private static int[] LayersOf(RankProgram program) => [.. program.Pipeline!.Layers.Single().Layers];

    /// <summary>Bytes of a tensor of a layer's size, of one sequence: what passes between stages, and what full recomputation keeps of a layer (Korthikanti et al., arXiv 2205.05198: 2·s·b·h).</summary>
    private static double Passing => 2 * Context * Hidden;

    /// <summary>Of the paper's s·b·h·(10 + 24/t) without the masks of dropout, which the sample does not have: two of the 10.</summary>
    private static double Layer => Context * Hidden * (8 + 24.0 / Tensor);

    [Theory]
    [InlineData("None")]
    [InlineData("Full")]
    public void MemoryOfTrainingIsThatOfTheFormulas(string recompute)
    {
        RankProgram program = Plan(recompute);
        for (int rank = 0; rank < Stages; rank++)
        {
            RankPlan plan = program.Ranks[rank];
            double table = rank is 0 or Stages - 1 ? Vocab * Hidden / Tensor : 0, positions = rank == 0 ? Context * Hidden : 0;
            double state = 16 * ((12 * Hidden * Hidden / Tensor + 4 * Hidden) * Layers / Stages + table + positions);
            Assert.InRange(plan.StateBytes / state, 1, 1.001);

            // 1F1B: so many micro-batches in flight; and what one layer and the ends of the stage need while they run.
            int flight = Stages - rank;
            double kept = (recompute == "Full" ? Passing : Layer) * Layers / Stages * flight;
            double working = Layer + (rank is 0 or Stages - 1 ? 8 * Vocab * Context / Tensor : 0), messages = 7 * Passing;
            long passing = plan.BytesFor("Train") - plan.StepOffset;
            output.WriteLine($"{rank}: state {plan.StateBytes / state:F4}, kept {kept / (1 << 20):F0} MiB of {passing / (1 << 20)} MiB");
            Assert.InRange(passing, kept, 1.03 * kept + working + messages);
        }
    }

    [Theory]
    [InlineData("None", "None", 80)]
    [InlineData("Full", "None", 80)]
    [InlineData("Full", "None", 50)]
    [InlineData("Selective", "None", 64)]
    [InlineData("Auto", "None", 56)]
    [InlineData("None", "OptimizerState", 45)]
    [InlineData("Full", "Parameters", 24)]
    public void EqualLayersAreSharedOutEquallyWhereTheyFit(string recompute, string zero, double usable)
    {
        RankProgram program = Plan(recompute, on => on with { Zero = zero }, usable);
        output.WriteLine($"{string.Join(" ", LayersOf(program))}: {string.Join(" ", program.Ranks.Select(r => $"{(double)r.ArenaBytes / Gib(1):F1}"))}");
        Assert.All(LayersOf(program), l => Assert.Equal(Layers / Stages, l));
        Assert.True(program.ArenaBytes <= program.Forecast.UsableBytes);
    }

    [Fact]
    public void LayersMoveOffTheFirstStageOnlyWhereItHasNoRoom()
    {
        int[] free = LayersOf(Plan("None")), tight = LayersOf(Plan("None", usable: 62));
        output.WriteLine(string.Join(" ", tight));
        Assert.True(tight[0] < free[0], string.Join(" ", tight));
        Assert.Equal(Layers, tight.Sum());
    }

    [Fact]
    public void NoRankSeesTheBatchOfAnother()
    {
        RankProgram program = Plan("Full");
        Assert.All(
            program.Stages.SelectMany(s => s.Entries.Where(e => e.Name != "Infer").SelectMany(e => e.Methods).SelectMany(m => m.Statements)).OfType<ProgramStatement.Start>().Where(s => s.Axes.Contains("dp")),
            s => Assert.True(s.Kind is CollectiveKind.AllReduce or CollectiveKind.ReduceScatter, $"{s.Kind}: {s.Reason}"));
    }

    [Fact]
    public void InferenceIsMadeInMicroBatchesAndTakesAsMuchAsOne()
    {
        RankProgram program = Plan("Full");
        long result = (long)(2 * Data * Context * Vocab); // of a micro-batch, whole on every rank
        Assert.All(program.Ranks, r => Assert.InRange(r.BytesFor("Infer") - r.StepOffset, result, 1.06 * result));
        Assert.All(program.Stages.SelectMany(s => s.Entries), e => Assert.Equal(MicroBatches, e.MicroBatches));
    }

    [Fact]
    public void AResultThatIsNotMadeRowByRowIsMadeAtOnce()
    {
        static int Passes(string forward) => Plans.Of($$"""
            [ShardedOn<Lab>(MicroBatches = 4)] public sealed partial class Net
            {
                readonly Tensor w = Parameter(8, 8);
                public Tensor Loss([Shape(8, 8)] Tensor x) => Mean(MatMul(x, w));
                public Tensor Forward([Shape(8, 8)] Tensor x) => {{forward}};
            }
            """).Program("OnLab").Stages[0].Entries.Single(e => e.Name == "Infer").MicroBatches;
        Assert.Equal(4, Passes("Softmax(MatMul(x, w))"));
        Assert.Equal(1, Passes("MatMul(Transpose(x), MatMul(x, w))"));
        Assert.Equal(1, Passes("MatMul(Softmax(Transpose(x)), x)"));
        Assert.Equal(1, Passes("w"));
        Assert.Equal(1, Passes("Mean(x)"));
    }
}
