using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Operations;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Graph.Ops;

namespace Shardwright.Compiler.Frontend;

/// <summary>Translates the statements and expressions of a layer's methods from Roslyn's operations. What is not part of the language is SW0002 at the very
/// expression; what does not compile is Unknown, silently.</summary>
internal sealed partial class BodyTranslator
{
    /// <summary>Levels of one expression or of blocks in blocks: what is deeper would need a stack that an editor's threads may not have.</summary>
    internal const int MaxDepth = 150;

    private readonly LayerContext _context;
    private int _depth;

    public BodyTranslator(LayerContext context) => _context = context;

    public EquatableArray<Statement> Statements(IEnumerable<IOperation> operations)
    {
        var result = new List<Statement>();
        foreach (IOperation operation in operations)
        {
            Translate(operation, result);
        }

        return result.ToEquatable();
    }

    private void Translate(IOperation operation, List<Statement> result)
    {
        _context.Cancellation.ThrowIfCancellationRequested();
        if (++_depth > MaxDepth)
        {
            TooDeep(operation);
        }
        else
        {
            TranslateOne(operation, result);
        }

        _depth--;
    }

    private Expression TooDeep(IOperation operation) =>
        _context.Sites.Refuse(operation.Syntax, $"'{SiteTable.Quote(operation.Syntax)}' is nested more than {MaxDepth} deep: put parts of it into local variables or helper methods");

    private void TranslateOne(IOperation operation, List<Statement> result)
    {
        switch (operation)
        {
            case IBlockOperation block:
                foreach (IOperation inner in block.Operations)
                {
                    Translate(inner, result);
                }

                break;
            case IVariableDeclarationGroupOperation group:
                foreach (IVariableDeclaratorOperation declarator in group.Declarations.SelectMany(d => d.Declarators))
                {
                    if (declarator.GetVariableInitializer() is { } initializer)
                    {
                        result.Add(new Statement.Assign(declarator.Symbol.Name, Expression(initializer.Value)));
                    }
                }

                break;
            case IExpressionStatementOperation statement:
                Effect(statement.Operation, result);
                break;
            case IReturnOperation { ReturnedValue: { } value }:
                result.Add(new Statement.Return(Expression(value)));
                break;
            case IConditionalOperation conditional:
                result.Add(new Statement.If(
                    Expression(conditional.Condition),
                    Statements(new[] { conditional.WhenTrue }),
                    conditional.WhenFalse is null ? default : Statements(new[] { conditional.WhenFalse })));
                break;
            case IForLoopOperation loop:
                For(loop, result);
                break;
            case IEmptyOperation or IReturnOperation or ILocalFunctionOperation { IsImplicit: true }:
                break;
            case IInvalidOperation:
                _context.IsUnfinished = true;
                break;
            default:
                if (!_context.HasErrors(operation.Syntax))
                {
                    _context.Sites.Refuse(operation.Syntax, $"'{SiteTable.Quote(operation.Syntax)}' is not supported in Forward: {Advice(operation)}");
                }

                break;
        }
    }

    private static string Advice(IOperation operation) => operation switch
    {
        IWhileLoopOperation or IForEachLoopOperation => "use a for loop with constant bounds, which is unrolled, or a LayerStack",
        ISwitchOperation => "use if on compile-time constants",
        ITryOperation or IThrowOperation => "a compiled Forward raises no exceptions; check sizes in the constructor",
        ILocalFunctionOperation => "make the local function a private method of the layer",
        IUsingOperation or ILockOperation => "a compiled Forward holds no resources",
        _ => "write it with locals, Ops, layers, helper methods, for loops with constant bounds and ifs on constants",
    };

    private void Effect(IOperation operation, List<Statement> result)
    {
        switch (operation)
        {
            case ISimpleAssignmentOperation { Target: ILocalReferenceOperation local } assignment:
                result.Add(new Statement.Assign(local.Local.Name, Expression(assignment.Value)));
                break;
            case ISimpleAssignmentOperation { Target: IParameterReferenceOperation parameter } assignment when !_context.IsConstructorParameter(parameter.Parameter):
                result.Add(new Statement.Assign(parameter.Parameter.Name, Expression(assignment.Value)));
                break;
            case ISimpleAssignmentOperation { Target: IDiscardOperation } assignment:
                result.Add(new Statement.Evaluate(Expression(assignment.Value)));
                break;
            case ICompoundAssignmentOperation compound when Target(compound.Target) is { } name:
                int site = _context.Sites.Add(compound.Syntax);
                result.Add(new Statement.Assign(name, new Expression.Binary(Operator(compound.OperatorKind) ?? "?", Expression(compound.Target), Expression(compound.Value), site)));
                break;
            case IIncrementOrDecrementOperation step when Target(step.Target) is { } name:
                int at = _context.Sites.Add(step.Syntax);
                result.Add(new Statement.Assign(name, new Expression.Binary(step.Kind == OperationKind.Increment ? "+" : "-", Expression(step.Target), new Expression.Integer(1, at), at)));
                break;
            case IDeconstructionAssignmentOperation deconstruction when Locals(deconstruction.Target) is { } locals:
                result.Add(new Statement.TakeApart(locals, Expression(deconstruction.Value)));
                break;
            case IInvocationOperation { TargetMethod: { Name: "op_AdditionAssignment" } } addition when addition.Instance is not null && Target(addition.Instance) is { } name:
                int where = _context.Sites.Add(addition.Syntax);
                result.Add(new Statement.Assign(name, new Expression.Binary("+", Expression(addition.Instance), Expression(addition.Arguments[0].Value), where)));
                break;
            case IInvocationOperation invocation:
                result.Add(new Statement.Evaluate(Expression(invocation)));
                break;
            case IInvalidOperation:
                _context.IsUnfinished = true;
                break;
            default:
                if (!_context.HasErrors(operation.Syntax))
                {
                    _context.Sites.Refuse(operation.Syntax, $"'{SiteTable.Quote(operation.Syntax)}' is not supported in Forward: only local variables can be assigned; a layer has no state of its own beside its parameters");
                }

                break;
        }
    }

    private string? Target(IOperation target) => target switch
    {
        ILocalReferenceOperation local => local.Local.Name,
        IParameterReferenceOperation parameter when !_context.IsConstructorParameter(parameter.Parameter) => parameter.Parameter.Name,
        _ => null,
    };

    private EquatableArray<string>? Locals(IOperation target)
    {
        if (target is IDeclarationExpressionOperation declaration)
        {
            target = declaration.Expression;
        }

        if (target is not ITupleOperation tuple)
        {
            return null;
        }

        var names = new List<string>();
        foreach (IOperation element in tuple.Elements)
        {
            IOperation inner = element is IDeclarationExpressionOperation d ? d.Expression : element;
            if (inner is IDiscardOperation)
            {
                names.Add("");
            }
            else if (Target(inner) is { } name)
            {
                names.Add(name);
            }
            else
            {
                return null;
            }
        }

        return names.ToEquatable();
    }

    private void For(IForLoopOperation loop, List<Statement> result)
    {
        IVariableDeclaratorOperation? variable = loop.Before.OfType<IVariableDeclarationGroupOperation>().SelectMany(g => g.Declarations).SelectMany(d => d.Declarators).SingleOrDefault();
        Expression? step = loop.AtLoopBottom.Length != 1 || loop.AtLoopBottom[0] is not IExpressionStatementOperation bottom ? null : bottom.Operation switch
        {
            IIncrementOrDecrementOperation i => new Expression.Integer(i.Kind == OperationKind.Increment ? 1 : -1, -1),
            ICompoundAssignmentOperation { OperatorKind: BinaryOperatorKind.Add } c => Expression(c.Value),
            ICompoundAssignmentOperation { OperatorKind: BinaryOperatorKind.Subtract } c => new Expression.Unary("-", Expression(c.Value), -1),
            _ => null,
        };
        if (variable?.GetVariableInitializer() is not { } from || step is null || loop.Condition is null)
        {
            _context.Sites.Refuse(loop.Syntax, "this for loop is not supported in Forward: write for (int i = constant; i < constant; i += constant), which is unrolled");
            return;
        }

        int site = _context.Sites.Add(loop.Condition.Syntax);
        result.Add(new Statement.For(variable.Symbol.Name, Expression(from.Value), Expression(loop.Condition), step, Statements(new[] { loop.Body }), site));
    }

    public Expression Expression(IOperation operation)
    {
        _context.Cancellation.ThrowIfCancellationRequested();
        Expression result = ++_depth > MaxDepth ? TooDeep(operation) : ExpressionOf(operation);
        _depth--;
        return result;
    }

    private Expression ExpressionOf(IOperation operation)
    {
        if (operation is IInvalidOperation || operation.Type is { TypeKind: TypeKind.Error } || operation is IFieldReferenceOperation { Field: { IsConst: true, HasConstantValue: false } })
        {
            _context.IsUnfinished = true;
            return new Expression.Unknown(-1);
        }

        switch (operation)
        {
            case IConversionOperation conversion:
                return Expression(conversion.Operand);
            case IParenthesizedOperation parenthesized:
                return Expression(parenthesized.Operand);
            case IFieldReferenceOperation field:
                return Field(field);
            case IPropertyReferenceOperation property:
                return Property(property);
            case ILocalReferenceOperation local:
                return new Expression.Local(local.Local.Name, _context.Sites.Add(local.Syntax));
            case IParameterReferenceOperation parameter:
                return _context.IsConstructorParameter(parameter.Parameter)
                    ? new Expression.ConstructorParameter(parameter.Parameter.Name, _context.Sites.Add(parameter.Syntax))
                    : new Expression.Local(parameter.Parameter.Name, _context.Sites.Add(parameter.Syntax));
            case ILiteralOperation or IDefaultValueOperation or IUnaryOperation { ConstantValue.HasValue: true, Operand: ILiteralOperation }:
                return Constant(operation);
            case IUnaryOperation { OperatorKind: UnaryOperatorKind.Minus or UnaryOperatorKind.Not } unary:
                return new Expression.Unary(unary.OperatorKind == UnaryOperatorKind.Minus ? "-" : "!", Expression(unary.Operand), _context.Sites.Add(unary.Syntax));
            case IBinaryOperation binary when Operator(binary.OperatorKind) is { } symbol:
                return new Expression.Binary(symbol, Expression(binary.LeftOperand), Expression(binary.RightOperand), _context.Sites.Add(binary.Syntax));
            case IConditionalOperation { WhenFalse: { } otherwise } conditional:
                return new Expression.Conditional(Expression(conditional.Condition), Expression(conditional.WhenTrue), Expression(otherwise), _context.Sites.Add(conditional.Syntax));
            case ITupleOperation tuple:
                return new Expression.Sequence(tuple.Elements.Select(Expression).ToEquatable(), _context.Sites.Add(tuple.Syntax));
            case IArrayCreationOperation { Initializer: { } initializer } array:
                return new Expression.Sequence(initializer.ElementValues.Select(Expression).ToEquatable(), _context.Sites.Add(array.Syntax));
            case IArrayCreationOperation { DimensionSizes: { Length: 1 } sizes } array when sizes[0].ConstantValue is { HasValue: true, Value: 0 }:
                return new Expression.Sequence(EquatableArray<Expression>.Empty, _context.Sites.Add(array.Syntax));
            case ICollectionExpressionOperation collection:
                return new Expression.Sequence(collection.Elements.Select(Expression).ToEquatable(), _context.Sites.Add(collection.Syntax));
            case IArrayElementReferenceOperation { Indices.Length: 1 } element:
                return new Expression.Item(Expression(element.ArrayReference), Expression(element.Indices[0]), _context.Sites.Add(element.Syntax));
            case IInvocationOperation invocation:
                return Invocation(invocation);
            case INameOfOperation or IInterpolatedStringOperation when operation.ConstantValue.HasValue:
                return Constant(operation);
        }

        if (operation.ConstantValue.HasValue)
        {
            _context.Fix(operation);
            return Constant(operation);
        }

        return _context.HasErrors(operation.Syntax)
            ? new Expression.Unknown(-1)
            : _context.Sites.Refuse(operation.Syntax, $"'{SiteTable.Quote(operation.Syntax)}' is not supported in Forward: {Advice(operation)}");
    }

    private Expression Constant(IOperation operation)
    {
        int site = _context.Sites.Add(operation.Syntax);
        object? value = operation.ConstantValue.HasValue ? operation.ConstantValue.Value : null;
        if (value is not null && operation.Type is { TypeKind: TypeKind.Enum } type)
        {
            IFieldSymbol? member = type.GetMembers().OfType<IFieldSymbol>().FirstOrDefault(f => f.HasConstantValue && Equals(f.ConstantValue, value));
            return new Expression.Text(member?.Name ?? value.ToString()!, site);
        }

        return value switch
        {
            null => new Expression.Nothing(site),
            bool b => new Expression.Boolean(b, site),
            string s => new Expression.Text(s, site),
            float f => new Expression.Number(f, site),
            double d => new Expression.Number(d, site),
            int or long or short or byte or sbyte or ushort or uint => new Expression.Integer(Convert.ToInt64(value, System.Globalization.CultureInfo.InvariantCulture), site),
            _ => _context.Sites.Refuse(operation.Syntax, $"a constant of type {operation.Type?.Name} is not supported in Forward: use int, float, double or bool"),
        };
    }

    private Expression Field(IFieldReferenceOperation reference)
    {
        IFieldSymbol field = reference.Field;
        if (field.ContainingType?.TypeKind == TypeKind.Enum)
        {
            return new Expression.Text(field.Name, _context.Sites.Add(reference.Syntax));
        }

        if (field.IsConst)
        {
            return LayerContext.IsNumber(field) ? _context.ConstantReference(field, reference.Syntax) : Constant(reference);
        }

        if (field.Type.IsTupleType || reference.Instance?.Type is { IsTupleType: true })
        {
            if (reference.Instance is not null && field.CorrespondingTupleField is { } item && item.Name.StartsWith("Item", StringComparison.Ordinal) && int.TryParse(item.Name.Substring(4), out int number))
            {
                return new Expression.Item(Expression(reference.Instance), new Expression.Integer(number - 1, -1), _context.Sites.Add(reference.Syntax));
            }
        }

        if (Inherited(reference) is { } inherited)
        {
            return _context.Sites.Refuse(reference.Syntax, inherited);
        }

        if (Path(reference) is { } path)
        {
            if (Names.Is(field.Type, "Tensor"))
            {
                _context.Used.Add(path.Split('.')[0]);
                return new Expression.ParameterReference(path, _context.Sites.Add(reference.Syntax));
            }

            if (path.IndexOf('.') < 0 && _context.ScalarField(field, this) is { } scalar)
            {
                return scalar;
            }
        }

        return _context.HasErrors(reference.Syntax)
            ? new Expression.Unknown(-1)
            : _context.Sites.Refuse(reference.Syntax, $"'{SiteTable.Quote(reference.Syntax)}' is not supported in Forward: a field must be a parameter (Tensor … = Parameter(…)), a layer, a const, or a readonly number computed from constants");
    }

    /// <summary>Dotted path of a field reached from this layer, or null.</summary>
    internal static string? Path(IOperation? operation) => operation switch
    {
        IFieldReferenceOperation { Instance: IInstanceReferenceOperation } field => field.Field.Name,
        IFieldReferenceOperation { Field.IsStatic: false, Instance: { } inner } field when Path(inner) is { } path => path + "." + field.Field.Name,
        IPropertyReferenceOperation { Instance: { } inner } property when Path(inner) is { } path => path + "." + property.Property.Name,
        IConversionOperation conversion => Path(conversion.Operand),
        _ => null,
    };

    private Expression Property(IPropertyReferenceOperation reference)
    {
        int site = _context.Sites.Add(reference.Syntax);
        IOperation? instance = reference.Instance;

        // x.Shape[i]: the indexer of Shape over the property Shape of a tensor.
        if (reference.Property.IsIndexer && Names.Is(reference.Property.ContainingType, "Shape") && instance is IPropertyReferenceOperation { Property.Name: "Shape", Instance: { } tensor })
        {
            return new Expression.SizeOf(Expression(tensor), Expression(reference.Arguments[0].Value), site);
        }

        if (reference.Property.Name == "Rank" && instance is IPropertyReferenceOperation { Property.Name: "Shape", Instance: { } of })
        {
            return new Expression.RankOf(Expression(of), site);
        }

        if (reference.Property.IsIndexer && Names.Is(reference.Property.ContainingType, "TensorList") && instance is not null)
        {
            return new Expression.Item(Expression(instance), Expression(reference.Arguments[0].Value), site);
        }

        // A parameter of a record, seen as the property that the compiler makes of it.
        if (instance is IInstanceReferenceOperation && _context.PositionalParameter(reference.Property) is { } positional)
        {
            return new Expression.ConstructorParameter(positional, site);
        }

        if (Names.Is(reference.Property.Type, "Tensor") && Path(reference) is { } path)
        {
            _context.Used.Add(path.Split('.')[0]);
            return new Expression.ParameterReference(path, site);
        }

        return _context.HasErrors(reference.Syntax)
            ? new Expression.Unknown(site)
            : _context.Sites.Refuse(reference.Syntax, $"'{SiteTable.Quote(reference.Syntax)}' is not supported in Forward: of tensors use Shape[i] and Shape.Rank, of layers their parameters");
    }

    internal static string? Operator(BinaryOperatorKind kind) => kind switch
    {
        BinaryOperatorKind.Add => "+",
        BinaryOperatorKind.Subtract => "-",
        BinaryOperatorKind.Multiply => "*",
        BinaryOperatorKind.Divide => "/",
        BinaryOperatorKind.Remainder => "%",
        BinaryOperatorKind.LessThan => "<",
        BinaryOperatorKind.LessThanOrEqual => "<=",
        BinaryOperatorKind.GreaterThan => ">",
        BinaryOperatorKind.GreaterThanOrEqual => ">=",
        BinaryOperatorKind.Equals => "==",
        BinaryOperatorKind.NotEquals => "!=",
        BinaryOperatorKind.ConditionalAnd => "&&",
        BinaryOperatorKind.ConditionalOr => "||",
        _ => null,
    };
}
