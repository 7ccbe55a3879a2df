using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Planning;
using Shardwright.Generators.Printing;

namespace Shardwright.Generators;

/// <summary>Emits the generated part of each layer, and the program of each model on each of its meshes.</summary>
[Generator(LanguageNames.CSharp)]
public sealed class ShardwrightGenerator : IIncrementalGenerator
{
    /// <inheritdoc/>
    public void Initialize(IncrementalGeneratorInitializationContext context)
    {
        IncrementalValuesProvider<LayerSource> layers = Find(context, Names.ShardedLayer).WithTrackingName(TrackingNames.Layers);
        IncrementalValuesProvider<LayerSource> models = Find(context, Names.ShardedOn).WithTrackingName(TrackingNames.Models);
        IncrementalValueProvider<EquatableArray<LayerDefinition>> library = layers.Select(static (l, _) => l.Definition).Collect()
            .Select(static (all, _) => all.OrderBy(d => d.Type, StringComparer.Ordinal).ToEquatable()).WithTrackingName(TrackingNames.Library);

        context.RegisterSourceOutput(layers, static (production, layer) => EmitLayer(production, layer));
        context.RegisterSourceOutput(models, static (production, model) => EmitLayer(production, model));
        context.RegisterSourceOutput(models.Combine(library).Combine(layers.Collect()), static (production, pair) => EmitModel(production, pair.Left.Left, pair.Left.Right, pair.Right));
    }

    private static IncrementalValuesProvider<LayerSource> Find(IncrementalGeneratorInitializationContext context, string attribute) =>
        context.SyntaxProvider.ForAttributeWithMetadataName(
                attribute,
                static (node, _) => node is TypeDeclarationSyntax,
                static (match, cancellation) => match.TargetSymbol is INamedTypeSymbol type && IsFirst(type, match.TargetNode) ? SourceReader.Read(type, match.SemanticModel.Compilation, cancellation) : null)
            .Where(static source => source is not null)
            .Select(static (source, _) => source!);

    /// <summary>A class in several parts that carry the attribute is met once for each part: it is emitted once.</summary>
    private static bool IsFirst(INamedTypeSymbol type, SyntaxNode node)
    {
        foreach (AttributeData attribute in type.GetAttributes())
        {
            if ((Names.Is(attribute, "ShardedLayer") || Names.Is(attribute, "ShardedOn")) && attribute.ApplicationSyntaxReference is { } reference)
            {
                return reference.SyntaxTree == node.SyntaxTree && node.Span.Contains(reference.Span);
            }
        }

        return true;
    }

    private static void EmitLayer(SourceProductionContext production, LayerSource layer)
    {
        if (layer.IsComplete)
        {
            Add(production, layer.Definition, "", LayerPrinter.Print(layer.Definition, layer.Shell));
        }
    }

    private static void EmitModel(SourceProductionContext production, LayerSource model, EquatableArray<LayerDefinition> library, ImmutableArray<LayerSource> sources)
    {
        if (!model.IsComplete)
        {
            return;
        }

        var definitions = library.Concat(sources.SelectMany(s => s.Referenced)).Concat(model.Referenced).GroupBy(d => d.Type).ToDictionary(g => g.Key, g => g.First());
        var whole = new ModelDefinition(model.Definition, model.Meshes);
        string errors = string.Join("\n", model.Errors.Concat(Reached(model.Definition, definitions, sources)).Distinct());
        foreach (ShardedOnDefinition on in model.Meshes)
        {
            production.CancellationToken.ThrowIfCancellationRequested();
            EmitMesh(production, model, whole, on, definitions, errors);
        }
    }

    private static void EmitMesh(SourceProductionContext production, LayerSource model, ModelDefinition whole, ShardedOnDefinition on, Dictionary<string, LayerDefinition> definitions, string errors)
    {
        string name = "." + on.NestedName;
        try
        {
            if (errors.Length == 0)
            {
                PlanResult plan = Planner.Plan(whole, type => definitions.TryGetValue(type, out LayerDefinition? found) ? found : null, on, ImmutableDictionary<string, long>.Empty, production.CancellationToken);
                if (plan.Program is { } program)
                {
                    Add(production, model.Definition, name + ".Plan", RankPrinter.PrintPlan(program, model.Shell));
                    Add(production, model.Definition, name + ".Rank", RankPrinter.PrintRank(program, model.Shell));
                    foreach (StageProgram stage in program.Stages)
                    {
                        Add(production, model.Definition, name + "." + stage.Name, StagePrinter.Print(program, stage, model.Shell));
                    }

                    Add(production, model.Definition, name + ".Kernels", KernelInterfacePrinter.Print(program, model.Shell));
                    Add(production, model.Definition, name + ".Kernels.Cpu", CpuKernelPrinter.Print(program, model.Shell));
                    return;
                }

                errors = string.Join("\n", plan.Findings.Where(f => f.IsError).Select(f => f.Id + ": " + f.Message));
            }
        }
        catch (Exception error) when (error is not OperationCanceledException)
        {
            // A fault of ours must not take the editor down; the analyzer, which meets the same fault, says so.
            errors = $"the compiler failed: {error.GetType().Name}: {error.Message}";
        }

        Add(production, model.Definition, name + ".Surface", SurfacePrinter.Print(whole, on, model.Shell, errors.Length == 0 ? "an expression of the model does not compile" : errors));
    }

    /// <summary>Errors of the layers that a model reaches.</summary>
    private static IEnumerable<string> Reached(LayerDefinition model, Dictionary<string, LayerDefinition> definitions, ImmutableArray<LayerSource> sources)
    {
        var seen = new HashSet<string>();
        var queue = new Queue<LayerDefinition>();
        queue.Enqueue(model);
        while (queue.Count > 0)
        {
            foreach (FieldDefinition field in queue.Dequeue().Fields)
            {
                string? type = field switch { FieldDefinition.Layer l => l.Type, FieldDefinition.LayerStack s => s.Type, _ => null };
                if (type is null || !seen.Add(type))
                {
                    continue;
                }

                foreach (LayerSource source in sources.Where(s => s.Definition.Type == type))
                {
                    foreach (string error in source.Errors)
                    {
                        yield return error;
                    }
                }

                if (definitions.TryGetValue(type, out LayerDefinition? definition))
                {
                    queue.Enqueue(definition);
                }
            }
        }
    }

    private static void Add(SourceProductionContext production, LayerDefinition layer, string part, string text) =>
        production.AddSource(HintName(layer.Type.Split(',')[0] + part), SourceText.From(text, Encoding.UTF8));

    /// <summary>File names collide case-insensitively: a name with capitals that another could share gets a hash of its exact spelling only where it is long.</summary>
    private static string HintName(string name)
    {
        string clean = new(name.Select(c => char.IsLetterOrDigit(c) || c is '.' or '_' ? c : '_').ToArray());
        return (clean.Length > 150 ? clean.Substring(0, 120) + "." + Hash(name) : clean) + ".g.cs";
    }

    private static string Hash(string name)
    {
        uint hash = 2166136261;
        foreach (char c in name)
        {
            hash = unchecked((hash ^ c) * 16777619);
        }

        return hash.ToString("x8", System.Globalization.CultureInfo.InvariantCulture);
    }
}
