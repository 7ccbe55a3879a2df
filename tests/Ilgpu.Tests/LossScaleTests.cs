using Shardwright.Execution;
using Shardwright.Gpu;
using Shardwright.Tests.Cases;
using static Shardwright.Ops;
using static Shardwright.Tests.DeviceRun;

namespace Shardwright.Tests;

/// <summary>A loss whose gradient is below what fp16 stores without loss of digits.</summary>
[ShardedOn<One>(Name = "Wide", Optimizer = OptimizerKind.Sgd)]
[ShardedOn<HalfOne>(Name = "Fp16", Optimizer = OptimizerKind.Sgd, Precision = Precision.Float16Mixed)]
public sealed partial class FaintModel
{
    readonly Tensor a = Parameter(4, 6, Init.Normal(0.5f));

    public Tensor Loss([Shape(5, 4)] Tensor x) => Sum(MatMul(x, a)) * 1e-7f;
}

/// <summary>The scale of a loss in fp16: what overflows is left out on every rank, and the scale follows.</summary>
public sealed class LossScaleTests : IDisposable
{
    private static readonly TokenTensor s_labels = TokenTensor.Of([.. Enumerable.Range(0, DropoutModel.Batch).Select(i => i * 5 % DropoutModel.Classes)], DropoutModel.Batch);
    private readonly string _folder = Directory.CreateTempSubdirectory("shardwright-scale-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>A batch whose last row, which the last rank of the data axis reads, overflows in the first product.</summary>
    private static Tensor Points(bool overflows) => Tensor.Of([.. Enumerable.Range(0, DropoutModel.Batch * DropoutModel.Width).Select(i => overflows && i >= (DropoutModel.Batch - 1) * DropoutModel.Width ? 60000 * MathF.Sign(MathF.Sin(i)) : MathF.Sin(i * 1.7f))], DropoutModel.Batch, DropoutModel.Width);

    private static void On(Type model, string name, Action<RankBase> body, ulong seed = 3)
    {
        using GpuBackend backend = GpuBackend.Create(new GpuOptions { Kind = GpuKind.Cpu, CpuShape = (4, 4, 2) });
        using var world = World.InProcess(MeshOf(model, name), new WorldOptions { ThreadsPerRank = 1, Backend = backend });
        world.Run(context =>
        {
            using RankBase rank = Make(model, name, context, seed);
            body(rank);
        });
    }

    /// <summary>Parameters and states of a rank, and what its kernels read, seen through the loss of an evaluation.</summary>
    private static (float[][] All, double Loss) State(RankBase rank, params object[] batch) =>
        ([.. rank.Parameters.SelectMany(p => p.StateNames.Select(p.ReadState).Prepend(p.Read()))], ((StepResult)rank.GetType().GetMethod("Evaluate")!.Invoke(rank, batch)!).Loss);

    private static void Same((float[][] All, double Loss) expected, (float[][] All, double Loss) actual)
    {
        Assert.Equal(expected.Loss, actual.Loss);
        Assert.All(expected.All.Zip(actual.All), p => Assert.True(System.Runtime.InteropServices.MemoryMarshal.AsBytes(p.First.AsSpan()).SequenceEqual(System.Runtime.InteropServices.MemoryMarshal.AsBytes(p.Second.AsSpan()))));
    }

    [Theory]
    [InlineData("Fp16")]
    [InlineData("Fp16M4")]
    [InlineData("Fp16Split")]
    public void AStepThatOverflowsOnOneRankIsLeftOutOnAll(string name) => On(typeof(DropoutModel), name, rank =>
    {
        var settings = new AdamWSettings(0.01f, ClipNorm: 0.5f, LossScaling: new LossScaling(512, 3));
        Assert.Null(rank.LossScale);
        Assert.False(Train(rank, Points(false), s_labels, settings).Skipped);
        Assert.Equal(new LossScale(512, 1, 0), rank.LossScale);
        (float[][], double) before = State(rank, Points(false), s_labels);
        StepResult bad = Train(rank, Points(true), s_labels, settings);
        Assert.True(bad.Skipped);
        Assert.False(double.IsFinite(bad.GradientNorm));
        Same(before, State(rank, Points(false), s_labels));
        Assert.Equal(new LossScale(256, 0, 1), rank.LossScale);
        Assert.Equal(2, rank.Step);
        Assert.False(Train(rank, Points(false), s_labels, settings).Skipped);
        Assert.NotEqual(before.Item2, State(rank, Points(false), s_labels).Loss);
        Assert.Equal(new LossScale(256, 1, 1), rank.LossScale);
    });

    /// <summary>Backward overflows until the scale is small enough; the loss of such a step is that of any other.</summary>
    [Theory]
    [InlineData("Fp16")]
    [InlineData("Fp16Zero2")]
    [InlineData("Fp16OneForwardOneBackward")]
    [InlineData("Fp16CubeZero3")]
    public void AScaleThatIsTooLargeComesDownOnAllRanksAlike(string name)
    {
        int[]? course = null;
        On(typeof(StageNet), name, rank =>
        {
            var settings = new AdamWSettings(0.01f, Epsilon: 1e-12f, WeightDecay: 0, LossScaling: new LossScaling(LossScaling.Most));
            float[][] start = [.. rank.Parameters.Select(p => p.Read())];
            int steps = 0;
            StepResult result;
            while ((result = Train(rank, [.. StageNet.Data(), settings])).Skipped)
            {
                Assert.True(double.IsFinite(result.Loss));
                Assert.Equal(LossScaling.Most / MathF.Pow(2, ++steps), rank.LossScale!.Value.Value);
                Assert.Equal(start, rank.Parameters.Select(p => p.Read()));
            }

            Assert.InRange(steps, 8, 30);
            Assert.Equal(new LossScale(LossScaling.Most / MathF.Pow(2, steps), 1, steps), rank.LossScale);

            // The first update is that of a first step: moments are corrected for one, and each element moves by the rate.
            foreach ((float[] from, ParameterView to) in start.Zip(rank.Parameters))
            {
                float[] moved = [.. from.Zip(to.Read(), (a, b) => Math.Abs(a - b)).Where(d => d > 0.005f)];
                Assert.True(from.Length == 0 || moved.Length > from.Length / 2, $"{moved.Length} of {from.Length} elements of {to.Path} have moved");
                Assert.All(moved, d => Assert.Equal(0.01f, d, 1e-4f));
            }

            int[] own = [steps, rank.Step];
            Assert.Equal(own, Interlocked.CompareExchange(ref course, own, null) ?? own);
        });
        Assert.NotNull(course);
    }

    [Fact]
    public void GoodStepsRaiseIt() => On(typeof(StageNet), "Fp16Pairs", rank =>
    {
        var course = new List<LossScale>();
        for (int i = 0; i < 5; i++)
        {
            Assert.False(Train(rank, [.. StageNet.Data(i), new AdamWSettings(0.01f, LossScaling: new LossScaling(64, 2))]).Skipped);
            course.Add(rank.LossScale!.Value);
        }

        Assert.Equal([new(64, 1, 0), new(128, 0, 0), new(128, 1, 0), new(256, 0, 0), new(256, 1, 0)], course);
    });

    [Fact]
    public void ItStaysWithinItsBounds()
    {
        On(typeof(FaintModel), "Fp16", rank =>
        {
            Tensor zeros = Tensor.Of(new float[20], 5, 4), infinite = Tensor.Of([.. Enumerable.Repeat(float.PositiveInfinity, 20)], 5, 4);
            for (int i = 0; i < 3; i++)
            {
                Assert.Equal(i == 0, Train(rank, i == 0 ? infinite : zeros, new SgdSettings(0.1f, LossScaling: new LossScaling(LossScaling.Most, 1))).Skipped);
            }

            Assert.Equal(new LossScale(LossScaling.Most, 0, 1), rank.LossScale);
        });
        On(typeof(FaintModel), "Fp16", rank =>
        {
            Tensor infinite = Tensor.Of([.. Enumerable.Repeat(float.PositiveInfinity, 20)], 5, 4);
            for (int i = 0; i < 2; i++)
            {
                Assert.True(Train(rank, infinite, new SgdSettings(0.1f, LossScaling: new LossScaling(LossScaling.Least * 1.5f))).Skipped);
            }

            Assert.Equal(new LossScale(LossScaling.Least, 0, 2), rank.LossScale);
        });
    }

    /// <summary>What a scale is for: digits of small gradients. What is read of a gradient does not have it.</summary>
    [Theory]
    [InlineData(1, 0.05, 1)]
    [InlineData(65536, 0, 4.0 / 2048)]
    [InlineData(50000, 0, 4.0 / 2048)]
    public void SmallGradientsKeepTheirDigits(float scale, double least, double most)
    {
        object[] step = [Tensor.Of([.. Enumerable.Range(0, 20).Select(i => 1 + MathF.Sin(i))], 5, 4), new SgdSettings(1000, LossScaling: new LossScaling(scale))];
        Result wide = Run(typeof(FaintModel), "Wide", null, 1, step), narrow = Run(typeof(FaintModel), "Fp16", new GpuOptions(), 1, step);
        double Away(Func<Result, float[]> of) => of(wide).Zip(of(narrow), (w, n) => Math.Abs(w - n) / Math.Abs((double)w)).Max();
        Assert.InRange(Away(r => r.Gradients["a"]), least, most);
        Assert.InRange(Math.Abs(wide.Norms[0] - narrow.Norms[0]) / wide.Norms[0], 0, most);
        Assert.InRange(Away(r => r.Values["a"]), 0, scale == 1 ? 1 : 1e-3);
    }

    /// <summary>Scale, counters and what was left out go with the run; what settings say of a first step does not matter then.</summary>
    [Theory]
    [InlineData("Fp16")]
    [InlineData("Fp16CubeZero1")]
    [InlineData("Fp16CubeZero3")]
    public void AResumedRunGoesOnWithIt(string name)
    {
        float first = 1 << 17;
        object[] Step(int i, float scale) => [.. StageNet.Data(i), new AdamWSettings(0.01f, LossScaling: new LossScaling(scale, 3))];
        var straight = new Dictionary<int, (LossScale, float[][], double)>();
        (LossScale, float[][], double) Of(RankBase rank)
        {
            (float[][] all, double loss) = State(rank, StageNet.Data());
            return (rank.LossScale!.Value, all, loss);
        }

        int total = 0, half = 0;
        On(typeof(StageNet), name, rank =>
        {
            // Some steps are left out first; then the scale is between two rises.
            while (rank.LossScale is not { GoodSteps: 2, SkippedSteps: > 0 })
            {
                Train(rank, Step(rank.Step, first));
                Assert.InRange(rank.Step, 0, 20);
            }

            half = rank.Step;
            rank.Save(_folder);
            for (int i = 0; i < 4; i++)
            {
                Train(rank, Step(rank.Step, first));
            }

            total = rank.Step;
            (LossScale, float[][], double) last = Of(rank);
            lock (straight)
            {
                straight[rank.Context.Rank] = last;
            }
        });
        Checkpoint saved = Checkpoint.Open(_folder);
        Assert.Equal(2, saved.LossScale!.Value.GoodSteps);
        On(typeof(StageNet), name, rank =>
        {
            rank.Load(_folder);
            Assert.Equal(saved.LossScale, rank.LossScale);
            Assert.Equal(half, rank.Step);
            while (rank.Step < total)
            {
                Train(rank, Step(rank.Step, 4));
            }

            (LossScale scale, float[][] all, double loss) = straight[rank.Context.Rank];
            (LossScale Scale, float[][] All, double Loss) own = Of(rank);
            Assert.Equal(scale, own.Scale);
            Same((all, loss), (own.All, own.Loss));
        }, seed: 77);
    }

    /// <summary>A run of another precision has none, and does not read one; a run that comes from it begins with that of its settings.</summary>
    [Fact]
    public void OtherPrecisionsHaveNone()
    {
        On(typeof(StageNet), "Half", rank =>
        {
            Train(rank, [.. StageNet.Data(), new AdamWSettings(0.01f, LossScaling: new LossScaling(-1))]);
            Assert.Null(rank.LossScale);
            rank.Save(_folder);
        });
        Assert.Null(Checkpoint.Open(_folder).LossScale);
        Assert.DoesNotContain("lossScale", File.ReadAllText(Path.Combine(Checkpoint.Open(_folder).Path, "index.json")), StringComparison.Ordinal);
        On(typeof(StageNet), "Fp16", rank =>
        {
            Train(rank, [.. StageNet.Data(), new AdamWSettings(0.01f)]);
            Assert.Equal(new LossScale(1024, 1, 0), rank.LossScale);
            rank.Load(_folder);
            Assert.Null(rank.LossScale);
            Train(rank, [.. StageNet.Data(), new AdamWSettings(0.01f, LossScaling: new LossScaling(128))]);
            Assert.Equal(new LossScale(128, 1, 0), rank.LossScale);
        });
    }

    [Theory]
    [InlineData(0, 2000, "LossScaling.InitialScale is 0: ")]
    [InlineData(-1, 2000, "LossScaling.InitialScale is -1: ")]
    [InlineData(float.NaN, 2000, "LossScaling.InitialScale is NaN: ")]
    [InlineData(float.PositiveInfinity, 2000, "it lies between 2^-32 and 2^32")]
    [InlineData(1e10f, 2000, "LossScaling.InitialScale is 1E+10: ")]
    [InlineData(1024, 0, "LossScaling.GrowthInterval is 0: ")]
    public void NumbersThatCannotBeAreNamed(float scale, int interval, string message) => On(typeof(StageNet), "Fp16", rank =>
    {
        Assert.Contains(message, Assert.Throws<ArgumentException>(() => Train(rank, [.. StageNet.Data(), new AdamWSettings(0.01f, LossScaling: new LossScaling(scale, interval))])).Message, StringComparison.Ordinal);
        Assert.Equal(0, rank.Step);
    });

    [Theory]
    [InlineData("\"value\": 256", "\"value\": 0", "a loss scale of 0 after 1 good steps and 0 skipped ones is none")]
    [InlineData("\"goodSteps\": 1", "\"goodSteps\": -1", "a loss scale of 256 after -1 good steps")]
    [InlineData("\"skippedSteps\": 0", "\"skippedSteps\": \"x\"", "is no index of a checkpoint")]
    public void AScaleThatCannotBeIsRefused(string from, string to, string message)
    {
        On(typeof(FaintModel), "Fp16", rank =>
        {
            Train(rank, Tensor.Of(new float[20], 5, 4), new SgdSettings(0.1f, LossScaling: new LossScaling(256)));
            rank.Save(_folder);
        });
        string file = Path.Combine(Checkpoint.Open(_folder).Path, "index.json"), text = File.ReadAllText(file), body = text[..text.LastIndexOf(",\n\"crc32c\"", StringComparison.Ordinal)];
        Assert.Contains(from, body, StringComparison.Ordinal);
        body = body.Replace(from, to, StringComparison.Ordinal);
        File.WriteAllText(file, $"{body},\n\"crc32c\": \"{Checksum(System.Text.Encoding.UTF8.GetBytes(body)):x8}\"\n}}\n");
        Assert.Contains(message, Assert.Throws<CheckpointException>(() => Checkpoint.Open(_folder)).Message, StringComparison.Ordinal);
    }

    /// <summary>CRC-32C, bit by bit.</summary>
    private static uint Checksum(byte[] bytes)
    {
        uint sum = ~0u;
        foreach (byte b in bytes)
        {
            sum ^= b;
            for (int i = 0; i < 8; i++)
            {
                sum = (sum >> 1) ^ ((sum & 1) * 0x82F63B78u);
            }
        }

        return ~sum;
    }
}
