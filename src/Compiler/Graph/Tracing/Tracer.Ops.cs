using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Compiler.Graph.Tracing;

/// <summary>Calls of Ops: each becomes one node, or a few.</summary>
public sealed partial class Tracer
{
    private object? OpCall(Expression.OpCall call, LayerInstance layer, Dictionary<string, object?> locals)
    {
        var arguments = new Dictionary<string, object?>();
        foreach (Argument argument in call.Arguments)
        {
            arguments[argument.Name] = Evaluate(argument.Value, layer, locals);
        }

        At(layer, call.Site, call.Source);
        Value Tensor(string name) => arguments.TryGetValue(name, out object? v) && v is Value value ? value : throw new TraceException(null);
        Value? Optional(string name) => arguments.TryGetValue(name, out object? v) ? v as Value : null;
        long Integer(string name, long otherwise) => arguments.TryGetValue(name, out object? v) ? ToLong(v) : otherwise;
        float Number(string name, double otherwise) => (float)(arguments.TryGetValue(name, out object? v) ? ToDouble(v) : otherwise);
        bool Flag(string name) => arguments.TryGetValue(name, out object? v) && v is true;
        long[] Integers(string name) => arguments.TryGetValue(name, out object? v) && v is object?[] items ? items.Select(ToLong).ToArray() : throw new TraceException(null);
        int Dim(Value x, string name) => NormalDim(x, Integer(name, 0));

        if (Functions.Find(call.Name) is { } function && call.Name is not "Tanh" and not "Where" || call.Name is "Tanh" or "Where")
        {
            ElementwiseOp op = Functions.Find(call.Name)!;
            return Add(op, call.Arguments.Select(a => Tensor(a.Name)).ToArray());
        }

        switch (call.Name)
        {
            case "MatMul":
                return Product(call, layer, "a", "b", Tensor("a"), Tensor("b"));
            case "Linear":
                Value product = Product(call, layer, "x", "weight", Tensor("x"), Tensor("weight"));
                return Optional("bias") is { } bias ? Add(Functions.Find("Add")!, product, bias) : product;
            case "Gelu":
                return Add(arguments.TryGetValue("form", out object? form) && form is "Erf" ? Functions.GeluErf : Functions.GeluTanh, Tensor("x"));
            case "Softmax":
                return Add(new SoftmaxOp(), Tensor("x"));
            case "LogSoftmax":
                return Add(new SoftmaxOp(Logarithm: true), Tensor("x"));
            case "LayerNorm":
                return Add(new LayerNormOp(Number("epsilon", 1e-5f)), Tensor("x"), Tensor("scale"), Tensor("shift"));
            case "RmsNorm":
                return Add(new RmsNormOp(Number("epsilon", 1e-6f)), Tensor("x"), Tensor("scale"));
            case "Embedding":
                return Add(new EmbeddingOp(), Tensor("ids"), Tensor("table"));
            case "CrossEntropy":
                Value? weights = Optional("weights");
                var rows = new List<Value> { Tensor("logits"), Tensor("targets") };
                if (weights is not null)
                {
                    rows.Add(weights);
                }

                return Add(new CrossEntropyOp((int)Integer("ignoreIndex", -100), weights is not null), rows.ToArray());
            case "Attention":
                return Attention(Tensor("q"), Tensor("k"), Tensor("v"), Flag("causal"), Number("scale", 0), Optional("segments"));
            case "Dropout":
                float probability = Number("probability", 0);
                int ordinal = _dropouts++;
                return _training && probability != 0 ? Add(new DropoutOp(probability, ordinal.ToString(System.Globalization.CultureInfo.InvariantCulture)), Tensor("x")) : Tensor("x");
            case "Reshape":
                return Reshape(Tensor("x"), Integers("shape"));
            case "Transpose":
                Value t = Tensor("x");
                int first = call.Arguments.Count > 1 ? Dim(t, "first") : t.Type.Rank - 2, second = call.Arguments.Count > 1 ? Dim(t, "second") : t.Type.Rank - 1;
                return t.Type.Rank < 2
                    ? throw new TraceException(Finding.At("SW0003", _builder.Site, $"Transpose of '{t.Name}' {t.Type.ShapeText}: it needs two dims"))
                    : Add(new PermuteOp(Enumerable.Range(0, t.Type.Rank).Select(d => d == first ? second : d == second ? first : d).ToEquatable()), t);
            case "Permute":
                Value p = Tensor("x");
                return Add(new PermuteOp(Integers("dims").Select(d => NormalDim(p, d)).ToEquatable()), p);
            case "Split":
                return Split(Tensor("x"), Integer("parts", 1), Dim(Tensor("x"), "dim"));
            case "Concat":
                Value[] parts = Tensors(arguments.TryGetValue("parts", out object? joined) ? joined : null);
                return Add(new ConcatOp(NormalDim(parts[0], Integer("dim", 0))), parts);
            case "Stack":
                return StackParts(Tensors(arguments.TryGetValue("parts", out object? stacked) ? stacked : null), (int)Integer("dim", 0));
            case "Slice":
                return Add(new SliceOp(Dim(Tensor("x"), "dim"), Integer("start", 0), Integer("length", 1)), Tensor("x"));
            case "Sum":
            case "Mean":
            case "Max":
            case "Min":
                return Reduce(call.Name, Tensor("x"), arguments.ContainsKey("dim") ? Dim(Tensor("x"), "dim") : null, Flag("keepDim"));
            case "Range":
                return Add(new RangeOp(Integer("count", 0)));
            case "Rope":
                return Add(new RopeOp(Number("theta", 10000), false), Tensor("x"));
            case "Cast":
                Value x = call.Arguments.Count > 0 ? Tensor(call.Arguments[0].Name) : throw new TraceException(null);
                return x.Type.Element == DType.Float32 ? x : Add(new CastOp(DType.Float32), x);
            case "AddLoss":
                Value term = Tensor("value");
                if (!IsCrossEntropy(term) && term.Type.Rank > 0)
                {
                    term = Add(new SumOp(Enumerable.Range(0, term.Type.Rank).ToEquatable(), false), term);
                }

                Graph.Losses.Add((term, Number("weight", 1)));
                return null;
            case "Reshard":
                Value placed = Add(new ElementwiseOp("Reshard", ScalarExpression.In(0)), Tensor("x"));
                placed.Name = Tensor("x").Name;
                foreach (object? item in (arguments.TryGetValue("placements", out object? places) ? places : null) as object?[] ?? Array.Empty<object?>())
                {
                    if (item is ValueTuple<string, Placement> request)
                    {
                        AddRequest(placed, request.Item1, request.Item2, _builder.Site, $"'{placed.Name}'");
                    }
                }

                return placed;
            case "Parameter":
                throw new TraceException(Finding.At("SW0002", _builder.Site, $"'{call.Source}' makes a parameter while the model runs: declare it as a field, readonly Tensor … = {call.Source}, and use the field here"));
            default:
                throw new TraceException(Finding.At("SW0002", _builder.Site, $"Ops.{call.Name} is not known to this version of the compiler: use a Shardwright package whose runtime and compiler have one version"));
        }
    }

    private Value[] Tensors(object? list) => list is object?[] items && items.Length > 0 ? items.Select(i => i as Value ?? throw new TraceException(null)).ToArray() : throw new TraceException(null);

    private int NormalDim(Value x, long dim)
    {
        long normal = dim < 0 ? dim + x.Type.Rank : dim;
        return normal >= 0 && normal < x.Type.Rank
            ? (int)normal
            : throw new TraceException(Finding.At("SW0003", _builder.Site, $"dim {dim} of '{x.Name}' does not exist: its shape is {x.Type.ShapeText}"));
    }

    /// <summary>A product; where its shapes do not match and would with an operand transposed, the finding offers that.</summary>
    private Value Product(Expression.OpCall call, LayerInstance layer, string left, string right, Value a, Value b)
    {
        try
        {
            return MatMul(a, b);
        }
        catch (TraceException refused) when (refused.Finding is { Id: "SW0003" } finding && a.Type.Rank > 1 && b.Type.Rank > 1)
        {
            var op = new MatMulOp(false, false);
            var fixes = new List<Fix>();
            Offer(right, a.Type, Swapped(b.Type));
            Offer(left, Swapped(a.Type), b.Type);
            throw new TraceException(finding with { Fixes = fixes.ToEquatable() });

            void Offer(string operand, TensorType x, TensorType y)
            {
                try
                {
                    op.Infer(ImmutableArray.Create(x, y));
                }
                catch (ShapeException)
                {
                    return;
                }

                if (call.Arguments.FirstOrDefault(g => g.Name == operand) is { Value.Site: >= 0 and int site })
                {
                    fixes.Add(Fix.Of($"Transpose the {(operand == left ? "first" : "second")} operand", "SW0003/transpose-" + (operand == left ? "first" : "second"), EditKind.Wrap, layer.Definition.Type + "#" + site, "Transpose"));
                }
            }

            static TensorType Swapped(TensorType type) => type.With(type.Dims.Take(type.Rank - 2).Append(type.Dims[type.Rank - 1]).Append(type.Dims[type.Rank - 2]));
        }
    }

    /// <summary>A transposed operand becomes a flag of the product: nothing is moved.</summary>
    private Value MatMul(Value a, Value b)
    {
        bool transposeB = Transposed(b) is not null;
        Value right = Transposed(b) ?? b;
        bool transposeA = Transposed(a) is not null && (a.Type.Rank == 2 || b.Type.Rank == a.Type.Rank);
        Value left = transposeA ? Transposed(a)! : a;
        if (a.Type.Rank < 2 || b.Type.Rank < 2)
        {
            (left, right, transposeA, transposeB) = (a, b, false, false);
        }

        return Add(new MatMulOp(transposeA, transposeB), left, right);
    }

    private static Value? Transposed(Value value)
    {
        if (value.Producer is not { Op: PermuteOp permute } producer || permute.Order.Count < 2)
        {
            return null;
        }

        int rank = permute.Order.Count;
        bool swapped = permute.Order[rank - 1] == rank - 2 && permute.Order[rank - 2] == rank - 1 && Enumerable.Range(0, rank - 2).All(d => permute.Order[d] == d);
        return swapped ? producer.Inputs[0] : null;
    }

    private Value Attention(Value q, Value k, Value v, bool causal, float scale, Value? segments)
    {
        if (scale == 0 && q.Type.Rank == 4)
        {
            scale = (float)(1 / Math.Sqrt(q.Type.Dims[3]));
        }

        var op = new AttentionOp(causal, scale, segments is not null);
        return segments is null ? Add(op, q, k, v) : Add(op, q, k, v, segments);
    }

    private Value Reshape(Value x, long[] shape)
    {
        int open = Array.IndexOf(shape, -1L);
        if (open >= 0)
        {
            long known = shape.Where((_, i) => i != open).Aggregate(1L, (product, size) => checked(product * size));
            if (known <= 0 || x.Type.Count % known != 0 || Array.LastIndexOf(shape, -1L) != open)
            {
                throw new TraceException(Finding.At("SW0003", _builder.Site, $"Reshape of '{x.Name}' {x.Type.ShapeText} to [{string.Join(", ", shape)}]: {x.Type.Count} elements are not a multiple of {known}, or there is more than one −1"));
            }

            shape[open] = x.Type.Count / known;
        }

        return Add(new ReshapeOp(EquatableArray.Of(shape)), x);
    }

    private object Split(Value x, long parts, int dim)
    {
        long size = x.Type.Dims[dim];
        if (parts < 1 || size % parts != 0)
        {
            throw new TraceException(Finding.At("SW0003", _builder.Site, $"Split of '{x.Name}' {x.Type.ShapeText} into {parts} along dim {dim}: {size} is not a multiple of {parts}"));
        }

        return Enumerable.Range(0, (int)parts).Select(i => (object?)Add(new SliceOp(dim, i * (size / parts), size / parts), x)).ToArray();
    }

    private Value StackParts(Value[] parts, int dim)
    {
        int at = dim < 0 ? dim + parts[0].Type.Rank + 1 : dim;
        if (at < 0 || at > parts[0].Type.Rank)
        {
            throw new TraceException(Finding.At("SW0003", _builder.Site, $"Stack along dim {dim} of {parts[0].Type.ShapeText}: dims are 0 to {parts[0].Type.Rank}"));
        }

        return Add(new ConcatOp(at), parts.Select(p => Add(new ReshapeOp(p.Type.Dims.Take(at).Append(1).Concat(p.Type.Dims.Skip(at)).ToEquatable()), p)).ToArray());
    }

    private Value Reduce(string name, Value x, int? dim, bool keep)
    {
        EquatableArray<int> dims = dim is { } one ? EquatableArray.Of(one) : Enumerable.Range(0, x.Type.Rank).ToEquatable();
        if (name is "Max" or "Min")
        {
            return Add(new ExtremeOp(dims, keep, name == "Max"), x);
        }

        Value sum = Add(new SumOp(dims, keep), x);
        long count = dims.Aggregate(1L, (product, d) => product * x.Type.Dims[d]);
        return name == "Sum" ? sum : Add(Functions.Scale(1.0 / count), sum);
    }
}
