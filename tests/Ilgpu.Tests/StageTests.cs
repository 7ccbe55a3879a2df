using Shardwright.Execution;
using Shardwright.Gpu;
using static Shardwright.Tests.DeviceRun;

namespace Shardwright.Tests;

/// <summary>Pipelines, ZeRO and recomputation on accelerators follow one rank of the host: messages between stages, stages of one rank, tied weights, shards.</summary>
public sealed class StageTests
{
    private static readonly object[] s_step = [.. StageNet.Data(), new AdamWSettings(0.01f, ClipNorm: 0.5f)];
    private static readonly Lazy<Result> s_host = new(() => Run(typeof(StageNet), "Alone", null, 2, s_step));

    [Theory]
    [InlineData("Alone")]
    [InlineData("Full")]
    [InlineData("Selective")]
    [InlineData("OneForwardOneBackward")]
    [InlineData("GPipe")]
    [InlineData("Interleaved")]
    [InlineData("BreadthFirst")]
    [InlineData("ZeroBubble")]
    [InlineData("ZeroBubbleV")]
    [InlineData("Own")]
    [InlineData("Zero1")]
    [InlineData("Zero2")]
    [InlineData("Zero3")]
    [InlineData("CubeZero1")]
    [InlineData("CubeZero3")]
    public void ADeviceFollowsTheHost(string name) => Same(s_host.Value, Run(typeof(StageNet), name, new GpuOptions(), 2, s_step));

    /// <summary>Two devices that reach each other, and two that meet in host memory: the bits of one device.</summary>
    [Theory]
    [InlineData("ZeroBubbleV", false)]
    [InlineData("ZeroBubbleV", true)]
    [InlineData("CubeZero1", true)]
    public void DevicesGiveTheBitsOfOneDevice(string name, bool staged)
    {
        Result one = Run(typeof(StageNet), name, new GpuOptions(), 2, s_step), two = Run(typeof(StageNet), name, new GpuOptions { CpuShape = (4, 4, 2), StageTransfers = staged }, 2, s_step);
        Assert.Equal(one.Losses, two.Losses);
        foreach ((string path, float[] values) in one.Values)
        {
            Assert.Equal(values, two.Values[path]);
        }
    }

    [Theory]
    [InlineData("OneForwardOneBackward")]
    [InlineData("Interleaved")]
    public void TheResultOfTheLastStageReachesAllRanks(string name)
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
        Assert.All(host.Zip(device), p => Assert.Equal(p.First, p.Second, 1e-5f));
    }
}
