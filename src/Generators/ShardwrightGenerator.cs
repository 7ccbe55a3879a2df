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
        IncrementalValueProvider<EquatableArray<LayerSource>> extraction = context.CompilationProvider.WithComparer(CompilationComparer.Instance)
            .Select(static (compilation, cancellation) => CompilationLayers.Of(compilation, cancellation).Sources).WithTrackingName(TrackingNames.Extraction);
        IncrementalValuesProvider<LayerPlace> places = context.SyntaxProvider
            .CreateSyntaxProvider(static (node, _) => node is TypeDeclarationSyntax { AttributeLists.Count: > 0 }, static (match, _) => LayerPlaces.Of((TypeDeclarationSyntax)match.Node))
            .WithTrackingName(TrackingNames.Places);
        IncrementalValuesProvider<LayerSource> layers = places.Combine(extraction).Select(static (pair, _) => Linking.Find(pair.Right, pair.Left))
            .Where(static layer => layer is { IsComplete: true }).Select(static (layer, _) => layer!).WithTrackingName(TrackingNames.Layers);
        IncrementalValuesProvider<LinkedModel> models = layers.Where(static layer => layer.IsModel).Combine(extraction)
            .Select(static (pair, cancellation) => Linking.Link(pair.Left, pair.Right, cancellation)).WithTrackingName(TrackingNames.Models);
        IncrementalValuesProvider<PlannedMesh> plans = models.SelectMany(static (model, cancellation) => PlannedMesh.Plan(model, cancellation)).WithTrackingName(TrackingNames.Plans);

        context.RegisterSourceOutput(layers, static (production, layer) => Add(production, layer, "", LayerPrinter.Print(layer.Definition, layer.Meshes, layer.Shell)));

        // A debugging build writes where memory dies; asked for by a property of the project, and another program altogether.
        IncrementalValueProvider<bool> poisons = context.AnalyzerConfigOptionsProvider
            .Select(static (options, _) => options.GlobalOptions.TryGetValue("build_property.ShardwrightPoisonMemory", out string? value) && string.Equals(value, "true", StringComparison.OrdinalIgnoreCase));
        context.RegisterSourceOutput(plans.Combine(poisons), static (production, pair) => Emit(production, pair.Right ? pair.Left with { Program = pair.Left.Program is { } program ? program with { PoisonsMemory = true } : null } : pair.Left));

        // Kernels for accelerators where they can be compiled: another output, so that its presence touches nothing else.
        IncrementalValueProvider<bool> seesIlgpu = context.CompilationProvider
            .Select(static (compilation, _) => compilation.GetTypeByMetadataName("ILGPU.Index1D") is not null && compilation.GetTypeByMetadataName("Shardwright.Gpu.DeviceArena") is not null).WithTrackingName(TrackingNames.SeesIlgpu);
        context.RegisterSourceOutput(plans.Combine(seesIlgpu).Where(static pair => pair.Right), static (production, pair) => EmitIlgpu(production, pair.Left));
    }

    private static void Emit(SourceProductionContext production, PlannedMesh plan)
    {
        LayerSource model = plan.Model.Source;
        string name = "." + plan.On.NestedName;
        if (plan.Program is not { } program)
        {
            Add(production, model, name + ".Surface", SurfacePrinter.Print(plan.Model.Model, plan.On, model.Shell, plan.Errors));
            return;
        }

        Add(production, model, name + ".Plan", RankPrinter.PrintPlan(program, model.Shell));
        if (!program.RunsOnHost)
        {
            string reason = $"Precision.{program.Precision} is planned, and the host has no kernels for it: make an IlgpuRank, which is emitted where a project references Shardwright.Runtime.Ilgpu, or use Precision.Float32";
            Add(production, model, name + ".Surface", SurfacePrinter.Print(plan.Model.Model, plan.On, model.Shell, reason, isPlanned: true));
            return;
        }

        Add(production, model, name + ".Rank", RankPrinter.PrintRank(program, model.Shell));
        AddProgram(production, model, name, program);
        Add(production, model, name + ".Kernels.Cpu", CpuKernelPrinter.Print(program, model.Shell));
    }

    /// <summary>What all backends share: the stages, and the interface of their kernels.</summary>
    private static void AddProgram(SourceProductionContext production, LayerSource model, string name, RankProgram program)
    {
        foreach (StageProgram stage in program.Stages)
        {
            Add(production, model, name + "." + stage.Name, StagePrinter.Print(program, stage, model.Shell));
        }

        Add(production, model, name + ".Kernels", KernelInterfacePrinter.Print(program, model.Shell));
    }

    private static void EmitIlgpu(SourceProductionContext production, PlannedMesh plan)
    {
        if (plan.Program is { } program)
        {
            LayerSource model = plan.Model.Source;
            string name = "." + plan.On.NestedName;
            if (!program.RunsOnHost)
            {
                AddProgram(production, model, name, program);
            }

            Add(production, model, name + ".Rank.Ilgpu", RankPrinter.PrintRank(program, model.Shell, gpu: true));
            Add(production, model, name + ".Kernels.Ilgpu", IlgpuKernelPrinter.Print(program, model.Shell));
        }
    }

    private static void Add(SourceProductionContext production, LayerSource layer, string part, string text)
    {
        production.CancellationToken.ThrowIfCancellationRequested();
        production.AddSource(HintName(layer.Type + part), SourceText.From(text, Encoding.UTF8));
    }

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
