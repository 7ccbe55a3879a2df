using ILGPU;
using ILGPU.Runtime;
using Shardwright.Execution;
using Shardwright.Gpu;
using Shardwright.Gpu.Kernels;

namespace Shardwright.Tests;

/// <summary>Devices, and what is said where there are none; functions of kernels; the argument order of BLAS.</summary>
public sealed class DeviceTests
{
    [Theory]
    [InlineData(GpuKind.Cuda)]
    [InlineData(GpuKind.OpenCL)]
    public void MissingDevicesAreNamed(GpuKind kind)
    {
        if (GpuBackend.Find(kind).Count > 0)
        {
            // Against the real package on a machine with a device there is nothing missing to be named; a number that does not exist is.
            Assert.Contains("does not exist", Assert.Throws<GpuException>(() => GpuBackend.Create(new GpuOptions { Kind = kind, Devices = [99] })).Message, StringComparison.Ordinal);
            return;
        }

        string message = Assert.Throws<GpuException>(() => GpuBackend.Create(new GpuOptions { Kind = kind })).Message;
        Assert.Contains(kind.ToString(), message, StringComparison.Ordinal);
        Assert.Contains(kind == GpuKind.Cuda ? "cuda" : "OpenCL", message, StringComparison.Ordinal);
    }

    [Fact]
    public void DeviceThatDoesNotExistIsNamed() =>
        Assert.Contains("device 3 does not exist: this machine has 2", Assert.Throws<GpuException>(() => GpuBackend.Create(new GpuOptions { Kind = GpuKind.Cpu, CpuShape = (4, 4, 2), Devices = [1, 3] })).Message, StringComparison.Ordinal);

    /// <summary>A name gives what it says or an error; only auto goes on, and says why.</summary>
    [Fact]
    public void OnlyAutoFallsBack()
    {
        Assert.Equal((Backend.Host, null), DeviceNames.Open("cpu"));
        (Backend emulated, string? none) = DeviceNames.Open("ilgpu-cpu");
        Assert.IsType<GpuBackend>(emulated);
        Assert.Null(none);
        ((GpuBackend)emulated).Dispose();
        Assert.Contains("no device 'tpu': use cpu, cuda, opencl, ilgpu-cpu, auto", Assert.Throws<ArgumentException>(() => DeviceNames.Open("tpu")).Message, StringComparison.Ordinal);
        (Backend chosen, string? note) = DeviceNames.Open("auto");
        bool anyGpu = GpuBackend.Find(GpuKind.Cuda).Count + GpuBackend.Find(GpuKind.OpenCL).Count > 0;
        Assert.Equal(anyGpu, chosen is GpuBackend);
        (chosen as IDisposable)?.Dispose();
        Assert.True(anyGpu || (note!.StartsWith("device auto: cpu; not cuda: No Cuda device was found: ", StringComparison.Ordinal) && note.Contains("; not opencl: No OpenCL device was found: ", StringComparison.Ordinal)), note);
        foreach ((string name, GpuKind kind) in new[] { ("cuda", GpuKind.Cuda), ("opencl", GpuKind.OpenCL) })
        {
            GpuSearch search = GpuBackend.Look(kind);
            Assert.Equal(name, search.Label);
            if (search.Devices.Count == 0)
            {
                Assert.Contains(search.LookedFor, search.Problem, StringComparison.Ordinal);
                Assert.Contains(search.Problem!, Assert.Throws<GpuException>(() => DeviceNames.Open(name)).Message, StringComparison.Ordinal);
            }
        }
    }

    /// <summary>Too little memory is named before anything runs, and where it happens all the same, at the rank that finds none left.</summary>
    [Fact]
    public void PlansThatDoNotFitADeviceAreNamed()
    {
        Plan plan = DropoutModel.Split.Plan;
        Mesh mesh = DropoutModel.Split.Mesh;
        var two = new GpuOptions { Kind = GpuKind.Cpu, CpuShape = (4, 4, 2), MemoryLimit = plan.TotalBytes * 3 / 2 };
        string number = plan.TotalBytes.ToString("N0", System.Globalization.CultureInfo.InvariantCulture), both = (2 * plan.TotalBytes).ToString("N0", System.Globalization.CultureInfo.InvariantCulture);
        string early = Assert.Throws<GpuException>(() => DeviceNames.Open("ilgpu-cpu", plan, mesh, two)).Message;
        Assert.Contains($"ranks 0, 2 need {both}, the figure of the plan of '{plan.Model}' on '{plan.Mesh}'", early, StringComparison.Ordinal);
        Assert.Contains("Use more devices, or a mesh that shards the model further", early, StringComparison.Ordinal);
        (Backend fits, _) = DeviceNames.Open("ilgpu-cpu", plan, mesh, two with { CpuShape = (4, 4, 4) });
        ((GpuBackend)fits).Dispose();

        using GpuBackend backend = GpuBackend.Create(two);
        using var world = World.InProcess(mesh, new WorldOptions { Backend = backend });
        RankFailedException late = Assert.Throws<RankFailedException>(() => world.Run(context => new DropoutModel.Split.IlgpuRank(context, 1)));
        Assert.IsType<GpuException>(late.InnerException);
        Assert.Contains($"could not allocate its slab of {number} bytes, the figure of its plan", late.Message, StringComparison.Ordinal);
        Assert.Contains($"{number} of them taken by other ranks", late.Message, StringComparison.Ordinal);
        Assert.Contains("shard the model further", late.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AnAcceleratorThatIsTooNarrowIsNamed() => Assert.Contains(
        "refuses every kernel: its groups have 8 threads at most, and kernels need 16. Use another device",
        Assert.Throws<GpuException>(() => DeviceNames.Open("ilgpu-cpu", options: new GpuOptions { CpuShape = (4, 2, 1) })).Message, StringComparison.Ordinal);

    /// <summary>What a rank gives back, another one has.</summary>
    [Fact]
    public void MemoryIsGivenBack()
    {
        using GpuBackend backend = GpuBackend.Create(new GpuOptions { Kind = GpuKind.Cpu, MemoryLimit = 1000 });
        for (int i = 0; i < 3; i++)
        {
            using var arena = new DeviceArena(backend.Devices[0], 900, new Slice<byte>(0, 64), 0);
            Assert.Equal(900, backend.Devices[0].TakenBytes);
        }

        Assert.Equal(0, backend.Devices[0].TakenBytes);
    }

    public struct MathArguments
    {
        public ArrayView<float> X, Tanh, Erf, Sigmoid, Power;
    }

    private static void Functions(MathArguments a)
    {
        for (long i = DeviceMath.Thread(); i < a.X.Length; i += DeviceMath.Threads())
        {
            float x = a.X[i];
            a.Tanh[i] = DeviceMath.Tanh(x);
            a.Erf[i] = DeviceMath.Erf(x);
            a.Sigmoid[i] = DeviceMath.Sigmoid(x);
            a.Power[i] = DeviceMath.Power(DeviceMath.Abs(x) + 0.1f, 1.7f);
        }
    }

    [Fact]
    public void FunctionsAgreeWithDoublePrecision()
    {
        using var b = new Bench(GroupForm.Small);
        float[] x = [.. Enumerable.Range(-300, 601).Select(i => i / 25f)];
        Slice<float> tanh = b.Room<float>(x.Length), erf = b.Room<float>(x.Length), sigmoid = b.Room<float>(x.Length), power = b.Room<float>(x.Length);
        b.Arena.Launch(Functions, Launches.Flat(b.Arena, x.Length), new MathArguments { X = b.Arena.View(b.Put(x)), Tanh = b.Arena.View(tanh), Erf = b.Arena.View(erf), Sigmoid = b.Arena.View(sigmoid), Power = b.Arena.View(power) });
        Check(x, b.Get(tanh), Math.Tanh, 3e-7);
        Check(x, b.Get(sigmoid), v => 1 / (1 + Math.Exp(-v)), 3e-7);
        Check(x, b.Get(erf), Erf, 5e-7);
        Check(x, b.Get(power), v => Math.Pow(Math.Abs(v) + 0.1f, 1.7f), 2e-6);
    }

    [Theory]
    [InlineData(1, false, false)]
    [InlineData(1, true, false)]
    [InlineData(1, false, true)]
    [InlineData(2, true, true)]
    public void RowMajorProductsAsColumns(int batch, bool transposeA, bool transposeB)
    {
        const int M = 3, N = 5, K = 4;
        var random = new Random(3);
        double[] a = [.. Enumerable.Range(0, batch * M * K).Select(_ => random.NextDouble())], b = [.. Enumerable.Range(0, batch * K * N).Select(_ => random.NextDouble())], c = new double[batch * M * N];
        ColumnMajorProduct p = ColumnMajorProduct.FromRowMajor(batch, M, N, K, transposeA, transposeB, accumulate: false);

        // As BLAS defines it: element (i, j) of a column-major matrix lies at i + j·leading; the library's first factor is our second.
        for (int n = 0; n < p.Batch; n++)
        {
            for (int i = 0; i < p.Rows; i++)
            {
                for (int j = 0; j < p.Columns; j++)
                {
                    double sum = 0;
                    for (int k = 0; k < p.Depth; k++)
                    {
                        sum += b[n * p.StrideA + (p.TransposeA ? k + (long)i * p.LeadingA : i + (long)k * p.LeadingA)] * a[n * p.StrideB + (p.TransposeB ? j + (long)k * p.LeadingB : k + (long)j * p.LeadingB)];
                    }

                    c[n * p.StrideC + i + (long)j * p.LeadingC] = sum;
                }
            }
        }

        for (int n = 0; n < batch; n++)
        {
            for (int i = 0; i < M; i++)
            {
                for (int j = 0; j < N; j++)
                {
                    double expected = Enumerable.Range(0, K).Sum(k => a[n * M * K + (transposeA ? k * M + i : i * K + k)] * b[n * K * N + (transposeB ? j * K + k : k * N + j)]);
                    Assert.Equal(expected, c[n * M * N + i * N + j], 12);
                }
            }
        }
    }

    private static void Check(float[] x, float[] actual, Func<double, double> function, double bound)
    {
        for (int i = 0; i < x.Length; i++)
        {
            double expected = function(x[i]);
            Assert.True(Math.Abs(expected - actual[i]) <= bound * Math.Max(1, Math.Abs(expected)), $"f({x[i]}) is {actual[i]:R}, not {expected:R}");
        }
    }

    /// <summary>Simpson's rule on the integral, in double precision.</summary>
    private static double Erf(double x)
    {
        const int Steps = 400;
        double h = x / Steps, sum = 1 + Math.Exp(-x * x);
        for (int i = 1; i < Steps; i++)
        {
            sum += (i % 2 == 0 ? 2 : 4) * Math.Exp(-(i * h) * (i * h));
        }

        return 2 / Math.Sqrt(Math.PI) * sum * h / 3;
    }
}
