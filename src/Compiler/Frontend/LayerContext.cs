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
    private readonly Dictionary<SyntaxTree, SemanticModel> _models = new();
    private readonly List<string> _reads = new();
    private readonly Dictionary<SyntaxNode, ImmutableArray<Diagnostic>> _errors = new();
    private readonly HashSet<string> _fixed = new();

    public LayerContext(INamedTypeSymbol type, Compilation compilation, SiteTable sites, CancellationToken cancellation)
    {
        Type = type;
        Compilation = compilation;
        Sites = sites;
        Cancellation = cancellation;
        Read(type);
        Constructor = ConstructorOf(type);
    }

    public INamedTypeSymbol Type { get; }

    public Compilation Compilation { get; }

    public SiteTable Sites { get; }

    public CancellationToken Cancellation { get; }

    public IMethodSymbol? Constructor { get; }

    /// <summary>Whether something was met that the compiler could make nothing of, wherever it has said so: what is not seen to be used may be used there.</summary>
    public bool IsUnfinished { get; set; }

    /// <summary>Fields that a method reads.</summary>
    public HashSet<string> Used { get; } = new();

    public IReadOnlyList<IMethodSymbol> Methods => _methods;

    /// <summary>Types in source whose content was read, this one first: what was extracted holds as long as they, and what they name, stay as they are.</summary>
    public IReadOnlyList<string> Reads => _reads;

    public EquatableArray<ConstantDefinition> Constants => _constants.Values.Select(c => _fixed.Contains(c.Name) ? c with { Value = null } : c).OrderBy(c => c.Name, StringComparer.Ordinal).ToEquatable();

    public bool IsConstructorParameter(IParameterSymbol parameter) => parameter.ContainingSymbol is IMethodSymbol { MethodKind: MethodKind.Constructor };

    /// <summary>The constructor parameter that a property of a record is made of; null where it is none.</summary>
    public string? PositionalParameter(IPropertySymbol property) =>
        SymbolEqualityComparer.Default.Equals(property.ContainingType, Type) && property.DeclaringSyntaxReferences.FirstOrDefault()?.GetSyntax(Cancellation) is ParameterSyntax ? property.Name : null;

    public void Request(IMethodSymbol method)
    {
        method = method.OriginalDefinition;
        if (!_methods.Contains(method, SymbolEqualityComparer.Default))
        {
            _methods.Add(method);
        }
    }

    /// <summary>Notes that the content of a type is read: a body, an initialiser, attributes.</summary>
    public void Read(INamedTypeSymbol? type)
    {
        if (type is { DeclaringSyntaxReferences.Length: > 0 } && Names.FullName(type.OriginalDefinition) is { } name && !_reads.Contains(name))
        {
            _reads.Add(name);
        }
    }

    /// <summary>The meaning of a tree's syntax; one for each tree, so that what was bound once is kept.</summary>
    public SemanticModel Model(SyntaxTree tree)
    {
        if (!_models.TryGetValue(tree, out SemanticModel? model))
        {
            _models[tree] = model = Compilation.GetSemanticModel(tree);
        }

        return model;
    }

    /// <summary>Declarations of a symbol in an order that does not depend on that of the files.</summary>
    public static IEnumerable<SyntaxReference> Declarations(ISymbol symbol) =>
        symbol.DeclaringSyntaxReferences.Where(r => !TreeSurface.IsGenerated(r.SyntaxTree)).OrderBy(r => r.SyntaxTree.FilePath, StringComparer.Ordinal).ThenBy(r => r.Span.Start);

    public Expression ConstantReference(IFieldSymbol field, SyntaxNode syntax) => new Expression.ConstantReference(Constant(field), Sites.Add(syntax));

    /// <summary>Says that of an expression only its value is kept: no plan can be made with other numbers for the constants in it, nor for those that they are made of.</summary>
    public void Fix(IOperation? folded)
    {
        foreach (IFieldReferenceOperation reference in folded?.DescendantsAndSelf().OfType<IFieldReferenceOperation>() ?? Enumerable.Empty<IFieldReferenceOperation>())
        {
            if (IsNumber(reference.Field) && _fixed.Add(Constant(reference.Field)))
            {
                Fix(Initializer(reference.Field));
            }
        }
    }

    /// <summary>Whether a field is a constant that a definition holds by name.</summary>
    public static bool IsNumber(IFieldSymbol field) => field is { IsConst: true, ContainingType.TypeKind: not TypeKind.Enum, ConstantValue: int or long or float or double or bool };

    private string Constant(IFieldSymbol field)
    {
        bool own = SymbolEqualityComparer.Default.Equals(field.ContainingType, Type);
        string name = own ? field.Name : Names.FullName(field.ContainingType) + "." + field.Name;
        if (!_constants.ContainsKey(name))
        {
            var constant = new ConstantDefinition(
                name, null, Convert.ToDouble(field.ConstantValue, System.Globalization.CultureInfo.InvariantCulture), field.ConstantValue is int or long, field.ConstantValue is bool);
            _constants[name] = constant;
            if (Initializer(field) is { } initializer)
            {
                _constants[name] = constant with { Value = new BodyTranslator(this).Expression(initializer) };
            }
        }

        return name;
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
    public IOperation? Initializer(IFieldSymbol field)
    {
        if (field.DeclaringSyntaxReferences.FirstOrDefault()?.GetSyntax(Cancellation) is not VariableDeclaratorSyntax { Initializer.Value: { } value } || !Compilation.ContainsSyntaxTree(value.SyntaxTree))
        {
            return null;
        }

        Read(field.ContainingType);
        return Model(value.SyntaxTree).GetOperation(value, Cancellation);
    }

    /// <summary>Whether the compiler itself already reports an error there.</summary>
    public bool HasErrors(SyntaxNode syntax)
    {
        SyntaxNode member = (SyntaxNode?)syntax.FirstAncestorOrSelf<MemberDeclarationSyntax>() ?? syntax;
        if (!_errors.TryGetValue(member, out ImmutableArray<Diagnostic> errors))
        {
            errors = Model(member.SyntaxTree).GetDiagnostics(member.Span, Cancellation).Where(d => d.Severity == DiagnosticSeverity.Error).ToImmutableArray();
            _errors[member] = errors;
        }

        return errors.Any(e => e.Location.SourceSpan.IntersectsWith(syntax.Span));
    }

    /// <summary>The constructor whose parameters a layer's graph has: the one with most of them; null where none is written.</summary>
    public static IMethodSymbol? ConstructorOf(INamedTypeSymbol type) => type.InstanceConstructors.OrderByDescending(c => c.Parameters.Length)
        .FirstOrDefault(c => !c.IsImplicitlyDeclared && !(c.Parameters.Length == 1 && SymbolEqualityComparer.Default.Equals(c.Parameters[0].Type, type)));
}
