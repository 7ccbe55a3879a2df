using System.Runtime.CompilerServices;
using Microsoft.CodeAnalysis;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Planning;

namespace Shardwright.Analyzers;

/// <summary>What was found in the layers and models of a compilation, by the type whose source holds the place. Data only: compilations with the same layers share it.</summary>
internal sealed class CompilationModels
{
    private static readonly ConditionalWeakTable<CompilationLayers, CompilationModels> s_known = new();

    private readonly CompilationLayers _layers;
    private readonly object _gate = new();
    private Dictionary<string, ImmutableArray<PlacedFinding>>? _byType;

    private CompilationModels(CompilationLayers layers) => _layers = layers;

    /// <summary>A finding, its place, the models and meshes concerned, those of its fixes whose places are in source, with the places, and the types of the compilation that it follows from.</summary>
    internal sealed record PlacedFinding(Finding Finding, SitePosition? Place, string Where, EquatableArray<Fix> Fixes, EquatableArray<SitePosition> FixPlaces, EquatableArray<string> Types);

    /// <summary>A finding about a plan, with offers that stay below other limits than the usual ones: planned again, once for each set of limits.</summary>
    public static PlacedFinding Again(PlacedFinding found, OfferLimits limits, Compilation compilation, CancellationToken cancellation)
    {
        CompilationModels models = s_known.GetValue(CompilationLayers.Of(compilation, cancellation), l => new CompilationModels(l));
        foreach (LayerSource source in models._layers.Sources.Where(s => s.IsModel && s.Definition.Type == found.Finding.TypeName))
        {
            LinkedModel model = Linking.Link(source, models._layers.Sources, cancellation);
            if (source.Meshes.FirstOrDefault(m => m.Site == found.Finding.Site) is { } on
                && PlanCache.Shared.PlanOrSay(model.Model, model.Layers, on, cancellation, limits).Findings.FirstOrDefault(f => f.Id == found.Finding.Id && f.Site == found.Finding.Site) is { } other)
            {
                return models.Made(other, found.Place, found.Where, found.Types);
            }
        }

        return found;
    }

    /// <summary>What is to be said while a type is analysed, by full name without assembly; planned when first asked for, once.</summary>
    public static ImmutableArray<PlacedFinding> Of(string type, Compilation compilation, CancellationToken cancellation)
    {
        CompilationModels models = s_known.GetValue(CompilationLayers.Of(compilation, cancellation), l => new CompilationModels(l));
        return models.ByType(cancellation).TryGetValue(type, out ImmutableArray<PlacedFinding> found) ? found : ImmutableArray<PlacedFinding>.Empty;
    }

    private Dictionary<string, ImmutableArray<PlacedFinding>> ByType(CancellationToken cancellation)
    {
        while (!Monitor.TryEnter(_gate, millisecondsTimeout: 20))
        {
            cancellation.ThrowIfCancellationRequested();
        }

        try
        {
            return _byType ??= Collect(cancellation);
        }
        finally
        {
            Monitor.Exit(_gate);
        }
    }

    private Dictionary<string, ImmutableArray<PlacedFinding>> Collect(CancellationToken cancellation)
    {
        // In order, so that one compilation has its diagnostics in one order.
        // Findings that say the same are one, with the fixes that were found first.
        var where = new Dictionary<(string Type, Finding Finding), List<string>>();
        var order = new List<(string Type, Finding Finding)>();
        var from = new Dictionary<(string Type, Finding Finding), EquatableArray<string>>();
        foreach (Extraction extraction in _layers.All)
        {
            EquatableArray<string> read = From(new[] { extraction.Layer.Type });
            foreach (Finding finding in extraction.Layer.Findings.Concat(extraction.Layer.MeshFindings))
            {
                Add(extraction.Layer.Type, finding, "", read);
            }
        }

        foreach (LayerSource source in _layers.Sources.Where(s => s.IsModel))
        {
            LinkedModel model = Linking.Link(source, _layers.Sources, cancellation);
            EquatableArray<string> reached = From(model.Layers.Select(l => l.Type.Split(',')[0]));
            foreach (ShardedOnDefinition on in source.Meshes.Where(_ => model.IsSound))
            {
                PlanResult result = PlanCache.Shared.PlanOrSay(model.Model, model.Layers, on, cancellation);
                foreach (Finding finding in result.Findings)
                {
                    // A fault inside a layer of another assembly is reported at the model.
                    string type = finding.TypeName.Split(',')[0];
                    bool foreign = _layers.Find(type)?.Definition.Type != finding.TypeName;
                    Add(foreign ? source.Type : type, foreign ? finding with { TypeName = source.Definition.Type, Site = -1 } : finding, source.Definition.ShortName + "." + on.NestedName, reached);
                }
            }
        }

        return order.Select(o => (o.Finding, Place: Place(o.Type, o.Finding), Owner: o.Type, Where: where[Key(o.Type, o.Finding)].Count == 0 ? "" : $" (on {string.Join(", ", where[Key(o.Type, o.Finding)].Distinct())})"))
            .GroupBy(p => p.Place?.Type ?? p.Owner)
            .ToDictionary(g => g.Key, g => g.Select(p => Made(p.Finding, p.Place, p.Where, from[Key(p.Owner, p.Finding)])).ToImmutableArray());

        static (string, Finding) Key(string type, Finding finding) => (type, finding with { Fixes = default, Measure = null });

        // What was read of the compilation, and the layers that fields hold.
        EquatableArray<string> From(IEnumerable<string> types) => types.Where(t => _layers.Find(t) is not null)
            .SelectMany(t => _layers.Find(t)!.Reads.Concat(_layers.Find(t)!.Definition.Fields.Select(f => f switch { FieldDefinition.Layer l => l.Type, FieldDefinition.LayerStack s => s.Type, _ => "" }).Select(n => n.Split(',')[0])))
            .Where(t => t.Length > 0).Distinct().OrderBy(t => t, StringComparer.Ordinal).ToEquatable();

        void Add(string type, Finding finding, string mesh, EquatableArray<string> types)
        {
            if (!where.TryGetValue(Key(type, finding), out List<string>? meshes))
            {
                where[Key(type, finding)] = meshes = new List<string>();
                order.Add((type, finding));
                from[Key(type, finding)] = types;
            }

            if (mesh.Length > 0)
            {
                meshes.Add(mesh);
            }
        }
    }

    private PlacedFinding Made(Finding finding, SitePosition? place, string where, EquatableArray<string> types)
    {
        var fixes = new List<Fix>();
        var places = new List<SitePosition>();
        foreach (Fix fix in finding.Fixes)
        {
            // What lies in another assembly is never edited.
            List<SitePosition?> own = fix.Edits.Select(e => Place(e.Place)).ToList();
            if (own.All(p => p is not null))
            {
                fixes.Add(fix);
                places.AddRange(own!);
            }
        }

        return new PlacedFinding(finding, place, where, fixes.ToEquatable(), places.ToEquatable(), types);
    }

    private SitePosition? Place(string place) => Place(place.Split(',')[0], Finding.At("", place, ""));

    private SitePosition? Place(string type, Finding finding) =>
        _layers.Find(type) is { } extraction && finding.Site >= 0 && finding.Site < extraction.Sites.Count ? extraction.Sites[finding.Site] : null;
}
