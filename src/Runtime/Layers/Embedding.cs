namespace Shardwright;

/// <summary>A table of vectors: ids [..] → [.., width].</summary>
/// <param name="count">Number of rows.</param>
/// <param name="width">Size of a row.</param>
[ShardedLayer]
public sealed partial class Embedding(int count, int width)
{
    /// <summary>The table [count, width]; may be tied: <c>MatMul(x, Transpose(tokens.Weight))</c>.</summary>
    public readonly Tensor Weight = Ops.Parameter(count, width, Init.Normal(0.02f));

    /// <summary>Rows of the table.</summary>
    /// <param name="ids">Row numbers, any shape.</param>
    public Tensor Forward(TokenTensor ids) => Ops.Embedding(ids, Weight);
}
