using Microsoft.CodeAnalysis;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Planning;

namespace Shardwright.Analyzers;

/// <summary>Models and layers of one compilation, extracted and planned when first asked for, once.</summary>
internal sealed class CompilationModels
{
    private readonly Compilation _compilation;
    private readonly Dictionary<ISymbol, Extraction> _extractions = new(SymbolEqualityComparer.Default);
    private readonly object _gate = new();
    private ImmutableArray<Model>? _models;

    public CompilationModels(Compilation compilation) => _compilation = compilation;

    /// <summary>A model with what its planning found.</summary>
    internal sealed class Model
    {
        public Model(INamedTypeSymbol type, HashSet<string> reached, ImmutableArray<(Finding Finding, string Mesh)> findings, ImmutableArray<Location> sites)
        {
            Type = type;
            Reached = reached;
            Findings = findings;
            Sites = sites;
        }

        public INamedTypeSymbol Type { get; }

        /// <summary>Full names of the layers that it holds, directly or not.</summary>
        public HashSet<string> Reached { get; }

        public ImmutableArray<(Finding Finding, string Mesh)> Findings { get; }

        /// <summary>Sites of the model's own type, those of its attributes included.</summary>
        public ImmutableArray<Location> Sites { get; }
    }

    public Extraction Extract(INamedTypeSymbol type, CancellationToken cancellation)
    {
        lock (_gate)
        {
            if (!_extractions.TryGetValue(type, out Extraction? extraction))
            {
                _extractions[type] = extraction = LayerExtractor.Extract(type, _compilation, cancellation);
            }

            return extraction;
        }
    }

    public ImmutableArray<Model> Models(CancellationToken cancellation)
    {
        lock (_gate)
        {
            return _models ??= Types(_compilation.Assembly.GlobalNamespace).Where(t => t.GetAttributes().Any(a => Names.Is(a, "ShardedOn"))).Select(t => Plan(t, cancellation)).ToImmutableArray();
        }
    }

    private Model Plan(INamedTypeSymbol type, CancellationToken cancellation)
    {
        Extraction own = Extract(type, cancellation);
        ModelExtraction model = ModelExtractor.Extract(type, own, _compilation, cancellation);
        var definitions = new Dictionary<string, LayerDefinition> { [own.Definition.Type] = model.Model.Layer };
        var findings = ImmutableArray.CreateBuilder<(Finding, string)>();
        bool sound = own.Findings.All(f => !f.IsError);
        findings.AddRange(model.Findings.Select(f => (f, "")));
        var queue = new Queue<Extraction>(new[] { own });
        while (queue.Count > 0)
        {
            Extraction holder = queue.Dequeue();
            foreach (INamedTypeSymbol layer in holder.Layers.Where(l => !definitions.ContainsKey(Names.Of(l))))
            {
                if (!SymbolEqualityComparer.Default.Equals(layer.ContainingAssembly, _compilation.Assembly))
                {
                    if (LayerLibrary.Read(layer, definitions, _compilation, cancellation) is { } error)
                    {
                        FieldDefinition? field = holder.Definition.Fields.FirstOrDefault(f => f is FieldDefinition.Layer l && l.Type == Names.Of(layer) || f is FieldDefinition.LayerStack s && s.Type == Names.Of(layer));
                        findings.Add((new Finding(error.Id, holder.Definition.Type, field?.Site ?? -1, error.Message), ""));
                        sound = false;
                    }

                    continue;
                }

                Extraction extraction = Extract(layer, cancellation);
                sound &= extraction.Findings.All(f => !f.IsError);
                definitions[extraction.Definition.Type] = extraction.Definition;
                queue.Enqueue(extraction);
            }
        }

        // A fault within a layer is reported there; planning on top of it would only repeat it in other words.
        foreach (ShardedOnDefinition on in model.Model.Meshes.Where(_ => sound))
        {
            PlanResult result = Planner.Plan(model.Model, name => definitions.TryGetValue(name, out LayerDefinition? d) ? d : null, on, ImmutableDictionary<string, long>.Empty, cancellation);
            findings.AddRange(result.Findings.Select(f => (f, on.NestedName)));
        }

        return new Model(type, new HashSet<string>(definitions.Keys), findings.ToImmutable(), model.Sites);
    }

    private static IEnumerable<INamedTypeSymbol> Types(INamespaceOrTypeSymbol container)
    {
        foreach (ISymbol member in container.GetMembers())
        {
            if (member is INamedTypeSymbol type)
            {
                yield return type;
            }

            if (member is INamespaceOrTypeSymbol inner)
            {
                foreach (INamedTypeSymbol nested in Types(inner))
                {
                    yield return nested;
                }
            }
        }
    }
}
