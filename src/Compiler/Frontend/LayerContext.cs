using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Operations;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Frontend;

/// <summary>What the translators share while one type is extracted: constants met, methods asked for, fields used.</summary>
internal sealed class LayerContext
{
    private readonly Dictionary<string, ConstantDefinition> _constants = new();
    private readonly List<IMethodSymbol> _methods = new();
    private readonly HashSet<string> _scalars = new();
    private readonly Dictionary<SyntaxTree, ImmutableArray<Diagnostic>> _errors = new();

    public LayerContext(INamedTypeSymbol type, Compilation compilation, SiteTable sites, CancellationToken cancellation)
    {
        Type = type;
        Compilation = compilation;
        Sites = sites;
        Cancellation = cancellation;
        Constructor = type.InstanceConstructors.OrderByDescending(c => c.Parameters.Length).FirstOrDefault(c => !c.IsImplicitlyDeclared && !IsCopy(c));
    }

    public INamedTypeSymbol Type { get; }

    public Compilation Compilation { get; }

    public SiteTable Sites { get; }

    public CancellationToken Cancellation { get; }

    public IMethodSymbol? Constructor { get; }

    /// <summary>Fields that a method reads.</summary>
    public HashSet<string> Used { get; } = new();

    public IReadOnlyList<IMethodSymbol> Methods => _methods;

    public EquatableArray<ConstantDefinition> Constants => _constants.Values.OrderBy(c => c.Name, StringComparer.Ordinal).ToEquatable();

    public bool IsConstructorParameter(IParameterSymbol parameter) => parameter.ContainingSymbol is IMethodSymbol { MethodKind: MethodKind.Constructor };

    public void Request(IMethodSymbol method)
    {
        method = method.OriginalDefinition;
        if (!_methods.Contains(method, SymbolEqualityComparer.Default))
        {
            _methods.Add(method);
        }
    }

    public Expression ConstantReference(IFieldSymbol field, SyntaxNode syntax)
    {
        bool own = SymbolEqualityComparer.Default.Equals(field.ContainingType, Type);
        string name = own ? field.Name : Names.FullName(field.ContainingType) + "." + field.Name;
        if (!_constants.ContainsKey(name))
        {
            bool integer = field.ConstantValue is int or long or bool;
            double value = Convert.ToDouble(field.ConstantValue, System.Globalization.CultureInfo.InvariantCulture);
            _constants[name] = new ConstantDefinition(name, null, value, integer);
            if (Initializer(field) is { } initializer)
            {
                _constants[name] = new ConstantDefinition(name, new BodyTranslator(this).Expression(initializer), value, integer);
            }
        }

        return new Expression.ConstantReference(name, Sites.Add(syntax));
    }

    /// <summary>A readonly number computed from constants and constructor parameters, in place; null where the field is none.</summary>
    public Expression? ScalarField(IFieldSymbol field, BodyTranslator translator)
    {
        if (field.Type.SpecialType is not (SpecialType.System_Int32 or SpecialType.System_Single or SpecialType.System_Boolean or SpecialType.System_Int64 or SpecialType.System_Double)
            || !field.IsReadOnly || field.IsStatic || Initializer(field) is not { } initializer || !_scalars.Add(field.Name))
        {
            return null;
        }

        Expression value = translator.Expression(initializer);
        _scalars.Remove(field.Name);
        return value;
    }

    /// <summary>The operation of a field's initialiser, or null.</summary>
    public IOperation? Initializer(IFieldSymbol field) =>
        field.DeclaringSyntaxReferences.FirstOrDefault()?.GetSyntax(Cancellation) is VariableDeclaratorSyntax { Initializer.Value: { } value }
            && Compilation.ContainsSyntaxTree(value.SyntaxTree)
            ? Compilation.GetSemanticModel(value.SyntaxTree).GetOperation(value, Cancellation)
            : null;

    /// <summary>Whether the compiler itself already reports an error there.</summary>
    public bool HasErrors(SyntaxNode syntax)
    {
        if (!_errors.TryGetValue(syntax.SyntaxTree, out ImmutableArray<Diagnostic> errors))
        {
            errors = Compilation.GetSemanticModel(syntax.SyntaxTree).GetDiagnostics(cancellationToken: Cancellation).Where(d => d.Severity == DiagnosticSeverity.Error).ToImmutableArray();
            _errors[syntax.SyntaxTree] = errors;
        }

        return errors.Any(e => e.Location.SourceSpan.IntersectsWith(syntax.Span));
    }

    private bool IsCopy(IMethodSymbol constructor) => constructor.Parameters.Length == 1 && SymbolEqualityComparer.Default.Equals(constructor.Parameters[0].Type, Type);
}
