using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Generators.Printing;

/// <summary>Prints the call of the runtime's block for one op, with constant sizes.</summary>
internal static class CpuOpPrinter
{
    private const string NoFloat = "ref Unsafe.NullRef<float>()";
    private const string NoInt = "ref Unsafe.NullRef<int>()";

    public static void Print(IndentedWriter w, OpKernel k)
    {
        KernelTensor T(int i) => k.Tensors[i];
        string R(int i) => CpuKernelPrinter.Ref(T(i));
        int outputs = k.InputCount;
        EquatableArray<long> x = T(0).Local;
        long n = x.Count == 0 ? 1 : x[x.Count - 1], rows = Count(x) / n;
        switch (k.Op)
        {
            case LayerNormOp op:
                w.Line($"Blocks.LayerNorm.Forward(team, {rows}, {n}, {Text.Float(op.Epsilon)}, {R(0)}, {R(1)}, {R(2)}, {R(3)}, {R(4)}, {R(5)});");
                break;
            case LayerNormGradientOp:
                w.Line($"Blocks.LayerNorm.Backward(team, {rows}, {n}, {R(0)}, {R(1)}, {R(2)}, {R(3)}, {R(4)}, {R(5)}, {R(6)}, {R(7)});");
                break;
            case RmsNormOp op:
                w.Line($"Blocks.RmsNorm.Forward(team, {rows}, {n}, {Text.Float(op.Epsilon)}, {R(0)}, {R(1)}, {R(2)}, {R(3)});");
                break;
            case RmsNormGradientOp:
                w.Line($"Blocks.RmsNorm.Backward(team, {rows}, {n}, {R(0)}, {R(1)}, {R(2)}, {R(3)}, {R(4)}, {R(5)});");
                break;
            case SoftmaxOp op:
                w.Line($"Blocks.Softmax.Forward(team, {rows}, {n}, {Text.Bool(op.Logarithm)}, {R(0)}, {R(1)});");
                break;
            case SoftmaxGradientOp op:
                w.Line($"Blocks.Softmax.Backward(team, {rows}, {n}, {Text.Bool(op.Logarithm)}, {R(0)}, {R(1)}, {R(2)});");
                break;
            case EmbeddingOp:
                w.Line($"Blocks.Embedding.Forward(team, {Count(T(0).Local)}, {T(1).Local[1]}, {Text.Offset(T(1).Start[0])}, {T(1).Local[0]}, {T(1).Logical[0]}, {R(0)}, {R(1)}, {R(2)});");
                break;
            case EmbeddingGradientOp:
                w.Line($"Blocks.Embedding.Backward(team, {Count(T(0).Local)}, {T(2).Local[1]}, {Text.Offset(T(2).Start[0])}, {T(2).Local[0]}, {R(0)}, {R(1)}, {R(2)});");
                break;
            case CrossEntropyOp op:
                w.Line($"Blocks.CrossEntropy.Forward(team, {rows}, {n}, {R(0)}, {R(1)}, {(op.HasWeights ? R(2) : NoFloat)}, {Text.Bool(op.HasWeights)}, {Text.Number(op.IgnoreIndex)}, {R(outputs)}, {R(outputs + 1)}, {R(outputs + 2)});");
                break;
            case CrossEntropyGradientOp op:
                w.Line($"Blocks.CrossEntropy.Backward(team, {rows}, {n}, {R(0)}, {R(1)}, {(op.HasWeights ? R(4) : NoFloat)}, {Text.Bool(op.HasWeights)}, {Text.Number(op.IgnoreIndex)}, {Text.Offset(T(0).Start[T(0).Start.Count - 1])}, {R(2)}, {R(3)}, {R(outputs)});");
                break;
            case CrossEntropyMaxOp:
                w.Line($"Blocks.CrossEntropy.LocalMax(team, {rows}, {n}, {R(0)}, {R(1)});");
                break;
            case CrossEntropySumsOp:
                w.Line($"Blocks.CrossEntropy.LocalSums(team, {rows}, {n}, {R(0)}, {R(1)}, {R(2)}, {Text.Offset(T(0).Start[T(0).Start.Count - 1])}, {R(3)});");
                break;
            case CrossEntropyFinishOp op:
                w.Line($"Blocks.CrossEntropy.Finish({Count(T(1).Local)}, {op.Classes}, {R(0)}, {R(1)}, {R(2)}, {(op.HasWeights ? R(3) : NoFloat)}, {Text.Bool(op.HasWeights)}, {Text.Number(op.IgnoreIndex)}, {R(outputs)}, {R(outputs + 1)}, {R(outputs + 2)});");
                break;
            case AttentionOp op:
                Shape(w, k, op.Causal, op.Scale, op.HasSegments);
                w.Line($"Blocks.Attention.Forward(team, shape, {R(0)}, {R(1)}, {R(2)}, {(op.HasSegments ? R(3) : NoInt)}, {R(outputs)}, {R(outputs + 1)});");
                break;
            case AttentionGradientOp op:
                Shape(w, k, op.Causal, op.Scale, op.HasSegments);
                w.Line($"Blocks.Attention.Backward(team, shape, {R(0)}, {R(1)}, {R(2)}, {(op.HasSegments ? R(6) : NoInt)}, {R(3)}, {R(4)}, {R(5)}, {R(outputs)}, {R(outputs + 1)}, {R(outputs + 2)});");
                break;
            case DropoutOp op:
                string key = op.Key.Contains("{0}") ? op.Key.Replace("{0}", "layer") : op.Key;
                KernelTensor y = T(1);
                w.Line($"var map = new IndexMap([{Join(y.Local)}], [{Join(y.Logical)}], [{string.Join(", ", y.Start.Select(Text.Offset))}]);");
                w.Line($"Blocks.Dropout.Apply(team, {R(0)}, {R(1)}, map, new RandomKey(random.Seed, random.Step, RandomKey.HashOrdinal(\"dropout#\", {key})), {Text.Float(op.Probability)});");
                break;
            case RopeOp op:
                w.Line($"Blocks.Rope.Apply(team, {Count(x) / n / x[x.Count - 2]}, {x[x.Count - 2]}, {n}, {Text.Offset(T(0).Start[x.Count - 2])}, {Text.Float(op.Theta)}, {Text.Bool(op.Inverse)}, {R(0)}, {R(1)});");
                break;
            case RangeOp:
                w.Line($"Blocks.Fill.Range({T(0).Local[0]}, {Text.Offset(T(0).Start[0])}, {R(0)});");
                break;
            case FillOp op:
                w.Line($"Blocks.Fill.Value({Count(T(0).Local)}, {R(0)}, {Text.Float(op.Value)});");
                break;
            case CastOp when T(0).Element == DType.Int32:
                w.Line($"Blocks.Fill.FromInt({Count(x)}, {R(0)}, {R(1)});");
                break;
            case CastOp or CopyOp:
                w.Line($"Blocks.Fill.Copy({Count(x)}, {R(0)}, {R(1)});");
                break;
            case KeepFirstOp op:
                w.Open($"if ({Text.Index(op.Axis)} == 0)");
                w.Line($"Blocks.Fill.Copy({Count(x)}, {R(0)}, {R(1)});");
                w.Close();
                w.Open("else");
                w.Line($"Blocks.Fill.Value({Count(x)}, {R(1)}, 0);");
                w.Close();
                break;
            case SumOp op:
                (long outer, long count, long inner) = Run(x, op.Dims);
                w.Line($"Blocks.Reduce.Sum(team, {outer}, {count}, {inner}, {R(0)}, {R(1)});");
                break;
            case ExtremeOp op:
                (outer, count, inner) = Run(x, op.Dims);
                w.Line($"Blocks.Reduce.Extreme(team, {outer}, {count}, {inner}, {Text.Bool(op.IsMax)}, {R(0)}, {R(1)});");
                break;
            case ExtremeGradientOp op:
                (outer, count, inner) = Run(x, op.Dims);
                w.Line($"Blocks.Reduce.ExtremeBackward(team, {outer}, {count}, {inner}, {R(0)}, {R(1)}, {R(2)}, {R(3)});");
                break;
            case PermuteOp op:
                long[] strides = Strides(x);
                Copy(w, T(1).Local, op.Order.Select(d => strides[d]), Strides(T(1).Local), R(0), R(1));
                break;
            case BroadcastOp:
                int lead = T(1).Local.Count - x.Count;
                long[] from = Strides(x);
                Copy(w, T(1).Local, T(1).Local.Select((size, d) => d < lead || (T(0).Logical[d - lead] == 1 && T(1).Logical[d] != 1) || (x[d - lead] == 1 && size != 1) ? 0 : from[d - lead]), Strides(T(1).Local), R(0), R(1));
                break;
            case SliceOp op:
                Copy(w, T(1).Local, Strides(x), Strides(T(1).Local), $"ref Unsafe.Add({R(0)}, {op.Start * Strides(x)[op.Dim]})", R(1));
                break;
            case LocalSliceOp op:
                Copy(w, T(1).Local, Strides(x), Strides(T(1).Local), $"ref Unsafe.Add({R(0)}, ({Text.Offset(op.Start)}) * {Strides(x)[op.Dim]})", R(1));
                break;
            case LocalPadOp op:
                w.Line($"Blocks.Fill.Value({Count(T(1).Local)}, {R(1)}, 0);");
                Copy(w, x, Strides(x), Strides(T(1).Local), R(0), $"ref Unsafe.Add({R(1)}, ({Text.Offset(op.Start)}) * {Strides(T(1).Local)[op.Dim]})");
                break;
            case PadOp op:
                w.Line($"Blocks.Fill.Value({Count(T(1).Local)}, {R(1)}, 0);");
                Copy(w, x, Strides(x), Strides(T(1).Local), R(0), $"ref Unsafe.Add({R(1)}, {op.Before * Strides(T(1).Local)[op.Dim]})");
                break;
            case ConcatOp op:
                long start = 0;
                for (int i = 0; i < k.InputCount; i++)
                {
                    Copy(w, T(i).Local, Strides(T(i).Local), Strides(T(outputs).Local), R(i), $"ref Unsafe.Add({R(outputs)}, {start * Strides(T(outputs).Local)[op.Dim]})");
                    start += T(i).Local[op.Dim];
                }

                break;
            default:
                throw new InvalidOperationException($"no CPU text for {k.Op.Name}");
        }
    }

    private static void Shape(IndentedWriter w, OpKernel k, bool causal, float scale, bool segments)
    {
        KernelTensor q = k.Tensors[0], key = k.Tensors[1];
        long perKey = q.Logical[1] / key.Logical[1];

        // The number of the first query head here, counted from the first key head here.
        string offset = q.Start[1].IsConstant ? "0" : key.Start[1].IsConstant ? Text.Offset(q.Start[1]) : "0";
        w.Line($"var shape = new AttentionShape({q.Local[0]}, {q.Local[1]}, {key.Local[1]}, {perKey}, {offset}, {q.Local[2]}, {key.Local[2]}, {q.Local[3]}, {Text.Bool(causal)}, {Text.Float(scale)}, {Text.Bool(segments)});");
    }

    private static void Copy(IndentedWriter w, IEnumerable<long> sizes, IEnumerable<long> from, IEnumerable<long> to, string source, string target) =>
        w.Line($"Blocks.StridedCopy.Run(team, [{Join(sizes)}], [{Join(from)}], [{Join(to)}], {source}, {target});");

    private static string Join(IEnumerable<long> numbers) => string.Join(", ", numbers);

    private static long Count(IEnumerable<long> dims) => dims.Aggregate(1L, (a, b) => a * b);

    private static long[] Strides(IReadOnlyList<long> dims)
    {
        var strides = new long[dims.Count];
        long stride = 1;
        for (int dim = dims.Count - 1; dim >= 0; dim--)
        {
            strides[dim] = stride;
            stride *= dims[dim];
        }

        return strides;
    }

    /// <summary>A run of neighbouring dims as [outer, count, inner].</summary>
    private static (long Outer, long Count, long Inner) Run(IReadOnlyList<long> dims, EquatableArray<int> reduced)
    {
        int first = reduced.Count == 0 ? dims.Count : reduced[0], last = reduced.Count == 0 ? dims.Count - 1 : reduced[reduced.Count - 1];
        return (Count(dims.Take(first)), Count(dims.Skip(first).Take(last - first + 1)), Count(dims.Skip(last + 1)));
    }
}
