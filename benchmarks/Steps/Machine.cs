namespace Shardwright.Benchmarks.Steps;

/// <summary>One core of the machine that docs/performance.md tells of, as <c>calibrate</c> prints it. On another machine: calibrate, put its lines here, build again.</summary>
[DeviceSpec(MemoryBytes = 16L << 30, ReserveBytes = 256L << 20, BandwidthGBs = 80.3, Fp32TFlops = 0.0991, LaunchMicroseconds = 1, MaxThreads = 16, StepMicroseconds = 50)]
[DeviceEfficiency(WorkKind.Product, 128, 0.777)]
[DeviceEfficiency(WorkKind.Product, 256, 0.808)]
[DeviceEfficiency(WorkKind.Product, 512, 0.796)]
[DeviceEfficiency(WorkKind.Product, 1024, 0.779)]
[DeviceEfficiency(WorkKind.Attention, 128, 0.251)]
[DeviceEfficiency(WorkKind.Attention, 293, 0.458)]
[DeviceEfficiency(WorkKind.Attention, 645, 0.637)]
[DeviceEfficiency(WorkKind.Memory, 262144, 1.000)]
[DeviceEfficiency(WorkKind.Memory, 2097152, 0.565)]
[DeviceEfficiency(WorkKind.Memory, 8388608, 0.383)]
[DeviceEfficiency(WorkKind.Memory, 67108864, 0.161)]
public sealed class ThisMachine;
