namespace Shardwright.Compiler.Tests.Ops;

using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;

/// <summary>What an op says of operands that do not fit: it names the op, the shapes and the way out.</summary>
public sealed class ShapeErrorTests
{
    private static readonly (Op Op, TensorType[] Inputs, string[] Says)[] s_cases =
    [
        (Functions.Find("Add")!, [F(4, 6), F(4, 5)], ["Add", "[4, 6]", "[4, 5]", "dim 1 is 6", "5 on the other", "or 1 on one side"]),
        (Functions.Find("Where")!, [F(3), F(4), F(1)], ["Where", "[3]", "[4]"]),
        (new MatMulOp(), [F(4, 6), F(8, 6)], ["MatMul", "[4, 6]", "[8, 6]", "dim 1 of the left is 6", "dim 0 of the right is 8"]),
        (new MatMulOp(false, true), [F(4, 6), F(6, 8)], ["MatMul", "[4, 6]", "[6, 8]", "dim 1 of the right is 8"]),
        (new MatMulOp(), [F(6), F(6, 8)], ["MatMul", "[6]", "[6, 8]", "two dims or more"]),
        (new MatMulOp(), [F(4, 6), F(2, 6, 8)], ["MatMul", "[4, 6]", "[2, 6, 8]", "2 dims, or as many as the left (2)"]),
        (new MatMulOp(), [F(2, 4, 6), F(3, 6, 8)], ["MatMul", "[2, 4, 6]", "[3, 6, 8]", "leading dim 0 is 2 on the left and 3 on the right"]),
        (new MatMulOp(true, false), [F(2, 6, 4), F(6, 8)], ["MatMul", "[2, 6, 4]", "[6, 8]", "permute it first"]),
        (new WeightGradientOp(), [F(4, 6), F(5, 8)], ["WeightGradient", "[4, 6]", "[5, 8]", "leading dims"]),
        (new SumOp(EquatableArray.Of(2), false), [F(4, 6)], ["Sum", "dim 2", "[4, 6]", "0 to 1"]),
        (new ExtremeOp(EquatableArray.Of(-1), false, true), [F(4, 6)], ["Max", "-1", "[4, 6]", "0 to 1"]),
        (new ExtremeOp(EquatableArray.Of(2), false, false), [F(4, 6)], ["Min", "2", "[4, 6]"]),
        (new ReshapeOp(EquatableArray.Of(5L, 5L)), [F(4, 6)], ["Reshape", "[4, 6]", "[5, 5]", "24 elements do not make 25"]),
        (new ReshapeOp(EquatableArray.Of(-4L, -6L)), [F(4, 6)], ["Reshape", "[4, 6]", "[-4, -6]", "1 or more"]),
        (new BroadcastOp(EquatableArray.Of(4L, 6L)), [F(4, 3)], ["Broadcast", "[4, 3]", "[4, 6]", "size 1"]),
        (new BroadcastOp(EquatableArray.Of(6L)), [F(1, 6)], ["Broadcast", "[1, 6]", "[6]"]),
        (new PermuteOp(EquatableArray.Of(0, 0)), [F(4, 6)], ["Permute", "[4, 6]", "[0, 0]", "0 to 1"]),
        (new SliceOp(1, 4, 4), [F(4, 6)], ["Slice", "[4, 6]", "4 to 7", "dim 1"]),
        (new SliceOp(2, 0, 1), [F(4, 6)], ["Slice", "[4, 6]", "dim 2"]),
        (new PadOp(2, 1, 1), [F(4, 6)], ["Pad", "[4, 6]", "dim 2"]),
        (new ConcatOp(0), [F(4, 6), F(4, 5)], ["Concat", "[4, 6]", "[4, 5]", "dim 0"]),
        (new ConcatOp(0), [F(4, 6), I(4, 6)], ["Concat", "float[4, 6]", "int[4, 6]", "one element type"]),
        (new SoftmaxOp(), [F()], ["Softmax", "scalar"]),
        (new SoftmaxOp(true), [F()], ["LogSoftmax", "scalar"]),
        (new LayerNormOp(1e-5f), [F(4, 6), F(5), F(6)], ["LayerNorm", "[4, 6]", "scale [5]"]),
        (new LayerNormOp(1e-5f), [F(4, 6), F(6), F(1, 6)], ["LayerNorm", "[4, 6]", "shift [1, 6]"]),
        (new RmsNormOp(1e-5f), [F(4, 6), F(4)], ["RmsNorm", "[4, 6]", "scale [4]"]),
        (new EmbeddingOp(), [F(4, 6), F(12, 8)], ["Embedding", "float[4, 6]", "float[12, 8]", "integer ids"]),
        (new EmbeddingOp(), [I(4, 6), F(12)], ["Embedding", "int[4, 6]", "float[12]", "two dims"]),
        (new CrossEntropyOp(-100, false), [F(4, 6, 12), I(4, 5)], ["CrossEntropy", "[4, 6, 12]", "[4, 5]", "without the last dim"]),
        (new CrossEntropyOp(-100, false), [F(4, 6), F(4)], ["CrossEntropy", "float[4, 6]", "float[4]", "integers"]),
        (new CrossEntropyOp(-100, true), [F(4, 6), I(4), F(6)], ["CrossEntropy", "weights float[6]", "targets int[4]"]),
        (new AttentionOp(true, 1, false), [F(2, 4, 8, 16), F(2, 3, 8, 16), F(2, 3, 8, 16)], ["Attention", "[2, 4, 8, 16]", "[2, 3, 8, 16]", "key heads must divide the query heads"]),
        (new AttentionOp(true, 1, false), [F(2, 4, 8, 16), F(2, 4, 6, 16), F(2, 4, 6, 16)], ["Attention", "[2, 4, 8, 16]", "[2, 4, 6, 16]", "as many keys as queries, or more"]),
        (new AttentionOp(false, 1, false), [F(2, 4, 8, 16), F(2, 4, 8, 16), F(2, 4, 9, 16)], ["Attention", "[2, 4, 8, 16]", "[2, 4, 9, 16]"]),
        (new AttentionOp(false, 1, true), [F(2, 4, 8, 16), F(2, 4, 8, 16), F(2, 4, 8, 16), I(2, 9)], ["Attention", "int[2, 9]", "[2, 4, 8, 16]", "segments"]),
        (new DropoutOp(1, "0"), [F(4, 6)], ["Dropout", "1", "less than 1"]),
        (new RopeOp(10000, false), [F(4, 5)], ["Rope", "[4, 5]", "even width"]),
        (new RangeOp(0), [], ["Range", "0", "1 or more"]),
        (new FillOp(EquatableArray.Of(4L, 0L), 1), [], ["Fill", "[4, 0]", "1 or more"]),
    ];

    public static TheoryData<int> Cases => [.. Enumerable.Range(0, s_cases.Length)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Message_names_op_and_shapes(int number)
    {
        (Op op, TensorType[] inputs, string[] says) = s_cases[number];
        var error = Assert.Throws<ShapeException>(() => op.Infer([.. inputs]));
        Assert.All(says, part => Assert.Contains(part, error.Message, StringComparison.Ordinal));
    }

    private static TensorType F(params long[] dims) => TensorType.Float(dims);

    private static TensorType I(params long[] dims) => TensorType.Int(dims);
}
