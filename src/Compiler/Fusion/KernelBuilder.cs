using System.Text.RegularExpressions;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Ops;
using Shardwright.Compiler.Sharding;

namespace Shardwright.Compiler.Fusion;

/// <summary>Makes kernels of clusters, one for all clusters that do the same work on the same sizes.</summary>
public sealed class KernelBuilder
{
    private readonly List<KernelPlan> _kernels = new();
    private readonly Dictionary<KernelPlan, int> _byContent = new();
    private readonly HashSet<string> _names = new(StringComparer.OrdinalIgnoreCase);
    private readonly Dictionary<string, int> _tried = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>All kernels made so far.</summary>
    public IReadOnlyList<KernelPlan> Kernels => _kernels;

    /// <summary>The kernel of a cluster and the tensors that it takes, in the order of its parameters.</summary>
    /// <param name="step">The cluster.</param>
    /// <param name="made">What <see cref="Make"/> made of it.</param>
    public (int Kernel, ImmutableArray<LocalTensor> Tensors) Add(FusedStep step, (KernelPlan Kernel, ImmutableArray<LocalTensor> Tensors) made)
    {
        (KernelPlan kernel, ImmutableArray<LocalTensor> tensors) = made;
        KernelPlan content = kernel with { Name = "", Sources = default, Tensors = kernel.Tensors.Select(t => t with { Name = "" }).ToEquatable() };
        if (_byContent.TryGetValue(content, out int known))
        {
            EquatableArray<string> sources = _kernels[known].Sources.Concat(kernel.Sources).Distinct().Take(6).ToEquatable();
            _kernels[known] = _kernels[known] with { Sources = sources };
            return (known, tensors);
        }

        _kernels.Add(kernel with { Name = Unique(NameOf(step)) });
        _byContent[content] = _kernels.Count - 1;
        return (_kernels.Count - 1, tensors);
    }

    /// <summary>The kernel of a cluster, without a name, and its tensors.</summary>
    /// <param name="step">The cluster.</param>
    /// <param name="needed">Whether a tensor is needed outside of the cluster.</param>
    /// <param name="accumulates">Whether a product adds to its result from the second micro-batch on.</param>
    internal static (KernelPlan Kernel, ImmutableArray<LocalTensor> Tensors) Make(FusedStep step, Func<LocalTensor, bool> needed, bool accumulates) =>
        step.IsGemm ? Gemm(step, needed, accumulates) : step.IsElementwise ? Elementwise(step, needed) : Single(step.Ops[0]);

    private static (KernelPlan, ImmutableArray<LocalTensor>) Gemm(FusedStep step, Func<LocalTensor, bool> needed, bool accumulates)
    {
        LocalStep.Compute product = step.Ops[0];
        LocalTensor a = product.Inputs[0], b = product.Inputs[1], c = product.Outputs[0];
        var epilogue = step.Ops.Skip(1).ToList();
        List<LocalTensor> results = epilogue.SelectMany(o => o.Outputs).Where(needed).ToList();

        // The product's own memory is that of its result where it is needed itself; else the first result takes its place.
        LocalTensor tile = epilogue.Count == 0 || needed(c) || results.Count == 0 ? c : results[0];
        var inputs = step.Inputs.ToList();
        var outputs = new List<LocalTensor> { tile };
        outputs.AddRange(results.Where(r => r != tile));
        ImmutableArray<LocalTensor> tensors = inputs.Concat(outputs).ToImmutableArray();
        FusedBody? body = results.Count == 0 ? null : FusedBodyBuilder.Build(epilogue, c, t => t == tile && tile != c ? -1 : tensors.IndexOf(t), results);

        bool weight = product.Op is WeightGradientOp;
        var matmul = product.Op as MatMulOp;
        long batch = weight || b.Local.Rank == 2 ? 1 : c.Local.Dims.Take(c.Local.Rank - 2).Aggregate(1L, (x, y) => x * y);
        long m = weight ? c.Local.Dims[0] : c.Local.Count / batch / c.Local.Dims[c.Local.Rank - 1];
        long n = c.Local.Dims[c.Local.Rank - 1];
        long k = a.Local.Count / batch / m;
        long flops = 2 * batch * m * n * k + epilogue.Count * c.Local.Count;
        long moved = tensors.Sum(t => t.Local.Bytes);
        long saved = epilogue.SelectMany(o => o.Inputs).Where(t => step.Outputs.Contains(t)).Sum(t => t.Local.Bytes) + step.Outputs.Where(t => !needed(t) && t != tile).Sum(t => t.Local.Bytes);
        return (new GemmKernel(
            "", Describe(tensors, inputs.Count, product.Op), tensors.IndexOf(a), tensors.IndexOf(b), tensors.IndexOf(tile), batch, m, n, k,
            weight || matmul!.TransposeA, !weight && matmul!.TransposeB, accumulates, body, OpNames(step), Quotes(step), flops, moved, saved), tensors);
    }

    private static (KernelPlan, ImmutableArray<LocalTensor>) Elementwise(FusedStep step, Func<LocalTensor, bool> needed)
    {
        List<LocalTensor> results = step.Outputs.Where(needed).ToList();
        var inputs = step.Inputs.ToList();
        ImmutableArray<LocalTensor> tensors = inputs.Concat(results).ToImmutableArray();
        FusedBody body = FusedBodyBuilder.Build(step.Ops, null, t => tensors.IndexOf(t), results);
        long saved = step.Outputs.Where(t => !needed(t)).Sum(t => 2 * t.Local.Bytes);
        return (new ElementwiseKernel(
            "", Describe(tensors, inputs.Count, step.Ops[0].Op), body, OpNames(step), Quotes(step), step.Ops.Sum(o => o.Outputs[0].Local.Count), tensors.Sum(t => t.Local.Bytes), saved), tensors);
    }

    private static (KernelPlan, ImmutableArray<LocalTensor>) Single(LocalStep.Compute op)
    {
        ImmutableArray<LocalTensor> tensors = op.Inputs.AddRange(op.Outputs);
        EquatableArray<KernelTensor> described = Describe(tensors, op.Inputs.Length, op.Op);
        var types = new OperandTypes(op.Inputs.Select(t => t.Local).ToEquatable(), op.Outputs.Select(t => t.Local).ToEquatable());
        bool micro = op.Op is KeepFirstOp { Axis: "" } || op.Op is LocalSliceOp { Start.UsesMicroBatch: true } || described.Any(t => t.Start.Any(s => s.UsesMicroBatch));
        bool layer = op.Op is DropoutOp dropout && dropout.Key.Contains("{0}");
        long flops = op.Op is LocalOp ? op.Outputs.Sum(t => t.Local.Count) : op.Op.Flops(types);
        return (new OpKernel(
            "", described, op.Op, op.Inputs.Length, EquatableArray.Of(op.Op.Name),
            EquatableArray.Of(op.Node?.Source ?? ""), flops, tensors.Sum(t => t.Local.Bytes), micro, layer, layer ? op.Outputs[0].Stack : -1), tensors);
    }

    /// <summary>Positions matter only to ops that use them: all others share a kernel whatever the rank's piece is.</summary>
    private static EquatableArray<KernelTensor> Describe(ImmutableArray<LocalTensor> tensors, int inputs, Op op)
    {
        bool positions = op is EmbeddingOp or EmbeddingGradientOp or CrossEntropyOp or CrossEntropyGradientOp or CrossEntropySumsOp or RopeOp or RangeOp or DropoutOp or AttentionOp or AttentionGradientOp;
        var names = new HashSet<string>();
        return tensors.Select((t, i) =>
        {
            string name = Identifier(t.Name);
            string unique = name;
            for (int n = 2; !names.Add(unique); n++)
            {
                unique = name + n;
            }

            bool keep = positions && (op is not (EmbeddingOp or EmbeddingGradientOp) || t.Local.IsFloat);
            return new KernelTensor(
                unique, t.Local.Element, t.Local.Dims, keep ? t.Logical.Dims : t.Local.Dims,
                keep ? StartFor(op, t) : t.Local.Dims.Select(_ => Offset.Zero).ToEquatable(), i >= inputs);
        }).ToEquatable();
    }

    /// <summary>The dims whose position an op's text mentions; the rest is left out, so that no kernel takes a micro-batch it does not use.</summary>
    private static EquatableArray<Offset> StartFor(Op op, LocalTensor t)
    {
        int rank = t.Local.Rank;
        return t.Start.Select((start, dim) => op switch
        {
            DropoutOp => start,
            EmbeddingOp or EmbeddingGradientOp => rank == 2 && dim == 0 && t.Logical.Rank == 2 ? start : Offset.Zero,
            CrossEntropyOp or CrossEntropyGradientOp or CrossEntropySumsOp => dim == rank - 1 && rank > 0 ? start : Offset.Zero,
            RopeOp => dim == rank - 2 ? start : Offset.Zero,
            AttentionOp or AttentionGradientOp => dim == 1 && rank == 4 ? start : Offset.Zero,
            _ => start,
        }).ToEquatable();
    }

    private static EquatableArray<string> OpNames(FusedStep step) => step.Ops.Select(o => o.Op.Name).ToEquatable();

    private static EquatableArray<string> Quotes(FusedStep step) => step.Ops.Select(o => o.Node?.Source ?? "").Where(s => s.Length > 0).Distinct().Take(6).ToEquatable();

    private static string NameOf(FusedStep step)
    {
        Node? node = step.Ops[0].Node;
        string origin = node?.Origin ?? "";
        string last = origin.Split('.').LastOrDefault(p => p.Length > 0 && !p.StartsWith("{", StringComparison.Ordinal) && !char.IsDigit(p[0])) ?? "";
        string ops = string.Concat(step.Ops.Select(o => o.Op.Name).Take(3));
        string name = Pascal(last) + ops + (step.Ops.Count > 3 ? "Etc" : "");
        return node is { IsBackward: true } && !name.Contains("Gradient") ? name + "Backward" : name;
    }

    private string Unique(string name)
    {
        string unique = name;
        if (!_names.Add(unique))
        {
            // Names are never given back: the search goes on where it ended for this one.
            int n = _tried.TryGetValue(name, out int tried) ? tried : 1;
            do
            {
                unique = name + ++n;
            }
            while (!_names.Add(unique));
            _tried[name] = n;
        }

        return unique;
    }

    /// <summary>A C# identifier in camelCase.</summary>
    internal static string Identifier(string name)
    {
        string clean = new(name.Where(c => char.IsLetterOrDigit(c) || c == '_').ToArray());
        if (clean.Length == 0 || char.IsDigit(clean[0]))
        {
            clean = "value" + clean;
        }

        clean = char.ToLowerInvariant(clean[0]) + clean.Substring(1);
        return s_reserved.Contains(clean) || s_made.IsMatch(clean) ? clean + "Value" : clean;
    }

    private static string Pascal(string name) => name.Length == 0 ? "" : char.ToUpperInvariant(name[0]) + new string(name.Skip(1).Where(char.IsLetterOrDigit).ToArray());

    // Keywords, and names that emitted code uses itself.
    private static readonly HashSet<string> s_reserved = new((
        "abstract as base bool break byte case catch char checked class const continue decimal default delegate do double else enum event explicit extern false finally fixed float for foreach goto if implicit in int interface internal is lock long namespace new null object operator out override params private protected public readonly ref return sbyte sealed short sizeof stackalloc static string struct switch this throw true try typeof uint ulong unchecked unsafe ushort using virtual void volatile while " +
        "layer layers microBatch arena team kernels settings random group rank seed world from to i row column rows columns r m slot shape at batch chunk")
        .Split(' '));

    // Names that emitted code makes: rows of operands, coordinates and groups of axes, shapes of inputs, numbers of first layers, gathered parameters.
    private static readonly Regex s_made = new(@"^((in|out|i|r)[0-9]+|_span|first[A-Z].*|.*(Index|Group|Shape|Gathered))$", RegexOptions.CultureInvariant);
}
