using Shardwright.Tests.Cases;
using static Shardwright.Ops;

namespace Shardwright.Tests;

[DeviceMesh(Device = typeof(Devices.H100))]
[MeshAxis("dp", 2, Role = AxisRole.Data)]
public sealed class HalfPair;

[DeviceMesh(Device = typeof(Devices.H100))]
[MeshAxis("dp", 2, Role = AxisRole.Data)]
[MeshAxis("tp", 2, Role = AxisRole.Tensor)]
public sealed class HalfSquare;

[DeviceMesh(Device = typeof(Devices.H100))]
[MeshAxis("pp", 2, Role = AxisRole.Pipeline)]
public sealed class HalfStages;

[DeviceMesh(Device = typeof(Devices.H100))]
[MeshAxis("pp", 2, Role = AxisRole.Pipeline)]
[MeshAxis("dp", 2, Role = AxisRole.Data)]
[MeshAxis("tp", 2, Role = AxisRole.Tensor)]
public sealed class HalfCube;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfOne>(Name = "HalfM4", MicroBatches = 4, Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfOne>(Name = "HalfWideM4", MicroBatches = 4, Precision = Precision.BFloat16MixedFloat32Gradients)]
[ShardedOn<HalfOne>(Name = "HalfMomentum", Optimizer = OptimizerKind.Momentum, Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfOne>(Name = "HalfSgd", Optimizer = OptimizerKind.Sgd, Precision = Precision.BFloat16MixedFloat32Gradients)]
[ShardedOn<HalfSquare>(Name = "HalfSplit", MicroBatches = 2, Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
[ShardedOn<HalfOne>(Name = "Fp16M4", MicroBatches = 4, Precision = Precision.Float16Mixed)]
[ShardedOn<HalfOne>(Name = "Fp16Momentum", Optimizer = OptimizerKind.Momentum, Precision = Precision.Float16Mixed)]
[ShardedOn<HalfOne>(Name = "Fp16Sgd", Optimizer = OptimizerKind.Sgd, Precision = Precision.Float16Mixed)]
[ShardedOn<HalfSquare>(Name = "Fp16Split", MicroBatches = 2, Precision = Precision.Float16Mixed)]
public sealed partial class DropoutModel;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfOne>(Name = "HalfFull", Recompute = RecomputeMode.Full, Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfOne>(Name = "HalfSelective", MicroBatches = 2, Recompute = RecomputeMode.Selective, Precision = Precision.BFloat16MixedFloat32Gradients)]
[ShardedOn<HalfPair>(Name = "HalfPairs", Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfPair>(Name = "HalfZero1", Zero = ZeroStage.OptimizerState, Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfPair>(Name = "HalfZero2", Zero = ZeroStage.Gradients, Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfPair>(Name = "HalfZero3", Zero = ZeroStage.Parameters, Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfPair>(Name = "HalfWideZero2", MicroBatches = 2, Zero = ZeroStage.Gradients, Precision = Precision.BFloat16MixedFloat32Gradients)]
[ShardedOn<HalfStages>(Name = "HalfOneForwardOneBackward", MicroBatches = 4, Precision = Precision.BFloat16MixedFloat32Gradients)]
[ShardedOn<HalfStages>(Name = "HalfInterleaved", MicroBatches = 2, Schedule = PipelineSchedule.Interleaved, Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfStages>(Name = "HalfZeroBubbleV", MicroBatches = 2, Schedule = PipelineSchedule.ZeroBubbleV, Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfCube>(Name = "HalfCubeZero1", MicroBatches = 2, Zero = ZeroStage.OptimizerState, Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfCube>(Name = "HalfCubeZero3", MicroBatches = 2, Schedule = PipelineSchedule.ZeroBubbleV, Zero = ZeroStage.Parameters, Precision = Precision.BFloat16MixedFloat32Gradients)]
[ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
[ShardedOn<HalfOne>(Name = "Fp16Full", Recompute = RecomputeMode.Full, Precision = Precision.Float16Mixed)]
[ShardedOn<HalfOne>(Name = "Fp16Selective", MicroBatches = 2, Recompute = RecomputeMode.Selective, Precision = Precision.Float16Mixed)]
[ShardedOn<HalfPair>(Name = "Fp16Pairs", Precision = Precision.Float16Mixed)]
[ShardedOn<HalfPair>(Name = "Fp16Zero1", Zero = ZeroStage.OptimizerState, Precision = Precision.Float16Mixed)]
[ShardedOn<HalfPair>(Name = "Fp16Zero2", Zero = ZeroStage.Gradients, Precision = Precision.Float16Mixed)]
[ShardedOn<HalfPair>(Name = "Fp16Zero3", Zero = ZeroStage.Parameters, Precision = Precision.Float16Mixed)]
[ShardedOn<HalfStages>(Name = "Fp16OneForwardOneBackward", MicroBatches = 4, Precision = Precision.Float16Mixed)]
[ShardedOn<HalfStages>(Name = "Fp16Interleaved", MicroBatches = 2, Schedule = PipelineSchedule.Interleaved, Precision = Precision.Float16Mixed)]
[ShardedOn<HalfStages>(Name = "Fp16ZeroBubbleV", MicroBatches = 2, Schedule = PipelineSchedule.ZeroBubbleV, Precision = Precision.Float16Mixed)]
[ShardedOn<HalfCube>(Name = "Fp16CubeZero1", MicroBatches = 2, Zero = ZeroStage.OptimizerState, Precision = Precision.Float16Mixed)]
[ShardedOn<HalfCube>(Name = "Fp16CubeZero3", MicroBatches = 2, Schedule = PipelineSchedule.ZeroBubbleV, Zero = ZeroStage.Parameters, Precision = Precision.Float16Mixed)]
public sealed partial class StageNet;

/// <summary>Numbers without dims meet tensors: a parameter, sums that become tensors of one element and back, integers that become numbers, an extreme of all elements.</summary>
[ShardedOn<One>(Name = "Wide")]
[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfPair>(Name = "HalfZero2", Zero = ZeroStage.Gradients, Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
[ShardedOn<HalfPair>(Name = "Fp16Zero2", Zero = ZeroStage.Gradients, Precision = Precision.Float16Mixed)]
public sealed partial class HalfCorners
{
    readonly Tensor a = Parameter(4, 6, Init.Normal(0.5f));
    readonly Tensor b = Parameter(1, Init.Constant(0.75f));
    readonly Tensor c = Parameter([], Init.Constant(0.3f));

    public Tensor Loss([Shape(4, 6), Split("dp", 0)] Tensor x)
    {
        Tensor total = Sum(Ops.Square(a)), places = Reshape(Cast(Range(6)), 1, 6);
        return Mean(Ops.Square(x * Sum(a, 0) + Reshape(total, 1) * 0.1f + places * Reshape(b, 1, 1) * c)) + Reshape(b) * Max(a);
    }
}
