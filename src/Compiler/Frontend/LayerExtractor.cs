using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Operations;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Frontend;

/// <summary>Turns a layer or model class into a <see cref="LayerDefinition"/>.</summary>
public sealed class LayerExtractor
{
    private readonly LayerContext _context;
    private readonly BodyTranslator _translator;
    private readonly List<(INamedTypeSymbol Type, int Site)> _layers = new();

    private LayerExtractor(INamedTypeSymbol type, Compilation compilation, CancellationToken cancellation)
    {
        _context = new LayerContext(type, compilation, new SiteTable(Names.Of(type)), cancellation);
        _translator = new BodyTranslator(_context);
    }

    /// <summary>Raised before a type is extracted, with its name.</summary>
    internal static event Action<string>? Extracting;

    /// <summary>Extracts one type; never throws on user code: a fault of ours is said at the type.</summary>
    public static Extraction Extract(INamedTypeSymbol type, Compilation compilation, CancellationToken cancellation)
    {
        try
        {
            Extracting?.Invoke(Names.Of(type));
            return new LayerExtractor(type, compilation, cancellation).Run();
        }
        catch (Exception fault) when (fault is not OperationCanceledException)
        {
            return new LayerExtractor(type, compilation, cancellation).Faulty(fault);
        }
    }

    private Extraction Run()
    {
        INamedTypeSymbol type = _context.Type;
        CheckDeclaration(type);
        var constructor = _context.Constructor is null ? default : _context.Constructor.Parameters.Select(Parameter).ToEquatable();
        var fields = new List<FieldDefinition>();
        foreach (IFieldSymbol field in Ordered(type.GetMembers().OfType<IFieldSymbol>().Where(f => !f.IsStatic && !f.IsConst && !f.IsImplicitlyDeclared)))
        {
            if (Field(field) is { } made)
            {
                fields.Add(made);
            }
        }

        bool model = type.GetAttributes().Any(a => Names.Is(a, "ShardedOn"));
        var entries = Ordered(type.GetMembers().OfType<IMethodSymbol>().Where(m => m.MethodKind == MethodKind.Ordinary && !m.IsStatic && (m.Name == "Forward" || (model && m.Name == "Loss")))).ToList();
        CheckEntries(type, model, entries);
        foreach (IMethodSymbol entry in entries)
        {
            _context.Request(entry);
        }

        var methods = new List<MethodDefinition>();
        for (int i = 0; i < _context.Methods.Count; i++)
        {
            methods.Add(Method(_context.Methods[i]));
        }

        CheckConstructors(type);
        CheckUnused(fields);
        EquatableArray<LayerDefinition> referenced = Referenced();
        EquatableArray<Finding> own = _context.Sites.Findings.ToEquatable();
        EquatableArray<ShardedOnDefinition> meshes = model ? ModelExtractor.Meshes(_context, _translator) : default;
        var definition = new LayerDefinition(
            Names.Of(type), constructor, _context.Constants, fields.ToEquatable(), methods.ToEquatable(),
            type.GetAttributes().Any(a => Names.Is(a, "NoDecay")), type.GetAttributes().Any(a => Names.Is(a, "Recompute")));
        var source = new LayerSource(
            definition, LayerShape.Shell(type), LayerShape.Home(type, _context.Cancellation), LayerShape.IsComplete(type, _context.Cancellation), model, meshes,
            referenced, own, _context.Sites.Findings.Skip(own.Count).ToEquatable());
        CompilationSurface surface = CompilationSurface.Of(_context.Compilation, _context.Cancellation);
        return new Extraction(source, _context.Sites.Positions(surface, _context.Cancellation), _context.Reads.ToEquatable());
    }

    /// <summary>A type that could not be extracted: its meshes still get their surface, where they at least can be read.</summary>
    private Extraction Faulty(Exception fault)
    {
        INamedTypeSymbol type = _context.Type;
        int site = TypeSite(type);
        bool model = type.GetAttributes().Any(a => Names.Is(a, "ShardedOn"));
        EquatableArray<ShardedOnDefinition> meshes = default;
        try
        {
            meshes = model ? ModelExtractor.Meshes(_context, _translator) : default;
        }
        catch (Exception again) when (again is not OperationCanceledException)
        {
            // The first fault says enough.
        }

        EquatableArray<Finding> found = EquatableArray.Of(Finding.OfFault(_context.Sites.Place(site), fault, $"'{type.Name}' was read", "leave the attribute off this class"));
        var source = new LayerSource(
            new LayerDefinition(Names.Of(type), default, default, default, default, false, false), LayerShape.Shell(type), LayerShape.Home(type, _context.Cancellation), LayerShape.IsComplete(type, _context.Cancellation), model, meshes,
            default, found, default);
        return new Extraction(source, _context.Sites.Positions(CompilationSurface.Of(_context.Compilation, _context.Cancellation), _context.Cancellation), _context.Reads.ToEquatable());
    }

    /// <summary>In the order of their source, whatever the order in which the compiler was given the files.</summary>
    private static IEnumerable<T> Ordered<T>(IEnumerable<T> members)
        where T : ISymbol =>
        members.Select(m => (Member: m, At: LayerContext.Declarations(m).FirstOrDefault())).OrderBy(m => m.At?.SyntaxTree.FilePath, StringComparer.Ordinal).ThenBy(m => m.At?.Span.Start ?? 0).Select(m => m.Member);

    /// <summary>Definitions of the layers from referenced assemblies; what cannot be read is said at the field that holds it.</summary>
    private EquatableArray<LayerDefinition> Referenced()
    {
        var referenced = new Dictionary<string, LayerDefinition>();
        foreach ((INamedTypeSymbol layer, int site) in _layers.Where(l => !SymbolEqualityComparer.Default.Equals(l.Type.ContainingAssembly, _context.Compilation.Assembly)))
        {
            if (LayerLibrary.Read(layer, referenced, _context.Compilation, _context.Cancellation) is { } error && _context.Sites.Findings.All(f => f.Message != error.Message))
            {
                _context.Sites.Report(error.Id, site, error.Message);
            }
        }

        return referenced.OrderBy(r => r.Key, StringComparer.Ordinal).Select(r => r.Value).ToEquatable();
    }

    private int TypeSite(INamedTypeSymbol type) =>
        LayerContext.Declarations(type).FirstOrDefault()?.GetSyntax(_context.Cancellation) is TypeDeclarationSyntax declaration
            ? _context.Sites.Add(declaration.Identifier.GetLocation())
            : -1;

    private void CheckDeclaration(INamedTypeSymbol type)
    {
        for (INamedTypeSymbol? t = type; t is not null; t = t.ContainingType)
        {
            if (LayerContext.Declarations(t).FirstOrDefault()?.GetSyntax(_context.Cancellation) is TypeDeclarationSyntax declaration && !declaration.Modifiers.Any(SyntaxKind.PartialKeyword))
            {
                string role = ReferenceEquals(t, type) ? "a sharded class" : $"it contains the sharded class '{type.Name}', so it";
                int site = _context.Sites.Add(declaration.Identifier.GetLocation());
                _context.Sites.Report(
                    "SW0001", site, $"'{t.Name}' must be partial: {role} gets a generated part; write 'partial class {t.Name}'", Fix.Of("Make it partial", "SW0001/partial", EditKind.AddPartial, _context.Sites.Place(site)));
            }
        }

        if (LayerContext.Declarations(type).FirstOrDefault()?.SyntaxTree.Options is CSharpParseOptions { LanguageVersion: < LanguageVersion.CSharp12 and var version })
        {
            _context.Sites.Report("SW0002", TypeSite(type), $"'{type.Name}' is compiled as C# {version.ToDisplayString()}, and its generated part is C# 12: set <LangVersion>12</LangVersion> or later in the project, or leave LangVersion out");
        }

        if (type.TypeParameters.Length > 0)
        {
            _context.Sites.Report("SW0002", TypeSite(type), $"'{type.Name}' is generic, which a layer cannot be: its graph is made once; pass what differs to the constructor");
        }
        else if (type.IsGenericType)
        {
            _context.Sites.Report("SW0002", TypeSite(type), $"'{type.Name}' lies in a generic class, which a layer cannot: its graph is made once; move it out of '{type.ContainingType.Name}'");
        }

        if (type.IsFileLocal)
        {
            _context.Sites.Report("SW0002", TypeSite(type), $"'{type.Name}' is local to its file, and its generated part lies in another: leave out 'file', or nest it as a private class in one that is not");
        }
    }

    private void CheckEntries(INamedTypeSymbol type, bool model, List<IMethodSymbol> entries)
    {
        string wanted = model ? "Loss" : "Forward";
        int count = entries.Count(e => e.Name == wanted);
        if (count != 1)
        {
            _context.Sites.Report("SW0005", TypeSite(type), count == 0
                ? $"'{type.Name}' has no method {wanted}: {(model ? "a model needs one 'public Tensor Loss(…)', its training entry" : "a layer needs one 'public Tensor Forward(…)'")}"
                : $"'{type.Name}' has {count} methods {wanted}: a {(model ? "model" : "layer")} has exactly one; make the others private helpers of another name");
        }
    }

    /// <summary>Fields are what their initialisers say: a constructor that sets one again would make another layer than the graph.</summary>
    private void CheckConstructors(INamedTypeSymbol type)
    {
        foreach (ConstructorDeclarationSyntax constructor in type.InstanceConstructors.SelectMany(LayerContext.Declarations).Select(d => d.GetSyntax(_context.Cancellation)).OfType<ConstructorDeclarationSyntax>())
        {
            foreach (AssignmentExpressionSyntax assignment in constructor.DescendantNodes().OfType<AssignmentExpressionSyntax>())
            {
                if (_context.Model(constructor.SyntaxTree).GetSymbolInfo(assignment.Left, _context.Cancellation).Symbol is IFieldSymbol { IsStatic: false } field && SymbolEqualityComparer.Default.Equals(field.ContainingType, type)
                    && (Names.Is(field.Type, "Tensor") || field.Type is INamedTypeSymbol held && (Names.Is(held, "LayerStack") || Names.IsLayer(held)))
                    && _context.Initializer(field) is not null && !_context.HasErrors(assignment))
                {
                    _context.Sites.Refuse(assignment, $"'{field.Name}' is set again in the constructor, and the graph of '{type.Name}' is made of what its initialiser says: write it there, with the parameters of a primary constructor");
                }
            }
        }
    }

    private void CheckUnused(List<FieldDefinition> fields)
    {
        List<FieldDefinition> unused = fields.Where(f => !_context.Used.Contains(f.Name)).ToList();

        // In a body that does not compile, what is unused may only not be typed yet.
        if (unused.Count == 0 || _context.IsUnfinished || _context.Sites.Findings.Any(f => f.Id is "SW0002" or "SW0005") || _context.Methods.SelectMany(LayerContext.Declarations).Any(d => _context.HasErrors(d.GetSyntax(_context.Cancellation))))
        {
            return;
        }

        foreach (FieldDefinition field in unused)
        {
            _context.Sites.Report("SW0006", field.Site, $"'{field.Name}' is never used by Forward or Loss: it would take memory and never learn; remove it", Fix.Of($"Remove '{field.Name}'", "SW0006/remove", EditKind.RemoveField, _context.Sites.Place(field.Site)));
        }
    }

    private FieldDefinition? Field(IFieldSymbol field)
    {
        CheckAttributes(field);
        var declarator = field.DeclaringSyntaxReferences.FirstOrDefault()?.GetSyntax(_context.Cancellation) as VariableDeclaratorSyntax;
        bool noDecay = field.GetAttributes().Any(a => Names.Is(a, "NoDecay"));
        if (Names.Is(field.Type, "Tensor"))
        {
            int site = declarator is null ? -1 : _context.Sites.Add(declarator.Identifier.GetLocation());
            if (Unwrap(_context.Initializer(field)) is not IInvocationOperation { TargetMethod: { Name: "Parameter", ContainingType: { } ops } } call || !Names.Is(ops, "Ops"))
            {
                if (declarator is not null && !IsUnfinished(field, declarator))
                {
                    _context.Sites.Report("SW0002", site, $"'{field.Name}' is not a parameter: initialise it in place with Parameter(sizes…, Init…)");
                }

                return null;
            }

            return ParameterField(field, call, noDecay, site);
        }

        if (field.Type is INamedTypeSymbol { IsGenericType: true } stack && Names.Is(stack, "LayerStack"))
        {
            return StackField(field, stack, noDecay, declarator);
        }

        if (field.Type is INamedTypeSymbol { TypeKind: TypeKind.Class } layer && Names.IsLayer(layer))
        {
            int site = declarator is null ? -1 : _context.Sites.Add(declarator.Identifier.GetLocation());
            if (Unwrap(_context.Initializer(field)) is not IObjectCreationOperation creation)
            {
                if (declarator is not null && !IsUnfinished(field, declarator))
                {
                    _context.Sites.Report("SW0002", site, $"'{field.Name}' must be initialised in place: readonly {layer.Name} {field.Name} = new(…)");
                }

                return null;
            }

            _layers.Add((layer, site));
            return new FieldDefinition.Layer(field.Name, Names.Of(layer), Arguments(creation), noDecay, Recompute(field), Attributes.Stages(field, _context, _translator), Placements(field), site);
        }

        return null;
    }

    /// <summary>Whether the compiler can make nothing of a field yet, or of the type that it holds.</summary>
    private bool IsUnfinished(IFieldSymbol field, VariableDeclaratorSyntax declarator) =>
        _context.HasErrors(declarator) || _context.Initializer(field)?.DescendantsAndSelf().Any(o => o is IInvalidOperation || o.Type is { TypeKind: TypeKind.Error }) == true
        || (field.Type is INamedTypeSymbol { IsGenericType: true } generic ? generic.TypeArguments : ImmutableArray.Create(field.Type)).Any(CompilerErrors.IsTorn);

    /// <summary>Attributes that say nothing about a field of this type.</summary>
    private void CheckAttributes(IFieldSymbol field)
    {
        bool parameter = Names.Is(field.Type, "Tensor"), holds = field.Type is INamedTypeSymbol type && (Names.Is(type, "LayerStack") || Names.IsLayer(type));
        foreach (AttributeData attribute in field.GetAttributes().Where(_ => !holds && field.Type.TypeKind != TypeKind.Error))
        {
            string? id = Names.Is(attribute, "Stages") || Names.Is(attribute, "Stage") ? "SW2001"
                : Names.Is(attribute, "Recompute") ? "SW3004"
                : !parameter && (Names.Is(attribute, "Split") || Names.Is(attribute, "Broadcast") || Names.Is(attribute, "Partial")) ? "SW1004" : null;
            if (id is not null)
            {
                int site = Attributes.Site(attribute, _context);
                string name = attribute.AttributeClass!.Name, what = name.Substring(0, name.Length - "Attribute".Length);
                _context.Sites.Report(
                    id, site, $"[{what}] on '{field.Name}' does nothing: the field {(parameter ? "is a parameter and holds no layer" : "is no parameter (Tensor … = Parameter(…)) and holds no layer")}; take the attribute off",
                    Fix.Of($"Remove [{what}]", id + "/remove", EditKind.RemoveAttribute, _context.Sites.Place(site)));
            }
        }
    }

    private FieldDefinition ParameterField(IFieldSymbol field, IInvocationOperation call, bool noDecay, int site)
    {
        var shape = new List<Expression>();
        string init = "Normal";
        EquatableArray<Expression> initArguments = EquatableArray.Of<Expression>(new Expression.Number(0.02, -1));
        foreach (IArgumentOperation argument in BodyTranslator.OrderedArguments(call).Where(a => a.ArgumentKind != ArgumentKind.DefaultValue))
        {
            IOperation value = Unwrap(argument.Value)!;
            if (argument.Parameter is { } parameter && Names.Is(parameter.Type, "Init"))
            {
                switch (value)
                {
                    case IInvocationOperation i:
                        init = i.TargetMethod.Name;
                        initArguments = BodyTranslator.OrderedArguments(i).Select(a => _translator.Expression(a.Value)).ToEquatable();
                        break;
                    case IPropertyReferenceOperation p:
                        init = p.Property.Name;
                        initArguments = default;
                        break;
                    case IFieldReferenceOperation f:
                        init = f.Field.Name;
                        initArguments = default;
                        break;
                }
            }
            else if (_translator.Expression(value) is Expression.Sequence sizes)
            {
                shape.AddRange(sizes.Items);
            }
            else
            {
                shape.Add(Size(value));
            }
        }

        return new FieldDefinition.Parameter(field.Name, shape.ToEquatable(), init, initArguments, noDecay, Placements(field), site);
    }

    /// <summary>A size must be computable at compile time: anything else is SW0004.</summary>
    private Expression Size(IOperation value)
    {
        int before = _context.Sites.Findings.Count;
        Expression size = _translator.Expression(value);
        if (size is Expression.Unknown && _context.Sites.Findings.Count > before)
        {
            _context.Sites.Report("SW0004", _context.Sites.Add(value.Syntax), $"'{SiteTable.Quote(value.Syntax)}' is not a compile-time constant: sizes come from consts, constructor parameters and arithmetic on them");
        }

        return size;
    }

    private FieldDefinition? StackField(IFieldSymbol field, INamedTypeSymbol stack, bool noDecay, VariableDeclaratorSyntax? declarator)
    {
        int site = declarator is null ? -1 : _context.Sites.Add(declarator.Identifier.GetLocation());
        IObjectCreationOperation? made = null;
        if (Unwrap(_context.Initializer(field)) is IObjectCreationOperation { Arguments.Length: 2 } creation)
        {
            List<IArgumentOperation> arguments = creation.Arguments.OrderBy(a => a.Parameter?.Ordinal ?? 0).ToList();
            if (Unwrap(arguments[1].Value) is IAnonymousFunctionOperation { Body.Operations: { } operations } && operations.OfType<IReturnOperation>().FirstOrDefault() is { ReturnedValue: { } returned })
            {
                made = Unwrap(returned) as IObjectCreationOperation;
            }

            if (made?.Type is INamedTypeSymbol layer && Names.IsLayer(layer))
            {
                _layers.Add((layer, site));
                return new FieldDefinition.LayerStack(
                    field.Name, Size(arguments[0].Value), Names.Of(layer), Arguments(made), noDecay, Recompute(field),
                    Attributes.Stages(field, _context, _translator), Placements(field), site);
            }
        }

        if (declarator is not null && !IsUnfinished(field, declarator))
        {
            string name = stack.TypeArguments.FirstOrDefault()?.Name ?? "Layer";
            _context.Sites.Report("SW0002", site, $"'{field.Name}' must be initialised in place: readonly LayerStack<{name}> {field.Name} = new(count, () => new {name}(…)), with {name} a [ShardedLayer]");
        }

        return null;
    }

    private static bool Recompute(IFieldSymbol field) => field.GetAttributes().Any(a => Names.Is(a, "Recompute"));

    private EquatableArray<PlacementAttribute> Placements(ISymbol symbol) => Attributes.Placements(symbol.GetAttributes(), _context, _translator);

    private EquatableArray<Argument> Arguments(IObjectCreationOperation creation)
    {
        string? fault = creation.Initializer is not null ? "has an object initialiser, which a layer cannot: pass what differs to the constructor"
            : creation.Constructor is { } called && called.ContainingType is { } type && LayerContext.ConstructorOf(type) is { } known && !SymbolEqualityComparer.Default.Equals(called.OriginalDefinition, known)
            ? $"calls another constructor of '{type.Name}' than the one that its graph is made of: call the one of {known.Parameters.Length} parameters ({string.Join(", ", known.Parameters.Select(p => p.Name))})"
            : null;
        if (fault is not null && !_context.HasErrors(creation.Syntax) && creation.Type is { } made && !CompilerErrors.IsTorn(made))
        {
            _context.Sites.Refuse(creation.Syntax, $"'{SiteTable.Quote(creation.Syntax)}' {fault}");
        }

        return creation.Arguments
            .Where(a => a.ArgumentKind != ArgumentKind.DefaultValue && a.Parameter is not null)
            .Select(a => new Argument(a.Parameter!.Name, Size(a.Value))).ToEquatable();
    }

    private ParameterDefinition Parameter(IParameterSymbol parameter)
    {
        int site = parameter.DeclaringSyntaxReferences.FirstOrDefault()?.GetSyntax(_context.Cancellation) is ParameterSyntax syntax ? _context.Sites.Add(syntax.Identifier.GetLocation()) : -1;
        Expression? initial = !parameter.HasExplicitDefaultValue ? null : parameter.ExplicitDefaultValue switch
        {
            int i => new Expression.Integer(i, site),
            float f => new Expression.Number(f, site),
            double d => new Expression.Number(d, site),
            bool b => new Expression.Boolean(b, site),
            _ => new Expression.Nothing(site),
        };
        if (parameter.DeclaringSyntaxReferences.FirstOrDefault()?.GetSyntax(_context.Cancellation) is ParameterSyntax { Default.Value: { } written })
        {
            _context.Fix(_context.Model(written.SyntaxTree).GetOperation(written, _context.Cancellation));
        }

        string type = parameter.Type.SpecialType switch
        {
            SpecialType.System_Int32 => "int",
            SpecialType.System_Single => "float",
            SpecialType.System_Double => "double",
            SpecialType.System_Boolean => "bool",
            _ => Names.Is(parameter.Type, "Tensor") ? "Tensor" : Names.Is(parameter.Type, "TokenTensor") ? "TokenTensor" : Names.FullName(parameter.Type),
        };
        EquatableArray<Expression> shape = Attributes.Shape(parameter, _context, _translator);
        return new ParameterDefinition(parameter.Name, type, initial, shape, Placements(parameter), site);
    }

    private MethodDefinition Method(IMethodSymbol method)
    {
        var declaration = method.DeclaringSyntaxReferences.FirstOrDefault()?.GetSyntax(_context.Cancellation) as MethodDeclarationSyntax;
        int site = declaration is null ? -1 : _context.Sites.Add(declaration.Identifier.GetLocation());
        EquatableArray<Statement> body = default;
        if (declaration is not null && _context.Model(declaration.SyntaxTree).GetOperation(declaration, _context.Cancellation) is IMethodBodyOperation operation)
        {
            body = _translator.Statements((operation.BlockBody ?? operation.ExpressionBody)?.Operations ?? ImmutableArray<IOperation>.Empty);
        }

        return new MethodDefinition(
            method.Name, method.Parameters.Select(Parameter).ToEquatable(), body,
            Attributes.Placements(method.GetReturnTypeAttributes(), _context, _translator), site);
    }

    private static IOperation? Unwrap(IOperation? operation)
    {
        while (operation is IConversionOperation or IDelegateCreationOperation or IParenthesizedOperation)
        {
            operation = operation switch
            {
                IConversionOperation c => c.Operand,
                IDelegateCreationOperation d => d.Target,
                _ => ((IParenthesizedOperation)operation).Operand,
            };
        }

        return operation;
    }
}
