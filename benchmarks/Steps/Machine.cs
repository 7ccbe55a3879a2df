namespace Shardwright.Benchmarks.Steps;

/// <summary>One core of the machine that docs/performance.md tells of, as <c>calibrate</c> prints it. On another machine: calibrate, put its lines here, build again.</summary>
[DeviceSpec(MemoryBytes = 16L << 30, ReserveBytes = 256L << 20, BandwidthGBs = 77.4, Fp32TFlops = 0.0993, LaunchMicroseconds = 1, MaxThreads = 16, StepMicroseconds = 50)]
[DeviceEfficiency(WorkKind.Product, 128, 0.570)]
[DeviceEfficiency(WorkKind.Product, 256, 0.777)]
[DeviceEfficiency(WorkKind.Product, 512, 0.820)]
[DeviceEfficiency(WorkKind.Product, 1024, 0.859)]
[DeviceEfficiency(WorkKind.Attention, 323, 0.267)]
[DeviceEfficiency(WorkKind.Attention, 439, 0.283)]
[DeviceEfficiency(WorkKind.Attention, 513, 0.527)]
[DeviceEfficiency(WorkKind.Attention, 696, 0.538)]
[DeviceEfficiency(WorkKind.Attention, 813, 0.735)]
[DeviceEfficiency(WorkKind.Attention, 1103, 0.744)]
[DeviceEfficiency(WorkKind.Memory, 262144, 1.000)]
[DeviceEfficiency(WorkKind.Memory, 2097152, 0.879)]
[DeviceEfficiency(WorkKind.Memory, 8388608, 0.832)]
[DeviceEfficiency(WorkKind.Memory, 67108864, 0.189)]
public sealed class ThisMachine;
