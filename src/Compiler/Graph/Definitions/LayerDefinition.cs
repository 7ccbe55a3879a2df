namespace Shardwright.Compiler.Graph.Definitions;

/// <summary>A layer or model class as data: what extraction yields, what travels in the graph attribute, what tracing runs.</summary>
/// <param name="Type">Full name with assembly: <c>My.Block, MyAssembly</c>.</param>
/// <param name="ConstructorParameters">Parameters of the constructor that field initialisers use.</param>
/// <param name="Constants">Constants that the definition mentions by name, their initialisers symbolic where source allowed.</param>
/// <param name="Fields">Parameters, layers and stacks in order of declaration.</param>
/// <param name="Methods">Forward, Loss and the helpers that they call.</param>
/// <param name="NoDecay">Whether weight decay leaves all its parameters alone.</param>
/// <param name="Recompute">Whether the layer class carries [Recompute].</param>
public sealed record LayerDefinition(
    string Type,
    EquatableArray<ParameterDefinition> ConstructorParameters,
    EquatableArray<ConstantDefinition> Constants,
    EquatableArray<FieldDefinition> Fields,
    EquatableArray<MethodDefinition> Methods,
    bool NoDecay,
    bool Recompute)
{
    /// <summary>Name without namespace and assembly.</summary>
    public string ShortName
    {
        get
        {
            string full = Type.Split(',')[0];
            return full.Substring(full.LastIndexOf('.') + 1);
        }
    }
}

/// <summary>A parameter of a constructor or method.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">int, float, bool, Tensor, TokenTensor, or else a full type name.</param>
/// <param name="Default">Default value of an optional parameter.</param>
/// <param name="Shape">[Shape] of a model input; empty otherwise.</param>
/// <param name="Placements">Placements written on it.</param>
public sealed record ParameterDefinition(string Name, string Type, Expression? Default, EquatableArray<Expression> Shape, EquatableArray<PlacementAttribute> Placements, int Site);

/// <summary>A constant: Value is null where only the number Fixed is known (metadata, an expression that was folded); then no plan can be made with another.</summary>
public sealed record ConstantDefinition(string Name, Expression? Value, double Fixed, bool IsInteger, bool IsBoolean = false);

/// <summary>[Split], [Broadcast] or [Partial]. Kind is one of these words. Parameter names the parameter of a layer held in a field, or is empty. SliceOrder is position in source.</summary>
public sealed record PlacementAttribute(string Kind, string Axis, Expression? Dim, string Parameter, int Site);

/// <summary>[Stages(…)] or [Stages&lt;TMesh&gt;(…)] or [Stage(n)]: Mesh is empty for all meshes.</summary>
public sealed record StagesAttribute(string Mesh, bool IsSingle, EquatableArray<Expression> Counts, int Site);

/// <summary>A field of a layer.</summary>
/// <param name="Name">As declared.</param>
public abstract record FieldDefinition(string Name, EquatableArray<PlacementAttribute> Placements, int Site)
{
    /// <summary>Name in logical paths: no leading underscore, first letter lower case.</summary>
    public string PathName
    {
        get
        {
            string name = Name.TrimStart('_');
            return name.Length == 0 ? Name : char.ToLowerInvariant(name[0]) + name.Substring(1);
        }
    }

    /// <summary>A trained tensor. InitArguments are those of Init.Normal(deviation, mean), Init.Uniform(low, high), Init.Constant(value), in this order.</summary>
    public sealed record Parameter(string Name, EquatableArray<Expression> Shape, string Init, EquatableArray<Expression> InitArguments, bool NoDecay, EquatableArray<PlacementAttribute> Placements, int Site)
        : FieldDefinition(Name, Placements, Site);

    /// <summary>A layer.</summary>
    public sealed record Layer(string Name, string Type, EquatableArray<Argument> Arguments, bool NoDecay, bool Recompute, EquatableArray<StagesAttribute> Stages, EquatableArray<PlacementAttribute> Placements, int Site)
        : FieldDefinition(Name, Placements, Site);

    /// <summary>A stack of equal layers.</summary>
    public sealed record LayerStack(string Name, Expression Count, string Type, EquatableArray<Argument> Arguments, bool NoDecay, bool Recompute, EquatableArray<StagesAttribute> Stages, EquatableArray<PlacementAttribute> Placements, int Site)
        : FieldDefinition(Name, Placements, Site);
}

/// <summary>A method.</summary>
public sealed record MethodDefinition(string Name, EquatableArray<ParameterDefinition> Parameters, EquatableArray<Statement> Body, EquatableArray<PlacementAttribute> ReturnPlacements, int Site);

/// <summary>One [ShardedOn&lt;TMesh&gt;(…)]: enum members by name.</summary>
/// <param name="NestedName">Name of the nested class: <c>OnLab</c>, or the Name that was given.</param>
/// <param name="OwnSchedule">The schedule that a user has written; null for one of the compiler's.</param>
/// <param name="Chunks">Stages on each rank; 0 where it is left open.</param>
/// <param name="GroupSize">Micro-batches of a group (interleaved); 0 where it is left open.</param>
/// <param name="HopAwareWarmUp">Whether the warm-up hides the time of messages.</param>
public sealed record ShardedOnDefinition(
    MeshDefinition Mesh, string NestedName, Expression MicroBatches, string Schedule, string Optimizer, string Zero, string ZeroAxis, string Recompute, string Precision, int Site, OwnScheduleDefinition? OwnSchedule = null,
    int Chunks = 0, int GroupSize = 0, bool HopAwareWarmUp = false);

/// <summary>A schedule that a user has written.</summary>
/// <param name="Name">Name of its class.</param>
/// <param name="Ranks">One for each attribute.</param>
public sealed record OwnScheduleDefinition(string Name, EquatableArray<RankActionsDefinition> Ranks);

/// <summary>One [RankActions(rank, "…")].</summary>
/// <param name="Rank">Rank along the pipeline axis.</param>
/// <param name="Actions">Its actions as text.</param>
public sealed record RankActionsDefinition(int Rank, string Actions);

/// <summary>A model: a layer with meshes. Everything that planning needs beside the definitions of the layers it names.</summary>
public sealed record ModelDefinition(LayerDefinition Layer, EquatableArray<ShardedOnDefinition> Meshes);
