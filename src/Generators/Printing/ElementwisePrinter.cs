using Shardwright.Compiler.Fusion;
using Shardwright.Compiler.Graph;

namespace Shardwright.Generators.Printing;

/// <summary>Prints elementwise bodies as vector loops.</summary>
internal static class ElementwisePrinter
{
    public static void Call(IndentedWriter w, ElementwiseKernel kernel)
    {
        string body = $"new {kernel.Name}Body(arena{string.Concat(kernel.Tensors.Select(t => ", " + t.Name))})";
        EquatableArray<long> dims = kernel.Body.Dims;
        w.Line(dims.Count == 1
            ? $"Blocks.Elementwise.Run(team, {dims[0]}, {body});"
            : $"Blocks.Elementwise.Rows(team, {dims.Take(dims.Count - 1).Aggregate(1L, (a, b) => a * b)}, {dims[dims.Count - 1]}, {body});");
    }

    /// <summary>The struct whose Run works on a run of elements, or of rows where arguments are broadcast.</summary>
    public static void Body(IndentedWriter w, ElementwiseKernel kernel)
    {
        FusedBody body = kernel.Body;
        Head(w, kernel, kernel.Name + "Body", "IRangeBody");
        w.Open("public void Run(long from, long to)");
        if (body.Dims.Count == 1)
        {
            Refs(w, kernel, body, i => null, _ => null);
            Loop(w, body, "from", "to", body.Dims[0]);
        }
        else
        {
            w.Open("for (long row = from; row < to; row++)");
            int last = body.Dims.Count - 1;
            string rest = "row";
            for (int d = last - 1; d > 0; d--)
            {
                w.Line($"long i{d} = {rest} % {body.Dims[d]};");
                w.Line($"long r{d} = {rest} / {body.Dims[d]};");
                rest = "r" + d;
            }

            string Index(int d) => d == 0 ? rest : "i" + d;
            string? Offset(IReadOnlyList<long> strides)
            {
                var terms = Enumerable.Range(0, last).Where(d => strides[d] != 0).Select(d => strides[d] == 1 ? Index(d) : $"{Index(d)} * {strides[d]}").ToList();
                return terms.Count == 0 ? null : string.Join(" + ", terms);
            }

            Refs(w, kernel, body, i => Offset(body.Inputs[i].Strides), _ => $"row * {body.Dims[last]}");
            Loop(w, body, "0", Text.Number(body.Dims[last]), body.Dims[last]);
            w.Close();
        }

        w.Close();
        w.Close();
        w.Line();
    }

    /// <summary>The struct whose Apply works on a finished tile of a product.</summary>
    public static void Epilogue(IndentedWriter w, GemmKernel kernel)
    {
        FusedBody body = kernel.Epilogue!;
        Head(w, kernel, kernel.Name + "Epilogue", "IEpilogue");
        w.Open("public void Apply(int row, int column, int rows, int columns)");
        w.Open("for (int r = row; r < row + rows; r++)");
        string Whole(IReadOnlyList<long> strides) => strides.Count == 1
            ? strides[0] == 0 ? "" : $"(long)r * {kernel.N} + column"
            : (strides[0] == 0 ? "" : $"(long)r * {strides[0]} + ") + (strides[1] == 0 ? "0" : "column");
        Refs(w, kernel, body, i => Whole(body.Inputs[i].Strides) is { Length: > 0 } text ? text : null, _ => $"(long)r * {kernel.N} + column");
        Asks(w, kernel, body);
        Loop(w, body, "0", "columns", kernel.N);
        w.Close();
        w.Close();
        w.Close();
        w.Line();
    }

    /// <summary>The tile is in cache; whole matrices beside it are read and written in pieces of rows, too short for the memory to see them coming.</summary>
    private static void Asks(IndentedWriter w, GemmKernel kernel, FusedBody body)
    {
        bool Beside(int tensor) => tensor >= 0 && tensor != kernel.C;
        for (int i = 0; i < body.Inputs.Count; i++)
        {
            EquatableArray<long> strides = body.Inputs[i].Strides;
            if (Beside(body.Inputs[i].Tensor) && strides[0] != 0 && strides[strides.Count - 1] == 1)
            {
                w.Line($"Blocks.Gemm.Ask(ref in{i}, {(strides.Count == 1 ? kernel.N : strides[0])}, columns);");
            }
        }

        for (int o = 0; o < body.Outputs.Count; o++)
        {
            if (Beside(body.Outputs[o].Tensor))
            {
                w.Line($"Blocks.Gemm.Ask(ref out{o}, {kernel.N}, columns);");
            }
        }
    }

    private static void Head(IndentedWriter w, KernelPlan kernel, string name, string contract)
    {
        w.Open($"private readonly struct {name} : {contract}");
        w.Line("private readonly Arena arena;");
        foreach (KernelTensor t in kernel.Tensors)
        {
            w.Line($"private readonly Slice<float> {t.Name};");
        }

        w.Line();
        w.Open($"public {name}(Arena arena{string.Concat(kernel.Tensors.Select(t => ", Slice<float> " + t.Name))})");
        w.Line("this.arena = arena;");
        foreach (KernelTensor t in kernel.Tensors)
        {
            w.Line($"this.{t.Name} = {t.Name};");
        }

        w.Close();
        w.Line();
    }

    private static int TensorOf(KernelPlan kernel, int tensor) => tensor >= 0 ? tensor : ((GemmKernel)kernel).C;

    private static void Refs(IndentedWriter w, KernelPlan kernel, FusedBody body, Func<int, string?> inputOffset, Func<int, string?> outputOffset)
    {
        string At(int tensor, string? offset)
        {
            string start = $"ref arena.Ref({kernel.Tensors[TensorOf(kernel, tensor)].Name})";
            return offset is null ? start : $"ref Unsafe.Add({start}, (nint)({offset}))";
        }

        for (int i = 0; i < body.Inputs.Count; i++)
        {
            w.Line($"ref float in{i} = {At(body.Inputs[i].Tensor, inputOffset(i))};");
        }

        for (int o = 0; o < body.Outputs.Count; o++)
        {
            w.Line($"ref float out{o} = {At(body.Outputs[o].Tensor, outputOffset(o))};");
        }
    }

    /// <summary>Vector loops, as wide as the machine has them, and the tail, which computes the same on what is left: an element's bits do not depend on where it
    /// lies. A tail that can never run is not printed: <paramref name="size"/> is what the length of every run is a multiple of, pieces of long runs included.</summary>
    private static void Loop(IndentedWriter w, FusedBody body, string from, string to, long size)
    {
        w.Line($"long i = {from};");
        w.Open("if (Vector512.IsHardwareAccelerated)");
        w.Open($"for (; i <= {to} - 16; i += 16)");
        Inner(w, body, "Vector512", part: false);
        w.Close();
        w.Close();
        w.Line();
        w.Open($"for (; i <= {to} - 8; i += 8)");
        Inner(w, body, "Vector256", part: false);
        w.Close();
        if (size % 8 != 0)
        {
            w.Line();
            w.Open($"if (i < {to})");
            w.Line($"int left = (int)({to} - i);");
            Inner(w, body, "Vector256", part: true);
            w.Close();
        }
    }

    private static void Inner(IndentedWriter w, FusedBody body, string vector, bool part)
    {
        for (int i = 0; i < body.Inputs.Count; i++)
        {
            bool scalar = body.Inputs[i].Strides[body.Inputs[i].Strides.Count - 1] == 0;
            w.Line($"{vector}<float> x{i} = " + (scalar ? $"{vector}.Create(in{i});" : part ? $"VectorMath.LoadPart(ref in{i}, i, left);" : $"{vector}.LoadUnsafe(ref in{i}, (nuint)i);"));
        }

        for (int s = 0; s < body.Steps.Count; s++)
        {
            w.Line($"{vector}<float> v{s} = {Expression(body.Steps[s], body.Inputs.Count, vector)}; // {body.StepNames[s]}");
        }

        for (int o = 0; o < body.Outputs.Count; o++)
        {
            string value = Name(body.Outputs[o].Value, body.Inputs.Count);
            w.Line(part ? $"VectorMath.StorePart({value}, ref out{o}, i, left);" : $"{value}.StoreUnsafe(ref out{o}, (nuint)i);");
        }
    }

    private static string Name(int value, int inputs) => value < inputs ? "x" + value : "v" + (value - inputs);

    private static string Expression(ScalarExpression e, int inputs, string vector)
    {
        string Sub(ScalarExpression part) => Expression(part, inputs, vector);
        switch (e)
        {
            case ScalarExpression.Constant c:
                return $"{vector}.Create({Text.Float(c.Value)})";
            case ScalarExpression.Input i:
                return Name(i.Index, inputs);
            case ScalarExpression.Unary u:
                return u.Kind == UnaryKind.Negate ? $"(-{Sub(u.Operand)})" : $"VectorMath.{u.Kind}({Sub(u.Operand)})";
            case ScalarExpression.Select s:
                return $"VectorMath.Select({Sub(s.Condition)}, {Sub(s.IfTrue)}, {Sub(s.IfFalse)})";
            case ScalarExpression.Binary b:
                string l = Sub(b.Left), r = Sub(b.Right);
                return b.Kind switch
                {
                    BinaryKind.Add => $"({l} + {r})",
                    BinaryKind.Subtract => $"({l} - {r})",
                    BinaryKind.Multiply => $"({l} * {r})",
                    BinaryKind.Divide => $"({l} / {r})",
                    BinaryKind.Min => $"{vector}.Min({l}, {r})",
                    BinaryKind.Max => $"{vector}.Max({l}, {r})",
                    BinaryKind.Power => $"VectorMath.Power({l}, {r})",
                    BinaryKind.Less => $"VectorMath.Flag({vector}.LessThan({l}, {r}))",
                    BinaryKind.LessOrEqual => $"VectorMath.Flag({vector}.LessThanOrEqual({l}, {r}))",
                    _ => $"VectorMath.Flag({vector}.Equals({l}, {r}))",
                };
            default:
                throw new InvalidOperationException($"no text for {e.GetType().Name}");
        }
    }
}
