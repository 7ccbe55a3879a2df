using System.Globalization;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Machine;
using Shardwright.Compiler.Planning;

namespace Shardwright.Compiler.Tests.Memory;

/// <summary>Products whose result is summed over a tensor axis are cut into chunks where that makes a layer shorter, and only there.</summary>
public sealed class SplitTests
{
    private static string N(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>Layers of two products with one sum, on a device that does 10¹² operations per second at any size.</summary>
    /// <param name="bandwidth">Rate of the link, GB/s.</param>
    /// <param name="latency">Its latency, microseconds.</param>
    /// <param name="launch">Time to launch a kernel, microseconds.</param>
    /// <param name="rows">Rows.</param>
    /// <param name="table">Efficiency table of the device.</param>
    private static Plans Net(double bandwidth, double latency = 1, double launch = 5, int rows = 4096, int layers = 4, string table = "", int hidden = 512, string mesh = "MeshAxis(\"tp\", 2, Role = AxisRole.Tensor, Link = typeof(Wire))", string on = "") => Plans.Of($$"""
        [DeviceSpec(MemoryBytes = 16L << 30, BandwidthGBs = 1000, Fp32TFlops = 2, LaunchMicroseconds = {{N(launch)}}, MaxThreads = 1){{table}}] public sealed class Box;
        [LinkSpec(BandwidthGBs = {{N(bandwidth)}}, LatencyMicroseconds = {{N(latency)}})] public sealed class Wire;
        [DeviceMesh(Device = typeof(Box)), {{mesh}}] public sealed class Pair;
        [ShardedLayer] public sealed partial class Pass
        {
            [Split("tp", dim: 1)] readonly Tensor up = Parameter({{hidden}}, {{4 * hidden}});
            [Split("tp", dim: 0)] readonly Tensor down = Parameter({{4 * hidden}}, {{hidden}});
            public Tensor Forward(Tensor x) => x + MatMul(Relu(MatMul(x, up)), down);
        }
        [ShardedOn<Pair>(Name = "OnPair"{{on}})] public sealed partial class Net
        {
            readonly LayerStack<Pass> layers = new({{layers}}, () => new Pass());
            public Tensor Loss([Shape({{rows}}, {{hidden}})] Tensor x) => Mean(layers.Forward(x));
        }
        """);

    private static EquatableArray<ProgramStatement> Statements(RankProgram program, string method) => program.Stages[0].Entries[0].Methods.Single(m => m.Name == method).Statements;

    private static int Chunks(RankProgram program, string method = "ForwardLayers") => Statements(program, method).OfType<ProgramStatement.Start>().First().Chunks;

    // A product of 4096 rows takes 4.3 ms, a sum of 8 MiB over 2 ranks the bytes at 0.8 of the link's rate.
    [Theory]
    [InlineData(1000, 1, 5, 4096, 1)] // 10 µs: less than what times are predicted to
    [InlineData(10, 1, 5, 4096, 8)]
    [InlineData(10, 150, 5, 4096, 8)] // 0.3 ms more for each sum, which still end beside the next chunk
    [InlineData(10, 300, 5, 4096, 4)] // of eighths they would not: 0.73 ms of 0.54
    [InlineData(10, 450, 5, 4096, 2)]
    [InlineData(10, 1500, 5, 4096, 1)]
    [InlineData(10, 1, 50, 4096, 4)] // each chunk is launched
    [InlineData(10, 1, 120, 4096, 2)]
    [InlineData(10, 1, 600, 4096, 1)]
    [InlineData(2, 1, 5, 4096, 8)] // 5.2 ms: longer than the product
    [InlineData(0.1, 1, 5, 4096, 1)] // 105 ms: the product hides next to nothing of it
    [InlineData(10, 5, 5, 64, 1)] // small work, where launches count
    [InlineData(10, 1, 5, 4098, 2)] // rows that 4 does not divide
    [InlineData(10, 1, 5, 4099, 1)]
    public void TheLinkTheDeviceAndTheShapeDecide(double bandwidth, double latency, double launch, int rows, int chunks) => Assert.Equal(chunks, Chunks(Net(bandwidth, latency, launch, rows).Program("OnPair")));

    /// <summary>Smaller products run at a smaller share of the peak: the table of the device says which are worth it.</summary>
    [Fact]
    public void TheTableOfTheDeviceCounts()
    {
        const string Falls = ", DeviceEfficiency(WorkKind.Product, 500, 0.1), DeviceEfficiency(WorkKind.Product, 1024, 0.5), DeviceEfficiency(WorkKind.Product, 1300, 1)";
        Assert.True(Chunks(Net(10).Program("OnPair")) > 1);
        Assert.Equal(1, Chunks(Net(10, table: Falls).Program("OnPair")));
    }

    /// <summary>A split makes the step shorter by a quarter of the sum's time or more, waits for less, and costs no memory and one kernel at most.</summary>
    [Theory]
    [InlineData(10)]
    [InlineData(5)]
    [InlineData(2)]
    public void ItIsShorterInNoMoreMemory(double bandwidth)
    {
        RankProgram split = Net(bandwidth).Program("OnPair"), whole = Net(bandwidth, rows: 4096, latency: 1e4).Program("OnPair");
        Assert.True(Chunks(split) > 1);
        Assert.Equal(1, Chunks(whole));
        Assert.Equal(whole.ArenaBytes, split.ArenaBytes);
        Assert.InRange(split.Kernels.Count, whole.Kernels.Count, whole.Kernels.Count + 1);
        Assert.Equal(whole.Forecast.ModelFlops, split.Forecast.ModelFlops);
        double sum = CollectiveTime.AllReduce(2, 4096 * 512 * 4.0, 1e-6, split.Forecast.Timing!.Links[0].BytesPerSecond);
        double apart = 4 * sum, exposed = split.Forecast.Exposed.Where(e => e.For.Contains("P -> B of", StringComparison.Ordinal) && !e.For.Contains(" d", StringComparison.Ordinal)).Sum(e => e.Seconds);
        Assert.InRange(exposed, 0.1 * apart, 0.75 * apart);
        Assert.Equal(split.Forecast.ExposedSeconds, split.Forecast.LeastExposedSeconds, 1e-9);
    }

    /// <summary>Chunks lie side by side and are all of the rows; each sum starts right behind its product and is waited for in order, in front of what reads it.</summary>
    [Fact]
    public void ChunksAreAllOfTheRows()
    {
        RankProgram program = Net(5).Program("OnPair");
        EquatableArray<ProgramStatement> statements = Statements(program, "ForwardLayers");
        List<ProgramStatement.Run> products = [.. statements.OfType<ProgramStatement.Run>().Where(r => r.Chunks > 1)];
        List<ProgramStatement.Start> sums = [.. statements.OfType<ProgramStatement.Start>()];
        Assert.Equal(Enumerable.Range(0, sums[0].Chunks), products.Select(p => p.Chunk));
        Assert.Equal(products.Select(p => p.Chunk), sums.Select(s => s.Chunk));
        long next = 0;
        for (int i = 0; i < sums.Count; i++)
        {
            Assert.Equal(next, sums[i].Source.Start?.Constant ?? 0);
            Assert.Equal(sums[i].Source, products[i].Operands[^1]);
            Assert.Same(products[i], statements[statements.Items.IndexOf(sums[i]) - 1]);
            next += sums[i].Source.Length;
        }

        Assert.Equal(4096 * 512, next);
        Assert.Single(products.Select(p => p.Kernel).Distinct());
        Assert.Equal(sums.Select(s => s.Ticket), statements.OfType<ProgramStatement.Wait>().Select(w => w.Ticket));
    }

    /// <summary>A deep model is no longer than a short one, and no kernel is left whole that is only called in chunks.</summary>
    [Fact]
    public void DepthChangesNothing()
    {
        RankProgram two = Net(5, layers: 2).Program("OnPair"), many = Net(5, layers: 96).Program("OnPair");
        Assert.Equal(Statements(two, "ForwardLayers").Select(s => s.GetType()), Statements(many, "ForwardLayers").Select(s => s.GetType()));
        Assert.Equal(two.Kernels.Select(k => k.Name), many.Kernels.Select(k => k.Name));
        Assert.All(Enumerable.Range(0, many.Kernels.Count), k => Assert.Contains(many.Stages[0].Entries.SelectMany(e => e.Methods).SelectMany(m => m.Statements).OfType<ProgramStatement.Run>(), r => r.Kernel == k));
    }

    /// <summary>Two stages with a tensor axis inside: what each stage does is proven to end with its sums in chunks, and the plan's figures know them.</summary>
    [Fact]
    public void StagesHaveChunksToo()
    {
        RankProgram program = Net(5, mesh: "MeshAxis(\"pp\", 2, Role = AxisRole.Pipeline, Link = typeof(Wire)), MeshAxis(\"tp\", 2, Role = AxisRole.Tensor, Link = typeof(Wire))", on: ", MicroBatches = 4", rows: 4 * 4096).Program("OnPair");
        Assert.All(program.Stages, s => Assert.Contains(s.Entries[0].Methods.SelectMany(m => m.Statements).OfType<ProgramStatement.Start>(), c => c.Chunks > 1));
        Assert.Contains(program.Forecast.Exposed, e => e.Why.StartsWith("the last chunk", StringComparison.Ordinal));
    }
}
