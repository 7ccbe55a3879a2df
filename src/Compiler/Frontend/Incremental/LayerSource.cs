using Microsoft.CodeAnalysis;
using Shardwright.Compiler.Graph;
using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Frontend;

/// <summary>Namespace and containing types of a user's class, as its generated parts repeat them.</summary>
/// <param name="Namespace">Empty for the global one.</param>
/// <param name="Types">Declarations from the outside in: <c>partial class Gpt</c>.</param>
public sealed record TypeShell(string Namespace, EquatableArray<string> Types);

/// <summary>Which declaration of a type is meant: the file, and the number among those of one name in it.</summary>
/// <param name="Type">Full name without assembly.</param>
/// <param name="Path">Path of the file.</param>
/// <param name="Ordinal">From 0.</param>
public sealed record LayerPlace(string Type, string Path, int Ordinal);

/// <summary>A layer or model as the pipeline carries it.</summary>
/// <param name="Definition">The layer.</param>
/// <param name="Shell">Where its generated part goes.</param>
/// <param name="Home">Its first declaration: the one that it is emitted for.</param>
/// <param name="IsComplete">Whether a generated part can stand beside it: partial, not generic.</param>
/// <param name="IsModel">Whether it carries [ShardedOn].</param>
/// <param name="Meshes">Its meshes; none for a plain layer.</param>
/// <param name="Referenced">Definitions of the layers from referenced assemblies that it reaches, by name.</param>
/// <param name="Findings">What is wrong with it on its own, and with the layers of referenced assemblies that it holds.</param>
/// <param name="MeshFindings">What is wrong with its [ShardedOn] attributes: the other meshes can still be planned.</param>
public sealed record LayerSource(
    LayerDefinition Definition, TypeShell Shell, LayerPlace Home, bool IsComplete, bool IsModel, EquatableArray<ShardedOnDefinition> Meshes,
    EquatableArray<LayerDefinition> Referenced, EquatableArray<Finding> Findings, EquatableArray<Finding> MeshFindings)
{
    /// <summary>Full name without assembly.</summary>
    public string Type => Home.Type;
}

/// <summary>A place in the source of a type, by number of tokens: comments and white space do not move it.</summary>
/// <param name="Type">Type in whose declaration it lies: full name without assembly.</param>
/// <param name="Part">Number of the declaration.</param>
/// <param name="First">First token.</param>
/// <param name="Last">Last token.</param>
public sealed record SitePosition(string Type, int Part, int First, int Last)
{
    /// <summary>Where that is in a compilation; null where the type is gone.</summary>
    public Location? Locate(Compilation compilation, CancellationToken cancellation)
    {
        IReadOnlyList<TypePart> parts = CompilationSurface.Of(compilation, cancellation).Parts(Type);
        return Part < parts.Count ? parts[Part].Locate(First, Last) : null;
    }
}

/// <summary>What extraction of one type yields: data only, so that it may outlive the compilation.</summary>
/// <param name="Layer">The layer or model.</param>
/// <param name="Sites">Place of each site number; for analyzers only. Null for what lies in no type.</param>
/// <param name="Reads">Types of the compilation whose content was read, the layer itself first; full names without assembly.</param>
public sealed record Extraction(LayerSource Layer, EquatableArray<SitePosition?> Sites, EquatableArray<string> Reads)
{
    /// <summary>The layer as data.</summary>
    public LayerDefinition Definition => Layer.Definition;
}
