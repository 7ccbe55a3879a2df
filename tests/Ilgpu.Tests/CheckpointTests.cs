using Shardwright.Execution;
using Shardwright.Gpu;
using static Shardwright.Tests.DeviceRun;

namespace Shardwright.Tests;

/// <summary>Checkpoints of ranks on accelerators: resumed as if the run had never stopped, and carried over to other meshes and to the host and back.</summary>
public sealed class CheckpointTests : IDisposable
{
    private static readonly Type s_model = typeof(StageNet);
    private readonly string _folder = Directory.CreateTempSubdirectory("shardwright-device-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("Alone")]
    [InlineData("ZeroBubbleV")]
    [InlineData("CubeZero3")]
    public void AResumedRunIsTheRunBitForBit(string name)
    {
        Dictionary<string, float[]> straight = On(true, name, rank => Steps(rank, 0, 3));
        On(true, name, rank =>
        {
            Steps(rank, 0, 2);
            rank.Save(_folder);
        });
        Dictionary<string, float[]> resumed = On(true, name, rank =>
        {
            rank.Load(_folder);
            Assert.Equal(2, rank.Step);
            Steps(rank, 2, 3);
        }, seed: 77);
        Equal(straight, resumed);
    }

    /// <summary>What a checkpoint holds is what a rank of the other backend reads, elements and states, on whatever mesh.</summary>
    [Theory]
    [InlineData(false, "Zero1", true, "Zero3")]
    [InlineData(true, "Zero3", false, "Alone")]
    [InlineData(true, "OneForwardOneBackward", false, "Zero2")]
    [InlineData(false, "Alone", true, "CubeZero1")]
    [InlineData(true, "Zero2", true, "ZeroBubbleV")]
    public void ACheckpointGoesFromBackendToBackend(bool fromDevice, string from, bool toDevice, string to)
    {
        Dictionary<string, float[]> before = On(fromDevice, from, rank =>
        {
            Steps(rank, 0, 2);
            rank.Save(_folder);
        });
        Equal(before, On(toDevice, to, rank => rank.Load(_folder), seed: 77));

        // And it goes on alike: the next step is that of one rank of the host, within rounding.
        double[] losses = new double[2];
        for (int i = 0; i < 2; i++)
        {
            int run = i;
            On(run == 0 && toDevice, run == 0 ? to : "Alone", rank =>
            {
                rank.Load(_folder);
                losses[run] = Steps(rank, 2, 3);
            });
        }

        Assert.Equal(losses[1], losses[0], 1e-5 * Math.Abs(losses[1]));
    }

    [Fact]
    public void WeightsGoOutAndIn()
    {
        string file = Path.Combine(_folder, "weights.safetensors"), back = Path.Combine(_folder, "back.safetensors");
        Dictionary<string, float[]> values = On(true, "Zero3", rank =>
        {
            Steps(rank, 0, 1);
            rank.ExportWeights(file);
        }, states: false);
        Equal(values, On(false, "Alone", rank => rank.ImportWeights(file), seed: 77, states: false));
        Equal(values, On(true, "ZeroBubbleV", rank =>
        {
            rank.ImportWeights(file);
            rank.ExportWeights(back);
        }, seed: 77, states: false));
        Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(back));
    }

    [Fact]
    public void StatesAreReadByCopies() => On(true, "Alone", rank =>
    {
        Steps(rank, 0, 1);
        ParameterView parameter = rank.Parameters[0];
        Assert.Throws<NotSupportedException>(() => parameter.State("firstMoment").Length);
        Assert.Contains(parameter.ReadState("firstMoment"), v => v != 0);
        Assert.Contains("no state 'velocity'", Assert.Throws<ArgumentException>(() => parameter.ReadState("velocity")).Message, StringComparison.Ordinal);
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

    /// <summary>Runs a body on all ranks; gives parameters and states of all of them, put together.</summary>
    private static Dictionary<string, float[]> On(bool device, string name, Action<RankBase> body, ulong seed = 3, bool states = true)
    {
        using GpuBackend? backend = device ? GpuBackend.Create(new GpuOptions { Kind = GpuKind.Cpu, CpuShape = (4, 4, 2) }) : null;
        var all = new Dictionary<string, float[]>();
        using var world = World.InProcess(MeshOf(s_model, name), new WorldOptions { ThreadsPerRank = 1, Backend = backend ?? Backend.Host });
        world.Run(context =>
        {
            using RankBase rank = Make(s_model, name, context, seed);
            body(rank);
            lock (all)
            {
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
        return all;
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
