namespace Shardwright;

/// <summary>Layer normalisation of the last dim with learned scale and shift (Ba et al., arXiv 1607.06450).</summary>
/// <param name="width">Size of the last dim.</param>
/// <param name="epsilon">Added to the variance.</param>
[ShardedLayer]
public sealed partial class LayerNorm(int width, float epsilon = 1e-5f)
{
    /// <summary>Scale [width].</summary>
    [NoDecay] public readonly Tensor Scale = Ops.Parameter(width, Init.Ones);

    /// <summary>Shift [width].</summary>
    [NoDecay] public readonly Tensor Shift = Ops.Parameter(width, Init.Zeros);

    /// <summary>Normalises x [.., width].</summary>
    public Tensor Forward(Tensor x) => Ops.LayerNorm(x, Scale, Shift, epsilon);
}

/// <summary>Root-mean-square normalisation of the last dim with learned scale (Zhang and Sennrich, arXiv 1910.07467).</summary>
/// <param name="width">Size of the last dim.</param>
/// <param name="epsilon">Added to the mean square.</param>
[ShardedLayer]
public sealed partial class RmsNorm(int width, float epsilon = 1e-6f)
{
    /// <summary>Scale [width].</summary>
    [NoDecay] public readonly Tensor Scale = Ops.Parameter(width, Init.Ones);

    /// <summary>Normalises x [.., width].</summary>
    public Tensor Forward(Tensor x) => Ops.RmsNorm(x, Scale, epsilon);
}
