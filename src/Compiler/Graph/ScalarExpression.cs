namespace Shardwright.Compiler.Graph;

/// <summary>Scalar functions of one argument.</summary>
public enum UnaryKind
{
    /// <summary>−x.</summary>
    Negate,

    /// <summary>eˣ.</summary>
    Exp,

    /// <summary>Natural logarithm.</summary>
    Log,

    /// <summary>Square root.</summary>
    Sqrt,

    /// <summary>Hyperbolic tangent.</summary>
    Tanh,

    /// <summary>Error function.</summary>
    Erf,

    /// <summary>1 / (1 + e⁻ˣ).</summary>
    Sigmoid,

    /// <summary>Sine, radians.</summary>
    Sin,

    /// <summary>Cosine, radians.</summary>
    Cos,

    /// <summary>Absolute value.</summary>
    Abs,
}

/// <summary>Scalar functions of two arguments.</summary>
public enum BinaryKind
{
    /// <summary>a + b.</summary>
    Add,

    /// <summary>a − b.</summary>
    Subtract,

    /// <summary>a · b.</summary>
    Multiply,

    /// <summary>a / b.</summary>
    Divide,

    /// <summary>The smaller.</summary>
    Min,

    /// <summary>The larger.</summary>
    Max,

    /// <summary>a to the power of b, a &gt; 0.</summary>
    Power,

    /// <summary>1 where a &lt; b, else 0.</summary>
    Less,

    /// <summary>1 where a ≤ b, else 0.</summary>
    LessOrEqual,

    /// <summary>1 where a = b, else 0.</summary>
    Equal,
}

/// <summary>A scalar function as a tree: the body of every elementwise op, built-in or a user's own. It is differentiated
/// symbolically, composed when ops are fused, and printed as vector code.</summary>
public abstract record ScalarExpression
{
    /// <summary>A number.</summary>
    public sealed record Constant(double Value) : ScalarExpression;

    /// <summary>The n-th argument.</summary>
    public sealed record Input(int Index) : ScalarExpression;

    /// <summary>A function of one argument.</summary>
    public sealed record Unary(UnaryKind Kind, ScalarExpression Operand) : ScalarExpression;

    /// <summary>A function of two arguments.</summary>
    public sealed record Binary(BinaryKind Kind, ScalarExpression Left, ScalarExpression Right) : ScalarExpression;

    /// <summary><paramref name="IfTrue"/> where <paramref name="Condition"/> is not 0, else <paramref name="IfFalse"/>.</summary>
    public sealed record Select(ScalarExpression Condition, ScalarExpression IfTrue, ScalarExpression IfFalse) : ScalarExpression;

    /// <summary>The n-th argument.</summary>
    public static ScalarExpression In(int index) => new Input(index);

    /// <summary>A number.</summary>
    public static implicit operator ScalarExpression(double value) => new Constant(value);

    /// <summary>Sum.</summary>
    public static ScalarExpression operator +(ScalarExpression a, ScalarExpression b) => ScalarAlgebra.Make(BinaryKind.Add, a, b);

    /// <summary>Difference.</summary>
    public static ScalarExpression operator -(ScalarExpression a, ScalarExpression b) => ScalarAlgebra.Make(BinaryKind.Subtract, a, b);

    /// <summary>Product.</summary>
    public static ScalarExpression operator *(ScalarExpression a, ScalarExpression b) => ScalarAlgebra.Make(BinaryKind.Multiply, a, b);

    /// <summary>Quotient.</summary>
    public static ScalarExpression operator /(ScalarExpression a, ScalarExpression b) => ScalarAlgebra.Make(BinaryKind.Divide, a, b);

    /// <summary>Negation.</summary>
    public static ScalarExpression operator -(ScalarExpression a) => ScalarAlgebra.Make(UnaryKind.Negate, a);
}
