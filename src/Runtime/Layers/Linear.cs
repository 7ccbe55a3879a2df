namespace Shardwright;

/// <summary>x · weight + bias over the last dim.</summary>
/// <param name="inputs">Size of the last dim of the input.</param>
/// <param name="outputs">Size of the last dim of the result.</param>
[ShardedLayer]
public sealed partial class Linear(int inputs, int outputs)
{
    /// <summary>Weight [inputs, outputs].</summary>
    public readonly Tensor Weight = Ops.Parameter(inputs, outputs, Init.Normal(0.02f));

    /// <summary>Bias [outputs].</summary>
    [NoDecay] public readonly Tensor Bias = Ops.Parameter(outputs, Init.Zeros);

    /// <summary>x [.., inputs] → [.., outputs].</summary>
    public Tensor Forward(Tensor x) => Ops.Linear(x, Weight, Bias);
}
