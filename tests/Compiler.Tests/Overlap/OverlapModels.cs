using System.Globalization;

namespace Shardwright.Compiler.Tests.Overlap;

/// <summary>Models whose products take some milliseconds each on a device of their own, and links whose strength is given by what one message takes of its window.</summary>
internal static class OverlapModels
{
    /// <summary>Rows of a micro-batch on a rank, and width.</summary>
    private const int Rows = 256, Width = 128;

    /// <summary>Time of a product of [Rows, Width] and [Width, Width], milliseconds.</summary>
    private static double Product => OverlapTests.IsStrict ? 10 : 6;

    /// <summary>Latency of every link, milliseconds.</summary>
    private const double Latency = 0.2;

    /// <summary>A case: a mesh, how the model is put on it, and the message that the strength of the link is about.</summary>
    /// <param name="Name">Name, also that of the meshes.</param>
    /// <param name="Axes">Axes of the mesh, outermost first.</param>
    /// <param name="On">Arguments of the attribute.</param>
    /// <param name="MicroBatches">Number of micro-batches.</param>
    /// <param name="Layers">Layers.</param>
    /// <param name="Bytes">Bytes for which the link is busy with one message.</param>
    /// <param name="Window">Milliseconds of work that it may be under way beside.</param>
    internal sealed record Case(string Name, string[] Axes, string On, int MicroBatches, int Layers, double Bytes, double Window)
    {
        /// <summary>The strongest link of the case, percent. Beyond, what the link of the ZeRO axis carries while a pipeline fills and drains is more than the forecast allows for.</summary>
        public int Strongest { get; init; } = 200;

        public int BatchRows => Rows * MicroBatches * (Axes.Contains("dp") ? 2 : 1);
    }

    private const double Bucket = Width * Width * 4, Activation = Rows * Width * 4;

    internal static readonly Case[] All =
    [
        new("Dp", ["dp"], "", 2, 6, Bucket, 2 * Product),
        new("Tp", ["tp"], "", 2, 3, Activation, Product),
        new("Pp", ["pp"], "HopAwareWarmUp = true", 16, 4, Activation, 2 * Product),
        new("PpZbH1", ["pp"], "Schedule = PipelineSchedule.ZeroBubbleH1", 16, 4, Activation, 2 * Product),
        new("Zero1", ["dp"], "Zero = ZeroStage.OptimizerState", 2, 6, Bucket / 2, 2 * Product),
        new("Zero2", ["dp"], "Zero = ZeroStage.Gradients", 2, 6, Bucket / 2, 2 * Product),
        new("Zero3", ["dp"], "Zero = ZeroStage.Parameters", 2, 6, Bucket / 2, Product),
        new("PpDp", ["pp", "dp"], "HopAwareWarmUp = true", 16, 4, Activation, 2 * Product),
        new("PpZero2", ["pp", "dp"], "HopAwareWarmUp = true, Zero = ZeroStage.Gradients", 16, 4, Activation, 2 * Product),
        new("PpZero3", ["pp", "dp"], "HopAwareWarmUp = true, Zero = ZeroStage.Parameters", 16, 4, Activation, 2 * Product),

        // Stages of three layers, which gather one of them in each action, two where actions repeat each other.
        new("PpZero3Deep", ["pp", "dp"], "Schedule = PipelineSchedule.GPipe, Zero = ZeroStage.Parameters", 4, 6, Bucket / 2, Product) { Strongest = 100 },
        new("PpZero3Bfs", ["pp", "dp"], "Schedule = PipelineSchedule.LoopedBreadthFirst, Zero = ZeroStage.Parameters", 4, 12, Bucket / 2, Product) { Strongest = 100 },
    ];

    internal static string MeshOf(int percent) => $"At{percent}";

    /// <summary>The model on one mesh for each strength.</summary>
    internal static Replay Make(Case of, params int[] percents)
    {
        string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);
        string On(int percent) => $"[ShardedOn<Mesh{percent}>(Name = \"{MeshOf(percent)}\", MicroBatches = {of.MicroBatches}{(of.On.Length > 0 ? ", " + of.On : "")})]";
        string Role(string axis) => axis switch { "dp" => "Data", "tp" => "Tensor", _ => "Pipeline" };
        string Mesh(int percent)
        {
            // Planned messages reach 0.8 of the nominal rate.
            double seconds = (percent / 100.0 * of.Window - Latency) / 1000, rate = of.Bytes / seconds / 0.8;
            return $$"""
                [LinkSpec(BandwidthGBs = {{Number(rate / 1e9)}}, LatencyMicroseconds = {{Number(1000 * Latency)}})] public sealed class Wire{{percent}};
                [DeviceMesh(Device = typeof(Slow)){{string.Concat(of.Axes.Select(a => $", MeshAxis(\"{a}\", 2, Role = AxisRole.{Role(a)}, Link = typeof(Wire{percent}))"))}}] public sealed class Mesh{{percent}};
                """;
        }

        string split = of.Axes.Contains("dp") ? ", Split(\"dp\", 0)" : "";
        string layer = of.Axes.Contains("tp")
            ? $$"""[Split("tp", 1)] readonly Tensor up = Parameter({{Width}}, {{2 * Width}}); [Split("tp", 0)] readonly Tensor down = Parameter({{2 * Width}}, {{Width}}); public Tensor Forward(Tensor x) => MatMul(Relu(MatMul(x, up)), down);"""
            : $$"""readonly Tensor w = Parameter({{Width}}, {{Width}}); public Tensor Forward(Tensor x) => MatMul(Relu(x), w);""";
        double peak = 2.0 * Rows * Width * Width / (Product / 1000) / 0.5;
        return new Replay($$"""
            [DeviceSpec(MemoryBytes = 16L << 30, BandwidthGBs = 1000, Fp32TFlops = {{Number(peak / 1e12)}}, MaxThreads = 16)] public sealed class Slow;
            {{string.Join("\n", percents.Select(Mesh))}}
            [ShardedLayer] public sealed partial class Block { {{layer}} }
            {{string.Join("\n", percents.Select(On))}}
            public sealed partial class Net
            {
                readonly LayerStack<Block> layers = new({{of.Layers}}, () => new Block());
                public Tensor Loss([Shape({{of.BatchRows}}, {{Width}}){{split}}] Tensor x) => Mean(layers.Forward(x));
            }
            """, of.BatchRows, Width);
    }
}
