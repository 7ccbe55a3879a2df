using System.Runtime.CompilerServices;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Shardwright.Compiler.Graph;

namespace Shardwright.Compiler.Frontend;

/// <summary>All layers and models of a compilation, each extracted once for its content. What is kept between compilations is data.</summary>
public sealed class CompilationLayers
{
    private const int Remembered = 8;

    private static readonly ConditionalWeakTable<Compilation, Holder> s_known = new();
    private static readonly List<WeakReference<Compilation>> s_recent = new();

    private readonly Dictionary<string, Extraction> _byType;
    private readonly HashSet<string> _read;

    private CompilationLayers(ImmutableArray<Extraction> all)
    {
        All = all;
        Sources = all.Select(e => e.Layer).ToEquatable();
        _byType = all.ToDictionary(e => e.Layer.Type, StringComparer.Ordinal);
        _read = new HashSet<string>(all.SelectMany(e => e.Reads), StringComparer.Ordinal);
    }

    private sealed class Holder
    {
        public CompilationLayers? Layers { get; set; }
    }

    /// <summary>All extractions, by name of their types.</summary>
    public ImmutableArray<Extraction> All { get; }

    /// <summary>The layers and models as the generator carries them, by name of their types.</summary>
    public EquatableArray<LayerSource> Sources { get; }

    /// <summary>The layers of a compilation: those of an earlier one where nothing that matters differs.</summary>
    public static CompilationLayers Of(Compilation compilation, CancellationToken cancellation)
    {
        Holder holder = s_known.GetOrCreateValue(compilation);
        lock (holder)
        {
            return holder.Layers ??= Recent(compilation) ?? Walk(compilation, cancellation);
        }
    }

    /// <summary>What is known of a compilation; null where it was not walked to the end.</summary>
    internal static CompilationLayers? Known(Compilation compilation) => s_known.TryGetValue(compilation, out Holder? holder) ? holder.Layers : null;

    /// <summary>The extraction of a type, by full name without assembly.</summary>
    public Extraction? Find(string type) => _byType.TryGetValue(type, out Extraction? found) ? found : null;

    /// <summary>Whether the content of a type in this tree was read by extraction.</summary>
    internal bool HasRead(SyntaxTree tree) => TreeSurface.Of(tree, CancellationToken.None).Types.Any(t => _read.Contains(t.Name));

    private static CompilationLayers? Recent(Compilation compilation)
    {
        Compilation[] recent;
        lock (s_recent)
        {
            s_recent.RemoveAll(r => !r.TryGetTarget(out _));
            recent = s_recent.Select(r => r.TryGetTarget(out Compilation? c) ? c : null).Where(c => c?.AssemblyName == compilation.AssemblyName).ToArray()!;
        }

        Compilation? same = recent.FirstOrDefault(c => c.SyntaxTrees.Any(TreeSurface.IsGenerated) == compilation.SyntaxTrees.Any(TreeSurface.IsGenerated) && CompilationComparer.Instance.Equals(c, compilation));
        return same is null ? null : Known(same);
    }

    private static CompilationLayers Walk(Compilation compilation, CancellationToken cancellation)
    {
        CompilationSurface surface = CompilationSurface.Of(compilation, cancellation);
        var all = ImmutableArray.CreateBuilder<Extraction>();
        foreach (string type in surface.Marked)
        {
            cancellation.ThrowIfCancellationRequested();
            string key = type + ", " + compilation.AssemblyName;
            Extraction? extraction = ExtractionCache.Shared.Find(key, surface);
            if (extraction is null && Symbol(surface.Parts(type)[0].Node, compilation, cancellation) is { } symbol && Names.IsLayer(symbol))
            {
                extraction = LayerExtractor.Extract(symbol, compilation, cancellation);
                ExtractionCache.Shared.Add(key, surface, extraction);
            }

            if (extraction is not null)
            {
                all.Add(extraction);
            }
        }

        lock (s_recent)
        {
            s_recent.Insert(0, new WeakReference<Compilation>(compilation));
            if (s_recent.Count > Remembered)
            {
                s_recent.RemoveAt(Remembered);
            }
        }

        return new CompilationLayers(all.ToImmutable());
    }

    private static INamedTypeSymbol? Symbol(TypeDeclarationSyntax node, Compilation compilation, CancellationToken cancellation) =>
        compilation.GetSemanticModel(node.SyntaxTree).GetDeclaredSymbol(node, cancellation) as INamedTypeSymbol;
}
