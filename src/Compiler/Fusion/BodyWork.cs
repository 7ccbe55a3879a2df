using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Fusion;

/// <summary>What a fused body computes, in additions: the FLOPs of a plan count an activation as one, which is far from its time.</summary>
public static class BodyWork
{
    /// <summary>Range reduction, polynomial and scaling of a function.</summary>
    private const int Function = 24;

    /// <summary>A division, or a root, which occupies its unit for long.</summary>
    private const int Division = 8;

    /// <summary>Additions that take as long as the body on all its elements.</summary>
    public static double Of(FusedBody body) => body.Dims.Aggregate(1.0, (product, size) => product * size) * body.Steps.Sum(Of);

    private static double Of(ScalarExpression expression) => expression switch
    {
        ScalarExpression.Unary u => Of(u.Operand) + u.Kind switch
        {
            UnaryKind.Exp or UnaryKind.Log or UnaryKind.Sin or UnaryKind.Cos => Function,
            UnaryKind.Tanh or UnaryKind.Erf or UnaryKind.Sigmoid => Function + Division,
            UnaryKind.Sqrt => Division,
            _ => 1,
        },
        ScalarExpression.Binary b => Of(b.Left) + Of(b.Right) + b.Kind switch { BinaryKind.Divide => Division, BinaryKind.Power => 2 * Function, _ => 1 },
        ScalarExpression.Select s => 1 + Of(s.Condition) + Of(s.IfTrue) + Of(s.IfFalse),
        _ => 0,
    };
}
