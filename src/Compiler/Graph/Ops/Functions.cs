using static Shardwright.Compiler.Graph.ScalarExpression;

namespace Shardwright.Compiler.Graph.Ops;

/// <summary>The built-in elementwise functions: one line each.</summary>
public static class Functions
{
    private static readonly Dictionary<string, ElementwiseOp> s_functions = new[]
    {
        new ElementwiseOp("Add", In(0) + In(1)),
        new ElementwiseOp("Subtract", In(0) - In(1)),
        new ElementwiseOp("Multiply", In(0) * In(1)),
        new ElementwiseOp("Divide", In(0) / In(1)),
        new ElementwiseOp("Negate", -In(0)),
        new ElementwiseOp("Relu", new Select(new Binary(BinaryKind.Less, 0, In(0)), In(0), 0)),
        new ElementwiseOp("Silu", In(0) * new Unary(UnaryKind.Sigmoid, In(0))),
        new ElementwiseOp("Sigmoid", new Unary(UnaryKind.Sigmoid, In(0))),
        new ElementwiseOp("Tanh", new Unary(UnaryKind.Tanh, In(0))),
        new ElementwiseOp("Exp", new Unary(UnaryKind.Exp, In(0))),
        new ElementwiseOp("Log", new Unary(UnaryKind.Log, In(0))),
        new ElementwiseOp("Sqrt", new Unary(UnaryKind.Sqrt, In(0))),
        new ElementwiseOp("Square", In(0) * In(0)),
        new ElementwiseOp("Maximum", new Binary(BinaryKind.Max, In(0), In(1))),
        new ElementwiseOp("Minimum", new Binary(BinaryKind.Min, In(0), In(1))),
        new ElementwiseOp("Greater", new Binary(BinaryKind.Less, In(1), In(0))),
        new ElementwiseOp("Less", new Binary(BinaryKind.Less, In(0), In(1))),
        new ElementwiseOp("Equal", new Binary(BinaryKind.Equal, In(0), In(1))),
        new ElementwiseOp("Where", new Select(In(0), In(1), In(2))),
    }.ToDictionary(f => f.Function);

    /// <summary>Gelu in its tanh form (Hendrycks and Gimpel, arXiv 1606.08415): 0.5x(1 + tanh(√(2/π)(x + 0.044715x³))), written as x·sigmoid(2u), which is equal.</summary>
    public static ElementwiseOp GeluTanh { get; } = new("Gelu", In(0) * new Unary(UnaryKind.Sigmoid, In(0) * ((ScalarExpression)(2 * Math.Sqrt(2 / Math.PI)) + In(0) * In(0) * (2 * Math.Sqrt(2 / Math.PI) * 0.044715))));

    /// <summary>Gelu in its exact form: 0.5x(1 + erf(x/√2)).</summary>
    public static ElementwiseOp GeluErf { get; } = new("GeluErf", In(0) * 0.5 * ((ScalarExpression)1 + new Unary(UnaryKind.Erf, In(0) * (1 / Math.Sqrt(2)))));

    /// <summary>All names.</summary>
    public static IEnumerable<string> Names => s_functions.Keys;

    /// <summary>A function by name, or null.</summary>
    public static ElementwiseOp? Find(string name) => s_functions.TryGetValue(name, out ElementwiseOp? op) ? op : null;

    /// <summary>Multiplication by a number.</summary>
    public static ElementwiseOp Scale(double factor) => new("Scale", In(0) * factor);

    /// <summary>Addition of a number: not linear, for each term of a partial value would get it.</summary>
    public static ElementwiseOp Offset(double number) => new("Offset", In(0) + number);
}
