using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;

namespace Shardwright.Generators.Printing;

/// <summary>Prints elementwise bodies as device code: a step on scalars, called four times for each 128 bits, and once for each element where four cannot be read at once.</summary>
internal static class IlgpuElementwisePrinter
{
    private static readonly string[] s_parts = { "X", "Y", "Z", "W" };

    public static void Call(IndentedWriter w, ElementwiseKernel kernel) => Call(w, kernel.Name, kernel.Tensors, kernel.Body);

    /// <summary>The launch of a body over its index space.</summary>
    public static void Call(IndentedWriter w, string name, EquatableArray<KernelTensor> tensors, FusedBody body)
    {
        long count = Count(body.Dims);
        string offsets = string.Join(" | ", tensors.Select(t => t.Name + ".Offset"));
        w.Line(Quads(body) ? $"long _quads = (({offsets}) & 15) == 0 ? {count / 4} : 0;" : "const long _quads = 0;");
        w.Line($"arena.Launch(IlgpuDevice.{name}, Launches.Flat(arena, _quads > 0 ? _quads : {count}), new IlgpuDevice.{name}Arguments {{ {string.Join(", ", tensors.Select(t => $"@{t.Name} = arena.View({t.Name})"))}, Quads = _quads }});");
    }

    public static void Device(IndentedWriter w, ElementwiseKernel kernel)
    {
        Arguments(w, kernel.Name, kernel.Tensors, "public long Quads;");
        Step(w, kernel.Name, kernel.Body);
        Loops(w, kernel.Name, kernel.Tensors, kernel.Body, 0);
    }

    /// <summary>An element as a float.</summary>
    public static string LoadElement(DType element, string view, string at) => !Text.IsNarrow(element) ? $"{view}[{at}]" : $"Element.Load({view}, {at})";

    /// <summary>The statement that stores a float.</summary>
    public static string StoreElement(DType element, string view, string at, string value) => !Text.IsNarrow(element) ? $"{view}[{at}] = {value};" : $"Element.Store({view}, {at}, {value});";

    /// <summary>The struct of a kernel's arguments: a view for each tensor.</summary>
    public static void Arguments(IndentedWriter w, string name, EquatableArray<KernelTensor> tensors, params string[] more)
    {
        w.Open($"internal struct {name}Arguments");
        foreach (KernelTensor t in tensors)
        {
            w.Line($"public ArrayView<{Text.Element(t.Element)}> @{t.Name};");
        }

        foreach (string line in more)
        {
            w.Line(line);
        }

        w.Close();
        w.Line();
    }

    /// <summary>The body on one element.</summary>
    public static void Step(IndentedWriter w, string name, FusedBody body)
    {
        w.Line("[MethodImpl(MethodImplOptions.AggressiveInlining)]");
        w.Open($"private static void {name}Step({string.Join(", ", body.Inputs.Select((_, i) => $"float x{i}"))}{string.Concat(body.Outputs.Select((_, o) => $", out float y{o}"))})");
        for (int s = 0; s < body.Steps.Count; s++)
        {
            w.Line($"float v{s} = {Expression(body.Steps[s], body.Inputs.Count)}; // {body.StepNames[s]}");
        }

        for (int o = 0; o < body.Outputs.Count; o++)
        {
            w.Line($"y{o} = {Name(body.Outputs[o].Value, body.Inputs.Count)};");
        }

        w.Close();
        w.Line();
    }

    /// <summary>The kernel: quads first, then single elements.</summary>
    /// <param name="tile">Position of the tensor that −1 stands for.</param>
    public static void Loops(IndentedWriter w, string name, EquatableArray<KernelTensor> tensors, FusedBody body, int tile)
    {
        KernelTensor Tensor(int tensor) => tensors[tensor < 0 ? tile : tensor];
        string View(int tensor) => "a.@" + Tensor(tensor).Name;
        string Load(FusedInput input) => LoadElement(Tensor(input.Tensor).Element, View(input.Tensor), Offset(body, input));
        long count = Count(body.Dims);
        string integer = count < int.MaxValue ? "int" : "long";
        w.Open($"public static void {name}({name}Arguments a)");
        if (Quads(body))
        {
            w.Open("for (long q = DeviceMath.Thread(); q < a.Quads; q += DeviceMath.Threads())");
            w.Line($"{integer} i = ({integer})q * 4;");
            Decompose(w, integer, body.Dims);
            for (int i = 0; i < body.Inputs.Count; i++)
            {
                FusedInput input = body.Inputs[i];
                w.Line(Last(input) == 0
                    ? $"float s{i} = {Load(input)};"
                    : !Text.IsNarrow(Tensor(input.Tensor).Element) ? $"Float4 q{i} = {View(input.Tensor)}.Cast<Float4>()[({Offset(body, input)}) >> 2];"
                    : $"Float4 q{i} = Element.LoadQuad({View(input.Tensor)}, ({Offset(body, input)}) >> 2);");
            }

            w.Line("Float4 " + string.Join(", ", body.Outputs.Select((_, o) => "z" + o)) + ";");
            foreach (string part in s_parts)
            {
                w.Line($"{name}Step({string.Join(", ", body.Inputs.Select((input, i) => Last(input) == 0 ? $"s{i}" : $"q{i}.{part}"))}{string.Concat(body.Outputs.Select((_, o) => $", out z{o}.{part}"))});");
            }

            for (int o = 0; o < body.Outputs.Count; o++)
            {
                w.Line(!Text.IsNarrow(Tensor(body.Outputs[o].Tensor).Element) ? $"{View(body.Outputs[o].Tensor)}.Cast<Float4>()[q] = z{o};" : $"Element.StoreQuad({View(body.Outputs[o].Tensor)}, q, z{o});");
            }

            w.Close();
            w.Line();
        }

        w.Open($"for (long e = a.Quads * 4 + DeviceMath.Thread(); e < {count}; e += DeviceMath.Threads())");
        w.Line($"{integer} i = ({integer})e;");
        Decompose(w, integer, body.Dims);
        w.Line($"{name}Step({string.Join(", ", body.Inputs.Select(Load))}{string.Concat(body.Outputs.Select((_, o) => $", out float z{o}"))});");
        for (int o = 0; o < body.Outputs.Count; o++)
        {
            w.Line(StoreElement(Tensor(body.Outputs[o].Tensor).Element, View(body.Outputs[o].Tensor), "i", "z" + o));
        }

        w.Close();
        w.Close();
        w.Line();
    }

    /// <summary>Splits the index i of an element into d0, d1, … along sizes; the outermost takes the rest.</summary>
    public static void Decompose(IndentedWriter w, string integer, IReadOnlyList<long> dims)
    {
        string rest = "i";
        for (int d = dims.Count - 1; d > 0; d--)
        {
            w.Line($"{integer} d{d} = {rest} % {dims[d]}, r{d} = {rest} / {dims[d]};");
            rest = "r" + d;
        }

        w.Line($"{integer} d0 = {rest};");
    }

    /// <summary>Σ d·stride.</summary>
    public static string Offset(IReadOnlyList<long> strides)
    {
        var terms = strides.Select((s, d) => (s, d)).Where(t => t.s != 0).Select(t => t.s == 1 ? $"d{t.d}" : $"d{t.d} * {(t.s > int.MaxValue ? t.s + "L" : Text.Number(t.s))}").ToList();
        return terms.Count == 0 ? "0" : string.Join(" + ", terms);
    }

    public static long Count(IEnumerable<long> dims) => dims.Aggregate(1L, (a, b) => a * b);

    private static string Offset(FusedBody body, FusedInput input) => Offset(input.Strides);

    private static long Last(FusedInput input) => input.Strides[input.Strides.Count - 1];

    /// <summary>Whether rows and the steps between rows are multiples of four: then four elements of a row are read at once.</summary>
    private static bool Quads(FusedBody body) =>
        (body.Dims.Count == 1 ? body.Dims[0] >= 4 : body.Dims[body.Dims.Count - 1] % 4 == 0)
        && body.Inputs.All(input => Last(input) == 0 || input.Strides.Take(input.Strides.Count - 1).All(s => s % 4 == 0));

    private static string Name(int value, int inputs) => value < inputs ? "x" + value : "v" + (value - inputs);

    private static string Expression(ScalarExpression e, int inputs)
    {
        string Sub(ScalarExpression part) => Expression(part, inputs);
        switch (e)
        {
            case ScalarExpression.Constant c:
                return Text.Float(c.Value);
            case ScalarExpression.Input i:
                return Name(i.Index, inputs);
            case ScalarExpression.Unary u:
                return u.Kind == UnaryKind.Negate ? $"(-{Sub(u.Operand)})" : $"DeviceMath.{u.Kind}({Sub(u.Operand)})";
            case ScalarExpression.Select s:
                return $"DeviceMath.Select({Sub(s.Condition)}, {Sub(s.IfTrue)}, {Sub(s.IfFalse)})";
            case ScalarExpression.Binary b:
                string l = Sub(b.Left), r = Sub(b.Right);
                return b.Kind switch
                {
                    BinaryKind.Add => $"({l} + {r})",
                    BinaryKind.Subtract => $"({l} - {r})",
                    BinaryKind.Multiply => $"({l} * {r})",
                    BinaryKind.Divide => $"({l} / {r})",
                    BinaryKind.Min => $"MathF.Min({l}, {r})",
                    BinaryKind.Max => $"MathF.Max({l}, {r})",
                    _ => $"DeviceMath.{b.Kind}({l}, {r})",
                };
            default:
                throw new InvalidOperationException($"no text for {e.GetType().Name}");
        }
    }
}
