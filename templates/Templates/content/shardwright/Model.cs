using Shardwright;
using static Shardwright.Ops;

namespace Template._1;

/// <summary>A mesh of one rank, with all threads of this machine.</summary>
[DeviceMesh(Device = typeof(Devices.LocalCpu))]
public sealed class Laptop;

/// <summary>Two ranks that share each layer.</summary>
[DeviceMesh(Device = typeof(Devices.LocalCpu))]
[MeshAxis("tp", 2, Role = AxisRole.Tensor, Link = typeof(Links.SharedMemory))]
public sealed class Pair;

/// <summary>Says on which of three arms of a spiral a point lies.</summary>
[ShardedOn<Laptop>]
[ShardedOn<Pair>]
public sealed partial class Classifier
{
    /// <summary>Points of an optimizer step.</summary>
    public const int Batch = 512;

    /// <summary>Arms of the spiral.</summary>
    public const int Arms = 3;

    const int Hidden = 128;

    // Each rank of `tp` holds half of the columns of `up` and half of the rows of `down`. The products of the halves are terms of one sum:
    // the generated program adds them up with one all-reduce. Try an odd number for Hidden, and build.
    [Split("tp", dim: 1)] readonly Tensor up = Parameter(2, Hidden, Init.Normal(1f));
    [Split("tp", dim: 0)] readonly Tensor upBias = Parameter(Hidden, Init.Zeros);
    [Split("tp", dim: 0)] readonly Tensor down = Parameter(Hidden, Hidden, Init.Normal(0.1f));
    readonly Tensor downBias = Parameter(Hidden, Init.Zeros);
    readonly Tensor head = Parameter(Hidden, Arms, Init.Normal(0.1f));

    /// <summary>Training entry: the mean cross-entropy of the arms.</summary>
    public Tensor Loss([Shape(Batch, 2)] Tensor points, [Shape(Batch)] TokenTensor arms) => CrossEntropy(Logits(points), arms);

    /// <summary>Inference entry: [Batch, Arms], the largest number of a row says the arm.</summary>
    public Tensor Forward([Shape(Batch, 2)] Tensor points) => Logits(points);

    Tensor Logits(Tensor points)
    {
        var x = Gelu(MatMul(points, up) + upBias);     // [Batch, Hidden], on Pair half of the columns on each rank
        x = Gelu(MatMul(x, down) + downBias);          // [Batch, Hidden], whole again
        return MatMul(x, head);                        // [Batch, Arms]
    }
}
