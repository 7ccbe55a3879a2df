using Microsoft.CodeAnalysis;
using Shardwright.Compiler.Frontend;
using Shardwright.Compiler.Graph.Definitions;
using Shardwright.Compiler.Machine;
using Shardwright.Compiler.Planning;

namespace Shardwright.Compiler.Tests.Memory;

/// <summary>Plans models of source text without building them.</summary>
internal sealed class Plans
{
    private readonly ModelDefinition _model;
    private readonly Dictionary<string, LayerDefinition> _layers = [];

    private Plans(Compilation compilation, string type)
    {
        CompilationLayers layers = CompilationLayers.Of(compilation, default);
        LinkedModel linked = Linking.Link(layers.Sources.Single(s => s.IsModel && s.Type == type), layers.Sources, default);
        Assert.Empty(linked.Findings);
        _model = linked.Model;
        foreach (LayerDefinition layer in linked.Layers)
        {
            _layers[layer.Type] = layer;
        }
    }

    /// <summary>Names of its nested classes, one for each mesh.</summary>
    public IEnumerable<string> Meshes => _model.Meshes.Select(m => m.NestedName);

    /// <summary>The mesh of one.</summary>
    public MeshDefinition Mesh(string on) => _model.Meshes.Single(m => m.NestedName == on).Mesh;

    /// <summary>A model of source text, with the namespace and mesh of <see cref="AnalysisTests.Head"/> before it.</summary>
    public static Plans Of(string source, string type = "My.Net") => new(AnalysisTests.Compile(AnalysisTests.Head + source), type);

    /// <summary>A model of this repository, by the files that it needs.</summary>
    public static Plans Files(string type, string folder, params string[] files) =>
        new(AnalysisTests.Compile([.. files.Select(f => File.ReadAllText(Path.Combine(DocumentationTests.Root, folder, f)))]), type);

    /// <summary>The sample's own model.</summary>
    public static Plans TinyGpt { get; } = Files("TinyGpt.Gpt", "samples/TinyGpt", "Model.cs", "Meshes.cs");

    /// <summary>Plans it.</summary>
    /// <param name="on">Name of the nested class.</param>
    /// <param name="change">What to change in the attribute.</param>
    /// <param name="overrides">Other numbers for constants.</param>
    public PlanResult Plan(string on, Func<ShardedOnDefinition, ShardedOnDefinition>? change = null, params (string Name, long Value)[] overrides)
    {
        ShardedOnDefinition mesh = _model.Meshes.Single(m => m.NestedName == on);
        string own = _model.Layer.Type.Split(',')[0] + ".";
        var values = overrides.ToDictionary(o => own + o.Name, o => (Expression)new Expression.Integer(o.Value, -1));
        return Planner.Plan(_model with { Layer = ConstantTable.With(_model.Layer, values) }, name => _layers.TryGetValue(name, out LayerDefinition? layer) ? ConstantTable.With(layer, values) : null, change?.Invoke(mesh) ?? mesh, default);
    }

    /// <summary>Plans it, and expects a program.</summary>
    public RankProgram Program(string on, Func<ShardedOnDefinition, ShardedOnDefinition>? change = null, params (string Name, long Value)[] overrides)
    {
        PlanResult result = Plan(on, change, overrides);
        return result.Program ?? throw new InvalidOperationException(string.Join("\n", result.Findings.Select(f => f.Message)));
    }

    /// <summary>Plans it, and simulates a step, every kernel a span.</summary>
    public StepSimulation Simulate(string on) => StepSimulation.Of(Program(on), _model.Meshes.Single(m => m.NestedName == on).Mesh, long.MaxValue);
}
