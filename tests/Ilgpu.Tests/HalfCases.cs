namespace Shardwright.Tests.Cases;

// The recorded cases once more, in bf16 and in fp16.

[DeviceMesh(Device = typeof(Devices.H100))] public sealed class HalfOne;

[DeviceMesh(Device = typeof(Devices.H100))]
[MeshAxis("dp", 2, Role = AxisRole.Data)]
[MeshAxis("tp", 3, Role = AxisRole.Tensor)]
public sealed class HalfDp2Tp3;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfOne>(Name = "HalfM2", MicroBatches = 2, Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfOne>(Name = "HalfWideM2", MicroBatches = 2, Precision = Precision.BFloat16MixedFloat32Gradients)]
[ShardedOn<HalfDp2Tp3>(Name = "HalfSix", MicroBatches = 2, Precision = Precision.BFloat16Mixed)]
[ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
[ShardedOn<HalfOne>(Name = "Fp16M2", MicroBatches = 2, Precision = Precision.Float16Mixed)]
[ShardedOn<HalfDp2Tp3>(Name = "Fp16Six", MicroBatches = 2, Precision = Precision.Float16Mixed)]
public sealed partial class GoldenGpt;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class Arithmetic;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class BroadcastMiddle;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class MatMulPlain;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class MatMulShared;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class MatMulBatched;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class MatMulTransposedRight;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class MatMulTransposedBoth;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class LinearBias;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class GeluTanhForm;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class GeluErfForm;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class ReluFunction;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class SiluFunction;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class SigmoidFunction;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class TanhFunction;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class ExpFunction;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class LogFunction;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class SqrtFunction;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class SoftmaxRows;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class LogSoftmaxRows;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class LayerNormRows;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class RmsNormRows;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class ReshapePermute;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class TransposeDims;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class SliceMiddle;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class ConcatParts;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class SharedByTwoStacks;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class StackParts;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class SumDim;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class SumKept;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class MeanDim;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class MaxDim;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class MinDim;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class MaximumMinimum;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class WhereCondition;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class RopeRotation;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class AttentionPlain;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class AttentionCausal;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class AttentionGrouped;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class AttentionLong;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class EmbeddingRows;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class SplitParts;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class UserFunction;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class CrossEntropyMean;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class CrossEntropyIgnored;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class CrossEntropyWeighted;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class EmbeddingRepeated;

[ShardedOn<HalfOne>(Name = "Half", Precision = Precision.BFloat16Mixed), ShardedOn<HalfOne>(Name = "Fp16", Precision = Precision.Float16Mixed)]
public sealed partial class AttentionSegments;
