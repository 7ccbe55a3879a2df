using Shardwright.Execution;
using Shardwright.Gpu;
using static Shardwright.Tests.DeviceRun;

namespace Shardwright.Tests;

/// <summary>What a rank in bf16 or fp16 holds, saves and loads: the fp32 parameters of the optimizer, and their rounding for the kernels.</summary>
public sealed class HalfRunTests : IDisposable
{
    private static readonly object[] s_step = [.. StageNet.Data(), new AdamWSettings(0.01f)];
    private readonly string _folder = Directory.CreateTempSubdirectory("shardwright-half-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Two terms are summed to the same bits wherever the sum lies, and each element is updated by one rank: shards change no bit.</summary>
    [Theory]
    [InlineData("HalfZero1")]
    [InlineData("HalfZero2")]
    [InlineData("HalfZero3")]
    [InlineData("Fp16Zero1")]
    [InlineData("Fp16Zero2")]
    [InlineData("Fp16Zero3")]
    public void ShardsGiveTheBitsOfWholeRanks(string name) => Equal(Run(typeof(StageNet), name[..4] + "Pairs", new GpuOptions(), 3, s_step), Run(typeof(StageNet), name, new GpuOptions(), 3, s_step));

    [Theory]
    [InlineData("HalfZeroBubbleV", 1, false)]
    [InlineData("HalfCubeZero1", 2, false)]
    [InlineData("HalfCubeZero1", 2, true)]
    [InlineData("HalfCubeZero3", 2, true)]
    [InlineData("Fp16ZeroBubbleV", 1, false)]
    [InlineData("Fp16CubeZero1", 2, true)]
    [InlineData("Fp16CubeZero3", 2, false)]
    public void AnotherRunOnOtherDevicesGivesTheSameBits(string name, int devices, bool staged) =>
        Equal(Run(typeof(StageNet), name, new GpuOptions(), 2, s_step), Run(typeof(StageNet), name, new GpuOptions { CpuShape = (4, 4, devices), StageTransfers = staged }, 2, s_step));

    [Fact]
    public void GradientsAreSummedInTheElementsThatThePrecisionSays()
    {
        static bool IsNarrow(float value) => (float)(BFloat16)value == value;
        Assert.All(Run(typeof(StageNet), "HalfPairs", new GpuOptions(), 1, s_step).Gradients, g => Assert.All(g.Value, v => Assert.True(IsNarrow(v), $"{g.Key} has {v:R}")));
        Assert.Contains(Run(typeof(StageNet), "HalfSelective", new GpuOptions(), 1, s_step).Gradients.SelectMany(g => g.Value), v => !IsNarrow(v));
        Assert.Contains(Run(typeof(StageNet), "HalfPairs", new GpuOptions(), 1, s_step).Values.SelectMany(g => g.Value), v => !IsNarrow(v));

        // In fp16 with the scale of the loss, which what is read of a gradient has not.
        Result half = Run(typeof(StageNet), "Fp16Pairs", new GpuOptions(), 1, s_step);
        Assert.All(half.Gradients, g => Assert.All(g.Value, v => Assert.True((float)(Float16)(v * 1024) == v * 1024, $"{g.Key} has {v:R}")));
        Assert.Contains(half.Values.SelectMany(g => g.Value), v => (float)(Float16)v != v);
    }

    /// <summary>Small updates add up in the fp32 parameters: bf16 would have dropped each of them.</summary>
    [Fact]
    public void UpdatesBelowAUnitAreNotLost()
    {
        float[] Moved(int steps) => [.. Run(typeof(StageNet), "Half", new GpuOptions(), steps, [.. StageNet.Data(), new AdamWSettings(1e-6f, WeightDecay: 0)]).Values["blocks.0.norm.scale"].Select(v => Math.Abs(v - 1))];
        float[] one = Moved(1), four = Moved(4);
        Assert.All(one.Concat(four), v => Assert.InRange(v, 1e-7f, 1f / 512));
        Assert.InRange(four.Sum() / one.Sum(), 2, 4.5);
    }

    [Theory]
    [InlineData("HalfM4")]
    [InlineData("Fp16M4")]
    public void LibraryProducts(string name)
    {
        int calls = 0;
        object[] arguments =
        [
            Tensor.Of([.. Enumerable.Range(0, DropoutModel.Batch * DropoutModel.Width).Select(i => MathF.Sin(i * 1.7f))], DropoutModel.Batch, DropoutModel.Width),
            TokenTensor.Of([.. Enumerable.Range(0, DropoutModel.Batch).Select(i => i * 5 % DropoutModel.Classes)], DropoutModel.Batch), new AdamWSettings(0.01f),
        ];
        Result tiled = Run(typeof(DropoutModel), name, new GpuOptions(), 2, arguments);
        Result library = Run(MeshOf(typeof(DropoutModel), name), new GpuOptions(), c => Make(typeof(DropoutModel), name, c), r => Train(r, arguments), 2, backend => backend.Devices[0].Products = arena => new ModelTests.Library(arena, () => calls++));
        Assert.True(calls > 20, $"{calls} products");

        // The epilogue is a pass after the product, which is rounded once more.
        Assert.All(tiled.Losses.Zip(library.Losses), p => Assert.Equal(p.First, p.Second, p.First * HalfTests.Unit(name)));
    }

    [Theory]
    [InlineData("Half")]
    [InlineData("HalfOneForwardOneBackward")]
    [InlineData("HalfCubeZero3")]
    [InlineData("Fp16")]
    [InlineData("Fp16CubeZero3")]
    public void InferenceGivesFloats(string name)
    {
        float[] Logits(GpuBackend? backend, string program)
        {
            var all = new float[MeshOf(typeof(StageNet), program).Ranks][];
            using var world = World.InProcess(MeshOf(typeof(StageNet), program), new WorldOptions { ThreadsPerRank = 1, Backend = backend ?? Backend.Host });
            world.Run(context =>
            {
                using RankBase rank = Make(typeof(StageNet), program, context);
                all[context.Rank] = ((Tensor)rank.GetType().GetMethod("Forward")!.Invoke(rank, [StageNet.Data()[0]])!).Span.ToArray();
            });
            Assert.All(all, logits => Assert.Equal(all[0], logits));
            return all[0];
        }

        using GpuBackend gpu = GpuBackend.Create(new GpuOptions { Kind = GpuKind.Cpu });
        float[] host = Logits(null, "Alone"), device = Logits(gpu, name);
        double scale = host.Max(Math.Abs);
        Assert.All(host.Zip(device), p => Assert.True(Math.Abs(p.First - p.Second) <= 8 * scale * HalfTests.Unit(name), $"{p.Second} is not {p.First}"));
    }

    /// <summary>Loading sets the rounding too, also what of it is another rank's to update.</summary>
    [Theory]
    [InlineData("Half")]
    [InlineData("HalfZero1")]
    [InlineData("HalfZero2")]
    [InlineData("HalfCubeZero1")]
    [InlineData("HalfCubeZero3")]
    [InlineData("Fp16Zero1")]
    [InlineData("Fp16CubeZero1")]
    public void AResumedRunIsTheRunBitForBit(string name)
    {
        (Dictionary<string, float[]> straight, double loss) = On(true, name, rank => Steps(rank, 0, 3));
        On(true, name, rank =>
        {
            double last = Steps(rank, 0, 2);
            rank.Save(_folder);
            return last;
        });
        (Dictionary<string, float[]> resumed, double again) = On(true, name, rank =>
        {
            rank.Load(_folder);
            return Steps(rank, 2, 3);
        }, seed: 77);
        Assert.Equal(loss, again);
        Equal(straight, resumed);
    }

    /// <summary>A checkpoint holds fp32 parameters and states under the names of every other: a run goes from precision to precision and back, on any mesh.</summary>
    [Theory]
    [InlineData("HalfZero1", true, "Half")]
    [InlineData("Half", true, "HalfZero2")]
    [InlineData("HalfOneForwardOneBackward", false, "Alone")]
    [InlineData("HalfCubeZero3", true, "Zero1")]
    [InlineData("Fp16Zero1", true, "Half")]
    [InlineData("Half", true, "Fp16Zero2")]
    [InlineData("Fp16OneForwardOneBackward", false, "Alone")]
    public void ACheckpointGoesFromPrecisionToPrecision(string from, bool toDevice, string to)
    {
        (Dictionary<string, float[]> before, _) = On(true, from, rank =>
        {
            double last = Steps(rank, 0, 2);
            rank.Save(_folder);
            return last;
        });
        (Dictionary<string, float[]> after, double loss) = On(toDevice, to, rank =>
        {
            rank.Load(_folder);
            return 0;
        }, seed: 77);
        Equal(before, after);
        string back = Path.Combine(_folder, "back");
        On(toDevice, to, rank =>
        {
            rank.Load(_folder);
            rank.Save(back);
            return 0;
        }, seed: 78);
        (Dictionary<string, float[]> again, _) = On(true, from, rank =>
        {
            rank.Load(back);
            return 0;
        }, seed: 79);
        Equal(before, again);
    }

    [Fact]
    public void WeightsGoOutAndIn()
    {
        string file = Path.Combine(_folder, "weights.safetensors"), back = Path.Combine(_folder, "back.safetensors");
        (Dictionary<string, float[]> values, _) = On(true, "HalfZero1", rank =>
        {
            Steps(rank, 0, 1);
            rank.ExportWeights(file);
            return 0;
        }, states: false);
        (Dictionary<string, float[]> imported, double loss) = On(true, "HalfZero2", rank =>
        {
            rank.ImportWeights(file);
            rank.ExportWeights(back);
            return Steps(rank, 1, 2);
        }, seed: 77, states: false);
        Assert.NotEqual(values.Values.First(), imported.Values.First());
        Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(back));

        // The loss of the step after it is that of ranks which have set every parameter from all of its elements.
        (_, double set) = On(true, "HalfPairs", rank =>
        {
            foreach (string path in rank.Parameters.Select(p => p.Path).Distinct().ToList())
            {
                rank.LoadParameter(path, values[path]);
            }

            return Steps(rank, 1, 2);
        }, seed: 77);
        Assert.Equal(set, loss);
    }

    [Theory]
    [InlineData("HalfZero1", "bf16")]
    [InlineData("Fp16Zero1", "fp16")]
    public void AParameterIsSetOnAllRanksOrNotAtAll(string name, string precision) => On(true, name, rank =>
    {
        Assert.Contains(rank.Parameters, p => p.ValueRange.Length == p.Map.Count);
        Assert.All(rank.Parameters, p =>
        {
            Assert.Contains($"Every rank has a {precision} rounding of all of '{p.Path}', and this one sets a part: RankBase.LoadParameter sets it from all elements", Assert.Throws<NotSupportedException>(() => p.Write(new float[p.ValueRange.Length])).Message, StringComparison.Ordinal);
            Assert.DoesNotContain("master", p.StateNames);
        });
        return 0;
    });

    private static double Steps(RankBase rank, int from, int to)
    {
        double loss = 0;
        for (int i = from; i < to; i++)
        {
            loss = Train(rank, [.. StageNet.Data(i), new AdamWSettings(0.01f)]).Loss;
        }

        return loss;
    }

    /// <summary>Runs a body on all ranks; gives parameters and states of all of them, put together, and what the body gave.</summary>
    private static (Dictionary<string, float[]> All, double Value) On(bool device, string name, Func<RankBase, double> body, ulong seed = 3, bool states = true)
    {
        using GpuBackend? backend = device ? GpuBackend.Create(new GpuOptions { Kind = GpuKind.Cpu, CpuShape = (4, 4, 2) }) : null;
        var all = new Dictionary<string, float[]>();
        double value = 0;
        using var world = World.InProcess(MeshOf(typeof(StageNet), name), new WorldOptions { ThreadsPerRank = 1, Backend = backend ?? Backend.Host });
        world.Run(context =>
        {
            using RankBase rank = Make(typeof(StageNet), name, context, seed);
            double own = body(rank);
            lock (all)
            {
                value = own;
                foreach (ParameterView p in rank.Parameters)
                {
                    Place(all, p.Path, p, p.Read(), p.ValueRange.Start);
                    foreach (string state in states ? p.StateNames : [])
                    {
                        Place(all, p.Path + "/" + state, p, p.ReadState(state), p.StateRange.Start);
                    }
                }
            }
        });
        return (all, value);
    }

    private static void Equal(Result expected, Result actual)
    {
        Assert.Equal(expected.Losses, actual.Losses);
        Equal(expected.Values, actual.Values);
        Equal(expected.Gradients, actual.Gradients);
    }

    private static void Equal(Dictionary<string, float[]> expected, Dictionary<string, float[]> actual)
    {
        Assert.Equal(expected.Keys.Order(), actual.Keys.Order());
        foreach ((string name, float[] values) in expected)
        {
            Assert.True(values.AsSpan().SequenceEqual(actual[name]), $"{name} differs");
        }
    }
}
