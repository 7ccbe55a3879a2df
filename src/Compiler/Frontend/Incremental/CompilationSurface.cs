using System.Runtime.CompilerServices;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace Shardwright.Compiler.Frontend;

/// <summary>What one compilation declares, by name: enough to say whether what was extracted from some types in another compilation still holds in this one.</summary>
internal sealed class CompilationSurface
{
    private static readonly ConditionalWeakTable<Compilation, CompilationSurface> s_known = new();
    private static readonly ConditionalWeakTable<MetadataReference, string> s_references = new();

    private readonly Dictionary<string, ContentHash> _names = new(StringComparer.Ordinal);
    private readonly Dictionary<string, List<TypePart>> _types = new(StringComparer.Ordinal);
    private readonly HashSet<string> _globalIdentifiers = new(StringComparer.Ordinal);
    private readonly ContentHash _environment;

    private CompilationSurface(Compilation compilation, CancellationToken cancellation)
    {
        var aliases = new HashSet<string>(StringComparer.Ordinal);
        ContentHash everywhere = default;
        bool generated = false;
        var surfaces = new List<TreeSurface>();
        foreach (SyntaxTree tree in compilation.SyntaxTrees)
        {
            if (TreeSurface.IsGenerated(tree))
            {
                generated = true;
                continue;
            }

            TreeSurface surface = TreeSurface.Of(tree, cancellation);
            surfaces.Add(surface);
            everywhere = everywhere.Joined(surface.OfEverywhere);
            aliases.UnionWith(surface.GlobalAliases);
            _globalIdentifiers.UnionWith(surface.GlobalIdentifiers);
            foreach (KeyValuePair<string, ContentHash> name in surface.Names)
            {
                _names[name.Key] = _names.TryGetValue(name.Key, out ContentHash before) ? before.Joined(name.Value) : name.Value;
            }

            foreach (TypePart part in surface.Types)
            {
                if (!_types.TryGetValue(part.Name, out List<TypePart>? parts))
                {
                    _types[part.Name] = parts = new List<TypePart>();
                }

                parts.Add(part);
            }
        }

        var marked = new SortedSet<string>(StringComparer.Ordinal);
        foreach (TreeSurface surface in surfaces)
        {
            foreach (TypePart part in surface.Types)
            {
                if (part.Node.AttributeLists.Count > 0 && part.Node.AttributeLists.SelectMany(l => l.Attributes).Any(a => IsMark(a, surface.Aliases, aliases)))
                {
                    marked.Add(part.Name);
                }
            }
        }

        foreach (List<TypePart> parts in _types.Values)
        {
            parts.Sort((a, b) => a.Node.SyntaxTree == b.Node.SyntaxTree ? a.Node.SpanStart.CompareTo(b.Node.SpanStart) : string.CompareOrdinal(a.Node.SyntaxTree.FilePath, b.Node.SyntaxTree.FilePath));
        }

        Marked = marked.ToImmutableArray();
        var options = (CSharpParseOptions?)compilation.SyntaxTrees.FirstOrDefault()?.Options;
        ContentHash environment = everywhere.With(compilation.AssemblyName ?? "").With(options?.LanguageVersion.ToString() ?? "").With(generated ? "generated" : "")
            .With(compilation.Options.OutputKind.ToString()).With(((CSharpCompilationOptions)compilation.Options).NullableContextOptions.ToString());
        foreach (MetadataReference reference in compilation.References)
        {
            environment = environment.With(Reference(reference, compilation, cancellation));
        }

        _environment = environment;
    }

    /// <summary>Types that may be layers: they carry an attribute that could be one of ours. In order of their names.</summary>
    public ImmutableArray<string> Marked { get; }

    /// <summary>The surface of a compilation.</summary>
    public static CompilationSurface Of(Compilation compilation, CancellationToken cancellation) =>
        s_known.TryGetValue(compilation, out CompilationSurface? known) ? known : s_known.GetValue(compilation, c => new CompilationSurface(c, cancellation));

    /// <summary>Declarations of a type of this compilation, by full name without assembly, in a fixed order.</summary>
    public IReadOnlyList<TypePart> Parts(string type) => _types.TryGetValue(type, out List<TypePart>? parts) ? parts : Array.Empty<TypePart>();

    /// <summary>Hash of everything that an extraction depends on that read the content of these types. Equal keys: equal extractions.</summary>
    public ContentHash Key(IEnumerable<string> types)
    {
        ContentHash key = _environment;
        var identifiers = new HashSet<string>(_globalIdentifiers, StringComparer.Ordinal);
        foreach (string type in types)
        {
            key = key.With(type);
            foreach (TypePart part in Parts(type))
            {
                key = key.With(part.Hash).With(part.Node.SyntaxTree.FilePath);
                identifiers.UnionWith(part.Identifiers);
            }
        }

        ContentHash names = default;
        foreach (string identifier in identifiers)
        {
            if (_names.TryGetValue(identifier, out ContentHash declared))
            {
                names = names.Joined(declared);
            }
        }

        return key.With(names);
    }

    /// <summary>Whether an attribute's spelling could mean one of ours.</summary>
    private static bool IsMark(AttributeSyntax attribute, IReadOnlyList<string> aliases, HashSet<string> globalAliases)
    {
        SimpleNameSyntax? simple = attribute.Name switch { QualifiedNameSyntax q => q.Right, AliasQualifiedNameSyntax a => a.Name, SimpleNameSyntax s => s, _ => null };
        string name = simple?.Identifier.ValueText ?? "";
        return name is "ShardedLayer" or "ShardedLayerAttribute" or "ShardedOn" or "ShardedOnAttribute"
            || globalAliases.Contains(name) || globalAliases.Contains(name + "Attribute") || aliases.Contains(name) || aliases.Contains(name + "Attribute");
    }

    /// <summary>Identity of a reference's content: the version of its module, or what its source declares.</summary>
    private static string Reference(MetadataReference reference, Compilation compilation, CancellationToken cancellation)
    {
        if (reference is CompilationReference { Compilation: CSharpCompilation other })
        {
            CompilationSurface surface = Of(other, cancellation);
            ContentHash all = surface._names.Values.Aggregate(surface._environment, (sum, name) => sum.Joined(name));
            return all.ToString();
        }

        return s_references.TryGetValue(reference, out string? known) ? known : s_references.GetValue(reference, r =>
        {
            ModuleMetadata? module = (compilation.GetAssemblyOrModuleSymbol(r) as IAssemblySymbol)?.GetMetadata()?.GetModules().FirstOrDefault();
            return module?.GetModuleVersionId().ToString() ?? r.Display ?? "";
        });
    }
}
