using System.Globalization;
using Shardwright.Compiler.Machine;
using Shardwright.Compiler.Planning;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Tests.Memory;

/// <summary>Collectives of a tensor axis in plans: what is computed beside them, what is still waited for, and that no plan takes more memory for it.</summary>
public sealed class OverlapTests
{
    private const int Layers = 4, Rows = 4096, Hidden = 1024;

    private static Plans Net(double bandwidth) => Plans.Of($$"""
        [LinkSpec(BandwidthGBs = {{bandwidth.ToString(CultureInfo.InvariantCulture)}}, LatencyMicroseconds = 0)] public sealed class Wire;
        [DeviceMesh, MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Wire))] public sealed class Pair;
        [ShardedLayer] public sealed partial class Pass
        {
            [Split("tp", dim: 1)] readonly Tensor up = Parameter({{Hidden}}, {{4 * Hidden}});
            [Split("tp", dim: 0)] readonly Tensor down = Parameter({{4 * Hidden}}, {{Hidden}});
            public Tensor Forward(Tensor x) => x + MatMul(Relu(MatMul(x, up)), down);
        }
        [ShardedOn<Pair>] public sealed partial class Net
        {
            readonly LayerStack<Pass> layers = new({{Layers}}, () => new Pass());
            public Tensor Loss([Shape({{Rows}}, {{Hidden}})] Tensor x) => Mean(layers.Forward(x));
        }
        """);

    private static double Sum(PlanForecast forecast) => CollectiveTime.AllReduce(2, Rows * Hidden * 4.0, 0, forecast.Timing!.Links[0].BytesPerSecond);

    private static List<ProgramStatement> Backward(RankProgram program) => [.. program.Stages[0].Entries[0].Methods.Single(m => m.Name == "BackwardLayers").Statements.Where(s => s is not ProgramStatement.Dies)];

    private static List<ProgramStatement> Forward(RankProgram program) => [.. program.Stages[0].Entries[0].Methods.Single(m => m.Name == "ForwardLayers").Statements.Where(s => s is not ProgramStatement.Dies)];

    private static int Chunks(RankProgram program) => Forward(program).OfType<ProgramStatement.Start>().First().Chunks;

    private static string[] Beside(RankProgram program)
    {
        List<ProgramStatement> statements = Backward(program);
        int start = statements.FindIndex(s => s is ProgramStatement.Start), wait = statements.FindIndex(s => s is ProgramStatement.Wait);
        return [.. statements.Skip(start + 1).Take(wait - start - 1).Cast<ProgramStatement.Run>().Select(r => program.Kernels[r.Kernel].Name)];
    }

    /// <summary>On a fast link the gradient of one weight is enough to hide the sum of what a layer hands back: the forward sums, which nothing is independent of, are all that is exposed.
    /// They are so short that no product is cut for them.</summary>
    [Fact]
    public void AGradientOfAWeightHidesTheSumOfAnInputsGradient()
    {
        RankProgram program = Net(20).Program("OnPair");
        PlanForecast forecast = program.Forecast;
        Assert.Equal(["LayersMatMulBackward2"], Beside(program));
        ExposedCollective norm = Assert.Single(forecast.Exposed, e => e.For == "gradient norm"), only = Assert.Single(forecast.Exposed, e => e != norm);
        Assert.Equal(Layers * 2 * Sum(forecast) + norm.Seconds, forecast.CommunicationSeconds, 1e-9);
        Assert.Equal(Layers * Sum(forecast) + norm.Seconds, forecast.ExposedSeconds, 1e-9);
        Assert.Equal(1, Chunks(program));
        Assert.Equal(forecast.ExposedSeconds, forecast.LeastExposedSeconds, 1e-9);
        Assert.Equal("waited for where it starts", only.Why);
    }

    /// <summary>On a slower one the gradient of the other weight, which stood before the sum, follows its start too.</summary>
    [Fact]
    public void ASlowLinkTakesMoreWork()
    {
        RankProgram program = Net(0.05).Program("OnPair");
        Assert.Equal(2, Beside(program).Length);
        double work = Backward(program).OfType<ProgramStatement.Run>().Where(r => Beside(program).Contains(program.Kernels[r.Kernel].Name)).Sum(r => program.Forecast.KernelSeconds[r.Kernel]);
        double product = (Chunks(program) - 1) * program.Forecast.KernelSeconds[Forward(program).OfType<ProgramStatement.Run>().First(r => r.Chunks > 1).Kernel];
        Assert.Equal(Layers * (2 * Sum(program.Forecast) - Math.Min(work, Sum(program.Forecast)) - product), program.Forecast.ExposedSeconds, 1e-6);
    }

    /// <summary>The plan says what runs beside each collective.</summary>
    [Fact]
    public void ThePlanNamesTheWork()
    {
        RankProgram program = Net(1).Program("OnPair");
        Plan plan = Plan.Parse(PlanDocument.Write(program));
        Assert.Equal(string.Join(", ", Beside(program)), plan.Collectives.Single(c => c.Where == "BackwardLayers").Beside);
        PlanCollective forward = plan.Collectives.Single(c => c.Where == "ForwardLayers");
        Assert.Equal($"{Chunks(program) - 1} x LayersMatMul", forward.Beside);
        Assert.Equal((Chunks(program), Layers * Chunks(program)), (forward.Chunks, forward.Times));
        Assert.Equal(Rows * Hidden * 4, forward.BytesPerRank * forward.Chunks); // 2 ranks send as much as there is
        Assert.Contains($"in {forward.Chunks} chunks", plan.ToString(), StringComparison.Ordinal);
        Assert.Contains($"in {forward.Chunks} chunks", plan.ToHtml(), StringComparison.Ordinal);
        Assert.Contains("beside " + string.Join(", ", Beside(program)), plan.ToHtml(), StringComparison.Ordinal);
    }

    /// <summary>Every wait is behind its start, before what reads its result, and starts of an axis are awaited in order: on every mesh of the sample, in every entry.</summary>
    [Fact]
    public void WaitsStandBetweenStartsAndReaders()
    {
        int apart = 0;
        foreach (RankProgram program in Plans.TinyGpt.Meshes.Select(m => Plans.TinyGpt.Program(m)).Append(Net(1).Program("OnPair")))
        {
            foreach (MethodPlan method in program.Stages.SelectMany(s => s.Entries).SelectMany(e => e.Methods))
            {
                var under = new List<ProgramStatement.Start>();
                for (int i = 0; i < method.Statements.Count; i++)
                {
                    switch (method.Statements[i])
                    {
                        case ProgramStatement.Start { Beside: null } start:
                            under.Add(start);
                            break;
                        case ProgramStatement.Wait wait when under.Any(s => s.Ticket == wait.Ticket):
                            Assert.Equal(wait.Ticket, under.First(s => s.Axes == wait.Axes).Ticket);
                            under.RemoveAll(s => s.Ticket == wait.Ticket);
                            break;
                        case ProgramStatement.Run run:
                            apart += under.Count > 0 ? 1 : 0;
                            Assert.DoesNotContain(under.Select(s => s.Target ?? s.Source), o => run.Operands.Any(r => Overlap(r, o)));
                            break;
                        case ProgramStatement.Dies dies:
                            Assert.DoesNotContain(under, s => s.Source.Buffer == dies.Operand.Buffer || s.Target?.Buffer == dies.Operand.Buffer);
                            break;
                    }
                }

                Assert.Empty(under);
            }
        }

        Assert.True(apart > 20, $"{apart} kernels beside collectives");
    }

    /// <summary>Whether two operands have elements in common; where one lies depends on the rank, it may be anywhere in its buffer.</summary>
    private static bool Overlap(OperandPlan a, OperandPlan b)
    {
        static long From(OperandPlan o) => o.Start is { IsConstant: true } start ? start.Constant : 0;
        static long To(OperandPlan o) => o.Start is { IsConstant: false } ? long.MaxValue : From(o) + o.Length;
        return (a.Buffer, a.Slot) == (b.Buffer, b.Slot) && From(a) < To(b) && From(b) < To(a);
    }
}
