using Shardwright;

namespace TinyGpt;

/// <summary>One rank with all threads.</summary>
[DeviceMesh(Device = typeof(Devices.LocalCpu))]
public sealed class Single;

/// <summary>Two ranks that share the batch.</summary>
[DeviceMesh(Device = typeof(Devices.LocalCpu))]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.SharedMemory))]
public sealed class Dp2;

/// <summary>Two ranks that share each layer.</summary>
[DeviceMesh(Device = typeof(Devices.LocalCpu))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Tp2;

/// <summary>Two ranks that share out the layers.</summary>
[DeviceMesh(Device = typeof(Devices.LocalCpu))]
[MeshAxis("pp", 2, Role = AxisRole.Pipeline, Link = typeof(Links.SharedMemory))]
public sealed class Pp2;

/// <summary>Eight ranks: two stages, each on two times two.</summary>
[DeviceMesh(Device = typeof(Devices.LocalCpu))]
[MeshAxis("pp", 2, Role = AxisRole.Pipeline, Link = typeof(Links.SharedMemory))]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.SharedMemory))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Pp2Dp2Tp2;

/// <summary>Four ranks: two share the batch, and in each half two share each layer.</summary>
[DeviceMesh(Device = typeof(Devices.LocalCpu))]
[MeshAxis("dp", 2, Role = AxisRole.Data, Link = typeof(Links.SharedMemory))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Dp2Tp2;
