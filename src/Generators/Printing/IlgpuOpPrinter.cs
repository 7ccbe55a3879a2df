using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;
using static Shardwright.Generators.Printing.IlgpuElementwisePrinter;

namespace Shardwright.Generators.Printing;

/// <summary>Prints the launch of one op: a block of the runtime with constant sizes, or device code of its own for what moves data and for attention.</summary>
internal static class IlgpuOpPrinter
{
    public static void Call(IndentedWriter w, OpKernel k)
    {
        KernelTensor T(int i) => k.Tensors[i];
        string R(int i) => T(i).Name;
        int outputs = k.InputCount;
        EquatableArray<long> x = T(0).Local;
        long n = x.Count == 0 ? 1 : x[x.Count - 1], rows = Count(x) / n;
        string Last(int tensor) => Text.Offset(T(tensor).Start[T(tensor).Start.Count - 1]);
        switch (k.Op)
        {
            case LayerNormOp op:
                w.Line($"Blocks.LayerNorm.Forward(arena, {rows}, {n}, {Text.Float(op.Epsilon)}, {R(0)}, {R(1)}, {R(2)}, {R(3)}, {R(4)}, {R(5)});");
                break;
            case LayerNormGradientOp:
                w.Line($"Blocks.LayerNorm.Backward(arena, {rows}, {n}, {R(0)}, {R(1)}, {R(2)}, {R(3)}, {R(4)}, {R(5)}, {R(6)}, {R(7)});");
                break;
            case RmsNormOp op:
                w.Line($"Blocks.RmsNorm.Forward(arena, {rows}, {n}, {Text.Float(op.Epsilon)}, {R(0)}, {R(1)}, {R(2)}, {R(3)});");
                break;
            case RmsNormGradientOp:
                w.Line($"Blocks.RmsNorm.Backward(arena, {rows}, {n}, {R(0)}, {R(1)}, {R(2)}, {R(3)}, {R(4)}, {R(5)});");
                break;
            case SoftmaxOp op:
                w.Line($"Blocks.Softmax.Forward(arena, {rows}, {n}, {Text.Bool(op.Logarithm)}, {R(0)}, {R(1)});");
                break;
            case SoftmaxGradientOp op:
                w.Line($"Blocks.Softmax.Backward(arena, {rows}, {n}, {Text.Bool(op.Logarithm)}, {R(0)}, {R(1)}, {R(2)});");
                break;
            case EmbeddingOp:
                w.Line($"Blocks.Embedding.Forward(arena, {Count(T(0).Local)}, {T(1).Local[1]}, {Text.Offset(T(1).Start[0])}, {T(1).Local[0]}, {T(1).Logical[0]}, {R(0)}, {R(1)}, {R(2)});");
                break;
            case EmbeddingGradientOp:
                w.Line($"Blocks.Embedding.Backward(arena, {Count(T(0).Local)}, {T(2).Local[1]}, {Text.Offset(T(2).Start[0])}, {T(2).Local[0]}, {R(0)}, {R(1)}, {R(2)});");
                break;
            case CrossEntropyOp op:
                w.Line($"Blocks.CrossEntropy.Forward(arena, {rows}, {n}, {R(0)}, {R(1)}, {(op.HasWeights ? R(2) : "null")}, {Text.Number(op.IgnoreIndex)}, {R(outputs)}, {R(outputs + 1)}, {R(outputs + 2)});");
                break;
            case CrossEntropyGradientOp op:
                w.Line($"Blocks.CrossEntropy.Backward(arena, {rows}, {n}, {R(0)}, {R(1)}, {(op.HasWeights ? R(4) : "null")}, {Text.Number(op.IgnoreIndex)}, {Last(0)}, {R(2)}, {R(3)}, {R(outputs)});");
                break;
            case CrossEntropyMaxOp:
                w.Line($"Blocks.CrossEntropy.LocalMax(arena, {rows}, {n}, {R(0)}, {R(1)});");
                break;
            case CrossEntropySumsOp:
                w.Line($"Blocks.CrossEntropy.LocalSums(arena, {rows}, {n}, {R(0)}, {R(1)}, {R(2)}, {Last(0)}, {R(3)});");
                break;
            case CrossEntropyFinishOp op:
                w.Line($"Blocks.CrossEntropy.Finish<{(op.HasWeights ? Text.Element(T(3).Element) : "float")}>(arena, {Count(T(1).Local)}, {op.Classes}, {R(0)}, {R(1)}, {R(2)}, {(op.HasWeights ? R(3) : "null")}, {Text.Number(op.IgnoreIndex)}, {R(outputs)}, {R(outputs + 1)}, {R(outputs + 2)});");
                break;
            case AttentionOp or AttentionGradientOp:
                IlgpuAttentionPrinter.Call(w, k);
                break;
            case DropoutOp op:
                string key = op.Key.Contains("{0}") ? op.Key.Replace("{0}", "layer") : op.Key;
                w.Line($"var _key = new global::Shardwright.Kernels.RandomKey(random.Seed, random.Step, global::Shardwright.Kernels.RandomKey.HashOrdinal(\"dropout#\", {key}));");
                w.Line($"arena.Launch(IlgpuDevice.{k.Name}, Launches.Flat(arena, {Count(x)}), new IlgpuDevice.{k.Name}Arguments {{ X = arena.View({R(0)}), Y = arena.View({R(1)}), Key = DropoutKey.Of(_key), Start = {Start(T(1))} }});");
                break;
            case RopeOp op:
                w.Line($"Blocks.Rope.Apply(arena, {Count(x) / n / x[x.Count - 2]}, {x[x.Count - 2]}, {n}, {Text.Offset(T(0).Start[x.Count - 2])}, {Text.Float(op.Theta)}, {Text.Bool(op.Inverse)}, {R(0)}, {R(1)});");
                break;
            case RangeOp:
                w.Line($"Blocks.Fill.Range(arena, {R(0)}, {Text.Offset(T(0).Start[0])});");
                break;
            case FillOp op:
                w.Line($"Blocks.Fill.Value(arena, {R(0)}, {Text.Float(op.Value)}{(op.TimesLossScale ? " * scaling.Value" : "")});");
                break;
            case CastOp when T(0).Element == DType.Int32:
                w.Line($"Blocks.Fill.FromInt(arena, {R(0)}, {R(1)});");
                break;
            case CastOp or CopyOp when T(0).Element != T(1).Element:
                w.Line($"Blocks.Fill.Convert(arena, {R(0)}, {R(1)});");
                break;
            case CastOp or CopyOp:
                w.Line($"Blocks.Fill.Copy(arena, {R(0)}, {R(1)});");
                break;
            case KeepFirstOp op:
                w.Open($"if ({Text.Index(op.Axis)} == 0)");
                w.Line($"Blocks.Fill.Copy(arena, {R(0)}, {R(1)});");
                w.Close();
                w.Open("else");
                w.Line($"arena.Clear({R(1)});");
                w.Close();
                break;
            case SumOp op:
                (long outer, long count, long inner) = Run(x, op.Dims);
                w.Line($"Blocks.Reduce.Sum(arena, {outer}, {count}, {inner}, {R(0)}, {R(1)});");
                break;
            case ExtremeOp op:
                (outer, count, inner) = Run(x, op.Dims);
                w.Line($"Blocks.Reduce.Extreme(arena, {outer}, {count}, {inner}, {Text.Bool(op.IsMax)}, {R(0)}, {R(1)});");
                break;
            case ExtremeGradientOp op:
                (outer, count, inner) = Run(x, op.Dims);
                w.Line($"Blocks.Reduce.ExtremeBackward(arena, {outer}, {count}, {inner}, {R(0)}, {R(1)}, {R(2)}, {R(3)});");
                break;
            default:
                int part = 0;
                if (k.Op is LocalPadOp or PadOp)
                {
                    w.Line($"arena.Clear({R(outputs)});");
                }

                foreach (Move move in Moves(k))
                {
                    w.Line($"arena.Launch(IlgpuDevice.{k.Name}Part{part}, Launches.Flat(arena, {Count(move.Sizes)}), new IlgpuDevice.{k.Name}Arguments {{ Source = arena.View({R(move.Source)}), Target = arena.View({R(outputs)}), From = {move.From}, To = {move.To} }});");
                    part++;
                }

                break;
        }
    }

    public static void Device(IndentedWriter w, OpKernel k)
    {
        if (k.Op is AttentionOp or AttentionGradientOp)
        {
            IlgpuAttentionPrinter.Device(w, k);
        }
        else if (k.Op is DropoutOp dropout)
        {
            Dropout(w, k, dropout);
        }
        else if (k.Op is PermuteOp or BroadcastOp or SliceOp or LocalSliceOp or LocalPadOp or PadOp or ConcatOp)
        {
            DType from = k.Tensors[0].Element, to = k.Tensors[k.InputCount].Element;
            w.Open($"internal struct {k.Name}Arguments");
            w.Line(from == to ? $"public ArrayView<{Text.Element(from)}> Source, Target;" : $"public ArrayView<{Text.Element(from)}> Source; public ArrayView<{Text.Element(to)}> Target;");
            w.Line("public long From, To;");
            w.Close();
            w.Line();
            int part = 0;
            foreach (Move move in Moves(k))
            {
                long count = Count(move.Sizes);
                string integer = count < int.MaxValue ? "int" : "long";
                w.Open($"public static void {k.Name}Part{part++}({k.Name}Arguments a)");
                w.Open($"for (long e = DeviceMath.Thread(); e < {count}; e += DeviceMath.Threads())");
                w.Line($"{integer} i = ({integer})e;");
                Decompose(w, integer, move.Sizes);
                string source = "a.From + " + Offset(move.Strides), target = "a.To + " + Offset(move.Steps);
                w.Line(from == to ? $"a.Target[{target}] = a.Source[{source}];" : StoreElement(to, "a.Target", target, LoadElement(from, "a.Source", source)));
                w.Close();
                w.Close();
                w.Line();
            }
        }
    }

    /// <summary>A copy between strided views: target[To + Σ d·Steps] = source[From + Σ d·Strides].</summary>
    private sealed record Move(int Source, long[] Sizes, long[] Strides, long[] Steps, string From, string To);

    private static IEnumerable<Move> Moves(OpKernel k)
    {
        KernelTensor source = k.Tensors[0], target = k.Tensors[k.InputCount];
        long[] sizes = target.Local.ToArray(), from = Strides(source.Local), to = Strides(target.Local);
        EquatableArray<long> x = source.Local;
        switch (k.Op)
        {
            case PermuteOp op:
                yield return new Move(0, sizes, op.Order.Select(d => from[d]).ToArray(), to, "0", "0");
                break;
            case BroadcastOp:
                int lead = sizes.Length - x.Count;
                yield return new Move(0, sizes, sizes.Select((size, d) => d < lead || (source.Logical[d - lead] == 1 && target.Logical[d] != 1) || (x[d - lead] == 1 && size != 1) ? 0 : from[d - lead]).ToArray(), to, "0", "0");
                break;
            case SliceOp op:
                yield return new Move(0, sizes, from, to, Text.Number(op.Start * from[op.Dim]), "0");
                break;
            case LocalSliceOp op:
                yield return new Move(0, sizes, from, to, $"({Text.Offset(op.Start)}) * {from[op.Dim]}L", "0");
                break;
            case LocalPadOp op:
                yield return new Move(0, x.ToArray(), from, to, "0", $"({Text.Offset(op.Start)}) * {to[op.Dim]}L");
                break;
            case PadOp op:
                yield return new Move(0, x.ToArray(), from, to, "0", Text.Number(op.Before * to[op.Dim]));
                break;
            case ConcatOp op:
                long start = 0;
                for (int i = 0; i < k.InputCount; i++)
                {
                    yield return new Move(i, k.Tensors[i].Local.ToArray(), Strides(k.Tensors[i].Local), to, "0", Text.Number(start * to[op.Dim]));
                    start += k.Tensors[i].Local[op.Dim];
                }

                break;
            default:
                throw new InvalidOperationException($"no ILGPU text for {k.Op.Name}");
        }
    }

    /// <summary>y = x/(1 − p) where the element is kept: its mask is a function of the key and its index in the whole tensor.</summary>
    private static void Dropout(IndentedWriter w, OpKernel k, DropoutOp op)
    {
        KernelTensor y = k.Tensors[1];
        long count = Count(y.Local);
        string integer = count < int.MaxValue ? "int" : "long";
        w.Open($"internal struct {k.Name}Arguments");
        w.Line($"public ArrayView<{Text.Element(y.Element)}> X, Y;");
        w.Line("public DropoutKey Key;");
        w.Line("public long Start;");
        w.Close();
        w.Line();
        w.Open($"public static void {k.Name}({k.Name}Arguments a)");
        w.Open($"for (long e = DeviceMath.Thread(); e < {count}; e += DeviceMath.Threads())");
        w.Line($"{integer} i = ({integer})e;");
        Decompose(w, integer, y.Local.Count == 0 ? new long[] { 1 } : y.Local.ToArray());
        string index = y.Local.Count == 0 ? "0" : Offset(Strides(y.Logical));
        w.Line(StoreElement(y.Element, "a.Y", "i", $"a.Key.Draw((ulong)(a.Start + {index})) >= {(uint)(op.Probability * 4294967296.0)}u ? {LoadElement(y.Element, "a.X", "i")} * {Text.Float(1 / (1 - op.Probability))} : 0f"));
        w.Close();
        w.Close();
        w.Line();
    }

    /// <summary>Index of the first local element in the whole tensor.</summary>
    private static string Start(KernelTensor tensor)
    {
        long[] strides = Strides(tensor.Logical);
        var terms = tensor.Start.Select((s, d) => (Text: Text.Offset(s), Stride: strides[d])).Where(t => t.Text != "0").Select(t => $"({t.Text}) * {t.Stride}L").ToList();
        return terms.Count == 0 ? "0" : string.Join(" + ", terms);
    }

    public static long[] Strides(IReadOnlyList<long> dims)
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
