using System.Reflection;
using Microsoft.CodeAnalysis;
using Shardwright.Compiler.Machine;

namespace Shardwright.Compiler.Tests.Memory;

/// <summary>Numbers of devices and links, and the times that follow from them.</summary>
public sealed class MachineTests
{
    private const long GiB = 1L << 30;

    private static DeviceDefinition Device(params EfficiencyPoint[] points) => new("Own", 1 << 30, 1 << 30, 0, 100, 1, 4, 10, 1, 0, points.ToEquatable(), Fp16TFlops: 8);

    [Fact]
    public void AnOpTakesTheLongerOfComputingAndMoving()
    {
        DeviceDefinition device = Device(new EfficiencyPoint(Machine.WorkKind.Product, 100, 0.5), new EfficiencyPoint(Machine.WorkKind.Memory, 1, 0.5));
        Assert.Equal(2e9 / (1e12 * 0.5) + 10e-6, OpTime.Seconds(device, Machine.WorkKind.Product, 2e9, 1e6, Arithmetic.Float32), 1e-12);
        Assert.Equal(2e9 / (4e12 * 0.5) + 10e-6, OpTime.Seconds(device, Machine.WorkKind.Product, 2e9, 1e6, Arithmetic.BFloat16), 1e-12);
        Assert.Equal(2e9 / (8e12 * 0.5) + 10e-6, OpTime.Seconds(device, Machine.WorkKind.Product, 2e9, 1e6, Arithmetic.Float16), 1e-12);
        Assert.Equal(2e9 / (1e12 * 0.5) + 10e-6, OpTime.Seconds(device with { Fp16TFlops = 0 }, Machine.WorkKind.Product, 2e9, 1e6, Arithmetic.Float16), 1e-12);
        Assert.Equal(1e9 / (100e9 * 0.5) + 10e-6, OpTime.Seconds(device, Machine.WorkKind.Product, 2e9, 1e9, Arithmetic.Float32), 1e-12);
    }

    [Theory]
    [InlineData(50, 0.2)]
    [InlineData(100, 0.2)]
    [InlineData(1000, 0.4)]
    [InlineData(10_000, 0.6)]
    [InlineData(1e9, 0.6)]
    public void EfficiencyIsLinearInTheLogarithmOfTheSize(double size, double share)
    {
        DeviceDefinition device = Device(new EfficiencyPoint(Machine.WorkKind.Product, 10_000, 0.6), new EfficiencyPoint(Machine.WorkKind.Product, 100, 0.2), new EfficiencyPoint(Machine.WorkKind.Attention, 100, 0.9));
        Assert.Equal(share, device.Efficiency(Machine.WorkKind.Product, size), 1e-9);
    }

    [Fact]
    public void CollectivesFollowTheirAlgorithms()
    {
        // 4 ranks, 1 GB, 10 µs, 100 GB/s.
        Assert.Equal(6 * 1e-5 + 1.5 * 1e-2, CollectiveTime.RingAllReduce(4, 1e9, 1e-5, 1e11), 1e-9);
        Assert.Equal(4 * 1e-5 + 2 * 1e-2, CollectiveTime.TreeAllReduce(4, 1e9, 1e-5, 1e11), 1e-9);
        Assert.Equal(3 * 1e-5 + 0.75 * 1e-2, CollectiveTime.Gather(4, 1e9, 1e-5, 1e11), 1e-9);
        Assert.Equal(CollectiveTime.RingAllReduce(4, 1e9, 1e-5, 1e11), CollectiveTime.AllReduce(4, 1e9, 1e-5, 1e11));
        Assert.Equal(CollectiveTime.TreeAllReduce(64, 8, 1e-5, 1e11), CollectiveTime.AllReduce(64, 8, 1e-5, 1e11));
        Assert.Equal(0, CollectiveTime.AllReduce(1, 1e9, 1e-5, 1e11));

        // Inside a machine at 100 GB/s, between machines at 10: the slow link carries an eighth.
        double flat = CollectiveTime.RingAllReduce(32, 1e9, 1e-5, 1e10), across = CollectiveTime.AcrossAllReduce((8, 1e-6, 1e11), (4, 1e-5, 1e10), 1e9);
        Assert.Equal(2 * (7 * 1e-6 + 0.875 * 1e-2) + 6 * 1e-5 + 1.5 * 0.125 * 1e-1, across, 1e-9);
        Assert.True(across < flat / 4);
    }

    public static TheoryData<Type, double, double, double, double, double> Table => new()
    {
        { typeof(Devices.V100), 32 * GiB, 32 * GiB, 900, 125, 15.7 },
        { typeof(Devices.A100With40GB), 40 * GiB, 40 * GiB, 1555, 312, 19.5 },
        { typeof(Devices.A100With80GB), 80 * GiB, 80 * GiB, 2039, 312, 19.5 },
        { typeof(Devices.H100), 80 * GiB, 80 * GiB, 3350, 989.5, 67 },
        { typeof(Devices.H200), 141 * GiB, 139.8 * GiB, 4800, 989.5, 67 },
        { typeof(Devices.B200), 192e9, 178 * GiB, 8000, 2250, 75 },
        { typeof(Devices.Mi250XDie), 64 * GiB, 64 * GiB, 1600, 191.5, 47.9 },
        { typeof(Devices.Mi300X), 192e9, 192e9, 5300, 1307, 163 },
        { typeof(Devices.Rtx4090), 24 * GiB, 24 * GiB, 1008, 165, 82.6 },
    };

    [Theory]
    [MemberData(nameof(Table))]
    public void DevicesHaveTheFiguresOfTheirVendors(Type device, double memory, double usable, double bandwidth, double half, double single)
    {
        DeviceSpecAttribute spec = device.GetCustomAttribute<DeviceSpecAttribute>()!;
        Assert.InRange(spec.MemoryBytes - memory, -1, 1);
        Assert.InRange((spec.UsableBytes == 0 ? spec.MemoryBytes : spec.UsableBytes) - usable, -1, 1);
        Assert.Equal((bandwidth, half, single), (spec.BandwidthGBs, spec.Fp16TFlops, spec.Fp32TFlops));

        // A V100 has no bf16.
        Assert.Equal(device == typeof(Devices.V100) ? 0 : half, spec.Bf16TFlops);
    }

    private const string Good = "MemoryBytes = 1L << 34, BandwidthGBs = 100, Fp32TFlops = 1";

    [Theory]
    [InlineData("BandwidthGBs = 100, Fp32TFlops = 1", "", "", "device 'Own' has no memory figure")]
    [InlineData("MemoryBytes = -5, BandwidthGBs = 100, Fp32TFlops = 1", "", "", "MemoryBytes of device 'Own' is -5")]
    [InlineData("MemoryBytes = 80, BandwidthGBs = 100, Fp32TFlops = 1", "", "", "given in bytes")]
    [InlineData(Good + ", UsableBytes = 1L << 35", "", "", "UsableBytes of device 'Own' is 34,359,738,368")]
    [InlineData(Good + ", ReserveBytes = 1L << 34", "", "", "ReserveBytes of device 'Own'")]
    [InlineData("MemoryBytes = 1L << 34, BandwidthGBs = -1, Fp32TFlops = 1", "", "", "BandwidthGBs of device 'Own' is -1")]
    [InlineData("MemoryBytes = 1L << 34, BandwidthGBs = 100", "", "", "Fp32TFlops of device 'Own' is 0")]
    [InlineData("MemoryBytes = 1L << 34, BandwidthGBs = 100, Fp32TFlops = double.NaN", "", "", "Fp32TFlops of device 'Own' is NaN")]
    [InlineData(Good + ", Fp16TFlops = -2", "", "", "Fp16TFlops of device 'Own' is -2")]
    [InlineData(Good + ", MaxThreads = 0", "", "", "MaxThreads of device 'Own' is 0")]
    [InlineData(Good, "[DeviceEfficiency(WorkKind.Product, 512, 1.5)]", "", "[DeviceEfficiency(WorkKind.Product, 512, 1.5)] of device 'Own'")]
    [InlineData(Good, "", "BandwidthGBs = 0, LatencyMicroseconds = 1", "BandwidthGBs of link 'Wire' of axis 'tp' is 0")]
    [InlineData(Good, "", "BandwidthGBs = 1, LatencyMicroseconds = -1", "LatencyMicroseconds of link 'Wire' of axis 'tp' is -1")]
    [InlineData(Good, "[DeviceEfficiency(WorkKind.Product, 512, 0.5)]", "BandwidthGBs = 1, LatencyMicroseconds = 1", "")]
    public async Task AnAbsurdSpecIsNamed(string device, string more, string link, string says)
    {
        string wire = link.Length == 0 ? "BandwidthGBs = 1" : link;
        ImmutableArray<Diagnostic> found = await AnalysisTests.Diagnose(AnalysisTests.Compile(AnalysisTests.Head + $$"""
            [DeviceSpec({{device}})] {{more}} public sealed class Own;
            [LinkSpec({{wire}})] public sealed class Wire;
            [DeviceMesh(Device = typeof(Own))] [MeshAxis("tp", 2, Link = typeof(Wire))] public sealed class Mine;
            [ShardedOn<Mine>] public sealed partial class Net
            {
                readonly Tensor w = Parameter(6, 4);
                public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w));
            }
            """));
        if (says.Length == 0)
        {
            Assert.Empty(found);
            return;
        }

        Diagnostic diagnostic = Assert.Single(found);
        Assert.Equal("SW3003", diagnostic.Id);
        Assert.Contains(says, diagnostic.GetMessage(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task AClassWithoutASpecIsNoDevice()
    {
        Diagnostic diagnostic = Assert.Single(await AnalysisTests.Diagnose(AnalysisTests.Compile(AnalysisTests.Head + """
            [DeviceMesh(Device = typeof(string))] public sealed class Mine;
            [ShardedOn<Mine>] public sealed partial class Net
            {
                readonly Tensor w = Parameter(6, 4);
                public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w));
            }
            """)));
        Assert.Equal("SW3003", diagnostic.Id);
        Assert.Contains("'String' has no [DeviceSpec]", diagnostic.GetMessage(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task AClassWithoutASpecIsNoLink()
    {
        Diagnostic diagnostic = Assert.Single(await AnalysisTests.Diagnose(AnalysisTests.Compile(AnalysisTests.Head + """
            [DeviceMesh] [MeshAxis("tp", 2, Link = typeof(string))] public sealed class Mine;
            [ShardedOn<Mine>] public sealed partial class Net
            {
                readonly Tensor w = Parameter(6, 4);
                public Tensor Loss([Shape(8, 6)] Tensor x) => Mean(MatMul(x, w));
            }
            """)));
        Assert.Equal("SW3003", diagnostic.Id);
        Assert.Contains("link 'String' of axis 'tp' has no [LinkSpec]", diagnostic.GetMessage(), StringComparison.Ordinal);
    }
}
