using Shardwright;
using static Shardwright.Ops;

namespace Shardwright.Tests.Cases;

// Each case: Loss = Σ op(a, b, …)·c. The gradient of c is the op's own result, so values and gradients are checked at once.

[ShardedOn<One>]
public sealed partial class Arithmetic
{
    readonly Tensor a = Parameter(4, 5);
    readonly Tensor b = Parameter(5);
    readonly Tensor c = Parameter(4, 5);

    public Tensor Loss() => Sum(((a + b) * (a - b) / (Square(b) + 1.5f) - 2f * a + (1f - b) + (-a)) * c);
}

[ShardedOn<One>]
public sealed partial class BroadcastMiddle
{
    readonly Tensor a = Parameter(2, 1, 5);
    readonly Tensor b = Parameter(3, 1);
    readonly Tensor c = Parameter(2, 3, 5);

    public Tensor Loss() => Sum((a * b + b) * c);
}

[ShardedOn<One>]
public sealed partial class MatMulPlain
{
    readonly Tensor a = Parameter(5, 7);
    readonly Tensor b = Parameter(7, 3);
    readonly Tensor c = Parameter(5, 3);

    public Tensor Loss() => Sum(MatMul(a, b) * c);
}

[ShardedOn<One>]
public sealed partial class MatMulShared
{
    readonly Tensor a = Parameter(2, 3, 5);
    readonly Tensor b = Parameter(5, 4);
    readonly Tensor c = Parameter(2, 3, 4);

    public Tensor Loss() => Sum(MatMul(a, b) * c);
}

[ShardedOn<One>]
public sealed partial class MatMulBatched
{
    readonly Tensor a = Parameter(2, 3, 4);
    readonly Tensor b = Parameter(2, 4, 5);
    readonly Tensor c = Parameter(2, 3, 5);

    public Tensor Loss() => Sum(MatMul(a, b) * c);
}

[ShardedOn<One>]
public sealed partial class MatMulTransposedRight
{
    readonly Tensor a = Parameter(2, 3, 5);
    readonly Tensor b = Parameter(4, 5);
    readonly Tensor c = Parameter(2, 3, 4);

    public Tensor Loss() => Sum(MatMul(a, Transpose(b)) * c);
}

[ShardedOn<One>]
public sealed partial class MatMulTransposedBoth
{
    readonly Tensor a = Parameter(2, 5, 3);
    readonly Tensor b = Parameter(2, 4, 5);
    readonly Tensor c = Parameter(2, 3, 4);

    public Tensor Loss() => Sum(MatMul(Transpose(a), Transpose(b)) * c);
}

[ShardedOn<One>]
public sealed partial class LinearBias
{
    readonly Tensor a = Parameter(3, 5);
    readonly Tensor b = Parameter(5, 17);
    readonly Tensor d = Parameter(17);
    readonly Tensor c = Parameter(3, 17);

    public Tensor Loss() => Sum(Linear(a, b, d) * c);
}

[ShardedOn<One>]
public sealed partial class GeluTanhForm
{
    readonly Tensor a = Parameter(3, 19);
    readonly Tensor c = Parameter(3, 19);

    public Tensor Loss() => Sum(Gelu(3f * a) * c);
}

[ShardedOn<One>]
public sealed partial class GeluErfForm
{
    readonly Tensor a = Parameter(3, 19);
    readonly Tensor c = Parameter(3, 19);

    public Tensor Loss() => Sum(Gelu(3f * a, GeluForm.Erf) * c);
}

[ShardedOn<One>]
public sealed partial class ReluFunction
{
    readonly Tensor a = Parameter(3, 7);
    readonly Tensor c = Parameter(3, 7);

    public Tensor Loss() => Sum(Relu(a) * c);
}

[ShardedOn<One>]
public sealed partial class SiluFunction
{
    readonly Tensor a = Parameter(3, 7);
    readonly Tensor c = Parameter(3, 7);

    public Tensor Loss() => Sum(Silu(a) * c);
}

[ShardedOn<One>]
public sealed partial class SigmoidFunction
{
    readonly Tensor a = Parameter(3, 7);
    readonly Tensor c = Parameter(3, 7);

    public Tensor Loss() => Sum(Sigmoid(a) * c);
}

[ShardedOn<One>]
public sealed partial class TanhFunction
{
    readonly Tensor a = Parameter(3, 7);
    readonly Tensor c = Parameter(3, 7);

    public Tensor Loss() => Sum(Tanh(2f * a) * c);
}

[ShardedOn<One>]
public sealed partial class ExpFunction
{
    readonly Tensor a = Parameter(3, 7);
    readonly Tensor c = Parameter(3, 7);

    public Tensor Loss() => Sum(Exp(a) * c);
}

[ShardedOn<One>]
public sealed partial class LogFunction
{
    readonly Tensor a = Parameter(3, 7);
    readonly Tensor c = Parameter(3, 7);

    public Tensor Loss() => Sum(Log(Square(a) + 0.5f) * c);
}

[ShardedOn<One>]
public sealed partial class SqrtFunction
{
    readonly Tensor a = Parameter(3, 7);
    readonly Tensor c = Parameter(3, 7);

    public Tensor Loss() => Sum(Sqrt(Square(a) + 0.5f) * c);
}

[ShardedOn<One>]
public sealed partial class SoftmaxRows
{
    readonly Tensor a = Parameter(3, 21);
    readonly Tensor c = Parameter(3, 21);

    public Tensor Loss() => Sum(Softmax(a) * c);
}

[ShardedOn<One>]
public sealed partial class LogSoftmaxRows
{
    readonly Tensor a = Parameter(3, 21);
    readonly Tensor c = Parameter(3, 21);

    public Tensor Loss() => Sum(LogSoftmax(a) * c);
}

[ShardedOn<One>]
public sealed partial class LayerNormRows
{
    readonly Tensor a = Parameter(5, 19);
    readonly Tensor b = Parameter(19);
    readonly Tensor d = Parameter(19);
    readonly Tensor c = Parameter(5, 19);

    public Tensor Loss() => Sum(Ops.LayerNorm(a, b, d) * c);
}

[ShardedOn<One>]
public sealed partial class RmsNormRows
{
    readonly Tensor a = Parameter(5, 19);
    readonly Tensor b = Parameter(19);
    readonly Tensor c = Parameter(5, 19);

    public Tensor Loss() => Sum(Ops.RmsNorm(a, b, 1e-6f) * c);
}

[ShardedOn<One>]
public sealed partial class ReshapePermute
{
    readonly Tensor a = Parameter(4, 6);
    readonly Tensor c = Parameter([3, 2, 2, 2]);

    public Tensor Loss() => Sum(Permute(Reshape(a, 2, 2, 3, -1), 2, 0, 3, 1) * c);
}

[ShardedOn<One>]
public sealed partial class TransposeDims
{
    readonly Tensor a = Parameter(2, 3, 4);
    readonly Tensor c = Parameter(4, 3, 2);

    public Tensor Loss() => Sum(Transpose(a, 0, 2) * c);
}

[ShardedOn<One>]
public sealed partial class SliceMiddle
{
    readonly Tensor a = Parameter(3, 7);
    readonly Tensor c = Parameter(3, 3);

    public Tensor Loss() => Sum(Slice(a, 1, 2, 3) * c);
}

[ShardedOn<One>]
public sealed partial class ConcatParts
{
    readonly Tensor a = Parameter(3, 2);
    readonly Tensor b = Parameter(3, 5);
    readonly Tensor c = Parameter(3, 9);

    public Tensor Loss() => Sum(Concat(1, a, b, a) * c);
}

/// <summary>A layer that reads something from outside of its stack.</summary>
[ShardedLayer]
public sealed partial class Mixed
{
    public Tensor Forward(Tensor x, Tensor shared) => Tanh(x * shared + x);
}

/// <summary>b is read in every layer of two stacks, and after them: its gradient is the sum of all.</summary>
[ShardedOn<One>]
public sealed partial class SharedByTwoStacks
{
    readonly Tensor a = Parameter(3, 5);
    readonly Tensor b = Parameter(3, 5);
    readonly Tensor c = Parameter(3, 5);
    readonly LayerStack<Mixed> first = new(2, () => new Mixed());
    readonly LayerStack<Mixed> second = new(3, () => new Mixed());

    public Tensor Loss() => Sum(second.Forward(first.Forward(a, b), b) * b * c);
}

[ShardedOn<One>]
public sealed partial class StackParts
{
    readonly Tensor a = Parameter(3, 2);
    readonly Tensor b = Parameter(3, 2);
    readonly Tensor c = Parameter(3, 2, 2);

    public Tensor Loss() => Sum(Stack(1, a, b) * c);
}

[ShardedOn<One>]
public sealed partial class SumDim
{
    readonly Tensor a = Parameter(3, 4, 5);
    readonly Tensor c = Parameter(3, 5);

    public Tensor Loss() => Sum(Sum(a, 1) * c);
}

[ShardedOn<One>]
public sealed partial class SumKept
{
    readonly Tensor a = Parameter(3, 4, 5);
    readonly Tensor c = Parameter(3, 4, 1);

    public Tensor Loss() => Sum(Sum(a, 2, keepDim: true) * c);
}

[ShardedOn<One>]
public sealed partial class MeanDim
{
    readonly Tensor a = Parameter(3, 4, 5);
    readonly Tensor c = Parameter(4, 5);

    public Tensor Loss() => Sum(Mean(a, 0) * c);
}

[ShardedOn<One>]
public sealed partial class MaxDim
{
    readonly Tensor a = Parameter(3, 4, 5);
    readonly Tensor c = Parameter(3, 5);

    public Tensor Loss() => Sum(Max(a, 1) * c);
}

[ShardedOn<One>]
public sealed partial class MinDim
{
    readonly Tensor a = Parameter(3, 4, 5);
    readonly Tensor c = Parameter(3, 4);

    public Tensor Loss() => Sum(Min(a, 2) * c);
}

[ShardedOn<One>]
public sealed partial class MaximumMinimum
{
    readonly Tensor a = Parameter(3, 5);
    readonly Tensor b = Parameter(3, 5);
    readonly Tensor c = Parameter(3, 5);

    public Tensor Loss() => Sum((Maximum(a, b) - 2f * Minimum(a, b)) * c);
}

[ShardedOn<One>]
public sealed partial class WhereCondition
{
    readonly Tensor a = Parameter(3, 5);
    readonly Tensor b = Parameter(3, 5);
    readonly Tensor c = Parameter(3, 5);

    public Tensor Loss() => Sum(Where(Greater(a, b), a * b, a - b) * c);
}

[ShardedOn<One>]
public sealed partial class RopeRotation
{
    readonly Tensor a = Parameter([2, 3, 5, 6]);
    readonly Tensor c = Parameter([2, 3, 5, 6]);

    public Tensor Loss() => Sum(Rope(a, 100f) * c);
}

[ShardedOn<One>]
public sealed partial class AttentionPlain
{
    readonly Tensor a = Parameter([2, 3, 7, 5]);
    readonly Tensor b = Parameter([2, 3, 9, 5]);
    readonly Tensor d = Parameter([2, 3, 9, 5]);
    readonly Tensor c = Parameter([2, 3, 7, 5]);

    public Tensor Loss() => Sum(Attention(a, b, d) * c);
}

[ShardedOn<One>]
public sealed partial class AttentionCausal
{
    readonly Tensor a = Parameter([2, 2, 37, 8]);
    readonly Tensor b = Parameter([2, 2, 37, 8]);
    readonly Tensor d = Parameter([2, 2, 37, 8]);
    readonly Tensor c = Parameter([2, 2, 37, 8]);

    public Tensor Loss() => Sum(Attention(a, b, d, causal: true) * c);
}

[ShardedOn<One>]
public sealed partial class AttentionGrouped
{
    readonly Tensor a = Parameter([2, 4, 11, 4]);
    readonly Tensor b = Parameter([2, 2, 11, 4]);
    readonly Tensor d = Parameter([2, 2, 11, 4]);
    readonly Tensor c = Parameter([2, 4, 11, 4]);

    public Tensor Loss() => Sum(Attention(a, b, d, causal: true, scale: 0.3f) * c);
}

[ShardedOn<One>]
public sealed partial class AttentionLong
{
    readonly Tensor a = Parameter([1, 1, 150, 4]);
    readonly Tensor b = Parameter([1, 1, 150, 4]);
    readonly Tensor d = Parameter([1, 1, 150, 4]);
    readonly Tensor c = Parameter([1, 1, 150, 4]);

    public Tensor Loss() => Sum(Attention(a, b, d, causal: true) * c);
}

[ShardedOn<One>]
public sealed partial class EmbeddingRows
{
    readonly Tensor a = Parameter(7, 5);
    readonly Tensor c = Parameter(6, 5);

    public Tensor Loss() => Sum(Ops.Embedding(Range(6), a) * c);
}

[ShardedOn<One>]
public sealed partial class SplitParts
{
    readonly Tensor a = Parameter(3, 6);
    readonly Tensor c = Parameter(3, 6);

    public Tensor Loss() => Sum(Swap(a) * c);

    static Tensor Swap(Tensor x)
    {
        var (first, second, third) = Split(x, 3, dim: 1);
        return Concat(1, third, first, second);
    }
}

[ShardedOn<One>]
public sealed partial class UserFunction
{
    readonly Tensor a = Parameter(3, 7);
    readonly Tensor b = Parameter(3, 7);
    readonly Tensor c = Parameter(3, 7);

    public Tensor Loss() => Sum(Map(a, b, Bump) * c);

    [Elementwise]
    static float Bump(float x, float y) => x > 0 ? x * MathF.Exp(-y * y) : MathF.Sin(x) * y;
}

// Cases with inputs; the loss is a mean where the op yields one.

[ShardedOn<One>]
public sealed partial class CrossEntropyMean
{
    readonly Tensor a = Parameter(7, 37);

    public Tensor Loss([Shape(7)] TokenTensor targets) => CrossEntropy(a, targets);
}

[ShardedOn<One>]
public sealed partial class CrossEntropyIgnored
{
    readonly Tensor a = Parameter(4, 5, 23);

    public Tensor Loss([Shape(4, 5)] TokenTensor targets) => CrossEntropy(a, targets, ignoreIndex: 3);
}

[ShardedOn<One>]
public sealed partial class CrossEntropyWeighted
{
    readonly Tensor a = Parameter(6, 13);

    public Tensor Loss([Shape(6)] TokenTensor targets, [Shape(6)] Tensor weights) => CrossEntropy(a, targets, weights: weights);
}

[ShardedOn<One>]
public sealed partial class EmbeddingRepeated
{
    readonly Tensor a = Parameter(5, 9);
    readonly Tensor c = Parameter(4, 6, 9);

    public Tensor Loss([Shape(4, 6)] TokenTensor ids) => Sum(Ops.Embedding(ids, a) * c);
}

[ShardedOn<One>]
public sealed partial class AttentionSegments
{
    readonly Tensor a = Parameter([2, 3, 11, 4]);
    readonly Tensor b = Parameter([2, 3, 11, 4]);
    readonly Tensor d = Parameter([2, 3, 11, 4]);
    readonly Tensor c = Parameter([2, 3, 11, 4]);

    public Tensor Loss([Shape(2, 11)] TokenTensor segments) => Sum(Attention(a, b, d, causal: true, segments: segments) * c);
}
