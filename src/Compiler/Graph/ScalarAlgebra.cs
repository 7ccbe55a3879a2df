using static Shardwright.Compiler.Graph.ScalarExpression;

namespace Shardwright.Compiler.Graph;

/// <summary>Simplifies, differentiates and analyses scalar expressions.</summary>
public static class ScalarAlgebra
{
    /// <summary>A function of one argument, simplified.</summary>
    public static ScalarExpression Make(UnaryKind kind, ScalarExpression a) => (kind, a) switch
    {
        (UnaryKind.Negate, Constant c) => new Constant(-c.Value),
        (UnaryKind.Negate, Unary { Kind: UnaryKind.Negate } inner) => inner.Operand,
        _ => new Unary(kind, a),
    };

    /// <summary>A function of two arguments, simplified where that changes no result.</summary>
    public static ScalarExpression Make(BinaryKind kind, ScalarExpression a, ScalarExpression b)
    {
        if (a is Constant x && b is Constant y && kind <= BinaryKind.Divide)
        {
            return new Constant(Evaluate(kind, x.Value, y.Value));
        }

        return kind switch
        {
            BinaryKind.Add when IsConstant(a, 0) => b,
            BinaryKind.Add when IsConstant(b, 0) => a,
            BinaryKind.Add when b is Unary { Kind: UnaryKind.Negate } n => new Binary(BinaryKind.Subtract, a, n.Operand),
            BinaryKind.Subtract when IsConstant(b, 0) => a,
            BinaryKind.Subtract when IsConstant(a, 0) => Make(UnaryKind.Negate, b),
            BinaryKind.Multiply when IsConstant(a, 0) || IsConstant(b, 0) => new Constant(0),
            BinaryKind.Multiply when IsConstant(a, 1) => b,
            BinaryKind.Multiply when IsConstant(b, 1) => a,
            BinaryKind.Multiply when IsConstant(a, -1) => Make(UnaryKind.Negate, b),
            BinaryKind.Multiply when IsConstant(b, -1) => Make(UnaryKind.Negate, a),
            BinaryKind.Divide when IsConstant(b, 1) => a,
            BinaryKind.Divide when IsConstant(a, 0) => new Constant(0),
            _ => new Binary(kind, a, b),
        };
    }

    /// <summary>A choice, simplified: equal branches need no condition.</summary>
    public static ScalarExpression Make(ScalarExpression condition, ScalarExpression ifTrue, ScalarExpression ifFalse) =>
        ifTrue == ifFalse ? ifTrue : new Select(condition, ifTrue, ifFalse);

    /// <summary>Derivative with respect to one argument. Kinks take the derivative that PyTorch takes: 0 for relu at 0, half each for a tie of min or max.</summary>
    public static ScalarExpression Differentiate(ScalarExpression e, int input)
    {
        switch (e)
        {
            case Constant:
                return 0;
            case Input i:
                return i.Index == input ? 1 : 0;
            case Unary u:
                ScalarExpression inner = Differentiate(u.Operand, input);
                return IsConstant(inner, 0) ? inner : inner * Outer(u);
            case Binary b:
                return Differentiate(b, input);
            case Select s:
                ScalarExpression t = Differentiate(s.IfTrue, input), f = Differentiate(s.IfFalse, input);
                return Make(s.Condition, t, f);
            default:
                throw new InvalidOperationException($"no derivative for {e.GetType().Name}");
        }
    }

    private static ScalarExpression Outer(Unary u)
    {
        ScalarExpression x = u.Operand;
        return u.Kind switch
        {
            UnaryKind.Negate => -1,
            UnaryKind.Exp => u,
            UnaryKind.Log => (ScalarExpression)1 / x,
            UnaryKind.Sqrt => (ScalarExpression)0.5 / u,
            UnaryKind.Tanh => (ScalarExpression)1 - (ScalarExpression)u * u,
            UnaryKind.Erf => (ScalarExpression)(2 / Math.Sqrt(Math.PI)) * Make(UnaryKind.Exp, -(x * x)),
            UnaryKind.Sigmoid => (ScalarExpression)u * ((ScalarExpression)1 - u),
            UnaryKind.Sin => Make(UnaryKind.Cos, x),
            UnaryKind.Cos => -Make(UnaryKind.Sin, x),
            UnaryKind.Abs => new Select(new Binary(BinaryKind.Less, x, 0), -1, new Select(new Binary(BinaryKind.Less, 0, x), 1, 0)),
            _ => throw new InvalidOperationException($"no derivative for {u.Kind}"),
        };
    }

    private static ScalarExpression Differentiate(Binary b, int input)
    {
        ScalarExpression l = Differentiate(b.Left, input), r = Differentiate(b.Right, input);
        if (IsConstant(l, 0) && IsConstant(r, 0))
        {
            return 0;
        }

        switch (b.Kind)
        {
            case BinaryKind.Add:
                return l + r;
            case BinaryKind.Subtract:
                return l - r;
            case BinaryKind.Multiply:
                return l * b.Right + b.Left * r;
            case BinaryKind.Divide:
                return IsConstant(r, 0) ? l / b.Right : l / b.Right - b * r / b.Right;
            case BinaryKind.Min:
            case BinaryKind.Max:
                ScalarExpression tie = (l + r) * 0.5;
                (ScalarExpression less, ScalarExpression more) = b.Kind == BinaryKind.Max ? (r, l) : (l, r);
                return new Select(new Binary(BinaryKind.Equal, b.Left, b.Right), tie, new Select(new Binary(BinaryKind.Less, b.Left, b.Right), less, more));
            case BinaryKind.Power:
                ScalarExpression byBase = l * b.Right * Make(BinaryKind.Power, b.Left, b.Right - 1);
                return IsConstant(r, 0) ? byBase : byBase + r * b * Make(UnaryKind.Log, b.Left);
            default:
                return 0;
        }
    }

    /// <summary>Replaces arguments by expressions.</summary>
    public static ScalarExpression Substitute(ScalarExpression e, Func<int, ScalarExpression> inputs) => e switch
    {
        Input i => inputs(i.Index),
        Unary u => Make(u.Kind, Substitute(u.Operand, inputs)),
        Binary b => Make(b.Kind, Substitute(b.Left, inputs), Substitute(b.Right, inputs)),
        Select s => Make(Substitute(s.Condition, inputs), Substitute(s.IfTrue, inputs), Substitute(s.IfFalse, inputs)),
        _ => e,
    };

    /// <summary>Whether an argument occurs.</summary>
    public static bool Uses(ScalarExpression e, int input) => e switch
    {
        Input i => i.Index == input,
        Unary u => Uses(u.Operand, input),
        Binary b => Uses(b.Left, input) || Uses(b.Right, input),
        Select s => Uses(s.Condition, input) || Uses(s.IfTrue, input) || Uses(s.IfFalse, input),
        _ => false,
    };

    /// <summary>Whether the function is linear (no constant part) in a set of arguments taken together, the others fixed:
    /// then all of the set may be partial at once, and so is the result.</summary>
    public static bool IsLinear(ScalarExpression e, ImmutableArray<int> inputs)
    {
        if (!inputs.Any(i => Uses(e, i)))
        {
            return false;
        }

        foreach (int i in inputs)
        {
            ScalarExpression derivative = Differentiate(e, i);
            if (inputs.Any(j => Uses(derivative, j)))
            {
                return false;
            }
        }

        return IsConstant(Substitute(e, i => inputs.Contains(i) ? 0 : In(i)), 0);
    }

    /// <summary>Evaluates in double precision.</summary>
    public static double Evaluate(ScalarExpression e, IReadOnlyList<double> inputs) => e switch
    {
        Constant c => c.Value,
        Input i => inputs[i.Index],
        Unary u => Evaluate(u.Kind, Evaluate(u.Operand, inputs)),
        Binary b => Evaluate(b.Kind, Evaluate(b.Left, inputs), Evaluate(b.Right, inputs)),
        Select s => Evaluate(s.Condition, inputs) != 0 ? Evaluate(s.IfTrue, inputs) : Evaluate(s.IfFalse, inputs),
        _ => throw new InvalidOperationException($"cannot evaluate {e.GetType().Name}"),
    };

    private static double Evaluate(UnaryKind kind, double x) => kind switch
    {
        UnaryKind.Negate => -x,
        UnaryKind.Exp => Math.Exp(x),
        UnaryKind.Log => Math.Log(x),
        UnaryKind.Sqrt => Math.Sqrt(x),
        UnaryKind.Tanh => Math.Tanh(x),
        UnaryKind.Erf => ErrorFunction.Value(x),
        UnaryKind.Sigmoid => 1 / (1 + Math.Exp(-x)),
        UnaryKind.Sin => Math.Sin(x),
        UnaryKind.Cos => Math.Cos(x),
        _ => Math.Abs(x),
    };

    private static double Evaluate(BinaryKind kind, double a, double b) => kind switch
    {
        BinaryKind.Add => a + b,
        BinaryKind.Subtract => a - b,
        BinaryKind.Multiply => a * b,
        BinaryKind.Divide => a / b,
        BinaryKind.Min => Math.Min(a, b),
        BinaryKind.Max => Math.Max(a, b),
        BinaryKind.Power => Math.Pow(a, b),
        BinaryKind.Less => a < b ? 1 : 0,
        BinaryKind.LessOrEqual => a <= b ? 1 : 0,
        _ => a == b ? 1 : 0,
    };

    private static bool IsConstant(ScalarExpression e, double value) => e is Constant c && c.Value == value;
}
