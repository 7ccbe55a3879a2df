using ILGPU;
using Shardwright.Execution;
using Shardwright.Gpu;
using Shardwright.Gpu.Kernels;

namespace Shardwright.Tests;

/// <summary>What ILGPU refuses, or compiles to something wrong, is refused here too; kernels that meet at no common barrier, or read beyond their views, end with a message.</summary>
public sealed class LegalityTests
{
    public struct One
    {
        public ArrayView<float> X;
        public int N;
    }

    public struct WithFlag
    {
        public ArrayView<float> X;
        public bool Flag;
    }

    public struct WithText
    {
        public string Text;
    }

    private sealed class Box
    {
        public float Value;
    }

    private static float s_number = 1;

    private static void Throws(One a) => throw new InvalidOperationException();

    private static void Allocates(One a) => a.X[0] = new float[4].Length;

    private static void News(One a) => a.X[0] = new Box { Value = 2 }.Value;

    private static void Catches(One a)
    {
        try
        {
            a.X[0] = 1;
        }
        catch (IndexOutOfRangeException)
        {
            a.X[0] = 2;
        }
    }

    private static void Fuses(One a) => a.X[0] = MathF.FusedMultiplyAdd(a.X[0], a.X[1], a.X[2]);

    private static void Log2(One a) => a.X[0] = MathF.Log2(a.X[0]);

    private static void CubeRoot(One a) => a.X[0] = MathF.Cbrt(a.X[0]);

    private static void Estimates(One a) => a.X[0] = MathF.ReciprocalSqrtEstimate(a.X[0]);

    private static void Clamps(One a) => a.X[0] = Math.Clamp(a.X[0], 0f, 1f);

    private static void Sign(One a) => a.X[0] = MathF.Sign(a.X[0]);

    private static void Bits(One a) => a.X[0] = BitConverter.SingleToUInt32Bits(a.X[0]);

    private static void Tanh(One a) => a.X[0] = MathF.Tanh(a.X[0]);

    private static void Halves(One a) => a.X[0] = (float)(Half)a.X[0];

    private static void Stacks(One a)
    {
        Span<float> s = stackalloc float[8];
        a.X[0] = s[a.N];
    }

    private static void Static(One a) => a.X[0] = s_number;

    private static void Flagged(WithFlag a) => a.X[0] = 1;

    private static void Text(WithText a)
    {
    }

    private static void PassesFlag(One a) => a.X[0] = Pick(a.N > 0);

    private static float Pick(bool first) => first ? 1 : 2;

    private static void CallsHelper(One a) => a.X[0] = Helper(a.X[0]);

    private static float Helper(float x) => MathF.Log2(x);

    private static void Delegates(One a) => a.X[0] = Enumerable.Range(0, 3).Sum(i => i);

    [Fact]
    public void RefusedKernels()
    {
        using var b = new Bench(GroupForm.Small);
        Refused(b, Throws, "InvalidOperationException");
        Refused(b, Allocates, "array");
        Refused(b, News, "Box");
        Refused(b, Catches, "protected region");
        Refused(b, Fuses, "FusedMultiplyAdd");
        Refused(b, Log2, "Log2");
        Refused(b, CubeRoot, "Cbrt");
        Refused(b, Estimates, "ReciprocalSqrtEstimate");
        Refused(b, Clamps, "Clamp");
        Refused(b, Sign, "Sign");
        Refused(b, Bits, "SingleToUInt32Bits");
        Refused(b, Tanh, "Tanh");
        Refused(b, Halves, "Half");
        Refused(b, Stacks, "stackalloc");
        Refused(b, Static, "s_number");
        Refused(b, PassesFlag, "bool");
        Refused(b, CallsHelper, "Log2");
        Refused(b, Delegates, "");
        float captured = s_number;
        Refused<One>(b, a => a.X[0] = captured, "static");
        Refused<WithFlag>(b, Flagged, "Flag");
        Refused<WithText>(b, Text, "Text");
        s_number = 2;
    }

    /// <summary>A device that refuses one rank's kernel ends the others, which wait for that rank in a collective, at once and with the cause; the backend says the same again.</summary>
    [Fact]
    public void ARefusedKernelEndsTheWorld()
    {
        using GpuBackend backend = GpuBackend.Create(new GpuOptions { Kind = GpuKind.Cpu, CpuShape = (4, 4, 4) });
        using var world = World.InProcess(DropoutModel.Split.Mesh, new WorldOptions { ThreadsPerRank = 1, Backend = backend });
        Tensor x = Tensor.Of(new float[DropoutModel.Batch * DropoutModel.Width], DropoutModel.Batch, DropoutModel.Width);
        TokenTensor labels = TokenTensor.Of(new int[DropoutModel.Batch], DropoutModel.Batch);
        TimeSpan failed = default;
        var clock = System.Diagnostics.Stopwatch.StartNew();
        RankFailedException error = Assert.Throws<RankFailedException>(() => world.Run(context =>
        {
            using var rank = new DropoutModel.Split.IlgpuRank(context, 1);
            rank.TrainStep(x, labels, new AdamWSettings(0.01f));
            if (context.Rank == 2)
            {
                failed = clock.Elapsed;
                backend.Devices[2].Load<One>(Allocates);
            }

            rank.TrainStep(x, labels, new AdamWSettings(0.01f));
        }));
        Assert.True(clock.Elapsed - failed < TimeSpan.FromSeconds(2), $"the world ended {clock.Elapsed - failed} after its rank");
        Assert.Equal(2, error.Rank);
        Assert.IsType<GpuException>(error.InnerException);
        Assert.Contains("Rank 2 (dp=1, tp=0) failed: ", error.Message, StringComparison.Ordinal);
        Assert.Contains($"refuses the kernel {nameof(LegalityTests)}.{nameof(Allocates)}", error.Message, StringComparison.Ordinal);
        Assert.Equal(error.InnerException.Message, Assert.Throws<GpuException>(() => backend.Devices[2].Load<One>(Allocates)).Message);
    }

    private static void Refused(Bench b, Action<One> kernel, string why) => Refused<One>(b, kernel, why);

    private static void Refused<T>(Bench b, Action<T> kernel, string why)
        where T : struct
    {
        GpuException error = Assert.Throws<GpuException>(() => b.Arena.Launch(kernel, new KernelConfig(1, 1), default(T)));
        Assert.Contains("refuses the kernel", error.Message, StringComparison.Ordinal);
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
    }

    private static void LeavesEarly(One a)
    {
        if (Group.IdxX > 1)
        {
            return;
        }

        Group.Barrier();
    }

    private static void Beyond(One a) => a.X[a.N] = 1;

    private static void MissesBarrier(One a)
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(4);
        shared[Group.IdxX] = Group.IdxX;
        Group.Barrier();
        shared[3 - Group.IdxX] = 10;
        a.X[Group.IdxX] = shared[Group.IdxX];
    }

    private static void TooMuch(One a)
    {
        ArrayView<float> shared = SharedMemory.Allocate<float>(20000);
        a.X[0] = shared.Length;
    }

    private static void Reads(One a) => a.X[0] = a.X.Cast<Float4>()[0].X;

    [Fact]
    public void FaultsOfKernels()
    {
        using var b = new Bench(GroupForm.Small);
        Slice<float> x = b.Put(new float[8]);
        One arguments = new() { X = b.Arena.View(x), N = 8 };
        Assert.Contains("different barriers", Assert.ThrowsAny<Exception>(() => b.Arena.Launch(LeavesEarly, new KernelConfig(1, 4), arguments)).Message, StringComparison.Ordinal);
        Assert.Contains("element 8 of a view of 8", Assert.ThrowsAny<Exception>(() => b.Arena.Launch(Beyond, new KernelConfig(1, 1), arguments)).Message, StringComparison.Ordinal);
        Assert.Contains("bytes of shared memory", Assert.ThrowsAny<Exception>(() => b.Arena.Launch(TooMuch, new KernelConfig(1, 4), arguments)).Message, StringComparison.Ordinal);
        Assert.Contains("up to 16 threads", Assert.ThrowsAny<Exception>(() => b.Arena.Launch(Beyond, new KernelConfig(1, 17), arguments)).Message, StringComparison.Ordinal);
        One shifted = new() { X = b.Arena.View(x.Part(1, 6)) };
        Assert.Contains("no multiple of 16", Assert.ThrowsAny<Exception>(() => b.Arena.Launch(Reads, new KernelConfig(1, 1), shifted)).Message, StringComparison.Ordinal);
        Assert.Contains("outside of a kernel", Assert.Throws<InvalidOperationException>(() => arguments.X[0]).Message, StringComparison.Ordinal);

        // Without a barrier between write and read the result depends on the order of threads, which changes between barriers.
        b.Arena.Launch(MissesBarrier, new KernelConfig(1, 4), arguments);
        Assert.NotEqual([10f, 10, 10, 10], b.Get(x)[..4]);
    }

    [Fact]
    public void TooLittleMemoryIsNamed()
    {
        using GpuBackend backend = GpuBackend.Create(new GpuOptions { Kind = GpuKind.Cpu });
        string message = Assert.Throws<GpuException>(() => new DeviceArena(backend.Devices[0], long.MaxValue, new Slice<byte>(0, 64), 2)).Message;
        Assert.Contains("Rank 2", message, StringComparison.Ordinal);
        Assert.Contains("9,223,372,036,854,775,807 bytes", message, StringComparison.Ordinal);
    }
}
