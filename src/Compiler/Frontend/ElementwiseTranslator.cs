using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Operations;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Frontend;

/// <summary>Inlines a user's [Elementwise] function into a scalar expression: arithmetic, MathF, comparisons in ?:, locals.</summary>
internal sealed class ElementwiseTranslator
{
    private const int MaxNodes = 10_000;
    private readonly LayerContext _context;
    private readonly BodyTranslator _body;
    private int _nodes;
    private int _level;

    public ElementwiseTranslator(LayerContext context, BodyTranslator body)
    {
        _context = context;
        _body = body;
    }

    public static bool IsElementwise(IMethodSymbol method) => method.GetAttributes().Any(a => Names.Is(a, "Elementwise"));

    /// <summary>Map(x, …, function).</summary>
    public Expression Call(IInvocationOperation invocation, string quote)
    {
        List<IArgumentOperation> arguments = BodyTranslator.OrderedArguments(invocation).ToList();
        IOperation function = arguments[arguments.Count - 1].Value;
        while (function is IConversionOperation or IDelegateCreationOperation)
        {
            function = function is IConversionOperation c ? c.Operand : ((IDelegateCreationOperation)function).Target;
        }

        ScalarExpression? body = null;
        string name = "Map";
        if (function is IMethodReferenceOperation { Method: { } method })
        {
            name = method.Name;
            if (!IsElementwise(method))
            {
                return _context.Sites.Refuse(function.Syntax, $"'{method.Name}' is not marked [Elementwise]: put the attribute on the static float method, so that it is compiled and differentiated");
            }

            body = Inline(method, Enumerable.Range(0, method.Parameters.Length).Select(ScalarExpression.In).ToArray(), function.Syntax, 0);
        }
        else if (function is IAnonymousFunctionOperation lambda)
        {
            body = Block(lambda.Body.Operations, Scope(lambda.Symbol, ScalarExpression.In), 0);
        }

        // Operands are read whatever the function is: layers in them are used.
        EquatableArray<Expression> operands = arguments.Take(arguments.Count - 1).Select(a => _body.Expression(a.Value)).ToEquatable();
        return body is null ? new Expression.Unknown(-1) : new Expression.ElementwiseCall(name, body, operands, quote, _context.Sites.Add(invocation.Syntax));
    }

    private ScalarExpression? Inline(IMethodSymbol method, ScalarExpression[] arguments, SyntaxNode at, int depth)
    {
        if (depth > 20 || method.DeclaringSyntaxReferences.FirstOrDefault()?.GetSyntax(_context.Cancellation) is not MethodDeclarationSyntax declaration)
        {
            _context.Sites.Refuse(at, $"'{method.Name}' cannot be inlined: an [Elementwise] function must be in source and must not call itself");
            return null;
        }

        _context.Read(method.ContainingType);
        if (_context.Model(declaration.SyntaxTree).GetOperation(declaration, _context.Cancellation) is not IMethodBodyOperation body)
        {
            return null;
        }

        return Block((body.BlockBody ?? body.ExpressionBody)?.Operations ?? ImmutableArray<IOperation>.Empty, Scope(method, i => i < arguments.Length ? arguments[i] : 0), depth);
    }

    /// <summary>Parameters by name; half-typed code may have two of one name.</summary>
    private static Dictionary<string, ScalarExpression> Scope(IMethodSymbol method, Func<int, ScalarExpression> argument)
    {
        var scope = new Dictionary<string, ScalarExpression>();
        foreach (IParameterSymbol parameter in method.Parameters)
        {
            scope[parameter.Name] = argument(parameter.Ordinal);
        }

        return scope;
    }

    private ScalarExpression? Block(IEnumerable<IOperation> operations, Dictionary<string, ScalarExpression> scope, int depth)
    {
        foreach (IOperation operation in operations)
        {
            switch (operation)
            {
                case IVariableDeclarationGroupOperation group:
                    foreach (IVariableDeclaratorOperation declarator in group.Declarations.SelectMany(d => d.Declarators))
                    {
                        if (declarator.GetVariableInitializer() is not { } initializer || Scalar(initializer.Value, scope, depth) is not { } value)
                        {
                            return null;
                        }

                        scope[declarator.Symbol.Name] = value;
                    }

                    break;
                case IReturnOperation { ReturnedValue: { } result }:
                    return Scalar(result, scope, depth);
                default:
                    Refuse(operation);
                    return null;
            }
        }

        return null;
    }

    private ScalarExpression? Scalar(IOperation operation, Dictionary<string, ScalarExpression> scope, int depth)
    {
        if (++_nodes > MaxNodes || _level >= BodyTranslator.MaxDepth)
        {
            Refuse(operation);
            return null;
        }

        _level++;
        ScalarExpression? result = ScalarOf(operation, scope, depth);
        _level--;
        return result;
    }

    private ScalarExpression? ScalarOf(IOperation operation, Dictionary<string, ScalarExpression> scope, int depth)
    {

        if (operation.ConstantValue is { HasValue: true, Value: { } constant } && constant is float or double or int or long)
        {
            _context.Fix(operation);
            return Convert.ToDouble(constant, System.Globalization.CultureInfo.InvariantCulture);
        }

        switch (operation)
        {
            case IConversionOperation conversion:
                return Scalar(conversion.Operand, scope, depth);
            case IParenthesizedOperation parenthesized:
                return Scalar(parenthesized.Operand, scope, depth);
            case IParameterReferenceOperation parameter when scope.TryGetValue(parameter.Parameter.Name, out ScalarExpression? value):
                return value;
            case ILocalReferenceOperation local when scope.TryGetValue(local.Local.Name, out ScalarExpression? value):
                return value;
            case IUnaryOperation { OperatorKind: UnaryOperatorKind.Minus } unary:
                return Scalar(unary.Operand, scope, depth) is { } negated ? -negated : null;
            case IBinaryOperation binary when Scalar(binary.LeftOperand, scope, depth) is { } left && Scalar(binary.RightOperand, scope, depth) is { } right:
                switch (binary.OperatorKind)
                {
                    case BinaryOperatorKind.Add: return left + right;
                    case BinaryOperatorKind.Subtract: return left - right;
                    case BinaryOperatorKind.Multiply: return left * right;
                    case BinaryOperatorKind.Divide: return left / right;
                    case BinaryOperatorKind.LessThan: return new ScalarExpression.Binary(BinaryKind.Less, left, right);
                    case BinaryOperatorKind.LessThanOrEqual: return new ScalarExpression.Binary(BinaryKind.LessOrEqual, left, right);
                    case BinaryOperatorKind.GreaterThan: return new ScalarExpression.Binary(BinaryKind.Less, right, left);
                    case BinaryOperatorKind.GreaterThanOrEqual: return new ScalarExpression.Binary(BinaryKind.LessOrEqual, right, left);
                    case BinaryOperatorKind.Equals: return new ScalarExpression.Binary(BinaryKind.Equal, left, right);
                }

                break;
            case IConditionalOperation { WhenFalse: { } otherwise } conditional:
                return Scalar(conditional.Condition, scope, depth) is { } c && Scalar(conditional.WhenTrue, scope, depth) is { } t && Scalar(otherwise, scope, depth) is { } f
                    ? new ScalarExpression.Select(c, t, f)
                    : null;
            case IInvocationOperation { TargetMethod.IsStatic: true } call:
                var arguments = BodyTranslator.OrderedArguments(call).Select(a => Scalar(a.Value, scope, depth)).ToArray();
                if (arguments.Any(a => a is null))
                {
                    return null;
                }

                if (call.TargetMethod.ContainingType.Name is "MathF" or "Math" && Math(call.TargetMethod.Name, arguments!) is { } math)
                {
                    return math;
                }

                if (IsElementwise(call.TargetMethod))
                {
                    return Inline(call.TargetMethod, arguments!, call.Syntax, depth + 1);
                }

                break;
            case IInvalidOperation:
                return null;
        }

        Refuse(operation);
        return null;
    }

    private static ScalarExpression? Math(string name, ScalarExpression[] a) => (name, a.Length) switch
    {
        ("Exp", 1) => new ScalarExpression.Unary(UnaryKind.Exp, a[0]),
        ("Log", 1) => new ScalarExpression.Unary(UnaryKind.Log, a[0]),
        ("Sqrt", 1) => new ScalarExpression.Unary(UnaryKind.Sqrt, a[0]),
        ("Tanh", 1) => new ScalarExpression.Unary(UnaryKind.Tanh, a[0]),
        ("Sin", 1) => new ScalarExpression.Unary(UnaryKind.Sin, a[0]),
        ("Cos", 1) => new ScalarExpression.Unary(UnaryKind.Cos, a[0]),
        ("Abs", 1) => new ScalarExpression.Unary(UnaryKind.Abs, a[0]),
        ("Max", 2) => new ScalarExpression.Binary(BinaryKind.Max, a[0], a[1]),
        ("Min", 2) => new ScalarExpression.Binary(BinaryKind.Min, a[0], a[1]),
        ("Pow", 2) => new ScalarExpression.Binary(BinaryKind.Power, a[0], a[1]),
        _ => null,
    };

    private void Refuse(IOperation operation)
    {
        if (!_context.HasErrors(operation.Syntax))
        {
            _context.Sites.Refuse(operation.Syntax, $"'{SiteTable.Quote(operation.Syntax)}' is not supported in an [Elementwise] function: use float arithmetic, ?:, locals, and Exp, Log, Sqrt, Tanh, Sin, Cos, Abs, Max, Min, Pow of MathF");
        }
    }
}
