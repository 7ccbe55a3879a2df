using Shardwright.Compiler.Graph.Definitions;

namespace Shardwright.Compiler.Graph.Tracing;

/// <summary>A layer with bound constructor arguments, as tracing meets it.</summary>
internal sealed class LayerInstance
{
    public LayerInstance(LayerDefinition definition, string path, IReadOnlyDictionary<string, object?> arguments)
    {
        Definition = definition;
        Path = path;
        Arguments = arguments;
    }

    public LayerDefinition Definition { get; }

    /// <summary>Logical path; empty for the model.</summary>
    public string Path { get; }

    /// <summary>Constructor arguments by name.</summary>
    public IReadOnlyDictionary<string, object?> Arguments { get; }

    /// <summary>The layer that holds it; null for the model.</summary>
    public LayerInstance? Holder { get; init; }

    /// <summary>The field that holds it; null for the model.</summary>
    public FieldDefinition? HeldBy { get; init; }

    /// <summary>Constructor arguments as they are written there.</summary>
    public EquatableArray<Argument> Given => HeldBy switch { FieldDefinition.Layer layer => layer.Arguments, FieldDefinition.LayerStack stack => stack.Arguments, _ => default };

    /// <summary>Value, LayerInstance or StackInstance by field name.</summary>
    public Dictionary<string, object> Fields { get; } = new();

    public string PathOf(FieldDefinition field) => Path.Length == 0 ? field.PathName : Path + "." + field.PathName;
}

/// <summary>A layer stack: one body for all layers at the outermost level, unrolled layers inside another stack.</summary>
internal sealed class StackInstance
{
    public StackInstance(FieldDefinition.LayerStack field, LayerInstance owner, int layers)
    {
        Field = field;
        Owner = owner;
        Layers = layers;
    }

    public FieldDefinition.LayerStack Field { get; }

    public LayerInstance Owner { get; }

    public int Layers { get; }

    /// <summary>Set once the stack has been called.</summary>
    public bool Called { get; set; }

    /// <summary>Layers of an inner stack.</summary>
    public List<LayerInstance> Unrolled { get; } = new();
}

/// <summary>Ends tracing with a finding, or silently where the finding was made before.</summary>
internal sealed class TraceException : Exception
{
    public TraceException(Finding? finding)
        : base(finding?.Message) => Finding = finding;

    public Finding? Finding { get; }
}
