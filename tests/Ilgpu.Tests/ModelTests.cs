using Shardwright.Execution;
using Shardwright.Gpu;
using static Shardwright.Ops;
using static Shardwright.Tests.DeviceRun;

namespace Shardwright.Tests;

[DeviceMesh]
[MeshAxis("dp", 2, Role = AxisRole.Data)]
[MeshAxis("tp", 2, Role = AxisRole.Tensor)]
public sealed class Square;

/// <summary>What the recorded cases leave out: dropout by layer and micro-batch, sizes that are read four at a time, every optimizer, an inference entry.</summary>
[ShardedOn<Cases.One>(Name = "AdamW", MicroBatches = 2)]
[ShardedOn<Cases.One>(Name = "Momentum", Optimizer = OptimizerKind.Momentum)]
[ShardedOn<Cases.One>(Name = "Sgd", Optimizer = OptimizerKind.Sgd)]
[ShardedOn<Square>(Name = "Split", MicroBatches = 2)]
[ShardedOn<Square>(Name = "Zero", MicroBatches = 2, Zero = ZeroStage.Parameters)]
public sealed partial class DropoutModel
{
    public const int Batch = 8, Width = 16, Classes = 12;

    readonly LayerStack<DropoutLayer> layers = new(2, () => new DropoutLayer(Width));
    [Split("tp", dim: 1)] readonly Tensor head = Parameter(Width, Classes, Init.Normal(0.3f));

    public Tensor Loss([Shape(Batch, Width), Split("dp", 0)] Tensor x, [Shape(Batch), Split("dp", 0)] TokenTensor labels) => CrossEntropy(MatMul(layers.Forward(x), head), labels);

    public Tensor Forward([Shape(Batch, Width), Split("dp", 0)] Tensor x) => MatMul(layers.Forward(x), head);
}

[ShardedLayer]
public sealed partial class DropoutLayer(int width)
{
    [Split("tp", dim: 1)] readonly Tensor up = Parameter(width, 2 * width, Init.Normal(0.3f));
    [Split("tp", dim: 0)] readonly Tensor bias = Parameter(2 * width, Init.Normal(0.1f));
    [Split("tp", dim: 0)] readonly Tensor down = Parameter(2 * width, width, Init.Normal(0.3f));

    public Tensor Forward(Tensor x) => x + Dropout(MatMul(Gelu(Linear(x, up, bias)), down), 0.25f);
}

/// <summary>Heads as wide as they are in practice: the tiles of real devices.</summary>
[ShardedOn<Cases.One>(Name = "Narrow")]
public sealed partial class WideAttention
{
    readonly Tensor q = Parameter([1, 2, 70, 64], Init.Normal(0.5f));
    readonly Tensor k = Parameter([1, 1, 70, 64], Init.Normal(0.5f));
    readonly Tensor v = Parameter([1, 1, 70, 64], Init.Normal(0.5f));
    readonly Tensor c = Parameter([1, 2, 70, 64], Init.Normal(0.5f));

    public Tensor Loss() => Sum(Attention(q, k, v, causal: true) * c);
}

[ShardedOn<Cases.One>(Name = "Wide")]
public sealed partial class WiderAttention
{
    readonly Tensor q = Parameter([1, 1, 21, 128], Init.Normal(0.5f));
    readonly Tensor k = Parameter([1, 1, 33, 128], Init.Normal(0.5f));
    readonly Tensor v = Parameter([1, 1, 33, 128], Init.Normal(0.5f));
    readonly Tensor c = Parameter([1, 1, 21, 128], Init.Normal(0.5f));

    public Tensor Loss() => Sum(Attention(q, k, v, causal: true) * c);
}

/// <summary>IlgpuRank beside Rank: the same programs on two backends.</summary>
public sealed class ModelTests
{
    private static readonly Tensor s_x = Tensor.Of([.. Enumerable.Range(0, DropoutModel.Batch * DropoutModel.Width).Select(i => MathF.Sin(i * 1.7f))], DropoutModel.Batch, DropoutModel.Width);
    private static readonly TokenTensor s_labels = TokenTensor.Of([.. Enumerable.Range(0, DropoutModel.Batch).Select(i => i * 5 % DropoutModel.Classes)], DropoutModel.Batch);

    [Fact]
    public void AdamWWithDropoutInMicroBatches() => Same(
        Run(DropoutModel.AdamW.Mesh, null, r => new DropoutModel.AdamW.Rank(r, 3), r => r.TrainStep(s_x, s_labels, new AdamWSettings(0.01f, ClipNorm: 0.5f))),
        Run(DropoutModel.AdamW.Mesh, new(), r => new DropoutModel.AdamW.IlgpuRank(r, 3), r => r.TrainStep(s_x, s_labels, new AdamWSettings(0.01f, ClipNorm: 0.5f))));

    [Fact]
    public void Momentum() => Same(
        Run(DropoutModel.Momentum.Mesh, null, r => new DropoutModel.Momentum.Rank(r, 3), r => r.TrainStep(s_x, s_labels, new MomentumSettings(0.05f, 0.9f, true))),
        Run(DropoutModel.Momentum.Mesh, new(), r => new DropoutModel.Momentum.IlgpuRank(r, 3), r => r.TrainStep(s_x, s_labels, new MomentumSettings(0.05f, 0.9f, true))));

    [Fact]
    public void Sgd() => Same(
        Run(DropoutModel.Sgd.Mesh, null, r => new DropoutModel.Sgd.Rank(r, 3), r => r.TrainStep(s_x, s_labels, new SgdSettings(0.05f))),
        Run(DropoutModel.Sgd.Mesh, new(), r => new DropoutModel.Sgd.IlgpuRank(r, 3), r => r.TrainStep(s_x, s_labels, new SgdSettings(0.05f))));

    [Fact]
    public void FourRanksAreAsOneAndTwoRunsAreBitIdentical()
    {
        Result one = Run(DropoutModel.AdamW.Mesh, null, r => new DropoutModel.AdamW.Rank(r, 3), r => r.TrainStep(s_x, s_labels, new AdamWSettings(0.01f)));
        Result Split() => Run(DropoutModel.Split.Mesh, new GpuOptions { CpuShape = (4, 4, 2) }, r => new DropoutModel.Split.IlgpuRank(r, 3), r => r.TrainStep(s_x, s_labels, new AdamWSettings(0.01f)));
        Result first = Split(), second = Split();
        Same(one, first);
        Assert.Equal(first.Losses, second.Losses);
        foreach ((string path, float[] values) in first.Values)
        {
            Assert.Equal(values, second.Values[path]);
        }
    }

    [Fact]
    public void ParametersInShardsAreAsOneRank() => Same(
        Run(DropoutModel.AdamW.Mesh, null, r => new DropoutModel.AdamW.Rank(r, 3), r => r.TrainStep(s_x, s_labels, new AdamWSettings(0.01f))),
        Run(DropoutModel.Zero.Mesh, new GpuOptions { CpuShape = (4, 4, 2) }, r => new DropoutModel.Zero.IlgpuRank(r, 3), r => r.TrainStep(s_x, s_labels, new AdamWSettings(0.01f))));

    [Theory]
    [InlineData(32, 8)]
    [InlineData(16, 16)]
    [InlineData(4, 4)]
    public void TilesOfWideHeads(int lanes, int warps)
    {
        var options = new GpuOptions { CpuShape = (lanes, warps, 1) };
        Same(Run(WideAttention.Narrow.Mesh, null, r => new WideAttention.Narrow.Rank(r, 3), r => r.TrainStep(new AdamWSettings(0)), 1), Run(WideAttention.Narrow.Mesh, options, r => new WideAttention.Narrow.IlgpuRank(r, 3), r => r.TrainStep(new AdamWSettings(0)), 1));
        Same(Run(WiderAttention.Wide.Mesh, null, r => new WiderAttention.Wide.Rank(r, 3), r => r.TrainStep(new AdamWSettings(0)), 1), Run(WiderAttention.Wide.Mesh, options, r => new WiderAttention.Wide.IlgpuRank(r, 3), r => r.TrainStep(new AdamWSettings(0)), 1));
    }

    /// <summary>Where a library has the products, epilogues are passes after them: here with a library that calls the tiled kernel.</summary>
    [Fact]
    public void LibraryProducts()
    {
        int calls = 0;
        Same(
            Run(DropoutModel.AdamW.Mesh, null, r => new DropoutModel.AdamW.Rank(r, 3), r => r.TrainStep(s_x, s_labels, new AdamWSettings(0.01f))),
            Run(DropoutModel.AdamW.Mesh, new(), r => new DropoutModel.AdamW.IlgpuRank(r, 3), r => r.TrainStep(s_x, s_labels, new AdamWSettings(0.01f)), 3, backend => backend.Devices[0].Products = arena => new Library(arena, () => calls++)));
        Assert.True(calls > 20, $"{calls} products");
    }

    [Fact]
    public void InferenceAgrees()
    {
        using GpuBackend gpu = GpuBackend.Create(new GpuOptions { Kind = GpuKind.Cpu });
        float[] onHost = [], onDevice = [];
        using var host = World.InProcess(DropoutModel.AdamW.Mesh);
        host.Run(r =>
        {
            using var rank = new DropoutModel.AdamW.Rank(r, 3);
            onHost = rank.Forward(s_x).Span.ToArray();
        });
        using var device = World.InProcess(DropoutModel.AdamW.Mesh, new WorldOptions { Backend = gpu });
        device.Run(r =>
        {
            using var rank = new DropoutModel.AdamW.IlgpuRank(r, 3);
            onDevice = rank.Forward(s_x).Span.ToArray();
            Assert.Equal(DropoutModel.AdamW.Plan.TotalBytes, rank.AllocatedBytes);
        });
        Assert.All(onHost.Zip(onDevice), p => Assert.Equal(p.First, p.Second, 1e-5f));
    }

    [Fact]
    public void RanksOfTheOtherBackendAreNamed()
    {
        using GpuBackend gpu = GpuBackend.Create(new GpuOptions { Kind = GpuKind.Cpu });
        using var device = World.InProcess(DropoutModel.Sgd.Mesh, new WorldOptions { Backend = gpu });
        Assert.Contains("make an IlgpuRank", Assert.Throws<RankFailedException>(() => device.Run(r => new DropoutModel.Sgd.Rank(r, 1).Dispose())).Message, StringComparison.Ordinal);
        using var host = World.InProcess(DropoutModel.Sgd.Mesh);
        Assert.Contains("give WorldOptions a GpuBackend", Assert.Throws<RankFailedException>(() => host.Run(r => new DropoutModel.Sgd.IlgpuRank(r, 1).Dispose())).Message, StringComparison.Ordinal);
    }

    internal sealed class Library(DeviceArena arena, Action called) : IMatrixProduct
    {
        public string Description => "tiles";

        public void Run(in ColumnMajorProduct p, ILGPU.ArrayView<float> a, ILGPU.ArrayView<float> b, ILGPU.ArrayView<float> c) => Run<float>(p, a, b, c);

        public void Run(in ColumnMajorProduct p, ILGPU.ArrayView<BFloat16> a, ILGPU.ArrayView<BFloat16> b, ILGPU.ArrayView<BFloat16> c) => Run<BFloat16>(p, a, b, c);

        public void Run(in ColumnMajorProduct p, ILGPU.ArrayView<Float16> a, ILGPU.ArrayView<Float16> b, ILGPU.ArrayView<Float16> c) => Run<Float16>(p, a, b, c);

        private void Run<T>(in ColumnMajorProduct p, ILGPU.ArrayView<T> a, ILGPU.ArrayView<T> b, ILGPU.ArrayView<T> c)
            where T : unmanaged
        {
            // Column-major C = op(A)·op(B) is row-major Cᵀ = op(B)ᵀ·op(A)ᵀ.
            called();
            arena.Launch(Gpu.Kernels.ProductKernels.Blocks<T, Gpu.Kernels.PlainEpilogue<T>>, new ILGPU.KernelConfig(new ILGPU.Index3D(3, 1, p.Batch), new ILGPU.Index3D(4, 1, 1)), new Gpu.Kernels.ProductArguments<T, Gpu.Kernels.PlainEpilogue<T>>
            {
                A = b, B = a, C = c, M = p.Columns, N = p.Rows, K = p.Depth, TransposeA = p.TransposeB ? 1 : 0, TransposeB = p.TransposeA ? 1 : 0, Accumulate = p.Accumulate ? 1 : 0, Epilogue = new Gpu.Kernels.PlainEpilogue<T> { C = c, N = p.Rows },
            });
        }

        public void Dispose()
        {
        }
    }
}
