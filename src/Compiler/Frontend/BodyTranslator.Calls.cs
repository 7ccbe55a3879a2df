using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Operations;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Frontend;

/// <summary>Calls: of Ops, of layers in fields, of the layer's own methods.</summary>
internal sealed partial class BodyTranslator
{
    private Expression Invocation(IInvocationOperation invocation)
    {
        IMethodSymbol method = invocation.TargetMethod;
        string quote = SiteTable.Quote(invocation.Syntax);
        if (method.IsStatic && Names.Is(method.ContainingType, "Ops"))
        {
            return method.Name == "Map" ? new ElementwiseTranslator(_context, this).Call(invocation, quote) : OpCall(invocation, quote);
        }

        if (method.IsStatic && Names.Is(method.ContainingType, "Placement"))
        {
            int site = _context.Sites.Add(invocation.Syntax);
            Expression? dim = invocation.Arguments.Length > 1 ? Expression(Ordered(invocation)[1].Value) : null;
            return new Expression.PlacementValue(method.Name, Expression(Ordered(invocation)[0].Value), dim, site);
        }

        EquatableArray<Expression> arguments = default;
        if (invocation.Instance is not null && Path(invocation.Instance) is { } path)
        {
            if (Inherited(invocation.Instance) is { } inherited)
            {
                return _context.Sites.Refuse(invocation.Syntax, inherited);
            }

            _context.Used.Add(path.Split('.')[0]);
            if (invocation.Instance.Type is not INamedTypeSymbol holder || !(Names.IsLayer(holder) || Names.Is(holder, "LayerStack")))
            {
                return _context.HasErrors(invocation.Syntax) || invocation.Instance.Type is { } torn && CompilerErrors.IsTorn(torn)
                    ? new Expression.Unknown(-1)
                    : _context.Sites.Refuse(invocation.Syntax, $"'{quote}' is not supported in Forward: '{invocation.Instance.Type?.Name}' is no layer; mark it [ShardedLayer], or write what it does as a private helper method");
            }

            arguments = Ordered(invocation).Select(a => a.ArgumentKind == ArgumentKind.ParamArray ? Expression(a.Value) : Expression(a.Value)).ToEquatable();
            return new Expression.MethodCall(path, method.Name, arguments, quote, _context.Sites.Add(invocation.Syntax));
        }

        bool own = invocation.Instance is IInstanceReferenceOperation || (method.IsStatic && SymbolEqualityComparer.Default.Equals(method.ContainingType, _context.Type));
        if (own && SymbolEqualityComparer.Default.Equals(method.ContainingType, _context.Type))
        {
            _context.Request(method);
            arguments = Ordered(invocation).Select(a => Expression(a.Value)).ToEquatable();
            return new Expression.MethodCall("", method.Name, arguments, quote, _context.Sites.Add(invocation.Syntax));
        }

        // What is wrong is the local function, which is said where it stands.
        if (method.MethodKind == MethodKind.LocalFunction)
        {
            foreach (IArgumentOperation argument in Ordered(invocation))
            {
                Expression(argument.Value);
            }

            return new Expression.Unknown(-1);
        }

        if (ElementwiseTranslator.IsElementwise(method))
        {
            return _context.Sites.Refuse(invocation.Syntax, $"'{quote}' calls an [Elementwise] function on numbers; on tensors it is called as Map(x, {method.Name})");
        }

        return _context.HasErrors(invocation.Syntax)
            ? new Expression.Unknown(-1)
            : _context.Sites.Refuse(invocation.Syntax, $"'{quote}' is not supported in Forward: it can call Ops, Forward of layers held in fields, methods of its own class, and [Elementwise] functions through Map");
    }

    private Expression OpCall(IInvocationOperation invocation, string quote)
    {
        int site = _context.Sites.Add(invocation.Syntax);
        var arguments = new List<Argument>();
        foreach (IArgumentOperation argument in invocation.Arguments)
        {
            if (argument.ArgumentKind != ArgumentKind.DefaultValue && argument.Parameter is { } parameter)
            {
                arguments.Add(new Argument(parameter.Name, Expression(argument.Value)));
            }
        }

        return new Expression.OpCall(invocation.TargetMethod.Name, arguments.ToEquatable(), quote, site);
    }

    internal static IEnumerable<IArgumentOperation> OrderedArguments(IInvocationOperation invocation) => invocation.Arguments.OrderBy(a => a.Parameter?.Ordinal ?? 0);

    private static List<IArgumentOperation> Ordered(IInvocationOperation invocation) => OrderedArguments(invocation).ToList();

    /// <summary>Why a path that begins in a base class leads nowhere; null where it begins in the layer's own.</summary>
    private string? Inherited(IOperation operation)
    {
        IOperation? root = operation;
        while (root is IConversionOperation or IPropertyReferenceOperation or IFieldReferenceOperation { Instance: IFieldReferenceOperation or IPropertyReferenceOperation or IConversionOperation })
        {
            root = root switch { IConversionOperation conversion => conversion.Operand, IPropertyReferenceOperation property => property.Instance, _ => ((IFieldReferenceOperation)root).Instance };
        }

        return root is IFieldReferenceOperation { Instance: IInstanceReferenceOperation, Field: { IsStatic: false, ContainingType: { } holder } field } && !SymbolEqualityComparer.Default.Equals(holder.OriginalDefinition, _context.Type)
            ? $"'{field.Name}' is a field of the base class '{holder.Name}': a layer has its own fields only; hold '{holder.Name}' as a layer in a field, or declare '{field.Name}' here"
            : null;
    }
}
